/*
 * semctl's commands, and the table of semaphore sets. Locks: the table's for owners and removal,
 * the set's for values; never both.
 */
#include "sentry/abi/errno.h"
#include "sentry/base/string.h"
#include "sentry/kernel/namespace.h"
#include "sentry/kernel/sem_int.h"

int sem_stat(struct task *t, int32_t id, bool by_index, bool any, struct lx_semid_ds *out,
             int32_t *out_id)
{
    struct ipc_table *table = &t->ipc_ns->sems->table;
    struct sem_set *set;
    int err = -EINVAL;

    mutex_lock(&table->lock);
    set = sem_set_of(by_index ? ipc_at_locked(table, id) : ipc_find_locked(table, id));
    if (set)
        err = any ? 0 : ipc_check_rights(t, &set->ipc, IPC_READ);
    if (!err) {
        *out = (struct lx_semid_ds){.perm = set->ipc.perm,
                                    .otime = READ_ONCE(set->otime),
                                    .ctime = READ_ONCE(set->ctime),
                                    .count = set->count};
        *out_id = ipc_id(&set->ipc);
    }
    mutex_unlock(&table->lock);
    return err;
}

int sem_set_owner(struct task *t, int32_t id, const struct lx_ipc_perm *perm)
{
    struct ipc_table *table = &t->ipc_ns->sems->table;
    struct sem_set *set;
    int err;

    mutex_lock(&table->lock);
    set = sem_set_of(ipc_find_locked(table, id));
    err = set ? ipc_check_owner(t, &set->ipc) : -EINVAL;
    if (!err)
        err = ipc_set_owner(&set->ipc, perm);
    if (!err)
        WRITE_ONCE(set->ctime, ipc_now());
    mutex_unlock(&table->lock);
    return err;
}

/* Out of the table already; the table's reference is dropped. */
static void end_set(struct sem_set *set)
{
    struct sem_wakes wakes = {.count = 0};

    mutex_lock(&set->lock);
    while (!list_empty(&set->undos))
        list_del(set->undos.next);
    store_release(&set->removed, true);
    sem_end_waits_locked(set, -EIDRM, &wakes);
    mutex_unlock(&set->lock);
    sem_wakes_flush(&wakes);
    sem_set_put(set);
}

static void take_out_locked(struct sem_space *s, struct sem_set *set)
{
    ipc_remove_locked(&s->table, &set->ipc);
    s->used -= set->count;
}

int sem_remove(struct task *t, int32_t id)
{
    struct sem_space *s = t->ipc_ns->sems;
    struct sem_set *set;
    int err;

    mutex_lock(&s->table.lock);
    set = sem_set_of(ipc_find_locked(&s->table, id));
    err = set ? ipc_check_owner(t, &set->ipc) : -EINVAL;
    if (!err)
        take_out_locked(s, set);
    mutex_unlock(&s->table.lock);
    if (!err)
        end_set(set);
    return err;
}

/* ---- values ---- */

/* Waits for the semaphore num to grow, or to become zero. */
static int waiting_locked(const struct sem_set *set, uint32_t num, bool zero)
{
    struct sem_wait *w;
    int n = 0;

    list_for_each (w, &set->waits, node) {
        const struct lx_sembuf *op = &w->ops[w->blocked];

        n += op->num == num && (op->op == 0) == zero;
    }
    return n;
}

int sem_query(struct task *t, int32_t id, int32_t num, uint32_t cmd)
{
    struct pid_mark last = {0};
    struct sem_set *set;
    int r = sem_find(t, id, IPC_READ, &set);

    if (r)
        return r;
    mutex_lock(&set->lock);
    if (num < 0 || (uint32_t)num >= set->count)
        r = -EINVAL;
    else if (set->removed)
        r = -EIDRM;
    else if (cmd == LX_SEM_GETVAL)
        r = set->sems[num].value;
    else if (cmd == LX_SEM_GETPID)
        last = set->sems[num].last;
    else
        r = waiting_locked(set, (uint32_t)num, cmd == LX_SEM_GETZCNT);
    mutex_unlock(&set->lock);
    sem_set_put(set);
    return r == 0 && cmd == LX_SEM_GETPID ? pid_mark_for(t, &last) : r;
}

/* As if it had never been adjusted. */
static void set_one_locked(struct task *t, struct sem_set *set, uint32_t num, int32_t value)
{
    struct sem_undo *undo;

    list_for_each (undo, &set->undos, set_node)
        undo->adjust[num] = 0;
    set->sems[num] = (struct sem){.value = value, .last = pid_mark_of(t->tg)};
}

int sem_set_value(struct task *t, int32_t id, int32_t num, int32_t value)
{
    struct sem_wakes wakes = {.count = 0};
    struct sem_set *set;
    int err;

    if (value < 0 || value > SEM_MAX_VALUE)
        return -ERANGE;
    err = sem_find(t, id, IPC_WRITE, &set);
    if (err)
        return err;
    mutex_lock(&set->lock);
    if (num < 0 || (uint32_t)num >= set->count) {
        err = -EINVAL;
    } else if (set->removed) {
        err = -EIDRM;
    } else {
        set_one_locked(t, set, (uint32_t)num, value);
        WRITE_ONCE(set->ctime, ipc_now());
        sem_wake_locked(set, &wakes);
    }
    mutex_unlock(&set->lock);
    sem_wakes_flush(&wakes);
    sem_set_put(set);
    return err;
}

int sem_count(struct task *t, int32_t id, uint32_t want)
{
    struct sem_set *set;
    int r = sem_find(t, id, want, &set);

    if (r)
        return r;
    r = (int)set->count;
    sem_set_put(set);
    return r;
}

int sem_get_all(struct task *t, int32_t id, uint16_t **values, uint32_t *count)
{
    struct sem_set *set;
    uint16_t *all;
    int err = sem_find(t, id, IPC_READ, &set);

    if (err)
        return err;
    all = kmalloc(set->count * sizeof(*all));
    if (!all) {
        sem_set_put(set);
        return -ENOMEM;
    }
    mutex_lock(&set->lock);
    for (uint32_t i = 0; i < set->count; i++)
        all[i] = (uint16_t)set->sems[i].value;
    err = set->removed ? -EIDRM : 0;
    mutex_unlock(&set->lock);
    *count = set->count;
    *values = all;
    if (err)
        kfree(all);
    sem_set_put(set);
    return err;
}

int sem_set_all(struct task *t, int32_t id, const uint16_t *values, uint32_t count)
{
    struct sem_wakes wakes = {.count = 0};
    struct sem_set *set;
    int err;

    for (uint32_t i = 0; i < count; i++) {
        if (values[i] > SEM_MAX_VALUE)
            return -ERANGE;
    }
    err = sem_find(t, id, IPC_WRITE, &set);
    if (err)
        return err;
    mutex_lock(&set->lock);
    if (set->removed || set->count != count) {
        err = -EIDRM; /* another one has the id now */
    } else {
        for (uint32_t i = 0; i < count; i++)
            set_one_locked(t, set, i, values[i]);
        WRITE_ONCE(set->ctime, ipc_now());
        sem_wake_locked(set, &wakes);
    }
    mutex_unlock(&set->lock);
    sem_wakes_flush(&wakes);
    sem_set_put(set);
    return err;
}

/* ---- the table ---- */

int32_t sem_info(struct task *t, bool usage, struct lx_seminfo *out)
{
    struct sem_space *s = t->ipc_ns->sems;
    int32_t highest;

    *out = (struct lx_seminfo){
        .map = SEM_MAX_ALL,
        .sets = SEM_MAX_SETS,
        .all = SEM_MAX_ALL,
        .undos = SEM_MAX_ALL,
        .per_set = SEM_MAX_PER_SET,
        .ops = SEM_MAX_OPS,
        .undo_entries = SEM_MAX_OPS,
        .undo_size = 20, /* as Linux says on every machine */
        .max_value = SEM_MAX_VALUE,
        .max_adjust = SEM_MAX_VALUE,
    };
    mutex_lock(&s->table.lock);
    highest = ipc_highest_locked(&s->table);
    if (usage) {
        out->undo_size = (int32_t)s->table.indices.used;
        out->max_adjust = (int32_t)s->used;
    }
    mutex_unlock(&s->table.lock);
    return highest;
}

int sem_space_create(struct sem_space **out)
{
    struct sem_space *s = kmalloc(sizeof(*s));

    if (!s)
        return -ENOMEM;
    ipc_table_init(&s->table, SEM_MAX_SETS);
    s->used = 0;
    *out = s;
    return 0;
}

void sem_space_destroy(struct sem_space *s)
{
    for (int32_t i = ipc_highest_locked(&s->table); i >= 0; i--) {
        struct sem_set *set = sem_set_of(ipc_at_locked(&s->table, i));

        if (set) {
            take_out_locked(s, set);
            end_set(set);
        }
    }
    ipc_table_destroy(&s->table);
    kfree(s);
}
