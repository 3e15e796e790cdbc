/*
 * Semaphore sets and operations on them. Not here: semctl (sem_control.c), undoing (sem_undo.c),
 * keys, ids and rights (ipc.c). Locks: the table's to find a set, the set's for the rest. Who makes
 * operations possible that others wait for does them himself, in their order.
 */
#include "sentry/abi/errno.h"
#include "sentry/base/string.h"
#include "sentry/kernel/namespace.h"
#include "sentry/kernel/sem_int.h"
#include "sentry/kernel/wait.h"
#include "sentry/kernel/wake_trace.h"

/* ---- sets ---- */

void sem_set_put(struct sem_set *set)
{
    if (!ref_put(&set->ref))
        return;
    BUG_ON(!list_empty(&set->waits) || !list_empty(&set->undos));
    kfree(set);
}

int sem_find(struct task *t, int32_t id, uint32_t want, struct sem_set **out)
{
    struct ipc_table *table = &t->ipc_ns->sems->table;
    struct sem_set *set;
    int err;

    mutex_lock(&table->lock);
    set = sem_set_of(ipc_find_locked(table, id));
    err = set ? ipc_check_rights(t, &set->ipc, want) : -EINVAL;
    if (!err) {
        ref_get(&set->ref);
        *out = set;
    }
    mutex_unlock(&table->lock);
    return err;
}

static int create_locked(struct task *t, int32_t key, uint32_t count, uint32_t flags,
                         int32_t *out_id)
{
    struct sem_space *s = t->ipc_ns->sems;
    size_t size = sizeof(struct sem_set) + count * sizeof(struct sem);
    struct sem_set *set;
    int err;

    if (count == 0)
        return -EINVAL;
    if (s->used + count > SEM_MAX_ALL)
        return -ENOSPC;
    set = kmalloc(size);
    if (!set)
        return -ENOMEM;
    ref_init(&set->ref);
    mutex_init(&set->lock, RANK_OBJ);
    list_init(&set->waits);
    list_init(&set->undos);
    set->count = count;
    set->ctime = ipc_now();
    err = ipc_add_locked(&s->table, &set->ipc, t, key, flags);
    if (err) {
        kfree(set);
        return err;
    }
    s->used += count;
    *out_id = ipc_id(&set->ipc);
    return 0;
}

int sem_get_set(struct task *t, int32_t key, int32_t count, uint32_t flags, int32_t *out_id)
{
    struct ipc_table *table = &t->ipc_ns->sems->table;
    struct ipc_object *o = NULL;
    int err;

    if (count < 0 || count > SEM_MAX_PER_SET)
        return -EINVAL;
    mutex_lock(&table->lock);
    err = ipc_get_locked(table, key, flags, &o);
    if (err == 0) {
        err = create_locked(t, key, (uint32_t)count, flags, out_id);
    } else if (err > 0) {
        err = (uint32_t)count > sem_set_of(o)->count ? -EINVAL : 0;
        if (!err)
            err = ipc_check_rights(t, o, flags & IPC_MODE_BITS);
        *out_id = ipc_id(o);
    }
    mutex_unlock(&table->lock);
    return err;
}

/* ---- operations; the set's lock held ---- */

static void take_back(struct sem_set *set, const struct sem_wait *w, uint32_t done)
{
    while (done-- > 0) {
        const struct lx_sembuf *op = &w->ops[done];

        set->sems[op->num].value -= op->op;
        if (op->flags & LX_SEM_UNDO)
            w->undo->adjust[op->num] = (int16_t)(w->undo->adjust[op->num] + op->op);
    }
}

/* One operation: 0, SEM_WAITING, -ERANGE. */
static int do_one(struct sem_set *set, const struct sem_wait *w, const struct lx_sembuf *op)
{
    struct sem *sem = &set->sems[op->num];
    int32_t value = sem->value + op->op, adjust;

    if ((op->op == 0 && sem->value != 0) || value < 0)
        return op->flags & LX_IPC_NOWAIT ? -EAGAIN : SEM_WAITING;
    if (value > SEM_MAX_VALUE)
        return -ERANGE;
    if (op->flags & LX_SEM_UNDO) {
        adjust = w->undo->adjust[op->num] - op->op;
        if (adjust < -SEM_MAX_VALUE - 1 || adjust > SEM_MAX_VALUE)
            return -ERANGE;
        w->undo->adjust[op->num] = (int16_t)adjust;
    }
    sem->value = value;
    return 0;
}

/* All or none: 0, SEM_WAITING with w->blocked, or an error. */
static int do_all(struct sem_set *set, struct sem_wait *w)
{
    if (w->undo && list_empty(&w->undo->set_node))
        list_add_tail(&set->undos, &w->undo->set_node);
    for (uint32_t i = 0; i < w->count; i++) {
        int r = do_one(set, w, &w->ops[i]);

        if (r) {
            w->blocked = i;
            take_back(set, w, i);
            return r;
        }
    }
    for (uint32_t i = 0; i < w->count; i++)
        set->sems[w->ops[i].num].last = pid_mark_of(w->task->tg);
    WRITE_ONCE(set->otime, ipc_now());
    return 0;
}

static bool alters(const struct lx_sembuf *ops, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (ops[i].op)
            return true;
    }
    return false;
}

/* ---- waking ---- */

void sem_wakes_flush(struct sem_wakes *wakes)
{
    for (uint32_t i = 0; i < wakes->count; i++) {
        wake_trace_note(wakes->tasks[i], WAKE_IO);
        task_wake(wakes->tasks[i]);
        task_put(wakes->tasks[i]);
    }
    wakes->count = 0;
}

/* Takes the wait off; a reference, as the task may be gone once it sees the result. */
static void end_wait_locked(struct sem_set *set, struct sem_wait *w, int result,
                            struct sem_wakes *wakes)
{
    list_del(&w->node);
    wakes->tasks[wakes->count++] = task_get(w->task);
    store_release(&w->result, result);
    if (wakes->count < SEM_WAKE_BATCH)
        return;
    mutex_unlock(&set->lock);
    sem_wakes_flush(wakes);
    mutex_lock(&set->lock);
}

/* The first wait that can end now, done; by it others may have become possible. */
static bool wake_one_locked(struct sem_set *set, struct sem_wakes *wakes)
{
    struct sem_wait *w;

    list_for_each (w, &set->waits, node) {
        int r = do_all(set, w);

        if (r != SEM_WAITING) {
            end_wait_locked(set, w, r, wakes);
            return true;
        }
    }
    return false;
}

void sem_wake_locked(struct sem_set *set, struct sem_wakes *wakes)
{
    while (wake_one_locked(set, wakes))
        continue;
}

void sem_end_waits_locked(struct sem_set *set, int err, struct sem_wakes *wakes)
{
    while (!list_empty(&set->waits))
        end_wait_locked(set, list_first(&set->waits, struct sem_wait, node), err, wakes);
}

/* ---- semop ---- */

static int64_t try_ended(void *arg)
{
    const struct sem_wait *w = arg;

    return load_acquire(&w->result) == SEM_WAITING ? -EAGAIN : 0;
}

/* Waits, queued already; enters without the lock. */
static int wait_for_turn(struct task *t, struct sem_set *set, struct sem_wait *w,
                         uint64_t deadline_ns)
{
    int64_t r = task_wait(t, NULL, 0, deadline_ns, try_ended, w);

    if (r == 0)
        return w->result;
    mutex_lock(&set->lock);
    if (w->result == SEM_WAITING) {
        list_del(&w->node);
        w->result = r == -ETIMEDOUT ? -EAGAIN : -EINTR; /* never restarted */
    }
    mutex_unlock(&set->lock);
    return w->result;
}

static int operate(struct task *t, struct sem_set *set, struct sem_wait *w, uint64_t deadline_ns)
{
    struct sem_wakes wakes = {.count = 0};
    int r = 0;

    for (uint32_t i = 0; !r && i < w->count; i++) {
        if (w->ops[i].num >= set->count)
            r = -EFBIG;
        else if ((w->ops[i].flags & LX_SEM_UNDO) && !w->undo) {
            w->undo = sem_undo_of(t, set);
            r = w->undo ? 0 : -ENOMEM;
        }
    }
    if (r)
        return r;
    mutex_lock(&set->lock);
    r = set->removed ? -EIDRM : do_all(set, w);
    if (r == 0 && alters(w->ops, w->count))
        sem_wake_locked(set, &wakes);
    else if (r == SEM_WAITING)
        list_add_tail(&set->waits, &w->node);
    mutex_unlock(&set->lock);
    sem_wakes_flush(&wakes);
    return r == SEM_WAITING ? wait_for_turn(t, set, w, deadline_ns) : r;
}

int sem_operate(struct task *t, int32_t id, const struct lx_sembuf *ops, uint32_t count,
                uint64_t deadline_ns)
{
    struct sem_wait w = {.task = t, .ops = ops, .count = count, .result = SEM_WAITING};
    struct sem_set *set;
    int r = sem_find(t, id, alters(ops, count) ? IPC_WRITE : IPC_READ, &set);

    if (r)
        return r;
    list_init(&w.node);
    r = operate(t, set, &w, deadline_ns);
    sem_set_put(set);
    return r;
}
