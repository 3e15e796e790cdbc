/* Between report.c and talk.c; the report thread's only. */
#pragma once

#include "sentry/boot/report/report.h"
#include "sentry/boot/report/wire.h"
#include "sentry/kernel/core.h"

struct reporter {
    struct core_reporter *kernel; /* how the kernel hands crashes over; in the arena */
    struct kernel *k;
    int out_fd;        /* --crash-report=FILE; -1: the log */
    int socket, arena; /* the helper's; socket -1: it is gone */
    unsigned made;
    char line[512]; /* being filled */
    size_t line_size;
    /* the crash being reported */
    struct core_stop *stop;
    struct report_map maps[REPORT_MAPS];
    struct mm_file *files[REPORT_MAPS]; /* counted, or NULL */
    const char *names[REPORT_MAPS];     /* "[stack]" ..., or NULL */
    size_t map_count;
};

/* Text of ours or the helper's: lines go out as they are complete, printable ASCII only. */
void report_text(struct reporter *r, const char *text, size_t size);
/* A name of the guest's: no newline of it ends a line. */
void report_name(struct reporter *r, const char *text, size_t size);
void report_printf(struct reporter *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* What a mapping is called, into the report. */
void report_map_name(struct reporter *r, size_t map);
/* talk.c: backtrace and code, by the helper. */
void report_ask_helper(struct reporter *r);
