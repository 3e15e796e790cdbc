/* The line discipline under random input and modes: nothing is read that was not typed, nothing
 * overflows, queues agree. */
#include "tests/unit/fixture.h"

#include "fs/devpts/tty_int.h"
#include "sentry/base/arena.h"

static void quiet_changed(struct tty *tty)
{
}

static void quiet_packet(struct tty *tty, uint32_t bits)
{
}

static DEFINE_OPS(tty_backend_ops, quiet_backend) = {.changed = quiet_changed,
                                                     .packet = quiet_packet};

static struct tty *tty;
static struct random rnd = {11};

static void setup(void)
{
    struct kernel *k;

    fixture_setup();
    k = kmalloc(sizeof(*k));
    mutex_init(&k->tasks_lock, RANK_TASKS);
    arena_set_root(k);
    cr_assert_eq(timer_queue_create(&k->timers), 0);
    tty = kmalloc(sizeof(*tty));
    ref_init(&tty->ref);
    tty->k = k;
    mutex_init(&tty->lock, RANK_OBJ);
    waitq_init(&tty->waiters);
    tty->backend = ops_ref(&quiet_backend);
    tty->termios = (struct lx_termios2){.iflag = LX_ICRNL | LX_IXON,
                                        .oflag = LX_OPOST | LX_ONLCR,
                                        .lflag = LX_ISIG | LX_ICANON | LX_ECHO | LX_ECHOE |
                                                 LX_ECHOK | LX_ECHOCTL | LX_ECHOKE | LX_IEXTEN};
    memcpy(tty->termios.cc, "\x03\x1c\x7f\x15\x04\0\x01\0\x11\x13\x1a\0\x12\x0f\x17\x16\0", 17);
    ntty_vtimer_init(tty);
}

static void teardown(void)
{
    struct kernel *k = tty->k;

    (void)ktimer_cancel(k->timers, &tty->vtimer);
    timer_queue_destroy(k->timers);
    waitq_destroy(&tty->waiters);
    kfree(tty);
    kfree(k);
    fixture_teardown();
}

TestSuite(ntty, .init = setup, .fini = teardown);

static size_t type(const char *text, size_t n)
{
    size_t taken;

    mutex_lock(&tty->lock);
    taken = ntty_receive_locked(tty, (const uint8_t *)text, n);
    mutex_unlock(&tty->lock);
    return taken;
}

static int64_t take(uint8_t *buf, size_t n)
{
    int64_t r;

    mutex_lock(&tty->lock);
    r = ntty_read_locked(tty, buf, n, true);
    mutex_unlock(&tty->lock);
    return r;
}

Test(ntty, a_full_buffer_keeps_the_end_of_the_line)
{
    static char text[TTY_IN_SIZE * 2];
    uint8_t buf[TTY_IN_SIZE * 2];

    memset(text, 'x', sizeof(text));
    cr_expect_eq(type(text, sizeof(text)), sizeof(text));
    cr_expect_eq(take(buf, sizeof(buf)), -EAGAIN);
    cr_expect_eq(type("\n", 1), 1);
    cr_expect_eq(type("more", 4), 0); /* no room beside a whole line */
    cr_expect_eq(take(buf, sizeof(buf)), TTY_IN_SIZE);
    cr_expect_eq(buf[TTY_IN_SIZE - 1], '\n');
    cr_expect_eq(type("more\n", 5), 5);
    cr_expect_eq(take(buf, sizeof(buf)), 5);
}

Test(ntty, flushing_and_modes_leave_no_line_behind)
{
    struct lx_termios2 old;
    uint8_t buf[16];

    type("one\ntwo", 7);
    mutex_lock(&tty->lock);
    ntty_flush_input_locked(tty);
    mutex_unlock(&tty->lock);
    cr_expect_eq(take(buf, 16), -EAGAIN);
    type("three", 5);
    mutex_lock(&tty->lock);
    old = tty->termios;
    tty->termios.lflag &= ~(uint32_t)LX_ICANON;
    ntty_termios_changed_locked(tty, &old);
    cr_expect_eq(ntty_pending_locked(tty), 5);
    mutex_unlock(&tty->lock);
    cr_expect_eq(take(buf, 16), 5);
}

static void random_modes(void)
{
    struct lx_termios2 old = tty->termios;

    tty->termios.iflag = (uint32_t)random_next(&rnd) & 0x7fff;
    tty->termios.oflag = (uint32_t)random_next(&rnd) & 0x1fff;
    tty->termios.lflag = (uint32_t)random_next(&rnd) & 0xffff &
                         ~(uint32_t)((uint32_t)random_next(&rnd) & 1 ? LX_ICANON : 0);
    tty->termios.cc[LX_VMIN] = (uint8_t)((uint32_t)random_next(&rnd) % 3);
    tty->termios.cc[LX_VTIME] = (uint8_t)((uint32_t)random_next(&rnd) % 2);
    if ((uint32_t)random_next(&rnd) % 4 == 0)
        tty->termios.cc[(uint32_t)random_next(&rnd) % TTY_NCCS] =
            (uint8_t)(uint32_t)random_next(&rnd);
    ntty_termios_changed_locked(tty, &old);
}

Test(ntty, random_input_and_modes)
{
    uint8_t buf[700];
    int64_t in = 0, out = 0;

    for (int i = 0; i < 200000; i++) {
        size_t n = (size_t)random_next(&rnd) % sizeof(buf);
        int64_t r;

        for (size_t j = 0; j < n; j++)
            buf[j] = (uint8_t)((uint32_t)random_next(&rnd) % 3 ? (uint32_t)random_next(&rnd) % 32
                                                               : (uint32_t)random_next(&rnd));
        switch ((uint32_t)random_next(&rnd) % 6) {
        case 0:
            mutex_lock(&tty->lock);
            if ((uint32_t)random_next(&rnd) % 50 == 0)
                random_modes();
            mutex_unlock(&tty->lock);
            break;
        case 1:
        case 2:
            in += (int64_t)type((char *)buf, n % 40);
            break;
        case 3:
            mutex_lock(&tty->lock);
            (void)ntty_write_locked(tty, buf, n);
            cr_assert_leq(tty_out_used(tty), TTY_OUT_SIZE);
            tty->out_tail += tty_out_used(tty) / 2;
            mutex_unlock(&tty->lock);
            break;
        default:
            r = take(buf, n);
            cr_assert(r == -EAGAIN || (r >= 0 && (size_t)r <= n));
            out += r > 0 ? r : 0;
            break;
        }
        cr_assert_leq(tty->in.head - tty->in.tail, TTY_IN_SIZE);
        cr_assert_leq(tty->in.canon_head - tty->in.tail, tty->in.head - tty->in.tail);
    }
    cr_expect_leq(out, in * 2); /* PARMRK doubles a character at most */
}
