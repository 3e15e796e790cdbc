/*
 * The line discipline's input half: what arrives from the backend becomes lines, signals, flow
 * control and echoes. All under tty.lock; signals take tasks_lock inside it. Source: termios(3),
 * POSIX 11.1.
 */
#include "fs/devpts/tty_int.h"
#include "platform/host/host.h"
#include "sentry/abi/time_num.h"

#define BELL         7
#define LINE_END_EOF 0 /* a line end that is not itself read */

static uint32_t used(const struct tty_input *in)
{
    return in->head - in->tail;
}

static bool room_left(const struct tty_input *in)
{
    return used(in) < TTY_IN_SIZE - 1;
}

/* A line being edited may always grow, at the price of losing characters; else the reader would
 * wait for ever. */
uint32_t ntty_room_locked(const struct tty *tty)
{
    const struct tty_input *in = &tty->in;

    if (room_left(in))
        return TTY_IN_SIZE - 1 - used(in);
    return tty_lflag(tty, LX_ICANON) && in->canon_head == in->tail ? 1 : 0;
}

static void put(struct tty *tty, uint8_t c)
{
    struct tty_input *in = &tty->in;

    if (!room_left(in)) {
        if (tty_iflag(tty, LX_IMAXBEL))
            echo_raw(tty, BELL);
        return;
    }
    in->buf[in->head++ % TTY_IN_SIZE] = c;
}

static void end_line(struct tty *tty, uint8_t c)
{
    struct tty_input *in = &tty->in;
    uint32_t at;

    /* The last place is kept for it: put() leaves one free. */
    BUG_ON(used(in) >= TTY_IN_SIZE);
    at = in->head % TTY_IN_SIZE;
    in->buf[at] = c;
    in->line_ends[at / 64] |= 1UL << at % 64;
    in->canon_head = ++in->head;
    waitq_wake_all(&tty->waiters, POLL_IN_BITS);
}

void ntty_flush_input_locked(struct tty *tty)
{
    struct tty_input *in = &tty->in;

    in->head = in->tail = in->canon_head = 0;
    in->erasing = in->literal_next = false;
    memset(in->line_ends, 0, sizeof(in->line_ends));
    tty_backend(tty)->packet(tty, LX_TIOCPKT_FLUSHREAD);
}

void ntty_start_locked(struct tty *tty)
{
    if (!tty->stopped || tty->tco_stopped)
        return;
    tty->stopped = false;
    tty_backend(tty)->packet(tty, LX_TIOCPKT_START);
    waitq_wake_all(&tty->waiters, POLL_OUT_BITS);
}

void ntty_stop_locked(struct tty *tty)
{
    if (tty->stopped)
        return;
    tty->stopped = true;
    tty_backend(tty)->packet(tty, LX_TIOCPKT_STOP);
}

void ntty_signal_locked(struct tty *tty, int signo)
{
    tty_signal_foreground(tty, signo);
    if (tty_lflag(tty, LX_NOFLSH))
        return;
    ntty_flush_input_locked(tty);
    ntty_flush_output_locked(tty);
}

/* INTR, QUIT, SUSP; true if c was one. */
static bool receive_signal(struct tty *tty, uint8_t c)
{
    int signo;

    if (tty_is_cc(tty, LX_VINTR, c))
        signo = LX_SIGINT;
    else if (tty_is_cc(tty, LX_VQUIT, c))
        signo = LX_SIGQUIT;
    else if (tty_is_cc(tty, LX_VSUSP, c))
        signo = LX_SIGTSTP;
    else
        return false;
    ntty_signal_locked(tty, signo);
    if (tty_iflag(tty, LX_IXON))
        ntty_start_locked(tty);
    if (tty_lflag(tty, LX_ECHO))
        echo_char(tty, c);
    return true;
}

static void echo_input(struct tty *tty, uint8_t c)
{
    struct tty_input *in = &tty->in;

    if (!tty_lflag(tty, LX_ECHO))
        return;
    ntty_finish_erasing(tty);
    if (c == '\n' && tty_lflag(tty, LX_ICANON)) {
        echo_raw(tty, c);
        return;
    }
    if (in->canon_head == in->head)
        in->canon_column = tty->column;
    echo_char(tty, c);
}

/* An ordinary character. */
static void receive_plain(struct tty *tty, uint8_t c)
{
    if (room_left(&tty->in))
        echo_input(tty, c);
    if (c == 0xff && tty_iflag(tty, LX_PARMRK))
        put(tty, c);
    put(tty, c);
}

static void reprint_line(struct tty *tty, uint8_t c)
{
    ntty_finish_erasing(tty);
    echo_char(tty, c);
    echo_raw(tty, '\n');
    for (uint32_t at = tty->in.canon_head; at != tty->in.head; at++)
        echo_char(tty, tty->in.buf[at % TTY_IN_SIZE]);
}

/* Canonical mode's special characters; true if c was one. */
static bool receive_canonical(struct tty *tty, uint8_t c)
{
    bool ext = tty_lflag(tty, LX_IEXTEN), echo = tty_lflag(tty, LX_ECHO);

    if (tty_is_cc(tty, LX_VERASE, c) || tty_is_cc(tty, LX_VKILL, c) ||
        (ext && tty_is_cc(tty, LX_VWERASE, c))) {
        ntty_erase(tty, c);
        return true;
    }
    if (ext && tty_is_cc(tty, LX_VLNEXT, c)) {
        tty->in.literal_next = true;
        if (echo) {
            ntty_finish_erasing(tty);
            if (tty_lflag(tty, LX_ECHOCTL)) {
                echo_raw(tty, '^');
                echo_raw(tty, '\b');
            }
        }
        return true;
    }
    if (ext && echo && tty_is_cc(tty, LX_VREPRINT, c)) {
        reprint_line(tty, c);
        return true;
    }
    if (c == '\n') {
        if (echo || tty_lflag(tty, LX_ECHONL))
            echo_raw(tty, '\n');
        end_line(tty, c);
        return true;
    }
    if (tty_is_cc(tty, LX_VEOF, c)) {
        end_line(tty, LINE_END_EOF);
        return true;
    }
    if (tty_is_cc(tty, LX_VEOL, c) || (ext && tty_is_cc(tty, LX_VEOL2, c))) {
        echo_input(tty, c);
        if (c == 0xff && tty_iflag(tty, LX_PARMRK))
            put(tty, c);
        end_line(tty, c);
        return true;
    }
    return false;
}

/* START and STOP; true if c was one. */
static bool receive_flow(struct tty *tty, uint8_t c)
{
    if (tty_is_cc(tty, LX_VSTART, c)) {
        ntty_start_locked(tty);
        return true;
    }
    if (tty_is_cc(tty, LX_VSTOP, c)) {
        ntty_stop_locked(tty);
        return true;
    }
    return false;
}

static void receive(struct tty *tty, uint8_t c)
{
    if (tty_iflag(tty, LX_ISTRIP))
        c &= 0x7f;
    if (tty_iflag(tty, LX_IUCLC) && tty_lflag(tty, LX_IEXTEN) && c >= 'A' && c <= 'Z')
        c += 32;
    if (tty->in.literal_next) {
        tty->in.literal_next = false;
        receive_plain(tty, c);
        return;
    }
    if (tty_iflag(tty, LX_IXON) && receive_flow(tty, c))
        return;
    if (tty_lflag(tty, LX_ISIG) && receive_signal(tty, c))
        return;
    if (tty->stopped && tty_iflag(tty, LX_IXON) && tty_iflag(tty, LX_IXANY))
        ntty_start_locked(tty);
    if (c == '\r') {
        if (tty_iflag(tty, LX_IGNCR))
            return;
        if (tty_iflag(tty, LX_ICRNL))
            c = '\n';
    } else if (c == '\n' && tty_iflag(tty, LX_INLCR)) {
        c = '\r';
    }
    if (tty_lflag(tty, LX_ICANON) && receive_canonical(tty, c))
        return;
    receive_plain(tty, c);
}

size_t ntty_receive_locked(struct tty *tty, const uint8_t *data, size_t size)
{
    size_t n = 0;

    while (n < size && ntty_room_locked(tty))
        receive(tty, data[n++]);
    if (!n)
        return 0;
    if (!tty_lflag(tty, LX_ICANON)) {
        tty->in.last_ns = host_clock_ns(LX_CLOCK_MONOTONIC);
        waitq_wake_all(&tty->waiters, POLL_IN_BITS);
    }
    return n;
}

/* What was typed in the other mode is kept: turning canonical mode on makes it a line. */
void ntty_termios_changed_locked(struct tty *tty, const struct lx_termios2 *old)
{
    struct tty_input *in = &tty->in;
    bool was = old->lflag & LX_ICANON, is = tty_lflag(tty, LX_ICANON);
    uint32_t last;

    if (was != is) {
        memset(in->line_ends, 0, sizeof(in->line_ends));
        in->erasing = in->literal_next = false;
        in->canon_head = in->tail;
        if (is && used(in)) {
            last = (in->head - 1) % TTY_IN_SIZE;
            in->line_ends[last / 64] |= 1UL << last % 64;
            in->canon_head = in->head;
        }
    }
    /* Without IXON nobody could start it again. */
    if (!tty_iflag(tty, LX_IXON) && (old->iflag & LX_IXON))
        ntty_start_locked(tty);
    waitq_wake_all(&tty->waiters, POLL_IN_BITS);
}
