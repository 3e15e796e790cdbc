/*
 * Terminals as objects and open files: the table of pts, opening, reading, writing, polling the
 * terminal's side. Takes tty_state.lock and tty.lock, never both; guest memory is touched under
 * neither.
 */
#include "fs/devpts/tty_int.h"
#include "sentry/abi/sched.h"

#define READ_MAX      4096
#define WRITE_CHUNK   512
#define DEFAULT_SPEED 38400
#define CONSOLE_MINOR 1
#define TTY_MINOR     0
#define PTMX_MINOR    2
#define TTY_MAJOR     5

static const uint8_t default_cc[TTY_NCCS] = {
    [LX_VINTR] = 3,     [LX_VQUIT] = 0x1c,    [LX_VERASE] = 0x7f,  [LX_VKILL] = 0x15,
    [LX_VEOF] = 4,      [LX_VMIN] = 1,        [LX_VSTART] = 0x11,  [LX_VSTOP] = 0x13,
    [LX_VSUSP] = 0x1a,  [LX_VREPRINT] = 0x12, [LX_VDISCARD] = 0xf, [LX_VWERASE] = 0x17,
    [LX_VLNEXT] = 0x16,
};

int tty_setup(struct kernel *k)
{
    struct tty_state *s = tty_state(k);
    int r;

    if (s)
        return 0;
    s = kmalloc(sizeof(*s));
    if (!s)
        return -ENOMEM;
    mutex_init(&s->lock, RANK_OBJ);
    idalloc_init(&s->ids, PTS_MAX);
    k->tty_data = s;
    r = vfs_register_chrdev(TTY_MAJOR, TTY_MINOR, PTMX_MINOR + 1, &tty_dev_ops);
    for (uint32_t i = 0; !r && i < PTS_MAX / 256; i++)
        r = vfs_register_chrdev(PTS_MAJOR + i, 0, 256, &pts_dev_ops);
    return r;
}

void tty_shutdown(struct kernel *k)
{
    struct tty_state *s = tty_state(k);
    struct tty *console;

    if (!s)
        return;
    console = s->console;
    s->console = NULL;
    if (console) {
        tty_unlist(console);
        tty_put(console);
    }
    k->tty_data = NULL;
    idalloc_destroy(&s->ids);
    kfree(s);
}

int tty_init(struct tty *tty, struct kernel *k, const void *backend_ops)
{
    struct tty_state *s = tty_state(k);
    uint32_t index;
    int r;

    ref_init(&tty->ref);
    tty->k = k;
    mutex_init(&tty->lock, RANK_OBJ);
    waitq_init(&tty->waiters);
    tty->backend = ops_ref(backend_ops);
    tty->termios = (struct lx_termios2){
        .iflag = LX_ICRNL | LX_IXON,
        .oflag = LX_OPOST | LX_ONLCR,
        .cflag = LX_B38400 | LX_CS8 | LX_CREAD,
        .lflag = LX_ISIG | LX_ICANON | LX_ECHO | LX_ECHOE | LX_ECHOK | LX_ECHOCTL | LX_ECHOKE |
                 LX_IEXTEN,
        .ispeed = DEFAULT_SPEED,
        .ospeed = DEFAULT_SPEED,
    };
    memcpy(tty->termios.cc, default_cc, sizeof(default_cc));
    ntty_vtimer_init(tty);
    tty->mode = 0620;
    tty->gid = 5; /* group tty */
    tty->created_ns = vfs_now_ns();
    mutex_lock(&s->lock);
    r = idalloc_get(&s->ids, 0, &index);
    if (!r) {
        tty->index = (int32_t)index;
        tty->head.dev = PTS_DEV(index);
        s->pts[index] = tty;
    }
    mutex_unlock(&s->lock);
    return r;
}

void tty_unlist(struct tty *tty)
{
    struct tty_state *s = tty_state(tty->k);

    mutex_lock(&s->lock);
    if (s->pts[tty->index] == tty)
        s->pts[tty->index] = NULL;
    mutex_unlock(&s->lock);
}

struct tty *tty_find(struct kernel *k, uint32_t index)
{
    struct tty_state *s = tty_state(k);
    struct tty *tty = NULL;

    if (index >= PTS_MAX)
        return NULL;
    mutex_lock(&s->lock);
    if (s->pts[index] && ref_get_unless_zero(&s->pts[index]->ref))
        tty = s->pts[index];
    mutex_unlock(&s->lock);
    return tty;
}

struct tty *tty_get(struct tty *tty)
{
    ref_get(&tty->ref);
    return tty;
}

void tty_put(struct tty *tty)
{
    struct tty_state *s;

    if (!ref_put(&tty->ref))
        return;
    tty_unlist(tty);
    ktimer_cancel_sync(tty->k->timers, &tty->vtimer);
    s = tty_state(tty->k);
    mutex_lock(&s->lock);
    idalloc_put(&s->ids, (uint32_t)tty->index);
    mutex_unlock(&s->lock);
    waitq_destroy(&tty->waiters);
    tty_backend(tty)->destroy(tty);
}

/* ---- opening ---- */

int tty_open(struct tty *tty, struct file *f, const struct cred *cred)
{
    int r = 0;

    mutex_lock(&tty->lock);
    if (tty->hung_up)
        r = -EIO;
    else if (tty->exclusive && tty->opens && !cred_capable(cred, LX_CAP_SYS_ADMIN))
        r = -EBUSY;
    if (!r) {
        tty->opens++;
        tty->ever_opened = true;
    }
    mutex_unlock(&tty->lock);
    if (r)
        return r;
    f->private_data = tty_get(tty);
    f->ops = ops_ref(&tty_file_ops);
    f->mode = (f->mode & ~(uint32_t)FMODE_SEEK) | FMODE_STREAM | FMODE_WRITE_ALL;
    return 0;
}

int tty_open_file(struct tty *tty, uint32_t flags, const struct cred *cred, struct file **out)
{
    struct file *f = file_alloc_anon(&tty_file_ops, flags, NULL, cred);
    int r;

    if (!f)
        return -ENOMEM;
    f->anon_mode = LX_S_IFCHR | 0620;
    r = tty_open(tty, f, cred);
    if (r) {
        f->ops = OPS_NONE;
        file_put(f);
        return r;
    }
    *out = f;
    return 0;
}

/* A pts by its number. */
static int pts_open(struct inode *inode, struct file *f, const struct vfs_ctx *ctx)
{
    struct kernel *k = arena_root();
    uint64_t dev = inode->rdev;
    struct tty *tty =
        tty_find(k, ((uint32_t)(dev >> 8 & 0xfff) - PTS_MAJOR) * 256 + (uint32_t)(dev & 0xff));
    int r;

    if (!tty)
        return -EIO;
    if ((ctx->task && cell_number_of(ctx->task) != tty->cell) ||
        (tty_is_pty(tty) && pty_is_locked(tty)))
        r = -EIO;
    else
        r = tty_open(tty, f, ctx->cred);
    if (!r)
        tty_open_controlling(ctx->task, tty, f);
    tty_put(tty);
    return r;
}

DEFINE_OPS(dev_ops, pts_dev_ops) = {.open = pts_open};

/* Major 5: whichever terminal is meant. */
static int tty_dev_open(struct inode *inode, struct file *f, const struct vfs_ctx *ctx)
{
    struct kernel *k = arena_root();
    uint32_t minor = inode->rdev & 0xff;
    struct tty *tty;
    int r;

    if (minor == PTMX_MINOR)
        return (int)ptmx_open(k, f, ctx);
    if (minor == TTY_MINOR)
        tty = tty_controlling(ctx->task);
    else
        tty = tty_state(k)->console && !cell_number_of(ctx->task) ? tty_get(tty_state(k)->console)
                                                                  : NULL;
    if (!tty)
        return -ENXIO;
    r = tty_open(tty, f, ctx->cred);
    tty_put(tty);
    return r;
}

DEFINE_OPS(dev_ops, tty_dev_ops) = {.open = tty_dev_open};

static void tty_release(struct file *f)
{
    struct tty *tty = f->private_data;
    bool last;

    if (!tty)
        return;
    mutex_lock(&tty->lock);
    last = --tty->opens == 0;
    if (last)
        tty->exclusive = false;
    mutex_unlock(&tty->lock);
    if (last)
        tty_backend(tty)->changed(tty);
    tty_put(tty);
}

/* ---- reading and writing ---- */

static int64_t tty_read(struct file *f, struct uio *uio, int64_t *pos)
{
    struct tty *tty = f->private_data;
    size_t size = MIN(uio->left, (uint64_t)READ_MAX);
    uint8_t *buf AUTO_KFREE = NULL;
    bool had_room;
    int64_t n = 0;

    if (READ_ONCE(tty->hung_up))
        return 0;
    if (task_of_uio(uio))
        n = tty_check_job(task_of_uio(uio), tty, LX_SIGTTIN);
    if (n)
        return n;
    buf = kmalloc(MAX(size, 1UL));
    if (!buf)
        return -ENOMEM;
    mutex_lock(&tty->lock);
    had_room = ntty_room_locked(tty);
    n = tty->hung_up ? 0 : ntty_read_locked(tty, buf, size, f->flags & LX_O_NONBLOCK);
    mutex_unlock(&tty->lock);
    if (n > 0 && !had_room)
        tty_backend(tty)->changed(tty);
    return n > 0 ? uio_put(uio, buf, (size_t)n) : n;
}

static int64_t tty_write(struct file *f, struct uio *uio, int64_t *pos)
{
    struct tty *tty = f->private_data;
    uint8_t chunk[WRITE_CHUNK];
    int64_t done = 0, n = 0;
    size_t taken;

    if (task_of_uio(uio) && tty_lflag(tty, LX_TOSTOP))
        n = tty_check_job(task_of_uio(uio), tty, LX_SIGTTOU);
    if (n)
        return n;
    while (uio->left) {
        n = uio_take(uio, chunk, MIN(uio->left, (uint64_t)WRITE_CHUNK));
        if (n <= 0)
            break;
        mutex_lock(&tty->lock);
        taken = tty->hung_up ? 0 : ntty_write_locked(tty, chunk, (size_t)n);
        mutex_unlock(&tty->lock);
        done += (int64_t)taken;
        if (taken < (size_t)n) {
            uio_revert(uio, (uint64_t)n - taken);
            n = READ_ONCE(tty->hung_up) ? -EIO : -EAGAIN;
            break;
        }
    }
    if (done)
        tty_backend(tty)->changed(tty);
    return done ? done : n;
}

static uint32_t tty_poll(struct file *f, uint32_t mask)
{
    struct tty *tty = f->private_data;
    uint32_t events = 0;

    mutex_lock(&tty->lock);
    if (tty->hung_up) {
        events = POLL_IN_BITS | POLL_OUT_BITS | LX_POLLHUP | LX_POLLERR;
    } else {
        if (ntty_readable_locked(tty))
            events |= POLL_IN_BITS;
        if (tty_may_write(tty))
            events |= POLL_OUT_BITS;
    }
    mutex_unlock(&tty->lock);
    return events & (mask | LX_POLLHUP | LX_POLLERR);
}

static struct waitq *tty_poll_queue(struct file *f)
{
    struct tty *tty = f->private_data;

    return &tty->waiters;
}

static int64_t tty_file_ioctl(struct file *f, const struct ioctl_ctx *ctx, uint64_t request,
                              uint64_t arg)
{
    return tty_ioctl(f, f->private_data, false, ctx, (uint32_t)request, arg);
}

static void tty_describe(struct file *f, struct strbuf *out)
{
    struct tty *tty = f->private_data;

    strbuf_printf(out, "/dev/pts/%d", tty->index);
}

DEFINE_OPS(file_ops, tty_file_ops) = {
    .read = tty_read,
    .write = tty_write,
    .poll = tty_poll,
    .poll_queue = tty_poll_queue,
    .ioctl = tty_file_ioctl,
    .release = tty_release,
    .describe = tty_describe,
};
