/*
 * Decoding of system calls into one log line each: "[tid] name(args) = result <seconds>", or one
 * JSON object. Argument kinds are those of syscalls/table.def. Reads guest memory; a bad pointer is
 * printed as an address. What a guest chose is escaped: a line holds printable ASCII only. Source:
 * strace(1)'s format.
 */
#pragma once

#include "sentry/base/fmt.h"
#include "sentry/kernel/task.h"

struct syscall_row;

#define STRACE_MAX_ARGS 6
#define STRACE_TEXT_MAX 2048

/* What to trace, as the command line says it. */
struct strace_choice {
    bool failed;       /* calls that failed only */
    const char *calls; /* "open*,read,!futex"; NULL: all */
    const char *pids;  /* "1,7": processes' and threads' numbers; NULL: all */
    /* "/etc,/usr/lib": calls that name a path below one of these, as the guest writes it; NULL:
     * all */
    const char *paths;
};

struct strace_options;

/*
 * -EINVAL: *out_what names the list ("calls", "pids", "paths") that is wrong or too long, or names
 * no call there is; -ENOMEM.
 */
int strace_options_create(const struct strace_choice *from, struct strace_options **out,
                          const char **out_what) MUST_CHECK;
void strace_options_free(struct strace_options *o);

/* A call being traced; on the dispatcher's stack. */
struct strace_call {
    const struct syscall_row *row; /* NULL: unknown number */
    uint64_t nr;
    uint64_t args[STRACE_MAX_ARGS];
    uint64_t start_ns;          /* monotonic */
    struct strbuf line;         /* the arguments, separated by ", " */
    char text[STRACE_TEXT_MAX]; /* line's storage */
    /* where each one printed so far starts and ends in it */
    uint16_t begin[STRACE_MAX_ARGS], end[STRACE_MAX_ARGS];
    const char *rest; /* the kinds not printed yet: those that need the result */
    int next;         /* their first argument */
    /* the sinks that want it (sink.h), by number, and what they were then */
    uint32_t sinks, generations[8];
};

/* Prints the arguments up to the first that the call fills. False: this call is not wanted. */
bool strace_enter(struct strace_call *c, struct task *t, uint64_t nr, const struct syscall_row *row,
                  const uint64_t args[6]);
/* Prints the others and the result, and gives the line to the sinks. */
void strace_exit(struct strace_call *c, struct task *t, int64_t result);
/* t ends, by itself or by a signal; and others have been told of it. */
void strace_task_exit(struct task *t);
void strace_task_exited(struct task *t);
