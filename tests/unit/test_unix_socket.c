/* AF_UNIX sockets by system calls: pairs against a model, names, descriptors and credentials in
 * flight, ends. */
#include "sentry/abi/poll.h"
#include "sentry/abi/socket.h"
#include "sentry/abi/tty.h"
#include "tests/unit/task_fixture.h"

TASK_SUITE(unix_socket);

#define BUF      (DATA_ADDR + 4096)
#define CONTROL  (DATA_ADDR + 1024)
#define NONBLOCK LX_SOCK_NONBLOCK

static void make_pair(int type, int fds[2])
{
    ok(CALL(1, socketpair, LX_AF_UNIX, type, 0, DATA_ADDR));
    peek(1, DATA_ADDR, fds, 8);
}

static int64_t put_bytes(int fd, const void *data, size_t n)
{
    poke(1, BUF, data, n);
    return CALL(1, sendto, fd, BUF, n, LX_MSG_NOSIGNAL, 0, 0);
}

static int64_t get_bytes(int fd, void *data, size_t n, int flags)
{
    int64_t r = CALL(1, recvfrom, fd, BUF, n, flags, 0, 0);

    if (r > 0)
        peek(1, BUF, data, MIN((size_t)r, n));
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

Test(unix_socket, stream_is_a_byte_queue)
{
    static uint8_t queue[1 << 20], chunk[40000], got[40000];
    struct random r = {.state = 11};
    size_t head = 0, tail = 0;
    int fds[2];

    make_pair(LX_SOCK_STREAM | NONBLOCK, fds);
    for (int i = 0; i < 800; i++) {
        uint32_t n = 1 + random_below(&r, random_below(&r, 2) ? 200 : 40000);
        int64_t done;

        if (random_below(&r, 2)) {
            for (uint32_t k = 0; k < n; k++)
                chunk[k] = (uint8_t)random_next(&r);
            done = put_bytes(fds[1], chunk, n);
            if (done == -EAGAIN) {
                cr_assert_neq(head, tail);
                cr_assert_eq(poll_one(fds[1], LX_POLLOUT), 0);
                continue;
            }
            cr_assert_gt(done, 0);
            for (int64_t k = 0; k < done; k++)
                queue[tail++ % sizeof(queue)] = chunk[k];
        } else {
            bool peeks = random_below(&r, 3) == 0;

            done = get_bytes(fds[0], got, n, peeks ? LX_MSG_PEEK : 0);
            if (head == tail) {
                cr_assert_eq(done, -EAGAIN);
                continue;
            }
            cr_assert_eq((size_t)done, MIN((size_t)n, tail - head));
            for (int64_t k = 0; k < done; k++)
                cr_assert_eq(got[k], queue[(head + (size_t)k) % sizeof(queue)]);
            if (!peeks)
                head += (size_t)done;
        }
        int32_t readable;
        ok(CALL(1, ioctl, fds[0], LX_FIONREAD, DATA_ADDR));
        peek(1, DATA_ADDR, &readable, 4);
        cr_assert_eq((size_t)readable, tail - head);
    }
}

static void message_kind(int type)
{
    static uint8_t data[3000], got[3000];
    struct random r = {.state = 12};
    uint32_t sizes[4096], head = 0, tail = 0;
    int fds[2];

    make_pair(type | NONBLOCK, fds);
    for (int i = 0; i < 1000; i++) {
        uint32_t n = random_below(&r, sizeof(data));
        int64_t done;

        if (random_below(&r, 2)) {
            memset(data, (int)(tail & 0xff), n);
            done = put_bytes(fds[1], data, n);
            cr_assert(done == n || (done == -EAGAIN && head != tail));
            if (done >= 0)
                sizes[tail++] = n;
            continue;
        }
        done = get_bytes(fds[0], got, n, LX_MSG_TRUNC);
        if (head == tail) {
            cr_assert_eq(done, -EAGAIN);
            continue;
        }
        cr_assert_eq(done, sizes[head]);
        for (uint32_t k = 0; k < MIN(n, sizes[head]); k++)
            cr_assert_eq(got[k], (uint8_t)head);
        head++;
    }
}

Test(unix_socket, dgram_keeps_messages)
{
    message_kind(LX_SOCK_DGRAM);
}

Test(unix_socket, seqpacket_keeps_messages)
{
    message_kind(LX_SOCK_SEQPACKET);
}

Test(unix_socket, ends)
{
    int fds[2];
    char c;

    make_pair(LX_SOCK_STREAM, fds);
    cr_assert_eq(put_bytes(fds[0], "x", 1), 1);
    ok(CALL(1, shutdown, fds[0], LX_SHUT_WR));
    fails(put_bytes(fds[0], "x", 1), EPIPE);
    cr_assert_eq(get_bytes(fds[1], &c, 1, 0), 1);
    cr_assert_eq(get_bytes(fds[1], &c, 1, 0), 0);
    cr_assert_eq(poll_one(fds[1], LX_POLLIN | LX_POLLRDHUP | LX_POLLOUT),
                 LX_POLLIN | LX_POLLRDHUP | LX_POLLOUT);
    cr_assert_eq(put_bytes(fds[1], "y", 1), 1);
    ok(CALL(1, close, fds[0])); /* with y unread */
    cr_assert(poll_one(fds[1], 0) & LX_POLLHUP);
    fails(get_bytes(fds[1], &c, 1, 0), ECONNRESET);
    cr_assert_eq(get_bytes(fds[1], &c, 1, 0), 0);
    fails(put_bytes(fds[1], "z", 1), EPIPE);
}

Test(unix_socket, blocking_and_waitall)
{
    struct call c;
    int fds[2];

    make_pair(LX_SOCK_STREAM, fds);
    CALL(1, fork);
    call_start(&c, 2, SYS_recvfrom, ARGS(fds[0], BUF, 6, LX_MSG_WAITALL, 0, 0));
    cr_assert_eq(put_bytes(fds[1], "abc", 3), 3);
    cr_assert_eq(put_bytes(fds[1], "def", 3), 3);
    cr_assert_eq(call_wait(&c), 6);
    call_start(&c, 2, SYS_read, ARGS(fds[0], BUF, 6));
    cr_assert_eq(CALL(1, write, fds[1], BUF, 4), 4);
    cr_assert_eq(call_wait(&c), 4);
    /* More than the buffer holds. */
    cr_assert_eq(CALL(2, mmap, 0x800000, 1 << 20, 3, 0x32, -1, 0), 0x800000);
    call_start(&c, 2, SYS_write, ARGS(fds[0], 0x800000, 1 << 20));
    for (int left = 1 << 20; left;) {
        int64_t n = CALL(1, read, fds[1], BUF, 32768);

        cr_assert_gt(n, 0);
        left -= (int)n;
    }
    cr_assert_eq(call_wait(&c), 1 << 20);
}

/* ---- names ---- */

static int unix_addr(const char *path, size_t n)
{
    uint8_t a[110] = {LX_AF_UNIX};

    memcpy(a + 2, path, n);
    poke(1, DATA_ADDR, a, sizeof(a));
    return (int)(2 + n);
}

static void listen_and_talk(const char *name, size_t n)
{
    int l = (int)CALL(1, socket, LX_AF_UNIX, LX_SOCK_STREAM, 0);
    int c = (int)CALL(1, socket, LX_AF_UNIX, LX_SOCK_STREAM, 0);
    int size = unix_addr(name, n), s;
    struct call accept;
    uint32_t cred[3];
    char buf[8];

    fails(CALL(1, connect, c, DATA_ADDR, size), name[0] ? ENOENT : ECONNREFUSED);
    ok(CALL(1, bind, l, DATA_ADDR, size));
    fails(CALL(1, connect, c, DATA_ADDR, size), ECONNREFUSED);
    fails(CALL(1, accept, l, 0, 0), EINVAL);
    ok(CALL(1, listen, l, 1));
    CALL(1, fork);
    call_start(&accept, 1, SYS_accept4, ARGS(l, 0, 0, 0));
    ok(CALL(2, connect, c, DATA_ADDR, size));
    s = (int)call_wait(&accept);
    ok(s);
    fails(CALL(2, connect, c, DATA_ADDR, size), EISCONN);
    ok(CALL(2, write, c, DATA_ADDR, 5));
    cr_assert_eq(get_bytes(s, buf, 8, 0), 5);
    poke(1, DATA_ADDR, (uint32_t[1]){12}, 4);
    ok(CALL(1, getsockopt, s, LX_SOL_SOCKET, LX_SO_PEERCRED, BUF, DATA_ADDR));
    peek(1, BUF, cred, sizeof(cred));
    cr_assert_eq(cred[0], 2);
    unix_addr(name, n);
    fails(CALL(1, bind, (int)CALL(1, socket, LX_AF_UNIX, LX_SOCK_STREAM, 0), DATA_ADDR, size),
          EADDRINUSE);
    ok(CALL(1, close, l));
    ok(CALL(2, close, l));
    fails(CALL(1, connect, (int)CALL(1, socket, LX_AF_UNIX, LX_SOCK_STREAM, 0), DATA_ADDR, size),
          ECONNREFUSED);
}

Test(unix_socket, pathname)
{
    listen_and_talk("/sock", 6);
    cr_assert_eq(stat_of("/sock").mode, LX_S_IFSOCK | 0755);
}

Test(unix_socket, abstract)
{
    listen_and_talk("\0name", 5);
}

Test(unix_socket, backlog_and_lost_listener)
{
    int l = (int)CALL(1, socket, LX_AF_UNIX, LX_SOCK_STREAM, 0), c[3], size = unix_addr("\0q", 2);
    char b;

    ok(CALL(1, bind, l, DATA_ADDR, size));
    ok(CALL(1, listen, l, 0));
    for (int i = 0; i < 3; i++)
        c[i] = (int)CALL(1, socket, LX_AF_UNIX, LX_SOCK_STREAM | NONBLOCK, 0);
    ok(CALL(1, connect, c[0], DATA_ADDR, size));
    fails(CALL(1, connect, c[1], DATA_ADDR, size), EAGAIN);
    cr_assert_eq(poll_one(l, LX_POLLIN), LX_POLLIN);
    ok(CALL(1, close, l));
    cr_assert(poll_one(c[0], 0) & LX_POLLHUP);
    fails(get_bytes(c[0], &b, 1, 0), ECONNRESET);
}

Test(unix_socket, dgram_by_name)
{
    int a = (int)CALL(1, socket, LX_AF_UNIX, LX_SOCK_DGRAM | NONBLOCK, 0);
    int b = (int)CALL(1, socket, LX_AF_UNIX, LX_SOCK_DGRAM | NONBLOCK, 0);
    int size = unix_addr("\0dg", 3), sent = 0;
    uint32_t name_size = 110;
    struct call c;

    ok(CALL(1, bind, a, DATA_ADDR, size));
    ok(CALL(1, bind, b, (unix_addr("", 0), DATA_ADDR), 2)); /* autobind */
    unix_addr("\0dg", 3);
    cr_assert_eq(CALL(1, sendto, b, BUF, 10, 0, DATA_ADDR, size), 10);
    poke(1, DATA_ADDR + 512, &name_size, 4);
    cr_assert_eq(CALL(1, recvfrom, a, BUF, 100, 0, DATA_ADDR + 256, DATA_ADDR + 512), 10);
    peek(1, DATA_ADDR + 512, &name_size, 4);
    cr_assert_eq(name_size, 8);
    while (CALL(1, sendto, b, BUF, 10, 0, DATA_ADDR, size) == 10)
        sent++;
    cr_assert_eq(sent, 11);
    /* A sender without a connection waits at the receiver. */
    ok(CALL(1, fcntl, b, LX_F_SETFL, 0));
    CALL(1, fork);
    call_start(&c, 2, SYS_sendto, ARGS(b, BUF, 10, 0, DATA_ADDR, size));
    cr_assert_eq(CALL(1, recvfrom, a, BUF, 100, 0, 0, 0), 10);
    cr_assert_eq(call_wait(&c), 10);
}

/* ---- what goes with messages ---- */

struct msg {
    struct {
        uint64_t name, name_size, iov, iov_count, control, control_size, flags;
    } hdr;
    uint64_t iov[2];
};

static void put_msg(uint64_t control_size)
{
    struct msg m = {.hdr = {.iov = DATA_ADDR + 56,
                            .iov_count = 1,
                            .control = CONTROL,
                            .control_size = control_size},
                    .iov = {BUF, 16}};

    poke(1, DATA_ADDR, &m, sizeof(m));
}

static int64_t send_fds(int sock, const int *fds, uint32_t count)
{
    struct {
        uint64_t size;
        int32_t level, type, fds[16];
    } c = {16 + 4 * count, LX_SOL_SOCKET, LX_SCM_RIGHTS, {0}};

    memcpy(c.fds, fds, 4 * count);
    poke(1, CONTROL, &c, sizeof(c));
    put_msg(16 + 4 * count);
    return CALL(1, sendmsg, sock, DATA_ADDR, 0);
}

Test(unix_socket, descriptors_travel)
{
    int fds[2], pipe[2], got[4];
    uint64_t control[8], flags;
    struct msg m;

    make_pair(LX_SOCK_STREAM, fds);
    ok(CALL(1, pipe2, DATA_ADDR, 0));
    peek(1, DATA_ADDR, pipe, 8);
    cr_assert_eq(send_fds(fds[0], pipe, 2), 16);
    ok(CALL(1, close, pipe[0]));
    put_msg(64);
    cr_assert_eq(CALL(1, recvmsg, fds[1], DATA_ADDR, LX_MSG_CMSG_CLOEXEC), 16);
    peek(1, DATA_ADDR, &m, sizeof(m));
    peek(1, CONTROL, control, sizeof(control));
    cr_assert_eq(m.hdr.control_size, 24);
    cr_assert_eq(control[0], 24);
    memcpy(got, &control[2], 8);
    cr_assert_eq(got[0], pipe[0]); /* the lowest free one */
    cr_assert_eq(CALL(1, fcntl, got[0], LX_F_GETFD), 1);
    cr_assert_eq(CALL(1, write, pipe[1], BUF, 3), 3);
    cr_assert_eq(CALL(1, read, got[0], BUF, 9), 3);
    /* No room: they are closed, and that is told. */
    cr_assert_eq(send_fds(fds[0], pipe, 2), 16);
    put_msg(20);
    cr_assert_eq(CALL(1, recvmsg, fds[1], DATA_ADDR, 0), 16);
    peek(1, DATA_ADDR, &m, sizeof(m));
    flags = m.hdr.flags & 0xffffffff;
    cr_assert_eq(flags, LX_MSG_CTRUNC);
    fails(send_fds(fds[0], (int[1]){99}, 1), EBADF);
    /* In flight at the end: freed with the socket. */
    cr_assert_eq(send_fds(fds[0], pipe, 2), 16);
}

Test(unix_socket, sockets_in_sockets_are_bounded)
{
    int fds[8][2];
    int64_t r = 0;
    int i;

    for (i = 0; i < 8; i++)
        make_pair(LX_SOCK_STREAM, fds[i]);
    for (i = 0; i < 7 && r >= 0; i++)
        r = send_fds(fds[i + 1][0], &fds[i][1], 1);
    cr_assert_eq(r, -ETOOMANYREFS);
    cr_assert_eq(i, 6);
}

Test(unix_socket, credentials)
{
    struct {
        uint64_t size;
        int32_t level, type, pid;
        uint32_t uid, gid, pad;
    } c;
    uint32_t one = 1;
    struct msg m;
    int fds[2];

    make_pair(LX_SOCK_DGRAM, fds);
    poke(1, DATA_ADDR, &one, 4);
    ok(CALL(1, setsockopt, fds[1], LX_SOL_SOCKET, LX_SO_PASSCRED, DATA_ADDR, 4));
    cr_assert_eq(put_bytes(fds[0], "hello", 5), 5);
    put_msg(64);
    cr_assert_eq(CALL(1, recvmsg, fds[1], DATA_ADDR, 0), 5);
    peek(1, DATA_ADDR, &m, sizeof(m));
    peek(1, CONTROL, &c, sizeof(c));
    cr_assert_eq(m.hdr.control_size, 32);
    cr_assert_eq(c.size, 28);
    cr_assert_eq(c.type, LX_SCM_CREDENTIALS);
    cr_assert_eq(c.pid, 1);
}
