/*
 * The line discipline's output half: what programs write (OPOST), echoes, and how erased characters
 * vanish from the screen. All under tty.lock; the backend is told by the caller.
 */
#include "fs/devpts/tty_int.h"

#define TAB_WIDTH  8
#define LX_TABDLY  0x1800
#define LX_XTABS   0x1800
#define LX_PUT_MAX 8 /* one character becomes at most this many */

static bool is_control(uint8_t c)
{
    return c < 32 || c == 127;
}

static bool is_continuation(const struct tty *tty, uint8_t c)
{
    return tty_iflag(tty, LX_IUTF8) && (c & 0xc0) == 0x80;
}

/* A full ring loses echoes, as a slow terminal would. */
static void put(struct tty *tty, uint8_t c)
{
    if (tty_out_used(tty) < TTY_OUT_SIZE)
        tty->out[tty->out_head++ % TTY_OUT_SIZE] = c;
}

static uint8_t to_upper(uint8_t c)
{
    return c >= 'a' && c <= 'z' ? c - 32 : c;
}

static void put_tab(struct tty *tty)
{
    uint32_t spaces = TAB_WIDTH - tty->column % TAB_WIDTH;

    tty->column += spaces;
    if ((tty->termios.oflag & LX_TABDLY) != LX_XTABS) {
        put(tty, '\t');
        return;
    }
    while (spaces--)
        put(tty, ' ');
}

/* One character by the rules of c_oflag, keeping the column. */
static void put_processed(struct tty *tty, uint8_t c)
{
    if (!tty_oflag(tty, LX_OPOST)) {
        put(tty, c);
        return;
    }
    switch (c) {
    case '\n':
        if (tty_oflag(tty, LX_ONLRET))
            tty->column = 0;
        if (tty_oflag(tty, LX_ONLCR)) {
            tty->column = 0;
            put(tty, '\r');
        }
        tty->in.canon_column = tty->column;
        break;
    case '\r':
        if (tty_oflag(tty, LX_ONOCR) && !tty->column)
            return;
        if (tty_oflag(tty, LX_OCRNL)) {
            c = '\n';
            if (!tty_oflag(tty, LX_ONLRET))
                break;
        }
        tty->column = tty->in.canon_column = 0;
        break;
    case '\t':
        put_tab(tty);
        return;
    case '\b':
        if (tty->column)
            tty->column--;
        break;
    default:
        if (is_control(c))
            break;
        if (tty_oflag(tty, LX_OLCUC))
            c = to_upper(c);
        if (!is_continuation(tty, c))
            tty->column++;
        break;
    }
    put(tty, c);
}

size_t ntty_write_locked(struct tty *tty, const uint8_t *data, size_t size)
{
    size_t n = 0;

    while (n < size && tty_may_write(tty) && TTY_OUT_SIZE - tty_out_used(tty) >= LX_PUT_MAX)
        put_processed(tty, data[n++]);
    return n;
}

void ntty_flush_output_locked(struct tty *tty)
{
    tty->out_tail = tty->out_head;
    tty_backend(tty)->packet(tty, LX_TIOCPKT_FLUSHWRITE);
    waitq_wake_all(&tty->waiters, POLL_OUT_BITS);
}

void echo_raw(struct tty *tty, uint8_t c)
{
    put_processed(tty, c);
}

void echo_char(struct tty *tty, uint8_t c)
{
    if (tty_lflag(tty, LX_ECHOCTL) && is_control(c) && c != '\t') {
        put_processed(tty, '^');
        put_processed(tty, c ^ 0100);
    } else {
        put_processed(tty, c);
    }
}

/* ---- erasing ---- */

void ntty_finish_erasing(struct tty *tty)
{
    if (tty->in.erasing) {
        echo_raw(tty, '/');
        tty->in.erasing = false;
    }
}

static void rub_out(struct tty *tty)
{
    echo_raw(tty, '\b');
    echo_raw(tty, ' ');
    echo_raw(tty, '\b');
}

/* A tab took as many columns as there were from what stands before it to the next stop. */
static void rub_out_tab(struct tty *tty)
{
    struct tty_input *in = &tty->in;
    uint32_t columns = 0, at = in->head;
    bool after_tab = false;

    while (at != in->canon_head && !after_tab) {
        uint8_t c = in->buf[--at % TTY_IN_SIZE];

        if (c == '\t')
            after_tab = true;
        else if (is_control(c))
            columns += tty_lflag(tty, LX_ECHOCTL) ? 2 : 0;
        else if (!is_continuation(tty, c))
            columns++;
    }
    if (!after_tab)
        columns += in->canon_column;
    for (uint32_t n = TAB_WIDTH - columns % TAB_WIDTH; n; n--) {
        put(tty, '\b');
        if (tty->column)
            tty->column--;
    }
}

/* Shows that the character c, whose bytes began at in.head, is gone. size: its bytes. */
static void show_erased(struct tty *tty, uint8_t c, uint32_t size, bool one)
{
    struct tty_input *in = &tty->in;

    if (tty_lflag(tty, LX_ECHOPRT)) {
        if (!in->erasing) {
            echo_raw(tty, '\\');
            in->erasing = true;
        }
        echo_char(tty, c);
        for (uint32_t i = 1; i < size; i++)
            echo_raw(tty, in->buf[(in->head + i) % TTY_IN_SIZE]);
    } else if (one && !tty_lflag(tty, LX_ECHOE)) {
        echo_char(tty, tty->termios.cc[LX_VERASE]);
    } else if (c == '\t') {
        rub_out_tab(tty);
    } else {
        if (is_control(c) && tty_lflag(tty, LX_ECHOCTL))
            rub_out(tty);
        if (!is_control(c) || tty_lflag(tty, LX_ECHOCTL))
            rub_out(tty);
    }
}

static bool is_word(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c >= 0x80;
}

/* Takes back one character, a word or the line, as the special character c says. */
void ntty_erase(struct tty *tty, uint8_t c)
{
    struct tty_input *in = &tty->in;
    bool echo = tty_lflag(tty, LX_ECHO), seen_word = false;
    bool one = tty_is_cc(tty, LX_VERASE, c), word = !one && tty_is_cc(tty, LX_VWERASE, c);

    if (in->head == in->canon_head)
        return;
    if (!one && !word &&
        (!echo || !tty_lflag(tty, LX_ECHOK) || !tty_lflag(tty, LX_ECHOKE) ||
         !tty_lflag(tty, LX_ECHOE))) {
        in->head = in->canon_head;
        if (!echo)
            return;
        ntty_finish_erasing(tty);
        echo_char(tty, c);
        if (tty_lflag(tty, LX_ECHOK))
            echo_raw(tty, '\n'); /* the line is left as it is */
        return;
    }
    while (in->head != in->canon_head) {
        uint32_t at = in->head, size;

        do {
            c = in->buf[--at % TTY_IN_SIZE];
        } while (is_continuation(tty, c) && at != in->canon_head);
        if (is_continuation(tty, c))
            break; /* half a character: leave it */
        if (word && !is_word(c) && seen_word)
            break;
        seen_word |= is_word(c);
        size = in->head - at;
        in->head = at;
        if (echo)
            show_erased(tty, c, size, one);
        if (one)
            break;
    }
    if (in->head == in->canon_head && echo)
        ntty_finish_erasing(tty);
}
