/*
 * Guests' own filters on their system calls. Source: seccomp(2), kernel document
 * seccomp_filter.rst.
 *
 * struct seccomp_filter: counted, never changed once made; held by the tasks it applies to and by
 * filters that were added after it (prev). A task runs its whole chain and obeys the most severe
 * answer. task.seccomp is read by its own thread without a lock; others set it (TSYNC) under
 * sig_lock, to a chain that holds the old one, which so stays good while it is being run.
 */
#pragma once

#include "sentry/base/bpf.h"
#include "sentry/base/ref.h"

struct task;

enum { SECCOMP_OFF, SECCOMP_STRICT, SECCOMP_FILTERED };

enum {
    SECCOMP_RET_KILL_PROCESS = (int)0x80000000,
    SECCOMP_RET_KILL_THREAD = 0,
    SECCOMP_RET_TRAP = 0x00030000,
    SECCOMP_RET_ERRNO = 0x00050000,
    SECCOMP_RET_USER_NOTIF = 0x7fc00000,
    SECCOMP_RET_TRACE = 0x7ff00000,
    SECCOMP_RET_LOG = 0x7ffc0000,
    SECCOMP_RET_ALLOW = 0x7fff0000,
};
#define SECCOMP_RET_ACTION 0xffff0000U
#define SECCOMP_RET_DATA   0x0000ffffU

struct seccomp_filter {
    struct ref ref;
    struct seccomp_filter *prev; /* one reference, or NULL */
    uint32_t
        total; /* instructions of the chain, and 4 for each filter, against SECCOMP_TOTAL_MAX */
    uint32_t depth; /* filters of the chain */
    bool log;
    struct bpf_insn prog[];
};
#define SECCOMP_TOTAL_MAX 32768U

/* A filter of one's own, prev not yet set. -EINVAL, -ENOMEM. */
int seccomp_filter_create(const struct bpf_insn *prog, uint32_t count,
                          struct seccomp_filter **out) MUST_CHECK;
struct seccomp_filter *seccomp_filter_get(struct seccomp_filter *f); /* NULL stays NULL */
void seccomp_filter_put(struct seccomp_filter *f);                   /* NULL is fine */

/*
 * Adds f (reference taken over on success) to the calling task's chain, or with sync to all of its
 * group's. 0; -ENOMEM: the chain is too long; with sync the id of a thread whose chain is another.
 * no_new_privs goes with it to the others.
 */
int64_t seccomp_attach(struct task *t, struct seccomp_filter *f, bool sync) MUST_CHECK;
/* Filters of t's chain, any task's. */
uint32_t seccomp_depth(struct task *t);
/* A new task's chain: its creator t's. Called before it is entered and, for a thread, again after:
 * another thread may have synchronised in between. */
void seccomp_inherit(struct task *t, struct task *child);
/* seccomp(SECCOMP_SET_MODE_STRICT): -EINVAL when it filters already. */
int seccomp_set_strict(struct task *t) MUST_CHECK;

/*
 * Before a call of a task whose seccomp_mode is not OFF: true: it may be made. Else *result is what
 * it returns; signals and exits are under way where the answer says so.
 */
bool seccomp_allows(struct task *t, uint64_t nr, const uint64_t args[6], int64_t *result);
