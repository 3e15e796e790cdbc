/*
 * Pid namespaces as objects: making them, who is their init, and their end. Numbers: pid.c. Locks:
 * kernel.tasks_lock. Source: pid_namespaces(7).
 */
#include "sentry/abi/errno.h"
#include "sentry/abi/signal_num.h"
#include "sentry/base/arena.h"
#include "sentry/base/slab.h"
#include "sentry/kernel/kernel.h"

#define INO_FIRST  4026531836U /* the first one's on Linux */
#define INO_OTHERS 4027000000U

SLAB_TYPE(pid_ns_slab, struct pid_ns);

int pid_ns_create(struct kernel *k, struct pid_ns *parent, struct pid_ns **out)
{
    struct pid_ns *ns;

    if (parent && parent->level >= PID_NS_LEVEL_MAX)
        return -ENOSPC;
    if (parent && __atomic_add_fetch(&k->pid_ns_count, 1, __ATOMIC_RELAXED) > PID_NS_MAX) {
        __atomic_sub_fetch(&k->pid_ns_count, 1, __ATOMIC_RELAXED);
        return -ENOSPC;
    }
    ns = slab_alloc(&pid_ns_slab);
    if (!ns) {
        if (parent)
            __atomic_sub_fetch(&k->pid_ns_count, 1, __ATOMIC_RELAXED);
        return -ENOMEM;
    }
    ref_init(&ns->ref);
    ns->k = k;
    ns->ino = INO_FIRST;
    if (parent) {
        ns->parent = pid_ns_get(parent);
        ns->level = parent->level + 1;
        ns->ino = INO_OTHERS + __atomic_add_fetch(&k->next_ns_ino, 1, __ATOMIC_RELAXED);
        idalloc_init(&ns->ids, PID_MAX);
    }
    *out = ns;
    return 0;
}

void pid_ns_put(struct pid_ns *ns)
{
    while (ns && ns->level && ref_put(&ns->ref)) {
        struct pid_ns *parent = ns->parent;

        BUG_ON(ns->init || ns->tasks);
        for (size_t i = 0; i < ARRAY_SIZE(ns->leaf); i++) {
            if (ns->leaf[i])
                page_free(ns->leaf[i], 0);
        }
        idalloc_destroy(&ns->ids);
        __atomic_sub_fetch(&ns->k->pid_ns_count, 1, __ATOMIC_RELAXED);
        slab_free(&pid_ns_slab, ns);
        ns = parent;
    }
}

void pid_ns_destroy_first(struct pid_ns *ns)
{
    if (ns)
        slab_free(&pid_ns_slab, ns);
}

bool pid_ns_within(const struct pid_ns *inner, const struct pid_ns *outer)
{
    while (inner->level > outer->level)
        inner = inner->parent;
    return inner == outer;
}

struct thread_group *pid_ns_init_locked(const struct pid_ns *ns)
{
    return ns->level ? ns->init : ns->k->init;
}

bool pid_ns_ending_locked(const struct thread_group *tg)
{
    return tg->pid_ns->closed && tg->pid_ns->init == tg;
}

void pid_ns_count_locked(struct pid_ns *ns, bool more)
{
    for (; ns->level; ns = ns->parent) {
        ns->tasks += more ? 1 : -1U;
        if (!more && ns->ender)
            unpark(&ns->ender->parker);
    }
}

static void kill_others_locked(const struct pid_ns *ns)
{
    struct thread_group *init = ns->init, *child, *tmp;
    int32_t nr;

    for (nr = 1; nr <= ns->high; nr++) {
        struct pid *pid = pid_find_in_locked(ns, nr);

        if (pid && pid->task && pid->task->tg != init && pid->task->tg->leader == pid->task)
            thread_group_exit_request(pid->task->tg, LX_SIGKILL);
    }
    /* Nobody waits for those that have exited already; from now on none of them becomes one. */
    list_for_each_safe (child, tmp, &init->children, sibling) {
        if (child->exited)
            thread_group_release_locked(child);
    }
}

static bool alone_locked(const struct pid_ns *ns)
{
    uint32_t own = 0;
    struct task *t;

    list_for_each (t, &ns->init->tasks, group_node)
        own++;
    return ns->tasks == own;
}

void pid_ns_end(struct task *t)
{
    struct pid_ns *ns = t->tg->pid_ns;
    struct kernel *k = t->k;
    bool alone;

    if (!ns->level)
        return;
    mutex_lock(&k->tasks_lock);
    if (ns->init != t->tg) {
        mutex_unlock(&k->tasks_lock);
        return;
    }
    ns->closed = true;
    ns->ender = t;
    kill_others_locked(ns);
    while (!(alone = alone_locked(ns))) {
        mutex_unlock(&k->tasks_lock);
        (void)!park(&t->parker, PARK_FOREVER);
        mutex_lock(&k->tasks_lock);
    }
    ns->ender = NULL;
    mutex_unlock(&k->tasks_lock);
}
