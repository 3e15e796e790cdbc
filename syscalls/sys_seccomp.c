/* seccomp(2) and prctl(2)'s PR_SET_SECCOMP. The filters are sentry/kernel/seccomp.c. */
#include "sentry/kernel/seccomp.h"

#include "syscalls/io.h"

enum { SET_MODE_STRICT, SET_MODE_FILTER, GET_ACTION_AVAIL, GET_NOTIF_SIZES };
enum { FLAG_TSYNC = 1, FLAG_LOG = 2, FLAG_SPEC_ALLOW = 4, FLAG_TSYNC_ESRCH = 16 };

struct lx_sock_fprog {
    uint16_t count;
    uint8_t pad[6];
    uint64_t prog;
};

/* In Linux' order: a bad address is told from a right that is missing. */
static int read_filter(struct task *t, uaddr_t p, struct seccomp_filter **out)
{
    AUTO_KFREE struct bpf_insn *prog = NULL;
    struct lx_sock_fprog fprog;

    if (copy_in_obj(&t->us, &fprog, p))
        return -EFAULT;
    if (!fprog.count || fprog.count > BPF_INSNS_MAX)
        return -EINVAL;
    if (!t->cred->no_new_privs && !task_capable(t, LX_CAP_SYS_ADMIN))
        return -EACCES;
    prog = kmalloc(fprog.count * sizeof(*prog));
    if (!prog)
        return -ENOMEM;
    if (copy_in(&t->us, prog, uaddr(fprog.prog), fprog.count * sizeof(*prog)))
        return -EFAULT;
    return seccomp_filter_create(prog, fprog.count, out);
}

static int64_t set_filter(struct task *t, uint32_t flags, uaddr_t p)
{
    struct seccomp_filter *f;
    int64_t r;

    /* A listener needs a descriptor to be notified by: not there. SPEC_ALLOW asks for nothing that
     * a kernel without speculation controls does. */
    if (flags & ~(uint32_t)(FLAG_TSYNC | FLAG_LOG | FLAG_SPEC_ALLOW | FLAG_TSYNC_ESRCH))
        return -EINVAL;
    if (t->seccomp_mode == SECCOMP_STRICT)
        return -EINVAL;
    r = read_filter(t, p, &f);
    if (r)
        return r;
    f->log = flags & FLAG_LOG;
    r = seccomp_attach(t, f, flags & FLAG_TSYNC);
    if (r)
        seccomp_filter_put(f);
    return r > 0 && flags & FLAG_TSYNC_ESRCH ? -ESRCH : r;
}

static int64_t action_avail(struct task *t, uaddr_t p)
{
    uint32_t action;

    if (copy_in_obj(&t->us, &action, p))
        return -EFAULT;
    switch ((int32_t)action) {
    case SECCOMP_RET_KILL_PROCESS:
    case SECCOMP_RET_KILL_THREAD:
    case SECCOMP_RET_TRAP:
    case SECCOMP_RET_ERRNO:
    case SECCOMP_RET_TRACE:
    case SECCOMP_RET_LOG:
    case SECCOMP_RET_ALLOW:
        return 0;
    default:
        return -EOPNOTSUPP;
    }
}

int64_t sys_seccomp(struct task *t, const struct syscall_args *a)
{
    switch (ARG_U32(0)) {
    case SET_MODE_STRICT:
        return ARG_U32(1) || a->arg[2] ? -EINVAL : seccomp_set_strict(t);
    case SET_MODE_FILTER:
        return set_filter(t, ARG_U32(1), ARG_PTR(2));
    case GET_ACTION_AVAIL:
        return ARG_U32(1) ? -EINVAL : action_avail(t, ARG_PTR(2));
    default:
        return -EINVAL;
    }
}

int64_t prctl_set_seccomp(struct task *t, uint64_t mode, uaddr_t prog)
{
    switch (mode) {
    case SECCOMP_STRICT:
        return seccomp_set_strict(t);
    case SECCOMP_FILTERED:
        return set_filter(t, 0, prog);
    default:
        return -EINVAL;
    }
}
