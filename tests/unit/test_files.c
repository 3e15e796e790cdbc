/* Files without a path, by system calls: pipes, FIFOs, eventfd, epoll, timerfd, splice, poll. */
#include "fs/epoll.h"
#include "sentry/abi/poll.h"
#include "sentry/abi/tty.h"
#include "sentry/kernel/timer.h"
#include "tests/unit/task_fixture.h"

TASK_SUITE(files);

#define BUF      (DATA_ADDR + 4096)
#define BUF_SIZE 32768

static void make_pipe(int flags, int fds[2])
{
    ok(CALL(1, pipe2, DATA_ADDR, flags));
    peek(1, DATA_ADDR, fds, 8);
}

static int64_t put_bytes(int fd, const void *data, size_t n)
{
    poke(1, BUF, data, n);
    return CALL(1, write, fd, BUF, n);
}

static int64_t get_bytes(int fd, void *data, size_t n)
{
    int64_t r = CALL(1, read, fd, BUF, n);

    if (r > 0)
        peek(1, BUF, data, (size_t)r);
    return r;
}

static short poll_one(int fd, short events)
{
    struct lx_pollfd p = {.fd = fd, .events = events};

    poke(1, DATA_ADDR, &p, sizeof(p));
    ok(CALL(1, poll, DATA_ADDR, 1, 0));
    peek(1, DATA_ADDR, &p, sizeof(p));
    return p.revents;
}

Test(files, pipe_is_a_byte_queue)
{
    static uint8_t queue[1 << 20], chunk[BUF_SIZE], got[BUF_SIZE];
    struct random r = {.state = 5};
    size_t head = 0, tail = 0;
    int fds[2];

    make_pipe(LX_O_NONBLOCK, fds);
    for (int i = 0; i < 1500; i++) {
        uint32_t n =
            random_below(&r, 3) ? 1 + random_below(&r, 5000) : 1 + random_below(&r, BUF_SIZE);
        int64_t done;

        if (random_below(&r, 2)) {
            for (uint32_t k = 0; k < n; k++)
                chunk[k] = (uint8_t)random_next(&r);
            done = put_bytes(fds[1], chunk, n);
            if (done < 0) {
                cr_assert_eq(done, -EAGAIN);
                cr_assert_neq(tail, head);
                continue;
            }
            cr_assert(done == n || n > 4096, "a small write was torn");
            for (int64_t k = 0; k < done; k++)
                queue[tail++ % sizeof(queue)] = chunk[k];
        } else {
            done = get_bytes(fds[0], got, n);
            if (head == tail) {
                cr_assert_eq(done, -EAGAIN);
                continue;
            }
            cr_assert_eq((size_t)done, MIN((size_t)n, tail - head));
            for (int64_t k = 0; k < done; k++)
                cr_assert_eq(got[k], queue[head++ % sizeof(queue)]);
        }
        ok(CALL(1, ioctl, fds[0], LX_FIONREAD, DATA_ADDR));
        int32_t readable;
        peek(1, DATA_ADDR, &readable, 4);
        cr_assert_eq((size_t)readable, tail - head);
        cr_assert_eq(!!(poll_one(fds[0], LX_POLLIN) & LX_POLLIN), head != tail);
    }
}

Test(files, pipe_ends)
{
    int fds[2];
    char c;

    make_pipe(0, fds);
    ok(CALL(1, close, fds[1]));
    cr_assert_eq(get_bytes(fds[0], &c, 1), 0);
    cr_assert_eq(poll_one(fds[0], LX_POLLIN), LX_POLLHUP);
    ok(CALL(1, close, fds[0]));

    make_pipe(0, fds);
    ok(CALL(1, close, fds[0]));
    poke(1, DATA_ADDR, (uint64_t[4]){LX_SIG_IGN}, 32);
    ok(CALL(1, rt_sigaction, LX_SIGPIPE, DATA_ADDR, 0, 8));
    fails(put_bytes(fds[1], "x", 1), EPIPE);
    cr_assert(poll_one(fds[1], LX_POLLOUT) & LX_POLLERR);
}

Test(files, pipe_blocks_and_wakes)
{
    struct call c;
    int fds[2];

    make_pipe(0, fds);
    CALL(1, fork);
    call_start(&c, 2, SYS_read, ARGS(fds[0], BUF, 10));
    cr_assert_eq(put_bytes(fds[1], "hello", 5), 5);
    cr_assert_eq(call_wait(&c), 5);
    /* A write larger than the pipe goes on as it is read. */
    call_start(&c, 2, SYS_write, ARGS(fds[1], DATA_ADDR, 65536));
    call_start(&(struct call){0}, 1, SYS_getpid, ARGS(0));
    ok(CALL(1, fcntl, fds[1], LX_F_GETPIPE_SZ));
    cr_assert_eq(call_wait(&c), 65536);
    call_start(&c, 2, SYS_write, ARGS(fds[1], BUF, 8192));
    cr_assert_eq(CALL(1, read, fds[0], BUF, 32768), 32768);
    cr_assert_eq(call_wait(&c), 8192);
}

Test(files, pipe_size_and_packets)
{
    char buf[100];
    int fds[2];

    make_pipe(LX_O_NONBLOCK | LX_O_DIRECT, fds);
    cr_assert_eq(put_bytes(fds[1], "abc", 3), 3);
    cr_assert_eq(put_bytes(fds[1], "defg", 4), 4);
    cr_assert_eq(get_bytes(fds[0], buf, 2), 2); /* the rest of the packet goes */
    cr_assert_eq(get_bytes(fds[0], buf, 100), 4);
    cr_assert_eq(memcmp(buf, "defg", 4), 0);
    cr_assert_eq(CALL(1, fcntl, fds[0], LX_F_GETPIPE_SZ), 65536);
    cr_assert_eq(CALL(1, fcntl, fds[0], LX_F_SETPIPE_SZ, 5000), 8192);
    put_bytes(fds[1], "a", 1);
    put_bytes(fds[1], "b", 1);
    fails(CALL(1, fcntl, fds[0], LX_F_SETPIPE_SZ, 4096), EBUSY);
    fails(put_bytes(fds[1], "c", 1), EAGAIN);
    cr_assert_eq(CALL(1, fcntl, fds[0], LX_F_SETPIPE_SZ, 1 << 20), 1 << 20);
    cr_assert_eq(put_bytes(fds[1], "c", 1), 1);
}

Test(files, fifo_opens_wait_for_each_other)
{
    struct call r, w;

    poke(1, DATA_ADDR, "/fifo", 6);
    ok(CALL(1, mknod, DATA_ADDR, LX_S_IFIFO | 0600, 0));
    fails(CALL(1, open, DATA_ADDR, LX_O_WRONLY | LX_O_NONBLOCK), ENXIO);
    CALL(1, fork);
    call_start(&r, 1, SYS_open, ARGS(DATA_ADDR, LX_O_RDONLY));
    call_start(&w, 2, SYS_open, ARGS(DATA_ADDR, LX_O_WRONLY));
    cr_assert_eq(call_wait(&r), 0);
    cr_assert_eq(call_wait(&w), 0);
    cr_assert_eq(CALL(2, write, 0, DATA_ADDR, 6), 6);
    cr_assert_eq(CALL(1, read, 0, BUF, 100), 6);
    ok(CALL(2, close, 0));
    cr_assert_eq(CALL(1, read, 0, BUF, 100), 0);
}

Test(files, eventfd_counts)
{
    struct random r = {.state = 9};
    uint64_t model = 3, v;
    int fd = (int)CALL(1, eventfd2, 3, LX_EFD_NONBLOCK);

    for (int i = 0; i < 500; i++) {
        if (random_below(&r, 2)) {
            v = random_below(&r, 8) ? random_below(&r, 100) : UINT64_MAX - 1 - random_below(&r, 50);
            if (UINT64_MAX - 1 - model >= v) {
                cr_assert_eq(put_bytes(fd, &v, 8), 8);
                model += v;
            } else {
                fails(put_bytes(fd, &v, 8), EAGAIN);
            }
        } else if (model) {
            cr_assert_eq(get_bytes(fd, &v, 8), 8);
            cr_assert_eq(v, model);
            model = 0;
        } else {
            fails(get_bytes(fd, &v, 8), EAGAIN);
        }
        cr_assert_eq(!!(poll_one(fd, LX_POLLIN) & LX_POLLIN), model > 0);
        cr_assert_eq(!!(poll_one(fd, LX_POLLOUT) & LX_POLLOUT), model < UINT64_MAX - 1);
    }
    v = UINT64_MAX;
    fails(put_bytes(fd, &v, 8), EINVAL);
    fails(put_bytes(fd, &v, 4), EINVAL);
    fd = (int)CALL(1, eventfd2, 2, LX_EFD_SEMAPHORE | LX_EFD_NONBLOCK);
    cr_assert_eq(get_bytes(fd, &v, 8), 8);
    cr_assert_eq(v, 1);
    cr_assert_eq(get_bytes(fd, &v, 8), 8);
    fails(get_bytes(fd, &v, 8), EAGAIN);
    v = 1;
    cr_assert_eq(put_bytes(fd, (uint64_t[2]){1, 1}, 16), 8);
}

/* ---- epoll ---- */

static int64_t epoll_op(int ep, int op, int fd, uint32_t events, uint64_t data)
{
    struct lx_epoll_event ev = {events, data};

    poke(1, DATA_ADDR, &ev, sizeof(ev));
    return CALL(1, epoll_ctl, ep, op, fd, DATA_ADDR);
}

static int64_t epoll_now(int ep, struct lx_epoll_event *out, int max)
{
    int64_t n = CALL(1, epoll_wait, ep, BUF, max, 0);

    if (n > 0)
        peek(1, BUF, out, (size_t)n * sizeof(*out));
    return n;
}

#define MODEL_FDS 12

/* Eventfds under one epoll, in every mode, against what epoll(7) says. */
Test(files, epoll_model)
{
    struct random r = {.state = 77};
    int ep = (int)CALL(1, epoll_create1, 0), fds[MODEL_FDS];
    struct {
        bool added, oneshot, edge, armed, edge_pending;
        uint64_t count;
    } m[MODEL_FDS] = {0};

    for (int i = 0; i < MODEL_FDS; i++)
        fds[i] = (int)CALL(1, eventfd2, 0, LX_EFD_NONBLOCK);
    for (int step = 0; step < 3000; step++) {
        int i = (int)random_below(&r, MODEL_FDS);
        uint64_t v = 1;

        switch (random_below(&r, 6)) {
        case 0: {
            uint32_t mode = (random_below(&r, 2) ? LX_EPOLLET : 0) |
                            (random_below(&r, 3) ? 0 : LX_EPOLLONESHOT);
            int op = m[i].added ? LX_EPOLL_CTL_MOD : LX_EPOLL_CTL_ADD;

            ok(epoll_op(ep, op, fds[i], LX_EPOLLIN | mode, (uint64_t)i));
            fails(epoll_op(ep, LX_EPOLL_CTL_ADD, fds[i], LX_EPOLLIN, 0), EEXIST);
            m[i].added = m[i].armed = true;
            m[i].edge = mode & LX_EPOLLET;
            m[i].oneshot = mode & LX_EPOLLONESHOT;
            m[i].edge_pending = m[i].edge_pending || m[i].count;
            break;
        }
        case 1:
            if (random_below(&r, 4))
                break;
            cr_assert_eq(epoll_op(ep, LX_EPOLL_CTL_DEL, fds[i], 0, 0), m[i].added ? 0 : -ENOENT);
            m[i].added = m[i].armed = m[i].edge_pending = false;
            break;
        case 2:
            cr_assert_eq(put_bytes(fds[i], &v, 8), 8);
            m[i].count++;
            m[i].edge_pending |= m[i].added && m[i].armed;
            break;
        case 3:
            cr_assert_eq(get_bytes(fds[i], &v, 8), m[i].count ? 8 : -EAGAIN);
            m[i].count = 0;
            break;
        default: {
            struct lx_epoll_event ev[MODEL_FDS];
            bool expect[MODEL_FDS] = {false};
            int64_t want = 0, n;

            for (int k = 0; k < MODEL_FDS; k++) {
                expect[k] =
                    m[k].added && m[k].armed && m[k].count && (!m[k].edge || m[k].edge_pending);
                want += expect[k];
            }
            n = epoll_now(ep, ev, MODEL_FDS);
            cr_assert_eq(n, want, "step %d: %ld, not %ld", step, (long)n, (long)want);
            for (int64_t k = 0; k < n; k++) {
                cr_assert(expect[ev[k].data]);
                cr_assert_eq(ev[k].events, LX_EPOLLIN);
                expect[ev[k].data] = false;
                if (m[ev[k].data].oneshot)
                    m[ev[k].data].armed = false;
            }
            for (int k = 0; k < MODEL_FDS; k++)
                m[k].edge_pending = false;
        }
        }
    }
    /* Closing forgets. */
    for (int i = 0; i < MODEL_FDS; i++)
        ok(CALL(1, close, fds[i]));
    cr_assert_eq(epoll_now(ep, (struct lx_epoll_event[4]){0}, 4), 0);
}

Test(files, epoll_nesting)
{
    struct lx_epoll_event ev;
    uint64_t v = 1;
    int ep[7], fd = (int)CALL(1, eventfd2, 0, 0);

    for (int i = 0; i < 7; i++)
        ep[i] = (int)CALL(1, epoll_create1, 0);
    ok(epoll_op(ep[0], LX_EPOLL_CTL_ADD, fd, LX_EPOLLIN, 1));
    for (int i = 1; i < 5; i++)
        ok(epoll_op(ep[i], LX_EPOLL_CTL_ADD, ep[i - 1], LX_EPOLLIN, (uint64_t)i));
    fails(epoll_op(ep[5], LX_EPOLL_CTL_ADD, ep[4], LX_EPOLLIN, 0), ELOOP);
    fails(epoll_op(ep[0], LX_EPOLL_CTL_ADD, ep[3], LX_EPOLLIN, 0), ELOOP);
    fails(epoll_op(ep[0], LX_EPOLL_CTL_ADD, ep[0], LX_EPOLLIN, 0), EINVAL);
    cr_assert_eq(epoll_now(ep[4], &ev, 1), 0);
    cr_assert_eq(put_bytes(fd, &v, 8), 8);
    cr_assert_eq(epoll_now(ep[4], &ev, 1), 1);
    cr_assert_eq(ev.data, 4);
    cr_assert_eq(get_bytes(fd, &v, 8), 8);
    cr_assert_eq(epoll_now(ep[4], &ev, 1), 0);
    ok(CALL(1, close, ep[2]));
    ok(epoll_op(ep[5], LX_EPOLL_CTL_ADD, ep[4], LX_EPOLLIN, 0));
    poke(1, DATA_ADDR, "/plain", 7);
    fd = (int)CALL(1, open, DATA_ADDR, LX_O_CREAT | LX_O_RDWR, 0600);
    fails(epoll_op(ep[6], LX_EPOLL_CTL_ADD, fd, LX_EPOLLIN, 0), EPERM);
}

Test(files, epoll_wakes_a_sleeper)
{
    int ep = (int)CALL(1, epoll_create1, 0), fd = (int)CALL(1, eventfd2, 0, 0);
    uint64_t v = 1;
    struct call c;

    ok(epoll_op(ep, LX_EPOLL_CTL_ADD, fd, LX_EPOLLIN | LX_EPOLLET, 5));
    CALL(1, fork);
    call_start(&c, 2, SYS_epoll_wait, ARGS(ep, BUF, 4, -1));
    cr_assert_eq(put_bytes(fd, &v, 8), 8);
    cr_assert_eq(call_wait(&c), 1);
    cr_assert_eq(CALL(1, epoll_wait, ep, BUF, 4, 1), 0);
}

/* ---- waiting and moving ---- */

Test(files, poll_and_select)
{
    struct lx_pollfd p[3];
    uint64_t set[3] = {0};
    struct call c;
    int fds[2];

    make_pipe(0, fds);
    p[0] = (struct lx_pollfd){.fd = fds[0], .events = LX_POLLIN};
    p[1] = (struct lx_pollfd){.fd = 77, .events = LX_POLLIN};
    p[2] = (struct lx_pollfd){.fd = -1, .events = LX_POLLIN};
    poke(1, DATA_ADDR, p, sizeof(p));
    cr_assert_eq(CALL(1, poll, DATA_ADDR, 3, -1), 1);
    peek(1, DATA_ADDR, p, sizeof(p));
    cr_assert_eq(p[1].revents, LX_POLLNVAL);
    cr_assert_eq(p[0].revents | p[2].revents, 0);
    cr_assert_eq(CALL(1, poll, DATA_ADDR, 1, 10), 0);
    CALL(1, fork);
    call_start(&c, 2, SYS_poll, ARGS(DATA_ADDR, 1, -1));
    cr_assert_eq(put_bytes(fds[1], "x", 1), 1);
    cr_assert_eq(call_wait(&c), 1);
    set[0] = 1UL << fds[0] | 1UL << fds[1];
    set[1] = set[0];
    poke(1, DATA_ADDR, set, sizeof(set));
    cr_assert_eq(CALL(1, select, 64, DATA_ADDR, DATA_ADDR + 8, DATA_ADDR + 16, 0), 2);
    peek(1, DATA_ADDR, set, sizeof(set));
    cr_assert_eq(set[0], 1UL << fds[0]);
    cr_assert_eq(set[1], 1UL << fds[1]);
    set[0] = 1UL << 60;
    poke(1, DATA_ADDR, set, sizeof(set));
    fails(CALL(1, select, 64, DATA_ADDR, 0, 0, 0), EBADF);
}

Test(files, splice_tee_sendfile)
{
    static char data[20000], back[20000];
    int a[2], b[2], fd;
    uint64_t off = 100;

    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char)(i * 7 + i / 256);
    make_pipe(LX_O_NONBLOCK, a);
    make_pipe(LX_O_NONBLOCK, b);
    poke(1, DATA_ADDR, "/data", 6);
    fd = (int)CALL(1, open, DATA_ADDR, LX_O_CREAT | LX_O_RDWR, 0600);
    cr_assert_eq(put_bytes(fd, data, sizeof(data)), sizeof(data));
    poke(1, DATA_ADDR, &off, 8);
    cr_assert_eq(CALL(1, splice, fd, DATA_ADDR, a[1], 0, 10000, 0), 10000);
    peek(1, DATA_ADDR, &off, 8);
    cr_assert_eq(off, 10100);
    cr_assert_eq(CALL(1, tee, a[0], b[1], 5000, 0), 5000);
    cr_assert_eq(get_bytes(b[0], back, 8000), 5000);
    cr_assert_eq(memcmp(back, data + 100, 5000), 0);
    cr_assert_eq(CALL(1, splice, a[0], 0, b[1], 0, 9000, 0), 9000);
    cr_assert_eq(get_bytes(b[0], back, sizeof(back)), 9000);
    cr_assert_eq(memcmp(back, data + 100, 9000), 0);
    cr_assert_eq(get_bytes(a[0], back, sizeof(back)), 1000);
    fails(CALL(1, splice, a[0], 0, b[1], 0, 1, 0), EAGAIN);
    fails(CALL(1, splice, a[0], DATA_ADDR, b[1], 0, 1, 0), ESPIPE);
    ok(CALL(1, lseek, fd, 50, LX_SEEK_SET));
    cr_assert_eq(CALL(1, sendfile, a[1], fd, 0, 30000), 19950);
    cr_assert_eq(get_bytes(a[0], back, sizeof(back)), 19950);
    cr_assert_eq(memcmp(back, data + 50, 19950), 0);
    off = 0;
    poke(1, DATA_ADDR, &off, 8);
    fails(CALL(1, copy_file_range, fd, DATA_ADDR, fd, DATA_ADDR, 100, 0), EINVAL);
}

Test(files, timerfd_ticks)
{
    int fd = (int)CALL(1, timerfd_create, 1, LX_O_NONBLOCK);
    uint64_t ticks;

    poke(1, DATA_ADDR, (int64_t[4]){0, 1000000, 0, 1}, 32); /* every ms, from now */
    ok(CALL(1, timerfd_settime, fd, 0, DATA_ADDR, 0));
    timer_queue_run(kern->timers);
    EVENTUALLY((timer_queue_run(kern->timers), poll_one(fd, LX_POLLIN)) == LX_POLLIN);
    cr_assert_eq(get_bytes(fd, &ticks, 8), 8);
    cr_assert_geq(ticks, 1);
    poke(1, DATA_ADDR, (int64_t[4]){0, 0, 1000, 0}, 32);
    ok(CALL(1, timerfd_settime, fd, 0, DATA_ADDR, DATA_ADDR + 64));
    fails(get_bytes(fd, &ticks, 8), EAGAIN);
    fails(get_bytes(fd, &ticks, 7), EINVAL);
}

Test(files, signalfd_takes_signals)
{
    uint64_t set = LX_SIGMASK(LX_SIGUSR1);
    uint32_t info[32];
    int fd;

    poke(1, DATA_ADDR, &set, 8);
    ok(CALL(1, rt_sigprocmask, 0, DATA_ADDR, 0, 8));
    fd = (int)CALL(1, signalfd4, -1, DATA_ADDR, 8, LX_O_NONBLOCK);
    ok(fd);
    fails(get_bytes(fd, info, 128), EAGAIN);
    ok(CALL(1, kill, 1, LX_SIGUSR1));
    cr_assert_eq(poll_one(fd, LX_POLLIN), LX_POLLIN);
    cr_assert_eq(get_bytes(fd, info, 128), 128);
    cr_assert_eq(info[0], LX_SIGUSR1);
    cr_assert_eq(info[3], 1);
    cr_assert_eq(poll_one(fd, LX_POLLIN), 0);
}
