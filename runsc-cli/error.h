/*
 * The CLI's errors: an exit status and a message with context, filled where it happens, printed
 * once in main. Functions return 0 or -1 with *err set.
 */
#pragma once

#include "sentry/base/compiler.h"

struct cli_error {
    int status; /* exit status for main */
    char message[1024];
};

/* Sets err and returns -1. */
int fail(struct cli_error *err, int status, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The same with ": <text of errno_value>" behind. */
int fail_errno(struct cli_error *err, int status, int errno_value, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
