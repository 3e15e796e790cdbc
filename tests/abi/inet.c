/*
 * AF_INET and AF_INET6 sockets on loopback: names, connections, data, options and errors. No output
 * depends on port numbers or time.
 */
#include "abi.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sockaddr_in lo4(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static struct sockaddr_in6 lo6(uint16_t port)
{
    return (struct sockaddr_in6){
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
}

#define SA(x) ((struct sockaddr *)&(x))

static int listener(struct sockaddr_in *at)
{
    int s = socket(AF_INET, SOCK_STREAM, 0);
    socklen_t n = sizeof(*at);

    *at = lo4(0);
    bind(s, SA(*at), sizeof(*at));
    listen(s, 8);
    getsockname(s, SA(*at), &n);
    return s;
}

static void connected(int pair[2])
{
    struct sockaddr_in at;
    int l = listener(&at);

    pair[0] = socket(AF_INET, SOCK_STREAM, 0);
    connect(pair[0], SA(at), sizeof(at));
    pair[1] = accept(l, NULL, NULL);
    close(l);
}

static void families(void)
{
    SHOW_OK(socket(AF_INET, SOCK_STREAM, IPPROTO_TCP));
    SHOW_OK(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    SHOW_OK(socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP));
    SHOW_OK(socket(AF_INET, SOCK_SEQPACKET, 0));
    SHOW_OK(socket(AF_INET6, SOCK_DGRAM, 0));
    SHOW_OK(socket(AF_INET, SOCK_STREAM, 300));
    SHOW_OK(socket(AF_INET, 11, 0));
    SHOW_OK(socketpair(AF_INET, SOCK_STREAM, 0, (int[2]){0, 0}));
    SHOW_OK(socketpair(AF_INET, SOCK_STREAM, IPPROTO_UDP, (int[2]){0, 0}));
    SHOW_OK(socketpair(AF_INET, SOCK_RAW, 0, (int[2]){0, 0}));
    SHOW_OK(socketpair(AF_INET, 75, 0, (int[2]){0, 0}));
    SHOW_OK(socketpair(AF_INET6, SOCK_DGRAM, IPPROTO_TCP, (int[2]){0, 0}));
    SHOW_OK(socketpair(AF_NETLINK, SOCK_RAW, 0, (int[2]){0, 0}));
    SHOW_OK(socketpair(999, SOCK_STREAM, 0, (int[2]){0, 0}));
}

static void naming(void)
{
    struct sockaddr_in at = lo4(0), other, foreign = lo4(0);
    struct sockaddr_in6 six = lo6(0);
    socklen_t n = sizeof(other);
    int s = socket(AF_INET, SOCK_STREAM, 0), t = socket(AF_INET, SOCK_STREAM, 0);

    SHOW(getsockname(s, SA(other), &n));
    printf("unbound: %s %d %u\n", inet_ntoa(other.sin_addr), other.sin_port, n);
    SHOW(getpeername(s, SA(other), &n));
    SHOW(bind(s, SA(at), 4));
    SHOW(bind(s, SA(six), sizeof(six)));
    foreign.sin_addr.s_addr = inet_addr("203.0.113.9");
    SHOW(bind(s, SA(foreign), sizeof(foreign)));
    SHOW(bind(s, SA(at), sizeof(at)));
    SHOW(bind(s, SA(at), sizeof(at)));
    getsockname(s, SA(at), &n);
    CHECK(ntohs(at.sin_port) != 0);
    SHOW(bind(t, SA(at), sizeof(at)));
    SHOW(setsockopt(t, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)));
    SHOW(bind(t, SA(at), sizeof(at)));
    SHOW(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)));
    SHOW(bind(t, SA(at), sizeof(at)));
    SHOW(listen(s, 1));
    SHOW(listen(t, 1));
    close(s);
    close(t);
}

static void connecting(void)
{
    struct sockaddr_in at, peer;
    socklen_t n = sizeof(peer);
    int l = listener(&at), c, a, err;

    c = socket(AF_INET, SOCK_STREAM, 0);
    SHOW(connect(c, SA(at), 4));
    SHOW(connect(c, SA(at), sizeof(at)));
    SHOW(connect(c, SA(at), sizeof(at)));
    a = accept4(l, SA(peer), &n, SOCK_NONBLOCK);
    printf("accepted from %s, %u bytes\n", inet_ntoa(peer.sin_addr), n);
    CHECK(fcntl(a, F_GETFL) & O_NONBLOCK);
    SHOW(recv(a, &n, 1, 0));
    SHOW(listen(c, 1));
    SHOW(accept(c, NULL, NULL));
    fcntl(l, F_SETFL, O_NONBLOCK);
    SHOW(accept(l, NULL, NULL));
    close(l);
    close(c);
    close(a);
    c = socket(AF_INET, SOCK_STREAM, 0);
    SHOW(connect(c, SA(at), sizeof(at))); /* nobody there any more */
    close(c);
    c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    err = connect(c, SA(at), sizeof(at)) ? errno : 0;
    CHECK(err == EINPROGRESS || err == ECONNREFUSED);
    poll(&(struct pollfd){.fd = c, .events = POLLOUT}, 1, 5000);
    n = sizeof(err);
    getsockopt(c, SOL_SOCKET, SO_ERROR, &err, &n);
    CHECK(err == ECONNREFUSED || err == 0);
    close(c);
}

static void data(void)
{
    char buf[64] = "", big[100000];
    struct iovec iov[2] = {{buf, 3}, {buf + 10, 5}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
    int p[2], n;

    connected(p);
    SHOW(send(p[0], "hello world", 11, 0));
    SHOW(recv(p[1], buf, 5, MSG_PEEK));
    SHOW(recvmsg(p[1], &m, 0));
    printf("%.3s %.5s\n", buf, buf + 10);
    SHOW(ioctl(p[1], FIONREAD, &n));
    SHOW(ioctl(p[1], FIONREAD, (void *)8));
    SHOW(n);
    SHOW(recv(p[1], buf, sizeof(buf), MSG_TRUNC));
    SHOW(recv(p[1], buf, sizeof(buf), MSG_DONTWAIT));
    SHOW(send(p[0], NULL, 0, 0));
    SHOW(recv(p[1], buf, 0, MSG_DONTWAIT));
    SHOW(send(p[0], (void *)8, 5, 0));
    SHOW(write(p[0], "abcdef", 6));
    SHOW(recv(p[1], (void *)8, 6, 0));
    SHOW(read(p[1], buf, 6));
    printf("%.6s\n", buf);
    memset(big, 'z', sizeof(big));
    if (fork() == 0) {
        for (int i = 0; i < 20; i++)
            if (send(p[0], big, sizeof(big), 0) != sizeof(big))
                _exit(1);
        _exit(0);
    }
    close(p[0]);
    long total = 0, r;
    while ((r = recv(p[1], big, sizeof(big), 0)) > 0)
        total += r;
    wait(NULL);
    printf("bulk: %ld, then %ld\n", total, r);
    close(p[1]);
}

static void ends(void)
{
    char buf[8];
    int p[2], err;
    socklen_t n = sizeof(err);
    struct pollfd pf;

    signal(SIGPIPE, SIG_IGN);
    connected(p);
    pf = (struct pollfd){.fd = p[1], .events = POLLIN | POLLOUT | POLLRDHUP};
    poll(&pf, 1, 1000);
    printf("poll idle %#x\n", pf.revents);
    SHOW(shutdown(p[0], SHUT_WR));
    SHOW(send(p[0], "x", 1, 0));
    SHOW(recv(p[1], buf, 8, 0));
    poll(&pf, 1, 1000);
    printf("poll after the peer's FIN %#x\n", pf.revents);
    SHOW(send(p[1], "back", 4, 0));
    SHOW(recv(p[0], buf, 8, 0));
    SHOW(shutdown(p[0], 7));
    close(p[1]);
    poll(&(struct pollfd){.fd = p[0], .events = POLLHUP}, 1, 1000);
    SHOW(recv(p[0], buf, 8, 0));
    close(p[0]);

    connected(p); /* unread data: a reset */
    SHOW(send(p[0], "data", 4, 0));
    poll(&(struct pollfd){.fd = p[1], .events = POLLIN}, 1, 1000);
    close(p[1]);
    pf = (struct pollfd){.fd = p[0], .events = POLLIN};
    poll(&pf, 1, 1000);
    printf("poll after a reset %#x\n", pf.revents);
    SHOW(recv(p[0], buf, 8, 0));
    SHOW(send(p[0], "x", 1, 0));
    close(p[0]);

    connected(p); /* linger 0: a reset */
    SHOW(setsockopt(p[1], SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger)));
    close(p[1]);
    poll(&(struct pollfd){.fd = p[0], .events = POLLIN}, 1, 1000);
    getsockopt(p[0], SOL_SOCKET, SO_ERROR, &err, &n);
    printf("SO_ERROR %s\n", strerrorname_np(err));
    close(p[0]);
}

static void urgent(void)
{
    char buf[8] = "";
    int p[2];

    connected(p);
    SHOW(send(p[0], "abc", 3, 0));
    SHOW(send(p[0], "U", 1, MSG_OOB));
    SHOW(send(p[0], "def", 3, 0));
    poll(&(struct pollfd){.fd = p[1], .events = POLLPRI}, 1, 1000);
    SHOW(recv(p[1], buf, 1, MSG_OOB));
    printf("%.1s\n", buf);
    SHOW(recv(p[1], buf, 8, 0)); /* stops at the mark */
    SHOW(ioctl(p[1], SIOCATMARK, &(int){0}));
    SHOW(recv(p[1], buf, 8, 0));
    SHOW(recv(p[1], buf, 1, MSG_OOB));
    close(p[0]);
    close(p[1]);
}

static void get(const char *name, int s, int level, int opt)
{
    int v = -7;
    socklen_t n = sizeof(v);
    int r = getsockopt(s, level, opt, &v, &n);

    printf("%s: %d %s %d %u\n", name, r, r ? strerrorname_np(errno) : "", r ? 0 : v, n);
}
#define GET(s, level, opt)    get(#opt, s, level, opt)
#define SET(s, level, opt, v) SHOW(setsockopt(s, level, opt, &(int){v}, sizeof(int)))

static void options(void)
{
    int s = socket(AF_INET, SOCK_STREAM, 0), u = socket(AF_INET6, SOCK_DGRAM, 0);
    char name[16] = "";
    socklen_t n = sizeof(name);

    GET(s, 500, SO_TYPE);
    GET(s, IPPROTO_UDP, 1);
    GET(s, IPPROTO_IPV6, IPV6_V6ONLY);
    GET(s, IPPROTO_IP, 500);
    GET(u, 500, SO_TYPE);
    GET(u, IPPROTO_TCP, TCP_NODELAY);
    GET(s, SOL_SOCKET, SO_TYPE);
    GET(s, SOL_SOCKET, SO_DOMAIN);
    GET(s, SOL_SOCKET, SO_PROTOCOL);
    GET(s, SOL_SOCKET, SO_ACCEPTCONN);
    GET(s, SOL_SOCKET, SO_REUSEPORT);
    SET(s, SOL_SOCKET, SO_REUSEPORT, 5);
    GET(s, SOL_SOCKET, SO_REUSEPORT);
    SET(s, SOL_SOCKET, SO_KEEPALIVE, 1);
    GET(s, SOL_SOCKET, SO_KEEPALIVE);
    SET(s, SOL_SOCKET, SO_OOBINLINE, 1);
    GET(s, SOL_SOCKET, SO_OOBINLINE);
    SET(s, IPPROTO_TCP, TCP_NODELAY, 1);
    GET(s, IPPROTO_TCP, TCP_NODELAY);
    SET(s, IPPROTO_TCP, TCP_KEEPIDLE, 33);
    GET(s, IPPROTO_TCP, TCP_KEEPIDLE);
    SET(s, IPPROTO_TCP, TCP_KEEPIDLE, 0);
    SET(s, IPPROTO_TCP, TCP_KEEPCNT, 200);
    SET(s, IPPROTO_TCP, TCP_SYNCNT, 3);
    GET(s, IPPROTO_TCP, TCP_SYNCNT);
    SET(s, IPPROTO_TCP, TCP_USER_TIMEOUT, 1234);
    GET(s, IPPROTO_TCP, TCP_USER_TIMEOUT);
    SET(s, IPPROTO_TCP, TCP_CORK, 1);
    GET(s, IPPROTO_TCP, TCP_CORK);
    SET(s, IPPROTO_TCP, 999, 1);
    GET(s, IPPROTO_TCP, 999);
    SET(s, IPPROTO_IP, IP_TTL, 300);
    SET(s, IPPROTO_IP, IP_TTL, 33);
    GET(s, IPPROTO_IP, IP_TTL);
    SET(s, IPPROTO_IP, IP_TOS, 0x10);
    GET(s, IPPROTO_IP, IP_TOS);
    SET(s, IPPROTO_IP, IP_MTU_DISCOVER, 9);
    GET(s, IPPROTO_IP, IP_MTU);
    SET(s, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    SET(u, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    GET(u, IPPROTO_IPV6, IPV6_V6ONLY);
    SET(u, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 256);
    SET(u, IPPROTO_IPV6, IPV6_UNICAST_HOPS, -1);
    SET(u, IPPROTO_IPV6, IPV6_TCLASS, 7);
    GET(u, IPPROTO_IPV6, IPV6_TCLASS);
    SHOW(setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "nodev", 6));
    SHOW(setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
    SHOW(getsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, name, &n));
    printf("bound to %s\n", name);
    n = sizeof(name);
    SHOW(getsockopt(s, IPPROTO_TCP, TCP_CONGESTION, name, &n));
    CHECK(*name != 0);
    SHOW(setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "nosuch", 6));
    SHOW(setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
    close(s);
    close(u);
}

static void datagrams(void)
{
    struct sockaddr_in at = lo4(0), from;
    socklen_t n = sizeof(at);
    char buf[16] = "", control[256];
    int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0), v;
    struct iovec iov = {buf, 3};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof(control)};

    bind(a, SA(at), sizeof(at));
    getsockname(a, SA(at), &n);
    SHOW(send(b, "x", 1, 0));
    SHOW(sendto(b, "hello", 5, 0, SA(at), sizeof(at)));
    SHOW(sendto(b, "", 0, 0, SA(at), sizeof(at)));
    SHOW(ioctl(a, FIONREAD, &v));
    SHOW(v);
    SHOW(recv(a, buf, 3, MSG_PEEK | MSG_TRUNC));
    SHOW(setsockopt(a, IPPROTO_IP, IP_PKTINFO, &(int){1}, sizeof(int)));
    SHOW(setsockopt(a, IPPROTO_IP, IP_RECVTTL, &(int){1}, sizeof(int)));
    SHOW(recvmsg(a, &m, 0));
    printf("flags %#x\n", m.msg_flags);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
        printf("control %d %d %zu\n", c->cmsg_level, c->cmsg_type, c->cmsg_len);
    n = sizeof(from);
    SHOW(recvfrom(a, buf, sizeof(buf), 0, SA(from), &n));
    printf("from %s, %u bytes\n", inet_ntoa(from.sin_addr), n);
    SHOW(recv(a, buf, 1, MSG_DONTWAIT));
    SHOW(connect(b, SA(at), sizeof(at)));
    SHOW(send(b, "y", 1, 0));
    SHOW(recv(a, buf, 8, 0));
    SHOW(shutdown(b, SHUT_RD));
    SHOW(shutdown(a, SHUT_RD));
    SHOW(sendto(b, buf, 65508, 0, SA(at), sizeof(at)));
    close(a);
    SHOW(send(b, "z", 1, 0)); /* answered by an ICMP error */
    poll(&(struct pollfd){.fd = b, .events = POLLIN}, 1, 1000);
    SHOW(send(b, "z", 1, 0));
    at.sin_port = 0;
    SHOW(sendto(b, "z", 1, 0, SA(at), sizeof(at)));
    at.sin_addr.s_addr = htonl(INADDR_BROADCAST);
    at.sin_port = htons(9);
    SHOW(sendto(b, "z", 1, 0, SA(at), sizeof(at)));
    close(b);
}

static void six(void)
{
    struct sockaddr_in6 at = lo6(0), peer;
    struct sockaddr_in four;
    socklen_t n = sizeof(at);
    char text[64];
    int l = socket(AF_INET6, SOCK_STREAM, 0), c, a;

    at.sin6_addr = in6addr_any;
    SHOW(bind(l, SA(at), sizeof(at)));
    SHOW(listen(l, 2));
    getsockname(l, SA(at), &n);
    four = lo4(ntohs(at.sin6_port));
    c = socket(AF_INET, SOCK_STREAM, 0);
    SHOW(connect(c, SA(four), sizeof(four))); /* a dual-stack listener */
    n = sizeof(peer);
    a = accept(l, SA(peer), &n);
    printf("peer %s, %u bytes\n", inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof(text)), n);
    close(a);
    close(c);
    at = lo6(ntohs(at.sin6_port));
    c = socket(AF_INET6, SOCK_STREAM, 0);
    SHOW(connect(c, SA(at), sizeof(at)));
    n = sizeof(peer);
    a = accept(l, SA(peer), &n);
    printf("peer %s\n", inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof(text)));
    close(a);
    close(c);
    close(l);
}

static void interfaces(void)
{
    struct ifaddrs *all, *i;
    struct ifreq r = {.ifr_name = "lo"};
    int s = socket(AF_INET, SOCK_DGRAM, 0);

    SHOW(ioctl(s, SIOCGIFINDEX, &r));
    SHOW(r.ifr_ifindex);
    SHOW(ioctl(s, SIOCGIFMTU, &r));
    SHOW(r.ifr_mtu);
    SHOW(ioctl(s, SIOCGIFADDR, &r));
    printf("%s\n", inet_ntoa(((struct sockaddr_in *)&r.ifr_addr)->sin_addr));
    SHOW(ioctl(s, SIOCGIFNETMASK, &r));
    printf("%s\n", inet_ntoa(((struct sockaddr_in *)&r.ifr_addr)->sin_addr));
    SHOW(ioctl(s, SIOCGIFFLAGS, &r));
    CHECK((r.ifr_flags & (IFF_UP | IFF_LOOPBACK | IFF_RUNNING)) ==
          (IFF_UP | IFF_LOOPBACK | IFF_RUNNING));
    strcpy(r.ifr_name, "nosuch");
    SHOW(ioctl(s, SIOCGIFFLAGS, &r));
    SHOW(if_nametoindex("lo"));
    SHOW(getifaddrs(&all));
    for (i = all; i; i = i->ifa_next)
        if (strcmp(i->ifa_name, "lo") == 0)
            printf("lo has family %d\n", i->ifa_addr ? i->ifa_addr->sa_family : -1);
    freeifaddrs(all);
    close(s);
}

static void edge_triggered(void)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET}, out;
    char buf[8];
    int p[2], e = epoll_create1(0);

    connected(p);
    epoll_ctl(e, EPOLL_CTL_ADD, p[1], &ev);
    SHOW(epoll_wait(e, &out, 1, 100));
    printf("events %#x\n", out.events);
    SHOW(epoll_wait(e, &out, 1, 0));
    SHOW(send(p[0], "ab", 2, 0));
    SHOW(epoll_wait(e, &out, 1, 1000));
    printf("events %#x\n", out.events);
    SHOW(recv(p[1], buf, 1, 0));
    SHOW(epoll_wait(e, &out, 1, 0));
    SHOW(send(p[0], "c", 1, 0));
    SHOW(epoll_wait(e, &out, 1, 1000));
    close(p[0]);
    SHOW(epoll_wait(e, &out, 1, 1000));
    printf("events %#x\n", out.events);
    close(p[1]);
    close(e);
}

/* What was received before a reset is read, then the reset is told, once. */
static void reset_after_data(void)
{
    struct linger now = {.l_onoff = 1};
    struct sockaddr_in peer;
    socklen_t n = sizeof(peer);
    char buf[10];
    int pair[2];

    connected(pair);
    send(pair[0], "hello", 5, 0);
    setsockopt(pair[0], SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(pair[0]);
    poll(&(struct pollfd){.fd = pair[1]}, 1, 2000); /* POLLERR */
    SHOW(getpeername(pair[1], SA(peer), &n));
    SHOW(getsockname(pair[1], SA(peer), &n));
    SHOW(recv(pair[1], buf, sizeof(buf), 0));
    SHOW(recv(pair[1], buf, sizeof(buf), 0));
    SHOW(recv(pair[1], buf, sizeof(buf), 0));
    close(pair[1]);
}

/* MSG_WAITALL gives what had come when a reset or the end comes; the next call hears why. The pause
 * lets the reader wait; what is printed does not depend on it. */
static void waiting_for_all(bool reset)
{
    struct linger now = {.l_onoff = reset};
    char buf[10];
    int pair[2];

    connected(pair);
    if (fork() == 0) {
        send(pair[0], "abc", 3, 0);
        usleep(200000);
        setsockopt(pair[0], SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        _exit(0);
    }
    close(pair[0]);
    SHOW(recv(pair[1], buf, sizeof(buf), MSG_WAITALL));
    SHOW(recv(pair[1], buf, sizeof(buf), MSG_WAITALL));
    SHOW(recv(pair[1], buf, sizeof(buf), MSG_WAITALL));
    close(pair[1]);
    wait(NULL);
}

/* Datagrams of an IPv6 socket to nobody's address: this host, in the form that was given. */
static void nobodys_address(void)
{
    struct sockaddr_in any4 = {.sin_family = AF_INET, .sin_port = htons(9)};
    struct sockaddr_in6 any6 = {.sin6_family = AF_INET6, .sin6_port = htons(9)}, own;
    struct sockaddr off = {.sa_family = AF_UNSPEC};
    socklen_t n = sizeof(own);
    char text[INET6_ADDRSTRLEN];
    int s = socket(AF_INET6, SOCK_DGRAM, 0);

    for (int i = 0; i < 2; i++) {
        SHOW(connect(s, i ? SA(any4) : SA(any6), i ? sizeof(any4) : sizeof(any6)));
        getsockname(s, SA(own), &n);
        printf("from %s", inet_ntop(AF_INET6, &own.sin6_addr, text, sizeof(text)));
        getpeername(s, SA(own), &n);
        printf(" to %s\n", inet_ntop(AF_INET6, &own.sin6_addr, text, sizeof(text)));
        connect(s, &off, sizeof(off));
    }
    close(s);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    families();
    naming();
    connecting();
    data();
    ends();
    urgent();
    options();
    datagrams();
    six();
    interfaces();
    edge_triggered();
    reset_after_data();
    nobodys_address();
    waiting_for_all(true);
    waiting_for_all(false);
    return 0;
}
