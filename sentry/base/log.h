/*
 * The kernel's log: one line a call to ro_globals.log_fd, text or JSON. %-formats of fmt.h. Never
 * guest secrets.
 */
#pragma once

#include "sentry/base/compiler.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_write(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);
/*
 * The line log_write would write for text, at line, with its newline: its size. size is at least
 * 256.
 */
size_t log_format(enum log_level level, const char *text, char *line, size_t size);
/* What a line of text starts with; ns since 1970. */
struct strbuf;
void log_prefix(struct strbuf *out, enum log_level level, uint64_t ns);
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
