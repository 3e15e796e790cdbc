/* capget and capset, in their three header versions. Source: capget(2), capabilities(7). */
#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "syscalls/syscalls.h"

#define CAP_VERSION_1 0x19980330U
#define CAP_VERSION_2 0x20071026U
#define CAP_VERSION_3 0x20080522U

struct lx_cap_header {
    uint32_t version;
    int32_t pid;
};

struct lx_cap_data {
    uint32_t effective, permitted, inheritable;
};

/* *count: 32-bit words of each set. A version we don't know is answered with the one we prefer. */
static int read_header(struct task *t, uaddr_t p, struct lx_cap_header *h, uint32_t *count)
{
    uint32_t known = CAP_VERSION_3;

    if (copy_in_obj(&t->us, h, p))
        return -EFAULT;
    switch (h->version) {
    case CAP_VERSION_1:
        *count = 1;
        return 0;
    case CAP_VERSION_2:
    case CAP_VERSION_3:
        *count = 2;
        return 0;
    default:
        return copy_out_obj(&t->us, p, &known) ? -EFAULT : -EINVAL;
    }
}

int64_t sys_capget(struct task *t, const struct syscall_args *a)
{
    struct lx_cap_data data[2];
    const struct cred *c;
    struct lx_cap_header h;
    struct task *who;
    uint32_t count, i;
    int err = read_header(t, ARG_PTR(0), &h, &count);

    if (!a->arg[1])
        return err == -EINVAL ? 0 : err;
    if (err)
        return err;
    if (h.pid < 0)
        return -EINVAL;
    who = h.pid ? task_find_for(t, h.pid) : task_get(t);
    if (!who)
        return -ESRCH;
    c = task_cred_get(who);
    for (i = 0; i < 2; i++) {
        data[i].effective = (uint32_t)(c->cap_effective >> (32 * i));
        data[i].permitted = (uint32_t)(c->cap_permitted >> (32 * i));
        data[i].inheritable = (uint32_t)(c->cap_inheritable >> (32 * i));
    }
    cred_put(c);
    task_put(who);
    return copy_out(&t->us, ARG_PTR(1), data, count * sizeof(data[0]));
}

static bool allowed(const struct cred *old, uint64_t effective, uint64_t permitted,
                    uint64_t inheritable)
{
    if (!cred_capable(old, LX_CAP_SETPCAP) &&
        (inheritable & ~(old->cap_inheritable | old->cap_permitted)))
        return false;
    return !(inheritable & ~(old->cap_inheritable | old->cap_bounding)) &&
           !(permitted & ~old->cap_permitted) && !(effective & ~permitted);
}

int64_t sys_capset(struct task *t, const struct syscall_args *a)
{
    struct lx_cap_data data[2] = {{0}};
    uint64_t effective, permitted, inheritable;
    struct lx_cap_header h;
    struct cred *c;
    uint32_t count;
    int err = read_header(t, ARG_PTR(0), &h, &count);

    if (err)
        return err;
    if (h.pid && h.pid != t->own_tid)
        return -EPERM;
    if (copy_in(&t->us, data, ARG_PTR(1), count * sizeof(data[0])))
        return -EFAULT;
    effective = (data[0].effective | (uint64_t)data[1].effective << 32) & CRED_CAP_FULL;
    permitted = (data[0].permitted | (uint64_t)data[1].permitted << 32) & CRED_CAP_FULL;
    inheritable = (data[0].inheritable | (uint64_t)data[1].inheritable << 32) & CRED_CAP_FULL;
    if (!allowed(t->cred, effective, permitted, inheritable))
        return -EPERM;
    c = cred_copy(t->cred);
    if (!c)
        return -ENOMEM;
    c->cap_effective = effective;
    c->cap_permitted = permitted;
    c->cap_inheritable = inheritable;
    c->cap_ambient &= permitted & inheritable;
    task_set_cred(t, c);
    return 0;
}
