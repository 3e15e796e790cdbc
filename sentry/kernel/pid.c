/*
 * Numbers of tasks, process groups and sessions: giving them out in a namespace and all above it,
 * tables by number, translation, and look-up. What a namespace is: pid_ns.c; a group or session:
 * group.c. Locks: kernel.tasks_lock; functions ending in _locked expect it.
 */
#include "sentry/abi/errno.h"
#include "sentry/base/arena.h"
#include "sentry/base/fmt.h"
#include "sentry/base/slab.h"
#include "sentry/kernel/kernel.h"

SLAB_TYPE(pid_slab, struct pid);

/* ---- one namespace's table ---- */

static struct pid **slot(const struct pid_ns *ns, uint32_t nr)
{
    if (!ns->level)
        return &ns->k->pid_table[nr];
    return &ns->leaf[nr / PID_LEAF_SIZE][nr % PID_LEAF_SIZE];
}

static int add_leaf(struct pid_ns *ns, uint32_t nr)
{
    struct pid ***leaf = &ns->leaf[nr / PID_LEAF_SIZE];

    if (ns->level && !*leaf)
        *leaf = page_alloc(0);
    return !ns->level || *leaf ? 0 : -ENOMEM;
}

/* wanted 0: any. */
static int take_number(struct pid_ns *ns, int32_t wanted, struct pid *pid, int32_t *out)
{
    struct idalloc *ids = ns->level ? &ns->ids : &ns->k->pids;
    int32_t *high = ns->level ? &ns->high : &ns->k->pid_high;
    uint32_t nr = (uint32_t)wanted;
    int err;

    if (ns->closed)
        return -ENOMEM; /* as on Linux */
    if (ns->level && !ns->init && wanted > INIT_PID)
        return -EINVAL;
    if (ns->level && !ns->init)
        nr = INIT_PID; /* also after a first process that could not start */
    if (nr)
        err = nr < PID_MAX ? idalloc_take(ids, nr) : -EINVAL;
    else
        err = idalloc_get_cyclic(ids, *high > PID_RESERVED ? PID_RESERVED : INIT_PID + 1, &nr);
    if (err)
        return err == -ENOSPC ? -EAGAIN : err == -EBUSY ? -EEXIST : err;
    err = add_leaf(ns, nr);
    if (err) {
        idalloc_put(ids, nr);
        return err;
    }
    *slot(ns, nr) = pid;
    *high = MAX(*high, (int32_t)nr);
    *out = (int32_t)nr;
    return 0;
}

static int32_t *number_at(struct pid *pid, const struct pid_ns *ns)
{
    return ns->level ? &pid->inner[ns->level - 1] : &pid->nr;
}

/* Its numbers in its namespace and outwards, but not from outer on; then itself. */
static void give_back(struct pid *pid, const struct pid_ns *outer)
{
    struct pid_ns *ns;

    for (ns = pid->ns; ns != outer; ns = ns->parent) {
        uint32_t nr = (uint32_t)*number_at(pid, ns);

        *slot(ns, nr) = NULL;
        idalloc_put(ns->level ? &ns->ids : &ns->k->pids, nr);
    }
    kfree(pid->inner);
    pid_ns_put(pid->ns);
    slab_free(&pid_slab, pid);
}

int pid_alloc_locked(struct pid_ns *ns, const int32_t *wanted, uint32_t count, struct pid **out)
{
    struct pid *pid = slab_alloc(&pid_slab);
    struct pid_ns *at;
    int err = 0;

    if (!pid)
        return -ENOMEM;
    if (count > ns->level + 1)
        err = -EINVAL;
    if (!err && ns->level) {
        pid->inner = kmalloc(ns->level * sizeof(*pid->inner));
        err = pid->inner ? 0 : -ENOMEM;
    }
    if (err) {
        slab_free(&pid_slab, pid);
        return err;
    }
    pid->ns = pid_ns_get(ns);
    pid->users = 1;
    list_init(&pid->members);
    for (at = ns; at; at = at->parent) {
        err = take_number(at, count ? *wanted : 0, pid, number_at(pid, at));
        if (err) {
            give_back(pid, at);
            return err;
        }
        if (count) {
            count--;
            wanted++;
        }
    }
    *out = pid;
    return 0;
}

struct pid *pid_find_locked(struct kernel *k, int32_t nr)
{
    if (nr <= 0 || nr > k->pid_high)
        return NULL;
    return k->pid_table[nr];
}

/* Not for guests in the first namespace. */
static bool is_apart(const struct pid *pid)
{
    const struct pid_ns *ns = pid->ns;

    while (ns->level > 1)
        ns = ns->parent;
    return ns->apart;
}

struct pid *pid_find_in_locked(const struct pid_ns *ns, int32_t nr)
{
    struct pid *pid;

    if (!ns->level) {
        pid = pid_find_locked(ns->k, nr);
        return pid && is_apart(pid) ? NULL : pid;
    }
    if (nr <= 0 || nr > ns->high || !ns->leaf[(uint32_t)nr / PID_LEAF_SIZE])
        return NULL;
    return *slot(ns, (uint32_t)nr);
}

void pid_use_locked(struct pid *pid)
{
    BUG_ON(pid->users == 0);
    pid->users++;
}

void pid_unuse_locked(struct pid *pid)
{
    BUG_ON(pid->users == 0);
    if (--pid->users)
        return;
    BUG_ON(pid->task || pid->session || !list_empty(&pid->members));
    give_back(pid, NULL);
}

/* ---- translation ---- */

int32_t pid_nr_in_locked(const struct pid *pid, const struct pid_ns *ns)
{
    if (!pid)
        return 0;
    if (!ns->level)
        return is_apart(pid) ? 0 : pid->nr;
    return pid_ns_within(pid->ns, ns) ? pid->inner[ns->level - 1] : 0;
}

int32_t task_nr_in_locked(const struct task *t, const struct pid_ns *ns)
{
    if (!ns->level)
        return t->tid;
    if (t->tg->pid_ns == ns)
        return t->own_tid;
    return pid_nr_in_locked(pid_find_locked(t->k, t->tid), ns);
}

int32_t thread_group_nr_in_locked(const struct thread_group *tg, const struct pid_ns *ns)
{
    if (!ns->level)
        return tg->tgid;
    if (tg->pid_ns == ns)
        return tg->own_tgid;
    return pid_nr_in_locked(pid_find_locked(tg->k, tg->tgid), ns);
}

int32_t pid_nr_in(const struct pid_ns *ns, int32_t nr)
{
    if (!ns->level)
        return nr;
    mutex_lock(&ns->k->tasks_lock);
    nr = pid_nr_in_locked(pid_find_locked(ns->k, nr), ns);
    mutex_unlock(&ns->k->tasks_lock);
    return nr;
}

int32_t pid_nr_for(const struct task *reader, int32_t nr)
{
    return pid_nr_in(reader->tg->pid_ns, nr);
}

void pid_print_in(const struct pid_ns *ns, int32_t nr, struct strbuf *sb)
{
    const struct pid *pid;

    mutex_lock(&ns->k->tasks_lock);
    pid = pid_find_locked(ns->k, nr);
    strbuf_printf(sb, "\t%d", ns->level ? pid_nr_in_locked(pid, ns) : nr);
    if (pid && pid_ns_within(pid->ns, ns)) {
        for (uint32_t i = ns->level; i < pid->ns->level; i++)
            strbuf_printf(sb, "\t%d", pid->inner[i]);
    }
    mutex_unlock(&ns->k->tasks_lock);
}

int32_t pid_first_nr(const struct task *t, int32_t nr)
{
    const struct pid *pid;

    mutex_lock(&t->k->tasks_lock);
    pid = pid_find_in_locked(t->tg->pid_ns, nr);
    nr = pid ? pid->nr : 0;
    mutex_unlock(&t->k->tasks_lock);
    return nr;
}

struct pid_mark pid_mark_of(const struct thread_group *tg)
{
    return (struct pid_mark){tg->tgid, tg->own_tgid, tg->pid_ns->ino};
}

int32_t pid_mark_for(const struct task *reader, const struct pid_mark *mark)
{
    const struct pid_ns *ns = reader->tg->pid_ns;

    return ns->ino == mark->ns ? mark->own_nr : pid_nr_in(ns, mark->nr);
}

/* ---- look-up ---- */

static struct task *task_of(const struct pid *pid)
{
    return pid && pid->task ? task_get(pid->task) : NULL;
}

struct task *task_find_in(const struct pid_ns *ns, int32_t nr)
{
    struct task *t;

    mutex_lock(&ns->k->tasks_lock);
    t = task_of(pid_find_in_locked(ns, nr));
    mutex_unlock(&ns->k->tasks_lock);
    return t;
}

struct task *task_find_for(const struct task *t, int32_t nr)
{
    return task_find_in(t->tg->pid_ns, nr);
}

struct task *task_find(struct kernel *k, int32_t tid)
{
    struct task *t;

    mutex_lock(&k->tasks_lock);
    t = task_of(pid_find_locked(k, tid));
    mutex_unlock(&k->tasks_lock);
    return t;
}

static struct thread_group *group_of(const struct pid *pid)
{
    if (!pid || !pid->task || pid->task->tg->leader != pid->task)
        return NULL;
    return pid->task->tg;
}

struct thread_group *thread_group_of_pid_locked(struct kernel *k, int32_t tgid)
{
    return group_of(pid_find_locked(k, tgid));
}

struct thread_group *thread_group_find(struct kernel *k, int32_t tgid)
{
    struct thread_group *tg;

    mutex_lock(&k->tasks_lock);
    tg = group_of(pid_find_locked(k, tgid));
    if (tg)
        thread_group_get(tg);
    mutex_unlock(&k->tasks_lock);
    return tg;
}

struct thread_group *thread_group_find_for(const struct task *t, int32_t nr)
{
    struct thread_group *tg;

    mutex_lock(&t->k->tasks_lock);
    tg = group_of(pid_find_in_locked(t->tg->pid_ns, nr));
    if (tg)
        thread_group_get(tg);
    mutex_unlock(&t->k->tasks_lock);
    return tg;
}

int32_t thread_group_next_in(const struct pid_ns *ns, int32_t nr)
{
    int32_t found = 0;

    mutex_lock(&ns->k->tasks_lock);
    for (nr = MAX(nr, 1); nr <= (ns->level ? ns->high : ns->k->pid_high) && !found; nr++) {
        if (group_of(pid_find_in_locked(ns, nr)))
            found = nr;
    }
    mutex_unlock(&ns->k->tasks_lock);
    return found;
}

int32_t thread_group_next(struct kernel *k, int32_t tgid)
{
    int32_t found = 0;

    mutex_lock(&k->tasks_lock);
    for (tgid = MAX(tgid, 1); tgid <= k->pid_high && !found; tgid++) {
        if (group_of(pid_find_locked(k, tgid)))
            found = tgid;
    }
    mutex_unlock(&k->tasks_lock);
    return found;
}

int32_t task_next_in_group(struct thread_group *tg, int32_t tid)
{
    struct task *t;
    int32_t best = 0;

    mutex_lock(&tg->k->tasks_lock);
    list_for_each (t, &tg->tasks, group_node) {
        if (t->tid >= tid && (!best || t->tid < best))
            best = t->tid;
    }
    mutex_unlock(&tg->k->tasks_lock);
    return best;
}
