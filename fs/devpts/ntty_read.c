/*
 * What programs get from a terminal: a line at a time, or by VMIN and VTIME. Under tty.lock. Reads
 * never wait: VTIME is a kernel timer that marks the terminal and wakes its queue, and the next try
 * sees the mark.
 */
#include "fs/devpts/tty_int.h"
#include "platform/host/host.h"
#include "sentry/abi/time_num.h"

#define VTIME_UNIT_NS 100000000UL /* a tenth of a second */

static void vtime_fire(struct ktimer *kt)
{
    struct tty *tty = container_of(kt, struct tty, vtimer);

    mutex_lock(&tty->lock);
    if (tty->vtime_running) {
        tty->vtime_running = false;
        tty->vtime_expired = true;
        waitq_wake_all(&tty->waiters, POLL_IN_BITS);
    }
    mutex_unlock(&tty->lock);
}

DEFINE_OPS(ktimer_ops, tty_vtime_ops) = {.fire = vtime_fire};

void ntty_vtimer_init(struct tty *tty)
{
    ktimer_init(&tty->vtimer, &tty_vtime_ops, KTIMER_MONOTONIC);
}

static void stop_vtimer(struct tty *tty)
{
    if (tty->vtime_running)
        (void)ktimer_cancel(tty->k->timers, &tty->vtimer);
    tty->vtime_running = tty->vtime_expired = false;
}

/* The end of the first line in the buffer, its last character included; false: no complete line. */
static bool find_line(const struct tty_input *in, uint32_t *out_end)
{
    for (uint32_t at = in->tail; at != in->canon_head; at++) {
        uint32_t i = at % TTY_IN_SIZE;

        if (in->line_ends[i / 64] >> i % 64 & 1) {
            *out_end = at + 1;
            return true;
        }
    }
    return false;
}

static void copy(struct tty_input *in, uint8_t *buf, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        buf[i] = in->buf[in->tail++ % TTY_IN_SIZE];
}

static int64_t read_line(struct tty *tty, uint8_t *buf, size_t size)
{
    struct tty_input *in = &tty->in;
    uint32_t end, n, last;
    bool eof;

    if (!find_line(in, &end))
        return -EAGAIN;
    last = (end - 1) % TTY_IN_SIZE;
    eof = in->buf[last] == 0; /* VEOF: it ends the line and is not part of it */
    n = (uint32_t)MIN((size_t)(end - in->tail - eof), size);
    copy(in, buf, n);
    if (eof && in->tail == end - 1 && (n || size))
        in->tail++;
    if (in->tail == end)
        in->line_ends[last / 64] &= ~(1UL << last % 64);
    return n;
}

/* Waits for the timer: VTIME after since. */
static int64_t wait_vtime(struct tty *tty, uint64_t since_ns)
{
    if (!tty->vtime_running) {
        tty->vtime_running = true;
        ktimer_arm(tty->k->timers, &tty->vtimer,
                   since_ns + tty->termios.cc[LX_VTIME] * VTIME_UNIT_NS);
    }
    return -EAGAIN;
}

static int64_t read_raw(struct tty *tty, uint8_t *buf, size_t size, bool nonblock)
{
    struct tty_input *in = &tty->in;
    uint32_t min = tty->termios.cc[LX_VMIN], time = tty->termios.cc[LX_VTIME];
    uint32_t have = in->head - in->tail, n = (uint32_t)MIN((size_t)have, size);

    if (have == 0 && min == 0) {
        if (!time)
            return 0;
        if (nonblock)
            return -EAGAIN;
        if (!tty->vtime_expired)
            return wait_vtime(tty, host_clock_ns(LX_CLOCK_MONOTONIC));
    } else if (have == 0) {
        return -EAGAIN;
    } else if (have < min && have < size && !nonblock && !(time && tty->vtime_expired)) {
        /* Between characters only: the clock starts with the last one. */
        if (!time)
            return -EAGAIN;
        if (host_clock_ns(LX_CLOCK_MONOTONIC) < in->last_ns + time * VTIME_UNIT_NS) {
            (void)ktimer_cancel(tty->k->timers, &tty->vtimer);
            tty->vtime_running = false;
            return wait_vtime(tty, in->last_ns);
        }
    }
    stop_vtimer(tty);
    copy(in, buf, n);
    in->canon_head = in->tail;
    return n;
}

int64_t ntty_read_locked(struct tty *tty, uint8_t *buf, size_t size, bool nonblock)
{
    if (tty_lflag(tty, LX_ICANON))
        return read_line(tty, buf, size);
    return read_raw(tty, buf, size, nonblock);
}

bool ntty_readable_locked(const struct tty *tty)
{
    uint32_t have = tty->in.head - tty->in.tail, end;
    uint8_t min = tty->termios.cc[LX_VMIN];

    if (tty_lflag(tty, LX_ICANON))
        return find_line(&tty->in, &end);
    return have >= (tty->termios.cc[LX_VTIME] || !min ? 1U : min);
}

uint32_t ntty_pending_locked(const struct tty *tty)
{
    const struct tty_input *in = &tty->in;
    uint32_t n = 0;

    if (!tty_lflag(tty, LX_ICANON))
        return in->head - in->tail;
    /* Complete lines, without their VEOF marks. */
    for (uint32_t at = in->tail; at != in->canon_head; at++) {
        uint32_t i = at % TTY_IN_SIZE;

        n += !((in->line_ends[i / 64] >> i % 64 & 1) && in->buf[i] == 0);
    }
    return n;
}
