/*
 * Numbers of tasks, process groups and sessions, and the namespaces that count them. Source:
 * pid_namespaces(7).
 *
 * Inside the kernel everything goes by its number in the first namespace, where every task has one:
 * task.tid, thread_group.tgid and pgid, session.id. A guest is shown, and names, the numbers of its
 * own namespace; they are translated where a call comes in and where its result goes out, by what
 * ends in _for (a task) or _in (a namespace). A process's own namespace never changes, so its
 * numbers there are kept beside the others: own_tid, own_tgid.
 *
 * struct pid_ns: counted. Holders: the numbers in it, the thread groups whose own it is, tasks
 * whose children go there, instances of procfs, files that name it, and its child namespaces.
 * States: without init -> with one -> closed, from the last steps of its init on: nobody comes in
 * any more. The last put frees it.
 */
#pragma once

#include "sentry/base/idalloc.h"
#include "sentry/base/list.h"
#include "sentry/base/ref.h"

#define PID_MAX          32768
#define PID_NS_LEVEL_MAX 32   /* levels below the first, as on Linux */
#define PID_NS_MAX       4096 /* namespaces below the first at a time */
#define PID_LEAF_SIZE    512U

struct kernel;
struct strbuf;
struct task;
struct thread_group;
struct tty;

/* A number in use: as a task's id, a process group's or a session's. Guarded by tasks_lock; freed
 * when no use is left. */
struct pid {
    int32_t nr;              /* in the first namespace */
    uint32_t users;          /* task + group members + session */
    struct pid_ns *ns;       /* its own, the innermost; one reference */
    int32_t *inner;          /* its numbers at levels 1 to ns->level, or NULL */
    struct task *task;       /* one reference, or NULL */
    struct list members;     /* of thread_group.pgrp_node: the process group of this number */
    struct session *session; /* whose id it is, or NULL; borrowed */
};

struct session {
    struct ref ref; /* thread groups in it; changes under tasks_lock */
    int32_t id;
    struct pid *pid;
    struct tty *tty; /* controlling terminal or NULL; guarded by tasks_lock */
    int32_t fg_pgid; /* the terminal's foreground group is kept in the tty */
};

struct pid_ns {
    struct ref ref; /* not counted for the first one, which is the kernel's */
    struct kernel *k;
    struct pid_ns *parent; /* one reference; NULL: the first */
    uint32_t level;        /* of the first: 0 */
    uint32_t ino;          /* no two ever have the same */
    /* guarded by tasks_lock; the first one's numbers are struct kernel's */
    struct idalloc ids;
    struct pid **leaf[PID_MAX / PID_LEAF_SIZE]; /* by number; a page each, or NULL */
    int32_t high;                               /* highest number ever used */
    uint32_t tasks;                             /* with a number here, zombies included */
    struct thread_group *init; /* borrowed: until it is released; NULL for the first one */
    struct task *ender;        /* of init: waits until tasks have gone, or NULL */
    bool closed;
    /* A child of the first one: who is in that one finds nobody of here by number. Never changes.
     */
    bool apart;
};

/* A process as it can be told to a reader of any namespace, also when it has gone. */
struct pid_mark {
    int32_t nr, own_nr;
    uint32_t ns; /* its own namespace's ino */
};

static inline struct pid_ns *pid_ns_get(struct pid_ns *ns)
{
    if (ns->level)
        ref_get(&ns->ref);
    return ns;
}
void pid_ns_put(struct pid_ns *ns); /* NULL is fine */
/* A child namespace of parent, or with NULL k's first. -ENOSPC: too deep or too many; -ENOMEM. */
int pid_ns_create(struct kernel *k, struct pid_ns *parent, struct pid_ns **out) MUST_CHECK;
void pid_ns_destroy_first(struct pid_ns *ns);
/* Is inner outer itself or below it? */
bool pid_ns_within(const struct pid_ns *inner, const struct pid_ns *outer);
/* Who gets its orphans. tasks_lock held; NULL: nobody yet, or any more. */
struct thread_group *pid_ns_init_locked(const struct pid_ns *ns);
/* tg is, with all its threads but the caller on their way out, its namespace's init. */
bool pid_ns_ending_locked(const struct thread_group *tg);
/*
 * The last thread t of a process leaves. If that was its namespace's init, all others there are
 * killed, and t waits until they have gone.
 */
void pid_ns_end(struct task *t);
/* pid got or lost its task. */
void pid_ns_count_locked(struct pid_ns *ns, bool more);

/* ---- numbers; tasks_lock held where _locked ---- */
/*
 * A number in ns and all above it. wanted: count numbers to have, from ns on outwards; others are
 * chosen. -EEXIST, -EINVAL, -EAGAIN, -ENOMEM (also: ns is closed).
 */
int pid_alloc_locked(struct pid_ns *ns, const int32_t *wanted, uint32_t count,
                     struct pid **out) MUST_CHECK;
struct pid *pid_find_locked(struct kernel *k, int32_t nr); /* in the first namespace */
/* As a guest in ns finds it; what is apart is not there. */
struct pid *pid_find_in_locked(const struct pid_ns *ns, int32_t nr);
void pid_use_locked(struct pid *pid);
void pid_unuse_locked(struct pid *pid);
/* Its number in ns, 0: it has none. NULL: 0. */
int32_t pid_nr_in_locked(const struct pid *pid, const struct pid_ns *ns);
int32_t task_nr_in_locked(const struct task *t, const struct pid_ns *ns);
int32_t thread_group_nr_in_locked(const struct thread_group *tg, const struct pid_ns *ns);
/* What has number nr in the first namespace, as ns numbers it; 0: not there. */
int32_t pid_nr_in(const struct pid_ns *ns, int32_t nr);
int32_t pid_nr_for(const struct task *reader, int32_t nr);
/* Its numbers from ns inwards, a tabulator before each, as /proc shows them. 0: it has none. */
void pid_print_in(const struct pid_ns *ns, int32_t nr, struct strbuf *sb);
/* The other way: the number nr of t's namespace, in the first; 0: not in use. */
int32_t pid_first_nr(const struct task *t, int32_t nr);
struct pid_mark pid_mark_of(const struct thread_group *tg);
int32_t pid_mark_for(const struct task *reader, const struct pid_mark *mark);

/* ---- look-up by the numbers of ns, or of t's own namespace: counted, or NULL ---- */
struct task *task_find_in(const struct pid_ns *ns, int32_t nr) MUST_CHECK;
struct task *task_find_for(const struct task *t, int32_t nr) MUST_CHECK;
struct thread_group *thread_group_find_for(const struct task *t, int32_t nr) MUST_CHECK;
/* The next number >= nr of a thread group in ns, or 0. */
int32_t thread_group_next_in(const struct pid_ns *ns, int32_t nr);
