/*
 * System calls of System V message queues: msgget, msgsnd, msgrcv, msgctl. The work is in
 * sentry/kernel/msgq.c. No locks.
 */
#include "sentry/abi/errno.h"
#include "sentry/kernel/msgq.h"
#include "syscalls/syscalls.h"

int64_t sys_msgget(struct task *t, const struct syscall_args *a)
{
    int32_t id;
    int err = msgq_get_queue(t, ARG_INT(0), ARG_U32(1), &id);

    return err ? err : id;
}

/* The guest's struct msgbuf: a long, then the text. */
int64_t sys_msgsnd(struct task *t, const struct syscall_args *a)
{
    uint64_t size = ARG_U64(2);
    struct msg *m;
    int64_t type;
    int err = copy_in_obj(&t->us, &type, ARG_PTR(1));

    if (err)
        return err;
    if (size > MSG_MAX_SIZE || ARG_INT(0) < 0 || type < 1)
        return -EINVAL;
    m = msgq_alloc(type, size);
    if (!m)
        return -ENOMEM;
    err = copy_in(&t->us, msgq_data(m), uaddr_add(ARG_PTR(1), sizeof(type)), size);
    if (!err)
        err = msgq_send(t, ARG_INT(0), m, ARG_U32(3));
    if (err)
        msgq_free(m);
    return err;
}

int64_t sys_msgrcv(struct task *t, const struct syscall_args *a)
{
    uint64_t size = ARG_U64(2);
    struct msg *m = NULL;
    int64_t type, r;

    if (size > INT64_MAX || ARG_INT(0) < 0)
        return -EINVAL;
    r = msgq_receive(t, ARG_INT(0), size, (int64_t)ARG_U64(3), ARG_U32(4), &m);
    if (r)
        return r;
    type = msgq_type(m);
    size = MIN(size, msgq_size(m));
    r = copy_out_obj(&t->us, ARG_PTR(1), &type);
    if (!r)
        r = copy_out(&t->us, uaddr_add(ARG_PTR(1), sizeof(type)), msgq_data(m), size);
    msgq_free(m);
    return r ? r : (int64_t)size;
}

static int64_t do_stat(struct task *t, const struct syscall_args *a, uint32_t cmd)
{
    struct lx_msqid_ds ds;
    int32_t id;
    int err = msgq_stat(t, ARG_INT(0), cmd != LX_IPC_STAT, cmd == LX_MSG_STAT_ANY, &ds, &id);

    if (err)
        return err;
    err = copy_out_obj(&t->us, ARG_PTR(2), &ds);
    return err || cmd == LX_IPC_STAT ? err : id;
}

static int64_t do_info(struct task *t, const struct syscall_args *a, uint32_t cmd)
{
    struct lx_msginfo info;
    int32_t highest = msgq_info(t, cmd == LX_MSG_INFO, &info);
    int err = copy_out_obj(&t->us, ARG_PTR(2), &info);

    return err ? err : highest;
}

int64_t sys_msgctl(struct task *t, const struct syscall_args *a)
{
    uint32_t cmd = ARG_U32(1);
    struct lx_msqid_ds ds;
    int err;

    if (ARG_INT(0) < 0)
        return -EINVAL;
    switch (cmd) {
    case LX_IPC_RMID:
        return msgq_remove(t, ARG_INT(0));
    case LX_IPC_SET:
        err = copy_in_obj(&t->us, &ds, ARG_PTR(2));
        return err ? err : msgq_set(t, ARG_INT(0), &ds);
    case LX_IPC_STAT:
    case LX_MSG_STAT:
    case LX_MSG_STAT_ANY:
        return do_stat(t, a, cmd);
    case LX_IPC_INFO:
    case LX_MSG_INFO:
        return do_info(t, a, cmd);
    default:
        return -EINVAL;
    }
}
