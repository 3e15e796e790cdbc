/* Running it all: which cases there are, then each unit on each target, by several threads. */
#pragma once

#include "runsc-cli/cli.h"
#include "runsc-cli/compat/compat.h"

struct jobs {
    struct compat *c;
    const struct global_options *global;
    const char *cwd; /* NULL: an empty directory for each run */
    int64_t timeout_ms, threads;
    bool trace, progress, whole; /* whole: no case by case */
    int kind;                    /* enum kind, of all programs */
    atomic_bool *stop;
};

/* Finds out which platforms can't run here (c->unable). -1: none can. */
int jobs_probe(const struct jobs *j, struct cli_error *err);
/* Kinds and cases of the programs, then runs and compares. */
int jobs_run(const struct jobs *j, struct cli_error *err);
