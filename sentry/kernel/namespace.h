/*
 * A task's namespaces: making new ones, entering others'. Pid namespaces as objects: pid.h; mounts:
 * fs/mount.h. Source: namespaces(7), uts_namespaces(7).
 */
#pragma once

#include "sentry/kernel/task.h"

struct shm_space;
struct sem_space;
struct msgq_space;

/* Counted, but the first one: by the tasks in it, and by files that name it. */
struct uts_ns {
    struct ref ref;
    bool first; /* the kernel's */
    uint32_t ino;
    char hostname[65], domainname[65]; /* guarded by kernel.uts_lock */
};

static inline struct uts_ns *uts_ns_get(struct uts_ns *ns)
{
    if (!ns->first)
        ref_get(&ns->ref);
    return ns;
}
void uts_ns_put(struct uts_ns *ns); /* NULL is fine */
/* A copy of from, or with NULL the first. -ENOMEM. */
int uts_ns_create(struct kernel *k, const struct uts_ns *from, struct uts_ns **out) MUST_CHECK;
void uts_ns_destroy_first(struct uts_ns *ns);

/* Counted as uts_ns is, but for the tasks in it only until they exit. */
struct ipc_ns {
    struct ref ref;
    bool first;
    uint32_t ino;
    struct shm_space *shm; /* System V segments, semaphores, message queues */
    struct sem_space *sems;
    struct msgq_space *msgs;
    struct superblock *mqueues; /* fs/task/mqueue_fs.c: NULL until there is use for it */
};

static inline struct ipc_ns *ipc_ns_get(struct ipc_ns *ns)
{
    if (!ns->first)
        ref_get(&ns->ref);
    return ns;
}
void ipc_ns_put(struct ipc_ns *ns); /* NULL is fine */
/* Without any objects. -ENOSPC: too many; -ENOMEM. */
int ipc_ns_create(struct kernel *k, bool first, struct ipc_ns **out) MUST_CHECK;
void ipc_ns_destroy(struct ipc_ns *ns);

#define NAMESPACE_FLAGS                                                                            \
    (LX_CLONE_NEWNS | LX_CLONE_NEWCGROUP | LX_CLONE_NEWUTS | LX_CLONE_NEWIPC | LX_CLONE_NEWUSER |  \
     LX_CLONE_NEWPID | LX_CLONE_NEWNET | LX_CLONE_NEWTIME)

/* May t make namespaces of these kinds anew? -EPERM; -EINVAL: a kind that can't be. */
int namespaces_check(const struct task *t, uint64_t flags) MUST_CHECK;

/* Those that flags do not name are t's own; each a reference. */
struct namespaces {
    struct mount_ns *mounts;
    struct pid_ns *child_pids;
    struct uts_ns *uts;
    struct ipc_ns *ipc;
};
/*
 * fs: whose root and cwd move to a new mount namespace. -EINVAL: t's children go into another pid
 * namespace already. -ENOSPC, -ENOMEM. What was made on failure is for namespaces_put, too.
 */
int namespaces_make(struct task *t, uint64_t flags, struct fs_context *fs,
                    struct namespaces *out) MUST_CHECK;
void namespaces_put(struct namespaces *ns);

/*
 * setns(2): ns has what to enter, references of its own; NULL is left alone. Into mounts, t's root
 * and cwd go, too. All or nothing: -EPERM; -EINVAL: child_pids is not below t's own, or others
 * share t's root and cwd.
 */
int task_setns(struct task *t, const struct namespaces *ns) MUST_CHECK;
/* Another task's, references; NULL ones: it has exited. */
void task_namespaces_get(struct task *t, struct namespaces *out);
