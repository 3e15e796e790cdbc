/*
 * System call handlers: one row in table.def and one sys_NAME each. A handler decodes, checks,
 * copies in, makes one call, copies out; about 25 lines. It returns the result or -errno (restart
 * codes included).
 */
#pragma once

#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"

struct syscall_args {
    uint64_t arg[6];
};

#define ROW(nr, name, level, flags, args, note)                                                    \
    int64_t sys_##name(struct task *t, const struct syscall_args *a);
#define NONE(nr, name, error, why)
#include "syscalls/table.def"
#undef ROW
#undef NONE

/* Typed views of arguments: ints are truncated as the ABI does. */
#define ARG_INT(n) ((int32_t)a->arg[n])
#define ARG_U32(n) ((uint32_t)a->arg[n])
#define ARG_U64(n) (a->arg[n])
#define ARG_I64(n) ((int64_t)a->arg[n])
#define ARG_PTR(n) (uaddr(a->arg[n]))

/*
 * kernel_hooks.syscall: looks the row up and calls its handler; -ENOSYS (rate-limited log line) for
 * what is missing.
 */
int64_t syscall_dispatch(struct task *t, uint64_t nr, const uint64_t args[6]);

struct syscall_row {
    const char *name;
    uint8_t level; /* SYSCALL_* */
    uint8_t flags;
    int16_t error; /* of a missing one */
    int64_t (*handler)(struct task *t, const struct syscall_args *a);
    const char *args; /* argument kinds for strace, see table.def */
    const char *note; /* what is missing, or why */
};
/* PR_SET_SECCOMP, in sys_seccomp.c. */
int64_t prctl_set_seccomp(struct task *t, uint64_t mode, uaddr_t prog);
/* restart_syscall(2) of poll, in sys_poll.c. */
int64_t syscall_restart_poll(struct task *t);
enum { SYSCALL_MISSING, SYSCALL_PARTIAL, SYSCALL_FULL };
/* NULL when the number is unknown. */
const struct syscall_row *syscall_row(uint64_t nr);
#define SYSCALL_MAX 512
