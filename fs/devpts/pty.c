/*
 * Pseudoterminals: the master's side. It reads what the terminal's side wrote (the output ring),
 * and writes what is typed. Closing it hangs the terminal up. Takes tty.lock; guest memory is
 * touched without it. Source: pty(7), ioctl_tty(2) (packet mode).
 */
#include "fs/devpts/tty_int.h"
#include "fs/mount.h"

#define MASTER_CHUNK 4096

struct pty {
    struct tty tty; /* first */
    struct waitq master_waiters;
    /* guarded by tty.lock: */
    bool locked;         /* TIOCSPTLCK: the pts can't be opened yet */
    bool packet;         /* TIOCPKT */
    uint8_t packet_bits; /* waiting to be told */
};

DECLARE_OPS(tty_backend_ops, pty_backend_ops);
DECLARE_OPS(file_ops, ptmx_file_ops);

static struct pty *pty_of(struct tty *tty)
{
    return (struct pty *)(void *)tty;
}

bool tty_is_pty(const struct tty *tty)
{
    return ops_is(tty->backend, &pty_backend_ops);
}

bool pty_is_locked(const struct tty *tty)
{
    return READ_ONCE(((const struct pty *)(const void *)tty)->locked);
}

static void pty_changed(struct tty *tty)
{
    waitq_wake_all(&pty_of(tty)->master_waiters,
                   POLL_IN_BITS | POLL_OUT_BITS | LX_POLLPRI | LX_POLLHUP);
}

static void pty_packet(struct tty *tty, uint32_t bits)
{
    struct pty *pty = pty_of(tty);

    if (!pty->packet)
        return;
    if (bits & LX_TIOCPKT_STOP)
        pty->packet_bits &= (uint8_t)~LX_TIOCPKT_START;
    if (bits & LX_TIOCPKT_START)
        pty->packet_bits &= (uint8_t)~LX_TIOCPKT_STOP;
    pty->packet_bits |= (uint8_t)bits;
    waitq_wake_all(&pty->master_waiters, POLL_IN_BITS | LX_POLLPRI);
}

static void pty_destroy(struct tty *tty)
{
    waitq_destroy(&pty_of(tty)->master_waiters);
    kfree(pty_of(tty));
}

DEFINE_OPS(tty_backend_ops, pty_backend_ops) = {
    .changed = pty_changed,
    .packet = pty_packet,
    .destroy = pty_destroy,
};

int64_t ptmx_open(struct kernel *k, struct file *f, const struct vfs_ctx *ctx)
{
    struct pty *pty = kmalloc(sizeof(*pty));
    int r;

    if (!pty)
        return -ENOMEM;
    waitq_init(&pty->master_waiters);
    pty->locked = true;
    r = tty_init(&pty->tty, k, &pty_backend_ops);
    if (r) {
        kfree(pty);
        return r;
    }
    pty->tty.uid = ctx->cred->fsuid;
    pty->tty.cell = cell_number_of(ctx->task);
    f->private_data = pty; /* the first reference */
    f->ops = ops_ref(&ptmx_file_ops);
    f->mode = (f->mode & ~(uint32_t)FMODE_SEEK) | FMODE_STREAM | FMODE_WRITE_ALL;
    return 0;
}

static void ptmx_release(struct file *f)
{
    struct pty *pty = f->private_data;

    tty_unlist(&pty->tty);
    tty_hangup(&pty->tty);
    tty_put(&pty->tty);
}

/* The terminal's side was open and is not any more. */
static bool other_closed(const struct tty *tty)
{
    return tty->ever_opened && !tty->opens;
}

static size_t take_output(struct tty *tty, uint8_t *buf, size_t size)
{
    size_t n = MIN(size, (size_t)tty_out_used(tty));

    for (size_t i = 0; i < n; i++)
        buf[i] = tty->out[tty->out_tail++ % TTY_OUT_SIZE];
    return n;
}

/* Under tty.lock: what a read gives. In packet mode a status byte alone, or a zero and data. */
static int64_t read_locked(struct pty *pty, uint8_t *buf, size_t size)
{
    size_t n;

    if (!size)
        return 0;
    if (pty->packet && pty->packet_bits) {
        buf[0] = pty->packet_bits;
        pty->packet_bits = 0;
        return 1;
    }
    if (!tty_out_used(&pty->tty))
        return other_closed(&pty->tty) ? -EIO : -EAGAIN;
    if (!pty->packet)
        return (int64_t)take_output(&pty->tty, buf, size);
    buf[0] = LX_TIOCPKT_DATA;
    n = take_output(&pty->tty, buf + 1, size - 1);
    return (int64_t)n + 1;
}

static int64_t ptmx_read(struct file *f, struct uio *uio, int64_t *pos)
{
    struct pty *pty = f->private_data;
    size_t size = MIN(uio->left, (uint64_t)MASTER_CHUNK);
    uint8_t *buf AUTO_KFREE = kmalloc(MAX(size, 1UL));
    int64_t n;

    if (!buf)
        return -ENOMEM;
    mutex_lock(&pty->tty.lock);
    n = read_locked(pty, buf, size);
    if (n > 0 && tty_may_write(&pty->tty))
        waitq_wake_all(&pty->tty.waiters, POLL_OUT_BITS);
    mutex_unlock(&pty->tty.lock);
    return n > 0 ? uio_put(uio, buf, (size_t)n) : n;
}

static int64_t ptmx_write(struct file *f, struct uio *uio, int64_t *pos)
{
    struct pty *pty = f->private_data;
    uint8_t *buf AUTO_KFREE = kmalloc(MASTER_CHUNK);
    int64_t done = 0, n = 0;
    size_t taken;

    if (!buf)
        return -ENOMEM;
    while (uio->left) {
        n = uio_take(uio, buf, MIN(uio->left, (uint64_t)MASTER_CHUNK));
        if (n <= 0)
            break;
        mutex_lock(&pty->tty.lock);
        if (pty->tty.hung_up)
            taken = (size_t)n; /* nobody can read it: gone */
        else
            taken = ntty_receive_locked(&pty->tty, buf, (size_t)n);
        mutex_unlock(&pty->tty.lock);
        done += (int64_t)taken;
        if (taken < (size_t)n) {
            uio_revert(uio, (uint64_t)n - taken);
            n = -EAGAIN;
            break;
        }
    }
    if (done)
        pty_changed(&pty->tty); /* echoes */
    return done ? done : n;
}

static uint32_t ptmx_poll(struct file *f, uint32_t mask)
{
    struct pty *pty = f->private_data;
    uint32_t events = 0;

    mutex_lock(&pty->tty.lock);
    if (tty_out_used(&pty->tty))
        events |= POLL_IN_BITS;
    if (pty->packet && pty->packet_bits)
        events |= POLL_IN_BITS | LX_POLLPRI;
    if (other_closed(&pty->tty))
        events |= LX_POLLHUP;
    if (ntty_room_locked(&pty->tty))
        events |= POLL_OUT_BITS;
    mutex_unlock(&pty->tty.lock);
    return events & (mask | LX_POLLHUP | LX_POLLERR);
}

static struct waitq *ptmx_poll_queue(struct file *f)
{
    struct pty *pty = f->private_data;

    return &pty->master_waiters;
}

/* ---- ioctls ---- */

static int64_t set_packet(struct pty *pty, bool on)
{
    mutex_lock(&pty->tty.lock);
    if (on && !pty->packet)
        pty->packet_bits = 0;
    pty->packet = on;
    mutex_unlock(&pty->tty.lock);
    return 0;
}

/* An open file of the terminal's side, whatever names are visible to the caller. */
static int64_t open_peer(struct file *f, struct pty *pty, const struct ioctl_ctx *ctx,
                         uint64_t flags)
{
    struct path path = {f->path.mount, NULL};
    struct file *peer;
    char name[12];
    struct task_vfs v;
    int r;

    if (!f->path.dentry)
        return -EIO;
    /* The master was opened as a node of a devpts directory, or one that has pts/ beside it. */
    cv_snprintf(name, sizeof(name), "%d", pty->tty.index);
    path.dentry = f->path.dentry->parent;
    task_vfs_get(ctx->task, &v);
    r = vfs_open_at(&v.ctx, &path, name, (uint32_t)flags & ~(uint32_t)LX_O_CLOEXEC, 0, 0, &peer);
    task_vfs_put(&v);
    if (r)
        return r;
    return task_install_fd(ctx->task, peer, flags & LX_O_CLOEXEC);
}

static int64_t signal_terminal(struct pty *pty, uint64_t signo)
{
    if (signo != LX_SIGINT && signo != LX_SIGQUIT && signo != LX_SIGTSTP)
        return -EINVAL;
    tty_signal_foreground(&pty->tty, (int)signo);
    return 0;
}

static int64_t ptmx_ioctl(struct file *f, const struct ioctl_ctx *ctx, uint64_t request64,
                          uint64_t arg)
{
    struct pty *pty = f->private_data;
    uint32_t request = (uint32_t)request64;
    int32_t value = 0;

    if ((request == LX_TIOCSPTLCK || request == LX_TIOCPKT) &&
        copy_in_obj(ctx->us, &value, uaddr(arg)))
        return -EFAULT;
    switch (request) {
    case LX_TIOCSPTLCK:
        WRITE_ONCE(pty->locked, value != 0);
        return 0;
    case LX_TIOCPKT:
        return set_packet(pty, value != 0);
    case LX_TIOCGPTN:
        value = pty->tty.index;
        break;
    case LX_TIOCGPTLCK:
        value = READ_ONCE(pty->locked);
        break;
    case LX_TIOCGPKT:
        value = READ_ONCE(pty->packet);
        break;
    case LX_TIOCGPTPEER:
        return open_peer(f, pty, ctx, arg);
    case LX_TIOCSIG:
        return signal_terminal(pty, arg);
    default:
        return tty_ioctl(f, &pty->tty, true, ctx, request, arg);
    }
    return copy_out_obj(ctx->us, uaddr(arg), &value);
}

DEFINE_OPS(file_ops, ptmx_file_ops) = {
    .read = ptmx_read,
    .write = ptmx_write,
    .poll = ptmx_poll,
    .poll_queue = ptmx_poll_queue,
    .ioctl = ptmx_ioctl,
    .release = ptmx_release,
};
