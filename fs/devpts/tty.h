/*
 * Terminals. struct tty is what programs talk to (a pts/N, the console): line discipline, termios,
 * window size, job control. Behind it is a backend: the master of a pseudoterminal, or a terminal
 * of the host in raw mode. Sources: tty(4), termios(3), ioctl_tty(2), pty(7).
 *
 * struct tty: counted; holders are its open files and its backend (a pty's master file; the kernel
 * for a host terminal). tty.lock (rank OBJ) guards all but head (kernel.tasks_lock). A session's
 * tty pointer is borrowed: hanging up clears it before the last reference goes.
 */
#pragma once

#include "fs/file.h"
#include "fs/vfs.h"
#include "sentry/base/lock.h"
#include "sentry/base/ref.h"
#include "sentry/base/waiter.h"
#include "sentry/kernel/timer.h"
#include "sentry/kernel/tty.h"

struct host_io;
struct kernel;
struct session;
struct strbuf;
struct superblock;
struct task;

#define TTY_NCCS 19
struct lx_termios2 {
    uint32_t iflag, oflag, cflag, lflag;
    uint8_t line, cc[TTY_NCCS];
    uint32_t ispeed, ospeed;
};
#define LX_TERMIOS_SIZE 36 /* TCGETS: without the speeds */

struct lx_winsize {
    uint16_t rows, cols, xpixel, ypixel;
};

#define TTY_IN_SIZE     4096U
#define TTY_OUT_SIZE    16384U
#define TTY_OUT_RESERVE 2048U /* kept for echoes: programs' writes stop before */

struct tty_backend_ops {
    /* The output ring has data, or more room for input came. No lock held. */
    void (*changed)(struct tty *tty);
    /* For packet mode: LX_TIOCPKT_* bits happened. tty.lock held. */
    void (*packet)(struct tty *tty, uint32_t bits);
    /* The last reference is gone. */
    void (*destroy)(struct tty *tty);
};

/* Input: positions run freely, masked by TTY_IN_SIZE - 1 on use. */
struct tty_input {
    uint8_t buf[TTY_IN_SIZE];
    uint64_t line_ends[TTY_IN_SIZE / 64]; /* bit: a line ends with this character */
    uint32_t head, tail, canon_head;      /* canon_head: end of the last complete line */
    uint32_t canon_column;
    bool erasing, literal_next;
    uint64_t last_ns; /* when the last character came */
};

struct tty {
    struct tty_head head; /* first */
    struct ref ref;
    struct kernel *k;
    struct mutex lock;
    struct waitq waiters; /* of the terminal's side: POLLIN, POLLOUT, POLLHUP */
    ops_ref_t backend;
    int32_t index;           /* pts/N */
    uint32_t cell;           /* number of whose it is: others have no name for it */
    uint32_t mode, uid, gid; /* of its node; no lock */
    int64_t created_ns;
    struct lx_termios2 termios;
    struct lx_termios2 locked; /* bits and characters that programs cannot change */
    struct lx_winsize winsize;
    struct tty_input in;
    uint8_t out[TTY_OUT_SIZE];
    uint32_t out_head, out_tail; /* free-running */
    uint32_t column;
    bool stopped;     /* ^S */
    bool tco_stopped; /* TCOOFF */
    bool hung_up;     /* also read under tasks_lock when a session takes the terminal */
    bool exclusive;
    uint32_t opens; /* files of the terminal's side */
    bool ever_opened;
    struct ktimer vtimer; /* VTIME */
    bool vtime_running, vtime_expired;
};

/* Registers the drivers of tty, console, ptmx and pts; idempotent. Called by devpts_create and
 * tty_create_host; boot calls it when it mounts neither. -ENOMEM, -ENOSPC. */
int tty_setup(struct kernel *k) MUST_CHECK;
/* At shutdown, when no task and no file is left. */
void tty_shutdown(struct kernel *k);

/*
 * A terminal of the host, already in raw mode: becomes pts/0 (or the lowest free); one made before
 * init is /dev/console.
 * in_fd and out_fd may be the same number; both are taken over. Its input is read whether or not a
 * task reads, so that ^C works. One reference, for the caller.
 */
int tty_create_host(struct kernel *k, struct host_io *io, uint32_t cell, int in_fd, int out_fd,
                    struct tty **out) MUST_CHECK;
/* Drops tty_create_host's reference: the name goes now, the rest with the last open file. */
void tty_release_host(struct tty *tty);
/* An open file of tty that has no path, for stdio when the guest's tree has no node for it. flags:
 * access mode. */
int tty_open_file(struct tty *tty, uint32_t flags, const struct cred *cred,
                  struct file **out) MUST_CHECK;
/* A new window size; SIGWINCH to the foreground group when it differs. */
void tty_set_winsize(struct tty *tty, const struct lx_winsize *ws);
/* The terminal is gone: SIGHUP and SIGCONT to its session's leader, reads give end of file, all
 * else EIO. */
void tty_hangup(struct tty *tty);
struct tty *tty_get(struct tty *tty);
void tty_put(struct tty *tty);

/* kernel_hooks.session_leader_exit: SIGHUP to the foreground group, and the session has no terminal
 * any more. */
void tty_session_leader_exit(struct session *s);
