/* The CLI's error object. */
#include "runsc-cli/error.h"

#include <stdio.h>
#include <string.h>

int fail(struct cli_error *err, int status, const char *fmt, ...)
{
    va_list ap;

    err->status = status;
    va_start(ap, fmt);
    vsnprintf(err->message, sizeof(err->message), fmt, ap);
    va_end(ap);
    return -1;
}

int fail_errno(struct cli_error *err, int status, int errno_value, const char *fmt, ...)
{
    va_list ap;
    size_t n;

    err->status = status;
    va_start(ap, fmt);
    vsnprintf(err->message, sizeof(err->message), fmt, ap);
    va_end(ap);
    n = strlen(err->message);
    snprintf(err->message + n, sizeof(err->message) - n, ": %s", strerror(errno_value));
    return -1;
}
