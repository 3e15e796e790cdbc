/*
 * The kernel's log: one line a call to ro_globals.log_fd, text or JSON. %-formats of fmt.h. Never
 * guest secrets.
 */
#pragma once

#include "sentry/base/compiler.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_write(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The same of a text that is whole already, as long as it may be; cut at 3 KiB. */
void log_text(enum log_level level, const char *text);
/* A line of the caller's own make, with its newline. */
void log_raw(enum log_level level, const char *line, size_t size);
/* A time since 1970 as "2026-01-31T12:34:56.123456Z". */
#define LOG_TIME_MAX 40
void log_time(uint64_t ns, char out[LOG_TIME_MAX]);
bool log_enabled(enum log_level level);
#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...)                                                                             \
    do {                                                                                           \
        if (log_enabled(LOG_DEBUG))                                                                \
            log_write(LOG_DEBUG, __VA_ARGS__);                                                     \
    } while (0)
