/*
 * System calls of System V semaphores: semget, semop, semtimedop, semctl. The work is in
 * sentry/kernel/sem.c. No locks.
 */
#include "sentry/abi/errno.h"
#include "sentry/base/slab.h"
#include "sentry/kernel/sem.h"
#include "sentry/kernel/wait.h"
#include "syscalls/syscalls.h"

int64_t sys_semget(struct task *t, const struct syscall_args *a)
{
    int32_t id;
    int err = sem_get_set(t, ARG_INT(0), ARG_INT(1), ARG_U32(2), &id);

    return err ? err : id;
}

static int64_t operate(struct task *t, int32_t id, uaddr_t ops, uint32_t count,
                       uint64_t deadline_ns)
{
    struct lx_sembuf few[8], *list = few;
    int64_t r;

    if (count == 0 || id < 0)
        return -EINVAL;
    if (count > SEM_MAX_OPS)
        return -E2BIG;
    if (count > ARRAY_SIZE(few))
        list = kmalloc(count * sizeof(*list));
    if (!list)
        return -ENOMEM;
    r = copy_in(&t->us, list, ops, count * sizeof(*list));
    if (!r)
        r = sem_operate(t, id, list, count, deadline_ns);
    if (list != few)
        kfree(list);
    return r;
}

int64_t sys_semop(struct task *t, const struct syscall_args *a)
{
    return operate(t, ARG_INT(0), ARG_PTR(1), ARG_U32(2), PARK_FOREVER);
}

int64_t sys_semtimedop(struct task *t, const struct syscall_args *a)
{
    struct lx_timespec timeout;
    uint64_t ns;
    int err;

    if (uaddr_is_null(ARG_PTR(3)))
        return sys_semop(t, a);
    err = copy_in_obj(&t->us, &timeout, ARG_PTR(3));
    if (!err)
        err = timespec_to_ns(&timeout, &ns);
    if (err)
        return err;
    return operate(t, ARG_INT(0), ARG_PTR(1), ARG_U32(2), deadline_after_ns(ns));
}

static int64_t do_stat(struct task *t, const struct syscall_args *a, uint32_t cmd)
{
    struct lx_semid_ds ds;
    int32_t id;
    int err = sem_stat(t, ARG_INT(0), cmd != LX_IPC_STAT, cmd == LX_SEM_STAT_ANY, &ds, &id);

    if (err)
        return err;
    err = copy_out_obj(&t->us, ARG_PTR(3), &ds);
    return err || cmd == LX_IPC_STAT ? err : id;
}

static int64_t do_info(struct task *t, const struct syscall_args *a, uint32_t cmd)
{
    struct lx_seminfo info;
    int32_t highest = sem_info(t, cmd == LX_SEM_INFO, &info);
    int err = copy_out_obj(&t->us, ARG_PTR(3), &info);

    return err ? err : highest;
}

static int64_t get_all(struct task *t, const struct syscall_args *a)
{
    uint16_t *values;
    uint32_t count;
    int err = sem_get_all(t, ARG_INT(0), &values, &count);

    if (err)
        return err;
    err = copy_out(&t->us, ARG_PTR(3), values, count * sizeof(*values));
    kfree(values);
    return err;
}

static int64_t set_all(struct task *t, const struct syscall_args *a)
{
    int r = sem_count(t, ARG_INT(0), IPC_WRITE);
    uint32_t count = (uint32_t)r;
    uint16_t *values;

    if (r < 0)
        return r;
    values = kmalloc(count * sizeof(*values));
    if (!values)
        return -ENOMEM;
    r = copy_in(&t->us, values, ARG_PTR(3), count * sizeof(*values));
    if (!r)
        r = sem_set_all(t, ARG_INT(0), values, count);
    kfree(values);
    return r;
}

int64_t sys_semctl(struct task *t, const struct syscall_args *a)
{
    uint32_t cmd = ARG_U32(2);
    struct lx_semid_ds ds;
    int err;

    if (ARG_INT(0) < 0)
        return -EINVAL;
    switch (cmd) {
    case LX_IPC_RMID:
        return sem_remove(t, ARG_INT(0));
    case LX_IPC_SET:
        err = copy_in_obj(&t->us, &ds, ARG_PTR(3));
        return err ? err : sem_set_owner(t, ARG_INT(0), &ds.perm);
    case LX_IPC_STAT:
    case LX_SEM_STAT:
    case LX_SEM_STAT_ANY:
        return do_stat(t, a, cmd);
    case LX_IPC_INFO:
    case LX_SEM_INFO:
        return do_info(t, a, cmd);
    case LX_SEM_GETVAL:
    case LX_SEM_GETPID:
    case LX_SEM_GETNCNT:
    case LX_SEM_GETZCNT:
        return sem_query(t, ARG_INT(0), ARG_INT(1), cmd);
    case LX_SEM_SETVAL:
        return sem_set_value(t, ARG_INT(0), ARG_INT(1), ARG_INT(3));
    case LX_SEM_GETALL:
        return get_all(t, a);
    case LX_SEM_SETALL:
        return set_all(t, a);
    default:
        return -EINVAL;
    }
}
