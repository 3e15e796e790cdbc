/* Data from file to file without the guest's memory: sendfile, copy_file_range, splice, tee.
 * Sources: the manual pages of each. */
#include "fs/pipe.h"
#include "fs/sock/sock.h"
#include "sentry/abi/signal_num.h"
#include "syscalls/io.h"

/* A socket takes it as one block; larger runs of pages go back to the host when freed. */
#define BOUNCE_SIZE (32768U - 64U)
#define COPY_MAX    0x7ffff000UL

/* An offset argument: null means the file's own position. */
struct offset_arg {
    uaddr_t at;
    int64_t value, *use; /* use: NULL or &value */
};

static int offset_get(struct task *t, uaddr_t at, const struct file *f, struct offset_arg *out)
{
    out->at = at;
    out->use = NULL;
    if (uaddr_is_null(at))
        return 0;
    if (copy_in_obj(&t->us, &out->value, at))
        return -EFAULT;
    if (!(f->mode & FMODE_SEEK))
        return -ESPIPE;
    if (out->value < 0)
        return -EINVAL;
    out->use = &out->value;
    return 0;
}

static int64_t offset_put(struct task *t, const struct offset_arg *o, int64_t result)
{
    if (o->use && result >= 0 && copy_out_obj(&t->us, o->at, &o->value))
        return -EFAULT;
    return result;
}

/* One bounce buffer's worth from *in_pos. What could not be written is not taken. */
static int64_t copy_chunk(struct task *t, struct file *in, int64_t *in_pos, struct file *out,
                          int64_t *out_pos, void *buf, uint64_t n)
{
    int64_t pos = *in_pos, got, put;
    struct uio uio;

    uio_init_kernel(&uio, buf, MIN(n, BOUNCE_SIZE));
    got = io_read(t, in, &uio, &pos, false);
    if (got <= 0)
        return got;
    uio_init_kernel(&uio, buf, (size_t)got);
    put = io_write(t, out, &uio, out_pos, false);
    if (put > 0)
        *in_pos += put;
    return put;
}

static int64_t copy_files(struct task *t, struct file *in, int64_t *in_pos, struct file *out,
                          int64_t *out_pos, uint64_t n)
{
    void *buf = kmalloc_raw(MIN(MAX(n, 1), BOUNCE_SIZE));
    int64_t total = 0, r = 0;

    if (!buf)
        return -ENOMEM;
    while (n) {
        uint64_t want = MIN(n, BOUNCE_SIZE);

        r = copy_chunk(t, in, in_pos, out, out_pos, buf, want);
        if (r <= 0)
            break;
        total += r;
        n -= (uint64_t)r;
        if ((uint64_t)r < want && signal_pending(t))
            break;
    }
    kfree(buf);
    return total ? total : r;
}

/* With the file's own position when none is given. */
static int64_t copy_from(struct task *t, struct file *in, struct offset_arg *from, struct file *out,
                         int64_t *out_pos, uint64_t n)
{
    int64_t pos, r;

    if (from->use)
        return copy_files(t, in, from->use, out, out_pos, n);
    pos = READ_ONCE(in->pos);
    r = copy_files(t, in, &pos, out, out_pos, n);
    if (r > 0) {
        mutex_lock(&in->pos_lock);
        in->pos = pos;
        mutex_unlock(&in->pos_lock);
    }
    return r;
}

int64_t sys_sendfile(struct task *t, const struct syscall_args *a)
{
    AUTO_FILE out = task_file(t, ARG_INT(0));
    AUTO_FILE in = task_file(t, ARG_INT(1));
    struct offset_arg from;
    int err;

    if (!in || !(in->mode & FMODE_READ) || !out || !(out->mode & FMODE_WRITE))
        return -EBADF;
    err = offset_get(t, ARG_PTR(2), in, &from);
    if (err)
        return err;
    /* A stream could lose what was read and could not be written. */
    if (!(in->mode & FMODE_SEEK) || READ_ONCE(out->flags) & LX_O_APPEND)
        return -EINVAL;
    return offset_put(t, &from, copy_from(t, in, &from, out, NULL, MIN(ARG_U64(3), COPY_MAX)));
}

static int range_check(const struct file *in, const struct file *out, const struct offset_arg *from,
                       const struct offset_arg *to, uint64_t n)
{
    int64_t a = from->use ? from->value : in->pos, b = to->use ? to->value : out->pos, end;

    /* As Linux: unsigned for what was asked, then the largest file for what is copied at once. */
    if ((uint64_t)a + n < n || (uint64_t)b + n < n)
        return -EOVERFLOW;
    n = MIN(n, COPY_MAX);
    if (__builtin_add_overflow(b, (int64_t)n, &end))
        return -EFBIG;
    if (__builtin_add_overflow(a, (int64_t)n, &end))
        return 0; /* nothing is there: the copy finds the end */
    if (in->inode == out->inode && a < b + (int64_t)n && b < a + (int64_t)n)
        return -EINVAL;
    return 0;
}

static int regular_check(const struct file *f)
{
    uint32_t type = f->inode ? f->inode->mode & LX_S_IFMT : 0;

    if (type == LX_S_IFDIR)
        return -EISDIR;
    return type == LX_S_IFREG ? 0 : -EINVAL;
}

int64_t sys_copy_file_range(struct task *t, const struct syscall_args *a)
{
    AUTO_FILE in = task_file(t, ARG_INT(0));
    AUTO_FILE out = task_file(t, ARG_INT(2));
    uint64_t n = MIN(ARG_U64(4), COPY_MAX);
    struct offset_arg from, to;
    int64_t out_pos, r;
    int err;

    if (!in || !out)
        return -EBADF;
    if (ARG_U32(5))
        return -EINVAL;
    err = regular_check(in);
    if (!err)
        err = regular_check(out);
    if (!err)
        err = offset_get(t, ARG_PTR(1), in, &from);
    if (!err)
        err = offset_get(t, ARG_PTR(3), out, &to);
    if (err)
        return err;
    if (!(in->mode & FMODE_READ) || !(out->mode & FMODE_WRITE) ||
        READ_ONCE(out->flags) & LX_O_APPEND)
        return -EBADF;
    err = range_check(in, out, &from, &to, ARG_U64(4));
    if (err)
        return err;
    out_pos = to.use ? to.value : READ_ONCE(out->pos);
    r = copy_from(t, in, &from, out, &out_pos, n);
    if (r > 0 && !to.use) {
        mutex_lock(&out->pos_lock);
        out->pos = out_pos;
        mutex_unlock(&out->pos_lock);
    }
    to.value = out_pos;
    return offset_put(t, &to, offset_put(t, &from, r));
}

/* ---- splice and tee ---- */

struct splice_try {
    struct task *t;
    struct file *in, *out;
    int64_t *in_pos, *out_pos;
    uint64_t n;
    bool copy;
    struct file *busy; /* the side being waited for, and for what */
    uint32_t busy_mask;
};

static int64_t try_splice(void *arg)
{
    struct splice_try *s = arg;

    if (pipe_of(s->in) && pipe_of(s->out))
        return pipe_splice_pipes(s->in, s->out, s->n, s->copy);
    if (pipe_of(s->in))
        return pipe_splice_to_file(s->in, s->out, s->out_pos, s->n, io_fsize_limit(s->t));
    return pipe_splice_from_file(s->in, s->in_pos, s->out, s->n);
}

/* The side waited for is ready and yet nothing moved: it is the other's turn to be waited for. */
#define OTHER_SIDE (-EALREADY)

static int64_t try_side(void *arg)
{
    struct splice_try *s = arg;
    int64_t r = try_splice(s);

    return r == -EAGAIN && file_poll(s->busy, s->busy_mask) ? OTHER_SIDE : r;
}

/* Which of the two holds it up? It is waited for, then all is tried again. */
static int64_t splice_wait(struct splice_try *s, uint32_t flags)
{
    for (;;) {
        int64_t r = try_splice(s);

        if (r != -EAGAIN || flags & LX_SPLICE_F_NONBLOCK)
            return r;
        if (signal_pending(s->t))
            return -ERESTARTSYS;
        s->busy = s->in;
        s->busy_mask = LX_POLLIN | LX_POLLRDNORM;
        if (file_poll(s->in, s->busy_mask)) {
            s->busy = s->out;
            s->busy_mask = LX_POLLOUT | LX_POLLWRNORM;
            if (file_poll(s->out, s->busy_mask))
                continue; /* it was the input, and data came just now */
        }
        if (file_nonblock(s->busy) || !file_poll_queue(s->busy))
            return -EAGAIN;
        r = task_wait(s->t, file_poll_queue(s->busy), s->busy_mask | LX_POLLHUP | LX_POLLERR,
                      PARK_FOREVER, try_side, s);
        if (r != OTHER_SIDE)
            return r;
    }
}

static int64_t splice_result(struct task *t, int64_t r)
{
    if (r == -EPIPE)
        io_raise(t, LX_SIGPIPE);
    if (r == -EFBIG && io_fsize_limit(t) != UINT64_MAX)
        io_raise(t, LX_SIGXFSZ);
    return r;
}

/* Directories, eventfds, epolls, timers and such have no data to be moved. */
static bool can_splice(struct file *f)
{
    return pipe_of(f) || sock_of(f) ||
           (f->inode && (READ_ONCE(f->inode->mode) & LX_S_IFMT) != LX_S_IFDIR);
}

int64_t sys_splice(struct task *t, const struct syscall_args *a)
{
    AUTO_FILE in = task_file(t, ARG_INT(0));
    AUTO_FILE out = task_file(t, ARG_INT(2));
    struct offset_arg from, to;
    struct splice_try s = {.t = t, .in = in, .out = out, .n = MIN(ARG_U64(4), COPY_MAX)};
    int64_t r;
    int err;

    if (!s.n)
        return 0;
    if (ARG_U32(5) & ~15U)
        return -EINVAL;
    if (!in || !out || !(in->mode & FMODE_READ) || !(out->mode & FMODE_WRITE))
        return -EBADF;
    if ((pipe_of(in) && a->arg[1]) || (pipe_of(out) && a->arg[3]))
        return -ESPIPE;
    if ((!pipe_of(in) && !pipe_of(out)) || !can_splice(in) || !can_splice(out))
        return -EINVAL;
    err = offset_get(t, ARG_PTR(1), in, &from);
    if (!err)
        err = offset_get(t, ARG_PTR(3), out, &to);
    if (err)
        return err;
    if (!pipe_of(out) && READ_ONCE(out->flags) & LX_O_APPEND)
        return -EINVAL;
    s.in_pos = from.use;
    s.out_pos = to.use;
    r = splice_wait(&s, ARG_U32(5));
    return splice_result(t, offset_put(t, &to, offset_put(t, &from, r)));
}

int64_t sys_tee(struct task *t, const struct syscall_args *a)
{
    AUTO_FILE in = task_file(t, ARG_INT(0));
    AUTO_FILE out = task_file(t, ARG_INT(1));
    struct splice_try s = {
        .t = t, .in = in, .out = out, .n = MIN(ARG_U64(2), COPY_MAX), .copy = true};

    if (ARG_U32(3) & ~15U)
        return -EINVAL;
    if (!s.n)
        return 0;
    if (!in || !out || !(in->mode & FMODE_READ) || !(out->mode & FMODE_WRITE))
        return -EBADF;
    if (!pipe_of(in) || !pipe_of(out))
        return -EINVAL;
    return splice_result(t, splice_wait(&s, ARG_U32(3)));
}
