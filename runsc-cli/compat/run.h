/*
 * Running one test process, natively or in a sandbox, so that nothing of it is left: whatever it
 * started, in whatever session, ends with it, with its timeout, and with us.
 */
#pragma once

#include "runsc-cli/cli.h"
#include "runsc-cli/compat/compat.h"

struct run_request {
    const struct global_options *global;
    const char *platform; /* NULL: natively */
    const char *cwd;
    const char *fifo; /* where a trace is to come by, or NULL */
    char **argv;
    int64_t timeout_ms;
    const atomic_bool *stop; /* set: end it now */
};

/* 0, or -1 with *err: it could not be started. trace gets the end of what came by the fifo. */
int run_program(const struct run_request *q, struct run *out, struct text *trace,
                struct cli_error *err);
void run_free(struct run *r);
/* The last calls of a trace in JSON, a line each as strace prints them. */
struct text last_calls(const struct text *trace, size_t max);
