/*
 * Decoding of system calls into one log line each: "[pid] name(args) = result". Argument kinds are
 * those of syscalls/table.def. Reads guest memory; a bad pointer is printed as an address. Source:
 * strace(1)'s format.
 */
#pragma once

#include "sentry/base/fmt.h"
#include "sentry/kernel/task.h"

struct syscall_row;

#define STRACE_MAX_ARGS 6

/* A call being traced; on the dispatcher's stack. */
struct strace_call {
    const struct syscall_row *row; /* NULL: unknown number */
    uint64_t nr;
    uint64_t args[STRACE_MAX_ARGS];
    struct strbuf line;
    char text[1024];  /* line's storage */
    const char *rest; /* the kinds not printed yet: those that need the result */
    int next;         /* their first argument */
};

/* Prints the arguments up to the first that the call fills. */
void strace_enter(struct strace_call *c, struct task *t, uint64_t nr, const struct syscall_row *row,
                  const uint64_t args[6]);
/* Prints the others and the result, and writes the line. */
void strace_exit(struct strace_call *c, struct task *t, int64_t result);
