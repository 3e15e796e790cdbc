/*
 * Terminal ioctls on either end: modes, queues, flow, window size. Guest memory is touched without
 * tty.lock. Source: ioctl_tty(2).
 */
#include "fs/devpts/tty_int.h"
#include "sentry/abi/sched.h"

#define LX_CBAUD  0x100f
#define LX_BOTHER 0x1000
#define LX_B0     0
#define CC_OLD    8 /* struct termio's */
#define N_TTY     0

struct lx_termio {
    uint16_t iflag, oflag, cflag, lflag;
    uint8_t line, cc[CC_OLD], pad;
};
_Static_assert(sizeof(struct lx_termio) == 18, "struct termio");
_Static_assert(offsetof(struct lx_termios2, ispeed) == LX_TERMIOS_SIZE, "struct termios");

static const uint32_t speeds[] = {0,   50,   75,   110,  134,  150,  200,   300,
                                  600, 1200, 1800, 2400, 4800, 9600, 19200, 38400};
static const uint32_t fast_speeds[] = {57600,   115200,  230400,  460800,  500000,
                                       576000,  921600,  1000000, 1152000, 1500000,
                                       2000000, 2500000, 3000000, 3500000, 4000000};

static uint32_t speed_of(uint32_t cflag)
{
    uint32_t code = cflag & LX_CBAUD;

    if (code < ARRAY_SIZE(speeds))
        return speeds[code];
    code &= ~LX_BOTHER;
    return code >= 1 && code <= ARRAY_SIZE(fast_speeds) ? fast_speeds[code - 1] : 0;
}

static int64_t get_modes(struct tty *tty, const struct ioctl_ctx *ctx, uint32_t request,
                         uint64_t arg)
{
    struct lx_termios2 now;
    struct lx_termio old;

    mutex_lock(&tty->lock);
    now = tty->termios;
    mutex_unlock(&tty->lock);
    if (request == LX_TCGETS)
        return copy_out(ctx->us, uaddr(arg), &now, LX_TERMIOS_SIZE);
    if (request == LX_TCGETS2)
        return copy_out_obj(ctx->us, uaddr(arg), &now);
    old = (struct lx_termio){(uint16_t)now.iflag,
                             (uint16_t)now.oflag,
                             (uint16_t)now.cflag,
                             (uint16_t)now.lflag,
                             now.line,
                             {0},
                             0};
    memcpy(old.cc, now.cc, CC_OLD);
    return copy_out_obj(ctx->us, uaddr(arg), &old);
}

/* Fills new from the guest's struct for request; what it does not say stays. */
static int read_modes(const struct ioctl_ctx *ctx, uint32_t request, uint64_t arg,
                      struct lx_termios2 *new)
{
    struct lx_termio old;

    switch (request) {
    case LX_TCSETS:
    case LX_TCSETSW:
    case LX_TCSETSF:
        if (copy_in(ctx->us, new, uaddr(arg), LX_TERMIOS_SIZE))
            return -EFAULT;
        break;
    case LX_TCSETS2:
    case LX_TCSETSW2:
    case LX_TCSETSF2:
        if (copy_in_obj(ctx->us, new, uaddr(arg)))
            return -EFAULT;
        break;
    default:
        if (copy_in_obj(ctx->us, &old, uaddr(arg)))
            return -EFAULT;
        new->iflag = (new->iflag & 0xffff0000) | old.iflag;
        new->oflag = (new->oflag & 0xffff0000) | old.oflag;
        new->cflag = (new->cflag & 0xffff0000) | old.cflag;
        new->lflag = (new->lflag & 0xffff0000) | old.lflag;
        new->line = old.line;
        memcpy(new->cc, old.cc, CC_OLD);
        break;
    }
    if ((new->cflag &LX_CBAUD) != LX_BOTHER)
        new->ispeed = new->ospeed = speed_of(new->cflag);
    return 0;
}

static void keep_locked(struct lx_termios2 *new, const struct lx_termios2 *old,
                        const struct lx_termios2 *locked)
{
    new->iflag = (new->iflag & ~locked->iflag) | (old->iflag & locked->iflag);
    new->oflag = (new->oflag & ~locked->oflag) | (old->oflag & locked->oflag);
    new->cflag = (new->cflag & ~locked->cflag) | (old->cflag & locked->cflag);
    new->lflag = (new->lflag & ~locked->lflag) | (old->lflag & locked->lflag);
    for (unsigned i = 0; i < TTY_NCCS; i++) {
        if (locked->cc[i])
            new->cc[i] = old->cc[i];
    }
}

static int64_t lock_modes(struct tty *tty, const struct ioctl_ctx *ctx, bool set, uint64_t arg)
{
    struct lx_termios2 locked;

    if (set && !task_capable(ctx->task, LX_CAP_SYS_ADMIN))
        return -EPERM;
    if (set && copy_in(ctx->us, &locked, uaddr(arg), LX_TERMIOS_SIZE))
        return -EFAULT;
    mutex_lock(&tty->lock);
    if (set)
        memcpy(&tty->locked, &locked, LX_TERMIOS_SIZE);
    else
        locked = tty->locked;
    mutex_unlock(&tty->lock);
    return set ? 0 : copy_out(ctx->us, uaddr(arg), &locked, LX_TERMIOS_SIZE);
}

static int64_t set_modes(struct tty *tty, const struct ioctl_ctx *ctx, uint32_t request,
                         uint64_t arg)
{
    bool flush = request == LX_TCSETSF || request == LX_TCSETSF2 || request == LX_TCSETAF;
    struct lx_termios2 old, new;
    int r = tty_check_job(ctx->task, tty, LX_SIGTTOU);

    if (r)
        return r;
    mutex_lock(&tty->lock);
    new = tty->termios;
    mutex_unlock(&tty->lock);
    r = read_modes(ctx, request, arg, &new);
    if (r)
        return r;
    mutex_lock(&tty->lock);
    old = tty->termios;
    new.line = old.line; /* set by TIOCSETD */
    keep_locked(&new, &old, &tty->locked);
    tty->termios = new;
    if (flush)
        ntty_flush_input_locked(tty);
    ntty_termios_changed_locked(tty, &old);
    mutex_unlock(&tty->lock);
    tty_backend(tty)->changed(tty);
    return 0;
}

void tty_set_winsize(struct tty *tty, const struct lx_winsize *ws)
{
    bool changed;

    mutex_lock(&tty->lock);
    changed = memcmp(&tty->winsize, ws, sizeof(*ws)) != 0;
    tty->winsize = *ws;
    mutex_unlock(&tty->lock);
    if (changed)
        tty_signal_foreground(tty, LX_SIGWINCH);
}

static int64_t flush_queues(struct tty *tty, const struct ioctl_ctx *ctx, uint64_t arg)
{
    int r = tty_check_job(ctx->task, tty, LX_SIGTTOU);

    if (r)
        return r;
    if (arg > LX_TCIOFLUSH)
        return -EINVAL;
    mutex_lock(&tty->lock);
    if (arg != LX_TCOFLUSH)
        ntty_flush_input_locked(tty);
    if (arg != LX_TCIFLUSH)
        ntty_flush_output_locked(tty);
    mutex_unlock(&tty->lock);
    tty_backend(tty)->changed(tty);
    return 0;
}

/* Flow by hand: TCOOFF and TCOON. TCIOFF and TCION would send STOP and START to the other side. */
static int64_t control_flow(struct tty *tty, const struct ioctl_ctx *ctx, uint64_t arg)
{
    int r = tty_check_job(ctx->task, tty, LX_SIGTTOU);
    uint8_t c;

    if (r)
        return r;
    mutex_lock(&tty->lock);
    switch (arg) {
    case LX_TCOOFF:
        tty->tco_stopped = true;
        ntty_stop_locked(tty);
        break;
    case LX_TCOON:
        tty->tco_stopped = false;
        ntty_start_locked(tty);
        break;
    case LX_TCIOFF:
    case LX_TCION:
        c = tty->termios.cc[arg == LX_TCIOFF ? LX_VSTOP : LX_VSTART];
        if (c && tty_out_used(tty) < TTY_OUT_SIZE)
            tty->out[tty->out_head++ % TTY_OUT_SIZE] = c;
        break;
    default:
        r = -EINVAL;
        break;
    }
    mutex_unlock(&tty->lock);
    tty_backend(tty)->changed(tty);
    return r;
}

static int64_t put_int(const struct ioctl_ctx *ctx, uint64_t arg, int32_t value)
{
    return copy_out_obj(ctx->us, uaddr(arg), &value);
}

static int64_t queue_size(struct tty *tty, const struct ioctl_ctx *ctx, bool output, bool master,
                          uint64_t arg)
{
    uint32_t n;

    mutex_lock(&tty->lock);
    if (output)
        n = master ? 0 : tty_out_used(tty);
    else
        n = master ? tty_out_used(tty) : ntty_pending_locked(tty);
    mutex_unlock(&tty->lock);
    return put_int(ctx, arg, (int32_t)n);
}

static int64_t window_size(struct tty *tty, const struct ioctl_ctx *ctx, bool set, uint64_t arg)
{
    struct lx_winsize ws;

    if (set) {
        if (copy_in_obj(ctx->us, &ws, uaddr(arg)))
            return -EFAULT;
        tty_set_winsize(tty, &ws);
        return 0;
    }
    mutex_lock(&tty->lock);
    ws = tty->winsize;
    mutex_unlock(&tty->lock);
    return copy_out_obj(ctx->us, uaddr(arg), &ws);
}

static int64_t line_discipline(const struct ioctl_ctx *ctx, bool set, uint64_t arg)
{
    int32_t which = N_TTY;

    if (!set)
        return put_int(ctx, arg, which);
    if (copy_in_obj(ctx->us, &which, uaddr(arg)))
        return -EFAULT;
    return which == N_TTY ? 0 : -EINVAL;
}

static int64_t exclusive(struct tty *tty, const struct ioctl_ctx *ctx, uint32_t request,
                         uint64_t arg)
{
    if (request == LX_TIOCGEXCL)
        return put_int(ctx, arg, READ_ONCE(tty->exclusive));
    WRITE_ONCE(tty->exclusive, request == LX_TIOCEXCL);
    return 0;
}

int64_t tty_ioctl(struct file *f, struct tty *tty, bool master, const struct ioctl_ctx *ctx,
                  uint32_t request, uint64_t arg)
{
    if (!master && READ_ONCE(tty->hung_up))
        return request == LX_TIOCSPGRP ? -ENOTTY : -EIO;
    switch (request) {
    case LX_TCGETS:
    case LX_TCGETS2:
    case LX_TCGETA:
        return get_modes(tty, ctx, request, arg);
    case LX_TCSETS:
    case LX_TCSETSW:
    case LX_TCSETSF:
    case LX_TCSETS2:
    case LX_TCSETSW2:
    case LX_TCSETSF2:
    case LX_TCSETA:
    case LX_TCSETAW:
    case LX_TCSETAF:
        return set_modes(tty, ctx, request, arg);
    case LX_TIOCGLCKTRMIOS:
    case LX_TIOCSLCKTRMIOS:
        return lock_modes(tty, ctx, request == LX_TIOCSLCKTRMIOS, arg);
    case LX_TIOCGWINSZ:
    case LX_TIOCSWINSZ:
        return window_size(tty, ctx, request == LX_TIOCSWINSZ, arg);
    case LX_TCFLSH:
        return flush_queues(tty, ctx, arg);
    case LX_TCXONC:
        return control_flow(tty, ctx, arg);
    case LX_TCSBRK:
    case LX_TCSBRKP:
        return tty_check_job(ctx->task, tty,
                             LX_SIGTTOU); /* no line that could break; output needs no draining */
    case LX_FIONREAD:
        return queue_size(tty, ctx, false, master, arg);
    case LX_TIOCOUTQ:
        return queue_size(tty, ctx, true, master, arg);
    case LX_TIOCGETD:
    case LX_TIOCSETD:
        return line_discipline(ctx, request == LX_TIOCSETD, arg);
    case LX_TIOCEXCL:
    case LX_TIOCNXCL:
    case LX_TIOCGEXCL:
        return exclusive(tty, ctx, request, arg);
    case LX_TIOCSTI:
        return -EIO; /* as with dev.tty.legacy_tiocsti = 0 */
    case LX_TIOCGDEV:
        return put_int(ctx, arg, (int32_t)tty->head.dev);
    case LX_TIOCVHANGUP:
        if (!task_capable(ctx->task, LX_CAP_SYS_ADMIN))
            return -EPERM;
        tty_hangup(tty);
        return 0;
    default:
        return tty_job_ioctl(f, tty, master, ctx, request, arg);
    }
}
