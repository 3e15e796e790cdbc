/*
 * System calls of System V shared memory: shmget, shmat, shmdt, shmctl. The work is in
 * sentry/kernel/shm.c. No locks.
 */
#include "sentry/abi/errno.h"
#include "sentry/kernel/shm.h"
#include "syscalls/syscalls.h"

int64_t sys_shmget(struct task *t, const struct syscall_args *a)
{
    int32_t id;
    int err = shm_get_segment(t, ARG_INT(0), ARG_U64(1), ARG_U32(2), &id);

    return err ? err : id;
}

int64_t sys_shmat(struct task *t, const struct syscall_args *a)
{
    uint64_t addr;
    int err = shm_attach(t, ARG_INT(0), ARG_U64(1), ARG_U32(2), &addr);

    return err ? err : (int64_t)addr;
}

int64_t sys_shmdt(struct task *t, const struct syscall_args *a)
{
    return shm_detach(t, ARG_U64(0));
}

static int64_t do_stat(struct task *t, const struct syscall_args *a, uint32_t cmd)
{
    struct lx_shmid_ds ds;
    int32_t id;
    int err = shm_stat(t, ARG_INT(0), cmd != LX_IPC_STAT, cmd == LX_SHM_STAT_ANY, &ds, &id);

    if (err)
        return err;
    err = copy_out_obj(&t->us, ARG_PTR(2), &ds);
    return err || cmd == LX_IPC_STAT ? err : id;
}

static int64_t do_info(struct task *t, const struct syscall_args *a, uint32_t cmd)
{
    struct lx_shminfo limits;
    struct lx_shm_info usage;
    int32_t highest;
    int err;

    if (cmd == LX_IPC_INFO) {
        highest = shm_limits(t, &limits);
        err = copy_out_obj(&t->us, ARG_PTR(2), &limits);
    } else {
        highest = shm_usage(t, &usage);
        err = copy_out_obj(&t->us, ARG_PTR(2), &usage);
    }
    return err ? err : highest;
}

int64_t sys_shmctl(struct task *t, const struct syscall_args *a)
{
    uint32_t cmd = ARG_U32(1);
    struct lx_shmid_ds ds;
    int err;

    if (ARG_INT(0) < 0)
        return -EINVAL;
    switch (cmd) {
    case LX_IPC_RMID:
        return shm_remove(t, ARG_INT(0));
    case LX_IPC_SET:
        err = copy_in_obj(&t->us, &ds, ARG_PTR(2));
        return err ? err : shm_set_owner(t, ARG_INT(0), &ds.perm);
    case LX_IPC_STAT:
    case LX_SHM_STAT:
    case LX_SHM_STAT_ANY:
        return do_stat(t, a, cmd);
    case LX_IPC_INFO:
    case LX_SHM_INFO:
        return do_info(t, a, cmd);
    case LX_SHM_LOCK:
    case LX_SHM_UNLOCK:
        return shm_set_locked(t, ARG_INT(0), cmd == LX_SHM_LOCK);
    default:
        return -EINVAL;
    }
}
