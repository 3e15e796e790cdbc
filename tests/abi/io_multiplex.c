/*
 * pipes, poll, select, epoll, eventfd, timerfd, signalfd, socketpair: readiness, edges, limits and
 * errors.
 */
#include "abi.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int events_of(int fd, short mask)
{
    struct pollfd p = {fd, mask, 0};

    poll(&p, 1, 0);
    return p.revents;
}

static void pipes(void)
{
    static char big[200000];
    int p[2], n = 0;

    SHOW(pipe2(p, O_NONBLOCK));
    SHOW(pipe2(p, 0x12345));
    pipe2(p, O_NONBLOCK);
    printf("%x %x\n", events_of(p[0], POLLIN), events_of(p[1], POLLOUT));
    SHOW(read(p[0], big, 1));
    SHOW(write(p[1], big, sizeof(big)));
    SHOW(write(p[1], big, 1));
    printf("%x %x\n", events_of(p[0], POLLIN), events_of(p[1], POLLOUT));
    SHOW(ioctl(p[0], FIONREAD, &n));
    SHOW(ioctl(p[0], FIONREAD, (void *)8));
    printf("%d\n", n);
    SHOW(read(p[0], big, 4096));
    printf("%x\n", events_of(p[1], POLLOUT));
    SHOW(fcntl(p[1], F_SETPIPE_SZ, 4096) < 0 && errno == EBUSY);
    close(p[1]);
    printf("%x\n", events_of(p[0], POLLIN));
    SHOW(read(p[0], big, sizeof(big)));
    SHOW(read(p[0], big, sizeof(big)));
    printf("%x\n", events_of(p[0], POLLIN));
    SHOW(tee(p[0], p[0], 1, 0));
    close(p[0]);
}

static void epolls(void)
{
    int e = epoll_create1(0), p[2], e2 = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = {EPOLLIN | EPOLLET, {.u64 = 7}}, got[4];

    if (pipe(p))
        return;
    SHOW(epoll_ctl(e, EPOLL_CTL_ADD, p[0], &ev));
    SHOW(epoll_ctl(e, EPOLL_CTL_ADD, p[0], &ev));
    SHOW(epoll_ctl(e, EPOLL_CTL_MOD, p[1], &ev));
    SHOW(epoll_ctl(e, EPOLL_CTL_ADD, e, &ev));
    SHOW(epoll_ctl(e, EPOLL_CTL_ADD, 99, &ev));
    SHOW(epoll_wait(e, got, 4, 0));
    SHOW(write(p[1], "ab", 2));
    SHOW(epoll_wait(e, got, 4, 0));
    printf("%x %d\n", got[0].events, (int)got[0].data.u64);
    SHOW(epoll_wait(e, got, 4, 0));
    SHOW(write(p[1], "c", 1));
    SHOW(epoll_wait(e, got, 4, 0));
    ev.events = EPOLLIN | EPOLLONESHOT;
    SHOW(epoll_ctl(e, EPOLL_CTL_MOD, p[0], &ev));
    SHOW(epoll_wait(e, got, 4, 0));
    SHOW(epoll_wait(e, got, 4, 0));
    ev.events = EPOLLIN;
    SHOW(epoll_ctl(e, EPOLL_CTL_MOD, p[0], &ev));
    SHOW(epoll_ctl(e2, EPOLL_CTL_ADD, e, &ev));
    SHOW(epoll_ctl(e, EPOLL_CTL_ADD, e2, &ev));
    SHOW(epoll_wait(e2, got, 4, 0));
    SHOW(epoll_wait(e, got, 0, 0));
    SHOW(epoll_wait(p[0], got, 4, 0));
    close(p[1]);
    SHOW(epoll_wait(e, got, 4, 0));
    printf("%x\n", got[0].events);
    close(p[0]);
    SHOW(epoll_wait(e, got, 4, 0));
    SHOW(epoll_ctl(e, EPOLL_CTL_ADD, open("/etc/passwd", O_RDONLY), &ev));
}

/* Files without data: refused at once, not after waiting for some. */
static void splices(void)
{
    int p[2], full[2], e = epoll_create1(0), c = eventfd(1, EFD_NONBLOCK);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);

    SHOW(pipe(p));
    SHOW(pipe(full));
    SHOW(write(full[1], "12345678", 8));
    SHOW(splice(p[0], NULL, e, NULL, 1, 0));
    SHOW(splice(p[0], NULL, c, NULL, 8, 0));
    SHOW(splice(p[0], NULL, timer, NULL, 8, 0));
    SHOW(splice(full[0], NULL, c, NULL, 8, 0));
    SHOW(splice(c, NULL, p[1], NULL, 8, 0));
    SHOW(splice(timer, NULL, p[1], NULL, 8, 0));
    SHOW(splice(e, NULL, p[1], NULL, 8, 0));
    SHOW(splice(open(".", O_RDONLY), NULL, p[1], NULL, 8, 0));
    for (int fd = p[0]; fd <= full[1]; fd++)
        close(fd);
    close(e);
    close(c);
    close(timer);
}

static void counters(void)
{
    uint64_t v = 5;
    int fd = eventfd(3, EFD_NONBLOCK), sem = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);

    SHOW(write(fd, &v, 8));
    SHOW(read(fd, &v, 8));
    printf("%lu\n", (unsigned long)v);
    SHOW(read(fd, &v, 8));
    SHOW(read(fd, &v, 4));
    v = UINT64_MAX;
    SHOW(write(fd, &v, 8));
    SHOW(read(sem, &v, 8));
    printf("%lu\n", (unsigned long)v);
    SHOW(read(sem, &v, 8));
    SHOW(read(sem, &v, 8));
    int t = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct itimerspec its = {{0, 10000000}, {0, 10000000}};
    SHOW(read(t, &v, 8));
    SHOW(timerfd_settime(t, 0, &its, NULL));
    struct pollfd p = {t, POLLIN, 0};
    SHOW(poll(&p, 1, 5000));
    SHOW(read(t, &v, 8));
    CHECK(v >= 1);
    SHOW(timerfd_create(77, 0));
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int s = signalfd(-1, &set, SFD_NONBLOCK);
    struct signalfd_siginfo si;
    SHOW(read(s, &si, sizeof(si)));
    kill(getpid(), SIGUSR1);
    SHOW(read(s, &si, sizeof(si)));
    printf("%u %d\n", si.ssi_signo, si.ssi_pid == (unsigned)getpid());
    SHOW(read(s, &si, 10));
}

static void sockets(void)
{
    int p[2], fds[2], fd;
    char b[64] = "", control[CMSG_SPACE(sizeof(int) * 2)];
    struct iovec iov = {b, sizeof(b)};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof(control)};

    SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, p));
    SHOW(socketpair(AF_UNIX, 77, 0, p));
    SHOW(socketpair(999, SOCK_STREAM, 0, p));
    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    SHOW(send(p[0], "hello", 5, 0));
    SHOW(recv(p[1], b, 2, MSG_PEEK));
    SHOW(recv(p[1], b, sizeof(b), 0));
    SHOW(recv(p[1], b, sizeof(b), MSG_DONTWAIT));
    if (pipe(fds))
        return;
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fds[1], sizeof(int));
    m.msg_controllen = CMSG_SPACE(sizeof(int));
    iov.iov_len = 3;
    SHOW(sendmsg(p[0], &m, 0));
    close(fds[1]);
    memset(control, 0, sizeof(control));
    m.msg_controllen = sizeof(control);
    SHOW(recvmsg(p[1], &m, 0));
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
    SHOW(write(fd, "via rights", 10));
    SHOW(read(fds[0], b, sizeof(b)));
    SHOW(shutdown(p[0], SHUT_WR));
    SHOW(recv(p[1], b, sizeof(b), 0));
    printf("%x\n", events_of(p[1], POLLIN | POLLRDHUP));
    signal(SIGPIPE, SIG_IGN);
    SHOW(send(p[0], "x", 1, 0));
    close(p[1]);
    socketpair(AF_UNIX, SOCK_DGRAM, 0, p);
    SHOW(send(p[0], "datagram", 8, 0));
    SHOW(recv(p[1], b, 4, MSG_TRUNC));
    SHOW(recv(p[1], b, 4, MSG_DONTWAIT));
    struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "sock"};
    int l = socket(AF_UNIX, SOCK_STREAM, 0), s = socket(AF_UNIX, SOCK_STREAM, 0);
    SHOW(connect(s, (void *)&a, sizeof(a)));
    SHOW(bind(l, (void *)&a, sizeof(a)));
    SHOW(bind(s, (void *)&a, sizeof(a)));
    SHOW(connect(s, (void *)&a, sizeof(a)));
    SHOW(listen(l, 5));
    SHOW(connect(s, (void *)&a, sizeof(a)));
    int conn = accept(l, NULL, NULL);
    SHOW(write(conn, "accepted", 8));
    SHOW(read(s, b, sizeof(b)));
    struct ucred cred;
    socklen_t len = sizeof(cred);
    SHOW(getsockopt(s, SOL_SOCKET, SO_PEERCRED, &cred, &len));
    CHECK(cred.pid == getpid());
    SHOW(getsockopt(0, SOL_SOCKET, SO_TYPE, &cred, &len));
    SHOW(setsockopt(s, SOL_SOCKET, 9999, &cred, len));
}

int main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    pipes();
    epolls();
    counters();
    splices();
    sockets();
    fd_set r;
    struct timeval tv = {0, 1000};
    int p[2];
    if (pipe(p))
        return 1;
    FD_ZERO(&r);
    FD_SET(p[0], &r);
    SHOW(select(p[0] + 1, &r, NULL, NULL, &tv));
    SHOW(select(-1, NULL, NULL, NULL, &tv));
    SHOW(poll(NULL, 0, 1));
    SHOW(poll((struct pollfd *)8, 1, 0));
    struct pollfd bad = {99, POLLIN, 0};
    SHOW(poll(&bad, 1, 0));
    printf("%x\n", bad.revents);
    int f = open("data", O_RDWR | O_CREAT, 0600);
    SHOW(write(f, "0123456789", 10));
    off_t off = 2;
    SHOW(sendfile(p[1], f, &off, 5));
    printf("%ld\n", (long)off);
    SHOW(splice(p[0], NULL, f, NULL, 3, 0));
    SHOW(copy_file_range(f, &off, f, &(off_t){20}, 3, 0));
    return 0;
}
