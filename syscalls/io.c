/*
 * Blocking reads and writes over file operations that never block, and what path handlers share. No
 * system call is here. Takes no locks itself; everything it calls may.
 */
#include "syscalls/io.h"

#include "fs/sock/sock.h"
#include "fs/task/signalfd.h"
#include "sentry/abi/signal_num.h"
#include "sentry/base/string.h"

struct io_try {
    struct file *f;
    struct uio *uio;
    int64_t *pos;
    uint64_t limit;
};

static int64_t try_read(void *arg)
{
    struct io_try *io = arg;

    return file_read(io->f, io->uio, io->pos);
}

static int64_t try_write(void *arg)
{
    struct io_try *io = arg;

    return file_write(io->f, io->uio, io->pos, io->limit);
}

static NOINLINE int64_t io_wait(struct task *t, struct io_try *io, bool write)
{
    struct waitq *q = file_poll_queue(io->f);
    uint64_t timeout = sock_timeout_ns(io->f, write);
    uint64_t deadline = timeout == UINT64_MAX ? PARK_FOREVER : deadline_after_ns(timeout);
    uint32_t mask = LX_POLLERR | LX_POLLHUP;
    int64_t r;

    if (!q)
        return -EAGAIN;
    mask |= write ? LX_POLLOUT | LX_POLLWRNORM : LX_POLLIN | LX_POLLRDNORM | LX_POLLRDHUP;
    if (write)
        r = task_wait(t, q, mask, deadline, try_write, io);
    else
        r = task_wait_offering(t, q, mask, deadline, try_read, io);
    return r == -ETIMEDOUT ? -EAGAIN : r;
}

void io_raise(struct task *t, int signo)
{
    struct lx_siginfo info = {
        .signo = signo, .code = LX_SI_USER, .pid = t->tg->own_tgid, .uid = t->cred->uid};

    signal_send_task(t, signo, &info);
}

struct signalfd_try {
    struct task *t;
    struct file *f;
    struct uio *uio;
};

static int64_t try_signalfd(void *arg)
{
    struct signalfd_try *s = arg;

    return signalfd_read(s->t, s->f, s->uio);
}

/* The file had nothing: a signalfd is asked again for this task, others are waited for. */
static NOINLINE int64_t read_again(struct task *t, struct file *f, struct uio *uio, int64_t *pos,
                                   bool nowait)
{
    nowait = nowait || file_nonblock(f);
    if (signalfd_is(f)) {
        int64_t r = signalfd_read(t, f, uio);

        if (r != -EAGAIN || nowait)
            return r;
        return task_wait(t, &t->tg->signalfd_waiters, LX_POLLIN, PARK_FOREVER, try_signalfd,
                         &(struct signalfd_try){t, f, uio});
    }
    return nowait ? -EAGAIN : io_wait(t, &(struct io_try){.f = f, .uio = uio, .pos = pos}, false);
}

int64_t io_read(struct task *t, struct file *f, struct uio *uio, int64_t *pos, bool nowait)
{
    int64_t r = file_read(f, uio, pos);

    return likely(r != -EAGAIN) ? r : read_again(t, f, uio, pos, nowait);
}

int64_t io_write(struct task *t, struct file *f, struct uio *uio, int64_t *pos, bool nowait)
{
    uint64_t limit = io_fsize_limit(t);
    int64_t total = 0, r;

    for (;;) {
        r = file_write(f, uio, pos, limit);
        if (r == -EAGAIN && !nowait && !file_nonblock(f))
            r = io_wait(t, &(struct io_try){f, uio, pos, limit}, true);
        if (r <= 0)
            break;
        total += r;
        if (!uio->left || !(f->mode & FMODE_WRITE_ALL) || nowait || file_nonblock(f))
            return total;
    }
    if (unlikely(r == -EPIPE && f->mode & FMODE_WRITE_ALL))
        io_raise(t, LX_SIGPIPE);
    else if (unlikely(r == -EFBIG && limit != UINT64_MAX))
        io_raise(t, LX_SIGXFSZ);
    return total ? total : r;
}

int at_path_copy(struct task *t, uaddr_t name, bool allow_empty, struct at_path *p)
{
    int64_t size = copy_in_str(&t->us, p->small, name, sizeof(p->small));
    int err;

    p->name = p->small;
    if (unlikely(size == -ENAMETOOLONG)) {
        err = task_copy_path(t, name, allow_empty, &p->big);
        p->name = p->big;
        return err;
    }
    if (size == 0 && !allow_empty)
        return -ENOENT;
    return size < 0 ? (int)size : 0;
}

int at_path_get(struct task *t, int dirfd, uaddr_t name, bool allow_empty, struct at_path *out)
{
    int err = at_path_copy(t, name, allow_empty, out);

    if (err)
        return err;
    err = task_at_base(t, dirfd, out->name, &out->base);
    if (err)
        return err;
    out->have_base = true;
    task_vfs_get(t, &out->vfs);
    out->have_vfs = true;
    return 0;
}

void at_path_put(struct at_path *p)
{
    if (p->have_vfs)
        task_vfs_put(&p->vfs);
    if (p->have_base)
        task_at_base_put(&p->base);
    kfree(p->big);
}

int at_path_walk(const struct at_path *p, uint32_t walk_flags, struct path *out)
{
    return vfs_walk(&p->vfs.ctx, p->base.use, p->name, walk_flags, out);
}

int walk_at(struct task *t, int dirfd, uaddr_t name, uint32_t walk_flags, struct path *out)
{
    AUTO_AT_PATH(p);
    int err = at_path_get(t, dirfd, name, walk_flags & WALK_EMPTY, &p);

    return err ? err : at_path_walk(&p, walk_flags, out);
}

int file_getattr(struct file *f, struct kstat *out)
{
    if (f->path.dentry)
        return vfs_getattr(&f->path, out);
    if (f->inode)
        return inode_getattr(f->inode, out);
    *out = (struct kstat){
        .dev = 0xe, /* the anonymous inodes' device */
        .ino = f->ino,
        .nlink = 1,
        .mode = f->anon_mode ? f->anon_mode : 0600,
        .blksize = 4096,
        .uid = f->cred ? f->cred->fsuid : 0,
        .gid = f->cred ? f->cred->fsgid : 0,
    };
    return 0;
}
