/*
 * Adjustments made when a process ends (SEM_UNDO). Locks: a list's (rank OBJ2) for its records;
 * a set's for what they adjust.
 */
#include "sentry/abi/errno.h"
#include "sentry/base/string.h"
#include "sentry/kernel/sem_int.h"

/* Tasks that share it hold a reference each. */
struct sem_undo_list {
    struct ref ref;
    struct mutex lock; /* rank OBJ2 */
    struct list undos; /* struct sem_undo.node */
};

static struct sem_undo_list *list_of(struct task *t)
{
    struct sem_undo_list *l = t->sem_undo;

    if (l)
        return l;
    l = kmalloc(sizeof(*l));
    if (!l)
        return NULL;
    ref_init(&l->ref);
    mutex_init(&l->lock, RANK_OBJ2);
    list_init(&l->undos);
    t->sem_undo = l;
    return l;
}

struct sem_undo_list *sem_undo_share(struct task *t)
{
    struct sem_undo_list *l = list_of(t);

    if (l)
        ref_get(&l->ref);
    return l;
}

/* Its set has let go of it: nobody looks at the record any more. */
static void forget(struct sem_undo *undo)
{
    BUG_ON(!list_empty(&undo->set_node));
    list_del(&undo->node);
    sem_set_put(undo->set);
    kfree(undo);
}

static struct sem_undo *make(struct sem_undo_list *l, struct sem_set *set)
{
    size_t size = sizeof(struct sem_undo) + set->count * sizeof(int16_t);
    struct sem_undo *undo = kmalloc(size);

    if (!undo)
        return NULL;
    list_init(&undo->set_node);
    ref_get(&set->ref);
    undo->set = set;
    list_add_tail(&l->undos, &undo->node);
    return undo;
}

struct sem_undo *sem_undo_of(struct task *t, struct sem_set *set)
{
    struct sem_undo_list *l = list_of(t);
    struct sem_undo *undo, *next, *found = NULL;

    if (!l)
        return NULL;
    mutex_lock(&l->lock);
    list_for_each_safe (undo, next, &l->undos, node) {
        if (undo->set == set)
            found = undo;
        else if (load_acquire(&undo->set->removed))
            forget(undo);
    }
    if (!found)
        found = make(l, set);
    mutex_unlock(&l->lock);
    return found;
}

/* As semop would, but never waiting, nor below nothing or beyond the most. */
static void adjust(struct sem_undo *undo, struct pid_mark last)
{
    struct sem_wakes wakes = {.count = 0};
    struct sem_set *set = undo->set;

    mutex_lock(&set->lock);
    list_del(&undo->set_node);
    if (!set->removed) {
        for (uint32_t i = 0; i < set->count; i++) {
            struct sem *sem = &set->sems[i];

            if (!undo->adjust[i])
                continue;
            sem->value = MIN(MAX(sem->value + undo->adjust[i], 0), SEM_MAX_VALUE);
            sem->last = last;
        }
        WRITE_ONCE(set->otime, ipc_now());
        sem_wake_locked(set, &wakes);
    }
    mutex_unlock(&set->lock);
    sem_wakes_flush(&wakes);
}

void sem_undo_leave(struct task *t)
{
    struct sem_undo_list *l = t->sem_undo;

    t->sem_undo = NULL;
    if (!l || !ref_put(&l->ref))
        return;
    while (!list_empty(&l->undos)) {
        struct sem_undo *undo = list_first(&l->undos, struct sem_undo, node);

        adjust(undo, pid_mark_of(t->tg));
        forget(undo);
    }
    kfree(l);
}
