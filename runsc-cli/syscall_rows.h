/* The system call table as the command line shows it: what is there, partly there, missing. */
#pragma once

#include "sentry/base/compiler.h"

enum syscall_level { SYSCALL_FULL, SYSCALL_PARTIAL, SYSCALL_MISSING, SYSCALL_LEVELS };

struct syscall_row {
    int nr;
    const char *name;
    enum syscall_level level;
    const char *error, *note; /* error: what a missing one answers, else NULL */
};

extern const struct syscall_row syscall_rows[];
extern const size_t syscall_row_count;
extern const char *const syscall_level_names[SYSCALL_LEVELS];

/* NULL: there is no such call. */
const struct syscall_row *syscall_row_of(int64_t nr);
