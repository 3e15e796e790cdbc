/* Shared by the terminal files. _locked: tty.lock is held. */
#pragma once

#include "fs/devpts/tty.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/fcntl.h"
#include "sentry/abi/poll.h"
#include "sentry/abi/signal_num.h"
#include "sentry/abi/tty.h"
#include "sentry/base/arena.h"
#include "sentry/base/fmt.h"
#include "sentry/base/idalloc.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"
#include "sentry/kernel/cell.h"
#include "sentry/kernel/kernel.h"

#define PTS_MAJOR      136
#define PTS_MAX        4096
#define PTS_DEV(index) ((uint64_t)(PTS_MAJOR + (index) / 256) << 8 | ((index)&0xff))
#define POLL_IN_BITS   (LX_POLLIN | LX_POLLRDNORM)
#define POLL_OUT_BITS  (LX_POLLOUT | LX_POLLWRNORM)

/* kernel.tty_data */
struct tty_state {
    struct mutex lock; /* rank OBJ; never with a tty's own */
    struct idalloc ids;
    struct tty *pts[PTS_MAX]; /* borrowed: taken out before the backend's reference goes */
    struct tty *console;      /* one reference, or NULL */
};

static inline struct tty_state *tty_state(struct kernel *k)
{
    return k->tty_data;
}
static inline const struct tty_backend_ops *tty_backend(const struct tty *tty)
{
    return OPS_GET(tty_backend_ops, tty->backend);
}

/* ---- tty.c ---- */
/* Fills a zeroed tty: one reference, a free index (entered in the table), sane termios. -ENOSPC,
 * -ENOMEM. */
int tty_init(struct tty *tty, struct kernel *k, const void *backend_ops) MUST_CHECK;
/* Takes it out of the table: it can't be opened any more. */
void tty_unlist(struct tty *tty);
struct tty *tty_find(struct kernel *k, uint32_t index) MUST_CHECK; /* counted, or NULL */
/* The terminal's side is opened: counts f, sets ops and private_data (own reference). -EIO, -EBUSY.
 */
int tty_open(struct tty *tty, struct file *f, const struct cred *cred) MUST_CHECK;
DECLARE_OPS(file_ops, tty_file_ops);
DECLARE_OPS(dev_ops, tty_dev_ops); /* major 5 */
DECLARE_OPS(dev_ops, pts_dev_ops);
int64_t ptmx_open(struct kernel *k, struct file *f, const struct vfs_ctx *ctx) MUST_CHECK;

/* ---- ntty_in.c: input from the backend ---- */
/* Characters taken; the rest must wait for room. Echoes into the output ring; sends signals. */
size_t ntty_receive_locked(struct tty *tty, const uint8_t *data, size_t size);
uint32_t ntty_room_locked(const struct tty *tty);
void ntty_flush_input_locked(struct tty *tty);
void ntty_termios_changed_locked(struct tty *tty, const struct lx_termios2 *old);
void ntty_start_locked(struct tty *tty);
void ntty_stop_locked(struct tty *tty);
void ntty_signal_locked(struct tty *tty, int signo);

/* ---- ntty_out.c: output processing, echo, erasing ---- */
/* A program's output: bytes taken. */
size_t ntty_write_locked(struct tty *tty, const uint8_t *data, size_t size);
void ntty_flush_output_locked(struct tty *tty);
void echo_char(struct tty *tty, uint8_t c); /* control characters as ^X */
void echo_raw(struct tty *tty, uint8_t c);
void ntty_finish_erasing(struct tty *tty);
void ntty_erase(struct tty *tty, uint8_t c);
static inline uint32_t tty_out_used(const struct tty *tty)
{
    return tty->out_head - tty->out_tail;
}
/* May a program write now? */
static inline bool tty_may_write(const struct tty *tty)
{
    return !tty->stopped && tty_out_used(tty) < TTY_OUT_SIZE - TTY_OUT_RESERVE;
}

/* ---- ntty_read.c: what programs read ---- */
/* Bytes, 0 end of file, -EAGAIN (a timer may have been set). */
int64_t ntty_read_locked(struct tty *tty, uint8_t *buf, size_t size, bool nonblock);
bool ntty_readable_locked(const struct tty *tty);
/* FIONREAD */
uint32_t ntty_pending_locked(const struct tty *tty);
void ntty_vtimer_init(struct tty *tty);

/* ---- tty_job.c ---- */
/* May task read (SIGTTIN) or write or change (SIGTTOU) tty from its group? 0, -EIO, -ERESTARTSYS
 * after the signal. */
int tty_check_job(struct task *t, struct tty *tty, int signo) MUST_CHECK;
void tty_open_controlling(struct task *t, struct tty *tty, struct file *f);
int64_t tty_job_ioctl(struct file *f, struct tty *tty, bool master, const struct ioctl_ctx *ctx,
                      uint32_t request, uint64_t arg);
/* The caller's controlling terminal, counted; NULL: ENXIO. */
struct tty *tty_controlling(struct task *t) MUST_CHECK;
void tty_signal_foreground(struct tty *tty, int signo);

/* ---- tty_ioctl.c ---- */
int64_t tty_ioctl(struct file *f, struct tty *tty, bool master, const struct ioctl_ctx *ctx,
                  uint32_t request, uint64_t arg);
static inline bool tty_iflag(const struct tty *tty, uint32_t bits)
{
    return tty->termios.iflag & bits;
}
static inline bool tty_oflag(const struct tty *tty, uint32_t bits)
{
    return tty->termios.oflag & bits;
}
static inline bool tty_lflag(const struct tty *tty, uint32_t bits)
{
    return tty->termios.lflag & bits;
}
/* Is c the special character at that index? 0 is "disabled". */
static inline bool tty_is_cc(const struct tty *tty, int which, uint8_t c)
{
    return c && tty->termios.cc[which] == c;
}

/* ---- pty.c ---- */
/* The master file's pts path opened: TIOCGPTPEER. */
bool tty_is_pty(const struct tty *tty);
bool pty_is_locked(const struct tty *tty);
