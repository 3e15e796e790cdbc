/* UDP-Lite: ports of its own, how much the checksum covers, what too little cover is refused. */
#include "abi.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#define SA(x)              ((struct sockaddr *)&(x))
#define UDPLITE_SEND_CSCOV 10
#define UDPLITE_RECV_CSCOV 11
#ifndef IPPROTO_UDPLITE
#define IPPROTO_UDPLITE 136
#endif

static int make(int family, int protocol)
{
    struct sockaddr_in6 at6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in at4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr *at = family == AF_INET ? SA(at4) : SA(at6);
    socklen_t n = family == AF_INET ? sizeof(at4) : sizeof(at6);
    int s = socket(family, SOCK_DGRAM, protocol);

    bind(s, at, n);
    getsockname(s, at, &n);
    connect(s, at, n);
    return s;
}

static int set(int s, int level, int name, int v)
{
    return setsockopt(s, level, name, &v, sizeof(v));
}

static int get(int s, int level, int name)
{
    int v = -77;
    socklen_t n = sizeof(v);

    return getsockopt(s, level, name, &v, &n) ? -errno : v;
}

static void options(void)
{
    static const int values[] = {0, 1, 7, 8, 9, 20, 65535, 65536, -1, -70000};
    int s = make(AF_INET, IPPROTO_UDPLITE), u = make(AF_INET, IPPROTO_UDP);

    for (int name = UDPLITE_SEND_CSCOV; name <= UDPLITE_RECV_CSCOV; name++) {
        printf("%d\n", get(s, IPPROTO_UDPLITE, name));
        for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
            printf("%d to %d: ", name, values[i]);
            SHOW(set(s, IPPROTO_UDPLITE, name, values[i]));
            printf("%d %d\n", get(s, IPPROTO_UDPLITE, name), get(s, IPPROTO_UDP, name));
        }
        SHOW(set(u, IPPROTO_UDPLITE, name, 8));
        SHOW(get(u, IPPROTO_UDPLITE, name));
    }
    SHOW(set(s, IPPROTO_UDP, UDPLITE_SEND_CSCOV, 9));
    SHOW(setsockopt(s, IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV, "abc", 3));
    SHOW(get(s, SOL_SOCKET, SO_PROTOCOL));
    SHOW(get(s, SOL_SOCKET, SO_TYPE));
    SHOW(set(s, SOL_SOCKET, SO_ZEROCOPY, 1));
    SHOW_OK(socket(AF_INET, SOCK_STREAM, IPPROTO_UDPLITE));
    close(s);
    close(u);
}

/* What s sent to itself; others may be at it, too. */
static ssize_t recv_own(int raw, int s, unsigned char buf[200], int at)
{
    struct sockaddr_in6 own = {0};
    socklen_t size = sizeof(own);
    ssize_t n;

    getsockname(s, SA(own), &size); /* the port is where IPv4's is */
    do
        n = recv(raw, buf, 200, 0);
    while (n > 0 && memcmp(buf + at + 2, &own.sin6_port, 2) != 0);
    return n;
}

/* What goes over the wire: the header's third field, and that there is a checksum. */
static void wire(int family)
{
    static const int covers[] = {-1, 0, 8, 10, 14, 15, 60000};
    int raw = socket(family, SOCK_RAW, IPPROTO_UDPLITE), at = family == AF_INET ? 20 : 0;
    unsigned char buf[200];

    for (unsigned i = 0; i < sizeof(covers) / sizeof(covers[0]); i++) {
        int s = make(family, IPPROTO_UDPLITE);

        if (covers[i] >= 0)
            set(s, IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV, covers[i]);
        set(s, SOL_SOCKET, SO_NO_CHECK, 1); /* not its to obey */
        printf("cover %d\n", covers[i]);
        SHOW(send(s, "abcdef", 6, 0));
        SHOW(recv_own(raw, s, buf, at));
        printf("length field %u checksum %s\n", buf[at + 4] << 8 | buf[at + 5],
               buf[at + 6] | buf[at + 7] ? "there" : "none");
        SHOW(recv(s, buf, sizeof(buf), 0));
        close(s);
    }
    close(raw);
}

/* A marker behind what is lost shows that it is. */
static void refused(int family, int least, int cover)
{
    int s = make(family, IPPROTO_UDPLITE);
    char buf[20] = "";

    set(s, IPPROTO_UDPLITE, UDPLITE_RECV_CSCOV, least);
    set(s, IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV, cover);
    send(s, "abcdef", 6, 0);
    set(s, IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV, 0);
    send(s, "end", 3, 0);
    recv(s, buf, sizeof(buf) - 1, 0);
    printf("least %d, cover %d: %s\n", least, cover, buf);
    close(s);
}

/* A UDP socket at the same port is another's; nobody there is told of. */
static void ports(void)
{
    struct sockaddr_in at;
    socklen_t n = sizeof(at);
    int l = make(AF_INET, IPPROTO_UDPLITE), u = socket(AF_INET, SOCK_DGRAM, 0), other;
    char buf[10];

    getsockname(l, SA(at), &n);
    SHOW(bind(u, SA(at), sizeof(at)));
    other = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE);
    SHOW(bind(other, SA(at), sizeof(at)));
    SHOW(sendto(other, "lite", 4, 0, SA(at), sizeof(at)));
    SHOW(sendto(u, "full", 4, 0, SA(at), sizeof(at)));
    SHOW(recv(u, buf, sizeof(buf), 0));
    close(l);
    connect(other, SA(at), sizeof(at));
    SHOW(send(other, "gone", 4, 0));
    poll(&(struct pollfd){.fd = other}, 1, 20000);
    SHOW(recv(other, buf, sizeof(buf), MSG_DONTWAIT));
    close(u);
    close(other);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    options();
    wire(AF_INET);
    wire(AF_INET6);
    for (int i = 0; i < 2; i++) {
        refused(i ? AF_INET6 : AF_INET, 0, 8);
        refused(i ? AF_INET6 : AF_INET, 0, 14);
        refused(i ? AF_INET6 : AF_INET, 10, 9);
        refused(i ? AF_INET6 : AF_INET, 10, 10);
        refused(i ? AF_INET6 : AF_INET, 10, 0);
    }
    ports();
    return 0;
}
