/*
 * System V semaphores: sets by key and id, operations that are done together or not at all, and
 * their undoing at exit. Source: semget(2), semop(2), semctl(2).
 *
 * A set lives while it is in the table, or an operation or undo record refers to it. Removed, it
 * ends all waits with EIDRM.
 */
#pragma once

#include "sentry/base/list.h"
#include "sentry/kernel/ipc.h"

struct sem_space;
struct sem_undo_list;

#define SEM_MAX_SETS    IPC_INDEX_MAX
#define SEM_MAX_PER_SET 32000
#define SEM_MAX_ALL     1024000000
#define SEM_MAX_OPS     500 /* of one semop */
#define SEM_MAX_VALUE   32767

#define LX_SEM_UNDO 0x1000

enum lx_sem_cmd {
    LX_SEM_GETPID = 11,
    LX_SEM_GETVAL,
    LX_SEM_GETALL,
    LX_SEM_GETNCNT,
    LX_SEM_GETZCNT,
    LX_SEM_SETVAL,
    LX_SEM_SETALL,
    LX_SEM_STAT,
    LX_SEM_INFO,
    LX_SEM_STAT_ANY,
};

struct lx_sembuf {
    uint16_t num;
    int16_t op, flags;
};

struct lx_semid_ds {
    struct lx_ipc_perm perm;
    int64_t otime, unused1, ctime, unused2;
    uint64_t count, unused3, unused4;
};

struct lx_seminfo {
    int32_t map, sets, all, undos, per_set, ops, undo_entries, undo_size, max_value, max_adjust;
};

_Static_assert(sizeof(struct lx_semid_ds) == 104, "semid64_ds");

int sem_space_create(struct sem_space **out) MUST_CHECK;
/* No task is left. */
void sem_space_destroy(struct sem_space *s);

int sem_get_set(struct task *t, int32_t key, int32_t count, uint32_t flags,
                int32_t *out_id) MUST_CHECK;
/* ops: 1 to SEM_MAX_OPS, the kernel's copy. deadline_ns: host CLOCK_MONOTONIC, or PARK_FOREVER. */
int sem_operate(struct task *t, int32_t id, const struct lx_sembuf *ops, uint32_t count,
                uint64_t deadline_ns) MUST_CHECK;

/* The parts of semctl, as shm.h has them. */
int sem_stat(struct task *t, int32_t id, bool by_index, bool any, struct lx_semid_ds *out,
             int32_t *out_id) MUST_CHECK;
int sem_set_owner(struct task *t, int32_t id, const struct lx_ipc_perm *perm) MUST_CHECK;
int sem_remove(struct task *t, int32_t id) MUST_CHECK;
/* GETVAL, GETPID, GETNCNT, GETZCNT: the number or an error. */
int sem_query(struct task *t, int32_t id, int32_t num, uint32_t cmd) MUST_CHECK;
int sem_set_value(struct task *t, int32_t id, int32_t num, int32_t value) MUST_CHECK;
/* values: kmalloc'ed by sem_get_all, of *count; by the caller for sem_set_all. */
int sem_get_all(struct task *t, int32_t id, uint16_t **values, uint32_t *count) MUST_CHECK;
int sem_set_all(struct task *t, int32_t id, const uint16_t *values, uint32_t count) MUST_CHECK;
/* How many semaphores there are in the set, for who may do this with it. */
int sem_count(struct task *t, int32_t id, uint32_t want) MUST_CHECK;
/* The highest index in use; usage: SEM_INFO's, else IPC_INFO's. */
int32_t sem_info(struct task *t, bool usage, struct lx_seminfo *out);

/* What a task has to undo: shared by tasks that were cloned with CLONE_SYSVSEM. */
/* For a new task: t's own list, made if there is none. NULL: no memory. */
struct sem_undo_list *sem_undo_share(struct task *t) MUST_CHECK;
/* The task gives its list up; the last one's adjustments are made. */
void sem_undo_leave(struct task *t);
