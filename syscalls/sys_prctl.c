/*
 * prctl, arch_prctl, personality. Sources: prctl(2), arch_prctl(2), personality(2),
 * capabilities(7).
 */
#include "platform/platform.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "sentry/mm/mm.h"
#include "syscalls/syscalls.h"

#define SECUREBITS_ALL 0xffU
#define SECUREBITS_LOCKS 0xaaU
#define SECBIT_KEEP_CAPS 16U
#define SECBIT_KEEP_CAPS_LOCKED 32U
#define SECBIT_NO_CAP_AMBIENT_RAISE 64U
#define TSC_ENABLE 1

static int64_t put_int(struct task *t, uaddr_t p, int32_t value)
{
    return copy_out_obj(&t->us, p, &value);
}

static int64_t set_name(struct task *t, uaddr_t p)
{
    char name[16];
    int64_t n = copy_in_str(&t->us, name, p, sizeof(name));

    if (n == -EFAULT)
        return -EFAULT;
    name[sizeof(name) - 1] = 0; /* longer ones are cut */
    task_comm_set(t, name);
    return 0;
}

static int64_t get_name(struct task *t, uaddr_t p)
{
    char name[16];

    task_comm_get(t, name);
    return copy_out(&t->us, p, name, sizeof(name));
}

static int64_t set_dumpable(struct task *t, uint64_t value)
{
    if (value > 1)
        return -EINVAL;
    t->tg->dumpable = (uint32_t)value;
    t->us.mm->dumpable = value;
    return 0;
}

/* Changes of one's own credentials: cred_copy, one edit, publish. */
static int64_t set_securebits(struct task *t, uint64_t bits)
{
    uint32_t old = t->cred->securebits, locked = old & SECUREBITS_LOCKS;
    struct cred *c;

    if (((old ^ bits) & (locked >> 1)) || (locked & ~bits) || (bits & ~(uint64_t)SECUREBITS_ALL) ||
        !task_capable(t, LX_CAP_SETPCAP))
        return -EPERM;
    c = cred_copy(t->cred);
    if (!c)
        return -ENOMEM;
    c->securebits = (uint32_t)bits;
    task_set_cred(t, c);
    return 0;
}

static int64_t set_keepcaps(struct task *t, uint64_t on)
{
    struct cred *c;

    if (on > 1)
        return -EINVAL;
    if (t->cred->securebits & SECBIT_KEEP_CAPS_LOCKED)
        return -EPERM;
    c = cred_copy(t->cred);
    if (!c)
        return -ENOMEM;
    c->securebits = (c->securebits & ~SECBIT_KEEP_CAPS) | (on ? SECBIT_KEEP_CAPS : 0);
    task_set_cred(t, c);
    return 0;
}

static int64_t set_no_new_privs(struct task *t, const struct syscall_args *a)
{
    struct cred *c;

    if (a->arg[1] != 1 || a->arg[2] || a->arg[3] || a->arg[4])
        return -EINVAL;
    c = cred_copy(t->cred);
    if (!c)
        return -ENOMEM;
    c->no_new_privs = true;
    task_set_cred(t, c);
    return 0;
}

static int64_t drop_bounding(struct task *t, uint64_t cap)
{
    struct cred *c;

    if (!task_capable(t, LX_CAP_SETPCAP))
        return -EPERM;
    if (cap > CRED_CAP_LAST)
        return -EINVAL;
    c = cred_copy(t->cred);
    if (!c)
        return -ENOMEM;
    c->cap_bounding &= ~(1ULL << cap);
    task_set_cred(t, c);
    return 0;
}

static int64_t ambient(struct task *t, const struct syscall_args *a)
{
    uint64_t bit, op = a->arg[1], cap = a->arg[2];
    const struct cred *old = t->cred;
    struct cred *c;

    if (op == LX_PR_CAP_AMBIENT_CLEAR_ALL ? (cap || a->arg[3] || a->arg[4])
                                          : (a->arg[3] || a->arg[4] || cap > CRED_CAP_LAST))
        return -EINVAL;
    bit = 1ULL << (cap & 63);
    if (op == LX_PR_CAP_AMBIENT_IS_SET)
        return (old->cap_ambient & bit) != 0;
    if (op != LX_PR_CAP_AMBIENT_CLEAR_ALL && op != LX_PR_CAP_AMBIENT_RAISE &&
        op != LX_PR_CAP_AMBIENT_LOWER)
        return -EINVAL;
    if (op == LX_PR_CAP_AMBIENT_RAISE && ((old->securebits & SECBIT_NO_CAP_AMBIENT_RAISE) ||
                                          !(old->cap_permitted & old->cap_inheritable & bit)))
        return -EPERM;
    c = cred_copy(old);
    if (!c)
        return -ENOMEM;
    if (op == LX_PR_CAP_AMBIENT_CLEAR_ALL)
        c->cap_ambient = 0;
    else if (op == LX_PR_CAP_AMBIENT_RAISE)
        c->cap_ambient |= bit;
    else
        c->cap_ambient &= ~bit;
    task_set_cred(t, c);
    return 0;
}

static int64_t set_subreaper(struct task *t, bool on)
{
    struct kernel *k = t->k;
    struct thread_group *tg, *up;
    int32_t nr;

    mutex_lock(&k->tasks_lock);
    t->tg->child_subreaper = on;
    for (nr = 1; on && nr <= k->pid_high; nr++) { /* descendants that exist already find it, too */
        tg = thread_group_of_pid_locked(k, nr);
        for (up = tg ? tg->parent : NULL; up && up != t->tg; up = up->parent)
            ;
        if (up)
            tg->is_subreaper_descendant = true;
    }
    mutex_unlock(&k->tasks_lock);
    return 0;
}

static int64_t credentials(struct task *t, const struct syscall_args *a)
{
    switch (ARG_INT(0)) {
    case LX_PR_GET_KEEPCAPS:
        return (t->cred->securebits & SECBIT_KEEP_CAPS) != 0;
    case LX_PR_SET_KEEPCAPS:
        return set_keepcaps(t, a->arg[1]);
    case LX_PR_GET_SECUREBITS:
        return t->cred->securebits;
    case LX_PR_SET_SECUREBITS:
        return set_securebits(t, a->arg[1]);
    case LX_PR_GET_NO_NEW_PRIVS:
        return a->arg[1] || a->arg[2] || a->arg[3] || a->arg[4] ? -EINVAL : t->cred->no_new_privs;
    case LX_PR_SET_NO_NEW_PRIVS:
        return set_no_new_privs(t, a);
    case LX_PR_GET_SECCOMP:
        return t->seccomp_mode;
    case LX_PR_SET_SECCOMP:
        return prctl_set_seccomp(t, a->arg[1], ARG_PTR(2));
    case LX_PR_CAPBSET_READ:
        return a->arg[1] > CRED_CAP_LAST ? -EINVAL
                                         : (int64_t)(t->cred->cap_bounding >> a->arg[1] & 1);
    case LX_PR_CAPBSET_DROP:
        return drop_bounding(t, a->arg[1]);
    case LX_PR_CAP_AMBIENT:
        return ambient(t, a);
    default:
        return -EINVAL; /* what we don't have is unknown, as on a kernel built without it */
    }
}

int64_t sys_prctl(struct task *t, const struct syscall_args *a)
{
    switch (ARG_INT(0)) {
    case LX_PR_SET_PDEATHSIG:
        if (a->arg[1] > LX_NSIG)
            return -EINVAL;
        t->pdeath_signal = ARG_INT(1);
        return 0;
    case LX_PR_GET_PDEATHSIG:
        return put_int(t, ARG_PTR(1), t->pdeath_signal);
    case LX_PR_SET_NAME:
        return set_name(t, ARG_PTR(1));
    case LX_PR_GET_NAME:
        return get_name(t, ARG_PTR(1));
    case LX_PR_GET_DUMPABLE:
        return t->tg->dumpable;
    case LX_PR_SET_DUMPABLE:
        return set_dumpable(t, a->arg[1]);
    case LX_PR_SET_CHILD_SUBREAPER:
        return set_subreaper(t, a->arg[1]);
    case LX_PR_GET_CHILD_SUBREAPER:
        return put_int(t, ARG_PTR(1), t->tg->child_subreaper);
    case LX_PR_GET_TIMERSLACK:
        return (int64_t)t->timer_slack_ns;
    case LX_PR_SET_TIMERSLACK:
        t->timer_slack_ns = ARG_I64(1) > 0 ? a->arg[1] : t->timer_slack_default_ns;
        return 0;
    case LX_PR_GET_TID_ADDRESS:
        return copy_out_obj(&t->us, ARG_PTR(1), &t->clear_child_tid.v);
    case LX_PR_GET_TIMING:
        return LX_PR_TIMING_STATISTICAL;
    case LX_PR_SET_TIMING:
        return a->arg[1] == LX_PR_TIMING_STATISTICAL ? 0 : -EINVAL;
    case LX_PR_GET_TSC:
        return put_int(t, ARG_PTR(1), TSC_ENABLE);
    case LX_PR_SET_TSC:
        return a->arg[1] == TSC_ENABLE ? 0 : -EINVAL;
    default:
        return credentials(t, a);
    }
}

int64_t sys_arch_prctl(struct task *t, const struct syscall_args *a)
{
    uint64_t addr = a->arg[1];

    if (platform_registers(t->us.ctx, &t->regs))
        return -EFAULT;
    switch (ARG_INT(0)) {
    case LX_ARCH_SET_FS:
    case LX_ARCH_SET_GS:
        if (addr >= platform_facts()->user_max)
            return -EPERM;
        if (ARG_INT(0) == LX_ARCH_SET_FS)
            t->regs.fs_base = addr;
        else
            t->regs.gs_base = addr;
        return 0;
    case LX_ARCH_GET_FS:
        return copy_out_obj(&t->us, ARG_PTR(1), &t->regs.fs_base);
    case LX_ARCH_GET_GS:
        return copy_out_obj(&t->us, ARG_PTR(1), &t->regs.gs_base);
    case LX_ARCH_GET_CPUID:
        return 1;
    case LX_ARCH_SET_CPUID:
        return -ENODEV; /* no CPUID faulting */
    default:
        return -EINVAL;
    }
}

#define PERSONALITY_QUERY 0xffffffffU

int64_t sys_personality(struct task *t, const struct syscall_args *a)
{
    uint32_t old = t->personality, new = ARG_U32(0);

    if (new == PERSONALITY_QUERY)
        return old;
    if (new & ~(uint32_t)LX_ADDR_NO_RANDOMIZE)
        return -EINVAL; /* other systems' ways are not offered */
    t->personality = new;
    return old;
}
