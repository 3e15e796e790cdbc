/* The process between us and a test: it starts it, waits, and ends all that comes of it. */
#pragma once

#include "sentry/base/compiler.h"

#include <sys/types.h>

struct keeper_order {
    char *const *argv;
    const char *cwd;
    int64_t timeout_ms;
    int out, err, status; /* pipes' write ends */
    pid_t parent;
};

struct keeper_result {
    int status; /* 128+N for signal N; 127 with start_error set */
    int start_error;
    bool hung;
    int64_t us;
};

/* In a forked child of a process with threads: makes system calls only. Writes a keeper_result. */
_Noreturn void keeper_main(const struct keeper_order *o);
