/*
 * signalfd. Reads take signals of the reading task; polling looks at the process that made the
 * file, since a poll does not know its task. Locks: thread_group.sig_lock (rank SIGHAND), through
 * the signal functions too.
 */
#include "fs/task/signalfd.h"

#include "sentry/abi/errno.h"
#include "sentry/abi/fcntl.h"
#include "sentry/abi/signal_num.h"
#include "sentry/base/fmt.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"

/* Owned by its file. */
struct signalfd {
    struct thread_group *tg; /* one reference */
    lx_sigset_t set;
};
SLAB_TYPE(signalfd_slab, struct signalfd);

struct lx_signalfd_siginfo {
    uint32_t signo;
    int32_t error, code;
    uint32_t pid, uid;
    int32_t fd;
    uint32_t tid, band, overrun, trapno;
    int32_t status, value_int;
    uint64_t value_ptr, utime, stime, addr;
    uint16_t addr_lsb, pad2;
    int32_t syscall;
    uint64_t call_addr;
    uint32_t arch;
    uint8_t pad[28];
};
_Static_assert(sizeof(struct lx_signalfd_siginfo) == 128, "struct signalfd_siginfo");

DECLARE_OPS(file_ops, signalfd_file_ops);

static void fill_by_signo(const struct lx_siginfo *in, struct lx_signalfd_siginfo *out)
{
    switch (in->signo) {
    case LX_SIGILL:
    case LX_SIGFPE:
    case LX_SIGSEGV:
    case LX_SIGBUS:
    case LX_SIGTRAP:
        out->addr = in->addr;
        break;
    case LX_SIGCHLD:
        out->pid = (uint32_t)in->pid;
        out->uid = in->uid;
        out->status = in->status;
        out->utime = (uint64_t)in->utime;
        out->stime = (uint64_t)in->stime;
        break;
    case LX_SIGPOLL:
        out->band = (uint32_t)in->band;
        out->fd = in->fd;
        break;
    case LX_SIGSYS:
        out->call_addr = in->call_addr;
        out->syscall = in->syscall;
        out->arch = in->arch;
        break;
    default:
        out->pid = (uint32_t)in->pid;
        out->uid = in->uid;
    }
}

static void convert(const struct lx_siginfo *in, struct lx_signalfd_siginfo *out)
{
    memset(out, 0, sizeof(*out));
    out->signo = (uint32_t)in->signo;
    out->error = in->error;
    out->code = in->code;
    switch (in->code) {
    case LX_SI_USER:
    case LX_SI_TKILL:
        out->pid = (uint32_t)in->pid;
        out->uid = in->uid;
        break;
    case LX_SI_TIMER:
        out->tid = (uint32_t)in->timer_id;
        out->overrun = (uint32_t)in->overrun;
        out->value_ptr = in->timer_value;
        out->value_int = (int32_t)in->timer_value;
        break;
    case LX_SI_QUEUE:
    case LX_SI_MESGQ:
        out->pid = (uint32_t)in->pid;
        out->uid = in->uid;
        out->value_ptr = in->value;
        out->value_int = (int32_t)in->value;
        break;
    default:
        fill_by_signo(in, out);
    }
}

int64_t signalfd_read(struct task *t, struct file *f, struct uio *uio)
{
    struct signalfd *s = f->private_data;
    struct lx_signalfd_siginfo out;
    struct lx_siginfo info;
    int64_t total = 0;

    if (uio->left < sizeof(out))
        return -EINVAL;
    while (uio->left >= sizeof(out)) {
        int64_t r = signal_dequeue(t, READ_ONCE(s->set), &info);

        if (r < 0)
            return total ? total : -EAGAIN;
        convert(&info, &out);
        r = uio_put(uio, &out, sizeof(out));
        if (r != sizeof(out))
            return total ? total : -EFAULT;
        total += r;
    }
    return total;
}

static int64_t read_without_task(struct file *f, struct uio *uio, int64_t *pos)
{
    return -EAGAIN;
}

static uint32_t signalfd_poll(struct file *f, uint32_t mask)
{
    struct signalfd *s = f->private_data;
    lx_sigset_t pending;
    struct task *t;

    mutex_lock(&s->tg->sig_lock);
    pending = s->tg->shared_pending.set;
    list_for_each (t, &s->tg->tasks, group_node)
        pending |= t->pending.set;
    mutex_unlock(&s->tg->sig_lock);
    return pending & READ_ONCE(s->set) ? (LX_POLLIN | LX_POLLRDNORM) & mask : 0;
}

static struct waitq *signalfd_poll_queue(struct file *f)
{
    return &((struct signalfd *)f->private_data)->tg->signalfd_waiters;
}

static void signalfd_release(struct file *f)
{
    struct signalfd *s = f->private_data;

    thread_group_put(s->tg);
    slab_free(&signalfd_slab, s);
}

static void signalfd_show(struct file *f, const struct pid_ns *reader, struct strbuf *out)
{
    struct signalfd *s = f->private_data;

    strbuf_printf(out, "sigmask:\t%016llx\n", (unsigned long long)s->set);
}

static void signalfd_describe(struct file *f, struct strbuf *out)
{
    strbuf_puts(out, "anon_inode:[signalfd]");
}

DEFINE_OPS(file_ops, signalfd_file_ops) = {
    .read = read_without_task,
    .poll = signalfd_poll,
    .poll_queue = signalfd_poll_queue,
    .llseek = noop_llseek,
    .release = signalfd_release,
    .show_fdinfo = signalfd_show,
    .describe = signalfd_describe,
};

bool signalfd_is(const struct file *f)
{
    return ops_is(f->ops, &signalfd_file_ops);
}

void signalfd_set_mask(struct file *f, lx_sigset_t set)
{
    struct signalfd *s = f->private_data;

    WRITE_ONCE(s->set, set & ~(LX_SIGMASK(LX_SIGKILL) | LX_SIGMASK(LX_SIGSTOP)));
    waitq_wake_all(&s->tg->signalfd_waiters, LX_POLLIN);
}

int signalfd_create(struct task *t, lx_sigset_t set, uint32_t flags, struct file **out)
{
    struct signalfd *s = slab_alloc(&signalfd_slab);
    struct file *f;

    if (!s)
        return -ENOMEM;
    f = file_alloc_anon(&signalfd_file_ops, LX_O_RDWR | (flags & LX_O_NONBLOCK), s, t->cred);
    if (!f) {
        slab_free(&signalfd_slab, s);
        return -ENOMEM;
    }
    s->tg = thread_group_get(t->tg);
    signalfd_set_mask(f, set);
    *out = f;
    return 0;
}
