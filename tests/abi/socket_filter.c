/*
 * SO_ATTACH_FILTER and its kin on datagrams, streams, AF_UNIX and netlink: what passes, what is
 * cut, who inherits, what is refused.
 */
#include "abi.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SA(x)    ((struct sockaddr *)&(x))
#define ARRAY(a) (sizeof(a) / sizeof((a)[0]))

static int attach(int s, struct sock_filter *f, unsigned count)
{
    struct sock_fprog p = {.len = (unsigned short)count, .filter = f};

    return setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof(p));
}

#define ATTACH(s, ...)                                                                             \
    attach(s, (struct sock_filter[]){__VA_ARGS__},                                                 \
           sizeof((struct sock_filter[]){__VA_ARGS__}) / sizeof(struct sock_filter))
#define LD(size, mode, k) BPF_STMT(BPF_LD | (size) | (mode), (uint32_t)(k))
#define RET(k)            BPF_STMT(BPF_RET | BPF_K, (uint32_t)(k))
#define RET_A             BPF_STMT(BPF_RET | BPF_A, 0)
#define IF(k, yes, no)    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(k), yes, no)
#define ALL               0xffff

static struct sockaddr_in lo4(void)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* A socket that is connected to itself. */
static int udp(int family)
{
    struct sockaddr_storage at = {.ss_family = (sa_family_t)family};
    socklen_t n = sizeof(at);
    int s = socket(family, SOCK_DGRAM, 0);

    if (family == AF_INET)
        *(struct sockaddr_in *)&at = lo4();
    else
        ((struct sockaddr_in6 *)&at)->sin6_addr = in6addr_loopback;
    bind(s, SA(at), family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
    getsockname(s, SA(at), &n);
    connect(s, SA(at), n);
    return s;
}

/* What was sent before has arrived: this host's packets stay in order on one processor. */
static void settle(void)
{
    static int marker = -1;
    char c;

    if (marker < 0)
        marker = udp(AF_INET);
    send(marker, "", 1, 0);
    recv(marker, &c, 1, 0);
}

/* What comes of each message. */
static void pass(int s, int to)
{
    static const char *const messages[] = {"a", "bcd", "efghij"};
    char buf[32];

    for (unsigned i = 0; i < ARRAY(messages); i++) {
        ssize_t sent = send(to, messages[i], strlen(messages[i]), 0);
        ssize_t n;

        settle();
        n = recv(s, buf, sizeof(buf) - 1, MSG_DONTWAIT);
        printf("%s: sent %zd, got %zd", messages[i], sent, n);
        if (n < 0)
            printf(" %s\n", strerrorname_np(errno));
        else
            printf(" %.*s\n", (int)n, buf);
    }
}

static void refused(void)
{
    struct sock_filter ok[] = {RET(ALL)}, *many = calloc(4097, sizeof(*many));
    struct sock_fprog p = {.len = 1, .filter = ok};
    int s = socket(AF_INET, SOCK_DGRAM, 0), v = 1;
    socklen_t n = sizeof(v);

    for (int i = 0; i < 4097; i++)
        many[i] = ok[0];
    SHOW(setsockopt(s, SOL_SOCKET, SO_DETACH_FILTER, &v, sizeof(v)));
    SHOW(setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof(p) - 1));
    SHOW(setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof(p) + 1));
    p.len = 0;
    SHOW(setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof(p)));
    p.len = 1;
    p.filter = NULL;
    SHOW(setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof(p)));
    p.filter = (struct sock_filter *)8;
    SHOW(setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof(p)));
    SHOW(attach(s, many, 4097));
    SHOW(attach(s, many, 4096));
    SHOW(ATTACH(s, LD(BPF_W, BPF_ABS, 0)));
    SHOW(ATTACH(s, LD(BPF_W, BPF_ABS, SKF_AD_OFF + 60 + 4), RET_A));
    SHOW(ATTACH(s, LD(BPF_W, BPF_ABS, SKF_AD_OFF + 2), RET_A));
    SHOW(ATTACH(s, IF(0, 1, 0), RET(ALL)));
    SHOW(ATTACH(s, LD(BPF_W, BPF_MEM, 16), RET_A));
    SHOW(ATTACH(s, BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), RET_A));
    SHOW(getsockopt(s, SOL_SOCKET, SO_LOCK_FILTER, &v, &n));
    printf("locked %d\n", v);
    v = 0;
    SHOW(setsockopt(s, SOL_SOCKET, SO_LOCK_FILTER, &v, sizeof(v)));
    v = 1;
    SHOW(setsockopt(s, SOL_SOCKET, SO_LOCK_FILTER, &v, 3));
    SHOW(setsockopt(s, SOL_SOCKET, SO_LOCK_FILTER, &v, sizeof(v)));
    SHOW(setsockopt(s, SOL_SOCKET, SO_LOCK_FILTER, &v, sizeof(v)));
    v = 0;
    SHOW(setsockopt(s, SOL_SOCKET, SO_LOCK_FILTER, &v, sizeof(v)));
    SHOW(ATTACH(s, RET(0)));
    SHOW(attach(s, NULL, 0));
    SHOW(setsockopt(s, SOL_SOCKET, SO_DETACH_FILTER, &v, sizeof(v)));
    SHOW(getsockopt(s, SOL_SOCKET, SO_LOCK_FILTER, &v, &n));
    printf("locked %d\n", v);
    free(many);
    close(s);
}

static void datagrams(int family)
{
    int s = udp(family);
    int version = family == AF_INET ? 4 : 6;

    printf("UDP over IPv%d\n", version);
    SHOW(ATTACH(s, RET(0)));
    pass(s, s);
    SHOW(ATTACH(s, RET(10))); /* 8 are the header's */
    pass(s, s);
    SHOW(ATTACH(s, RET(1))); /* never the header */
    pass(s, s);
    /* by payload; shorter ones are lost */
    SHOW(ATTACH(s, LD(BPF_B, BPF_ABS, 9), IF('c', 0, 1), RET(ALL), RET(0)));
    pass(s, s);
    /* by length, indexed, at the header's end; the length in the header */
    SHOW(ATTACH(s, BPF_STMT(BPF_LDX | BPF_W | BPF_LEN, 0), LD(BPF_B, BPF_IND, -1), IF('d', 0, 1),
                RET(ALL), RET(0)));
    pass(s, s);
    SHOW(ATTACH(s, LD(BPF_H, BPF_ABS, 4), IF(14, 0, 1), RET(ALL), RET(0)));
    pass(s, s);
    SHOW(ATTACH(s, LD(BPF_B, BPF_ABS, SKF_NET_OFF), BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 4),
                BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, 5), RET_A));
    pass(s, s);
    SHOW(ATTACH(s, LD(BPF_W, BPF_ABS, SKF_AD_OFF + SKF_AD_PROTOCOL),
                IF(family == AF_INET ? 0x800 : 0x86dd, 0, 1), RET(ALL), RET(0)));
    pass(s, s);
    SHOW(ATTACH(s, LD(BPF_W, BPF_ABS, SKF_AD_OFF + SKF_AD_IFINDEX), IF(1, 0, 1), RET(ALL), RET(0)));
    pass(s, s);
    SHOW(
        ATTACH(s, LD(BPF_W, BPF_ABS, SKF_AD_OFF + SKF_AD_HATYPE), IF(772, 0, 1), RET(ALL), RET(0)));
    pass(s, s);
    SHOW(ATTACH(s, BPF_STMT(BPF_LD | BPF_IMM, 6), BPF_STMT(BPF_LDX | BPF_IMM, 12),
                LD(BPF_W, BPF_ABS, SKF_AD_OFF + SKF_AD_ALU_XOR_X), RET_A)); /* 10 */
    pass(s, s);
    SHOW(ATTACH(s, LD(BPF_W, BPF_ABS, 6000), RET(ALL)));
    pass(s, s);
    SHOW(setsockopt(s, SOL_SOCKET, SO_DETACH_FILTER, &s, sizeof(s)));
    pass(s, s);
    close(s);
}

static void unix_messages(int type)
{
    int p[2];

    printf("AF_UNIX type %d\n", type);
    socketpair(AF_UNIX, type, 0, p);
    SHOW(ATTACH(p[1], LD(BPF_B, BPF_ABS, 0), IF('b', 0, 1), RET(2), RET(0)));
    pass(p[1], p[0]);
    pass(p[0], p[1]);
    SHOW(setsockopt(p[1], SOL_SOCKET, SO_LOCK_FILTER, &p[1], sizeof(p[1])));
    SHOW(ATTACH(p[1], RET(ALL)));
    close(p[0]);
    close(p[1]);
}

/* A listener's filter and lock go on to what it accepts. Data that it cuts or refuses comes again:
 * it is there once the filter has gone. */
static void streams(void)
{
    struct sockaddr_in at = lo4();
    socklen_t n = sizeof(at);
    int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), a, v = 0;
    char buf[32];

    bind(l, SA(at), sizeof(at));
    listen(l, 1);
    getsockname(l, SA(at), &n);
    /* no single byte of data, with or without timestamps in the header */
    SHOW(ATTACH(l, BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0), IF(33, 1, 0), IF(21, 0, 1), RET(0),
                RET(ALL)));
    SHOW(connect(c, SA(at), sizeof(at)));
    a = accept(l, NULL, NULL);
    SHOW(send(c, "one", 3, 0));
    SHOW(recv(a, buf, 3, MSG_WAITALL));
    SHOW(send(c, "x", 1, 0));
    SHOW(recv(a, buf, sizeof(buf), MSG_DONTWAIT));
    SHOW(setsockopt(a, SOL_SOCKET, SO_DETACH_FILTER, &v, sizeof(v)));
    SHOW(recv(a, buf, 1, MSG_WAITALL));
    /* cut to the headers: again, nothing is lost */
    SHOW(ATTACH(a, RET(1)));
    SHOW(send(c, "two", 3, 0));
    SHOW(recv(a, buf, sizeof(buf), MSG_DONTWAIT));
    SHOW(setsockopt(a, SOL_SOCKET, SO_DETACH_FILTER, &v, sizeof(v)));
    SHOW(recv(a, buf, 3, MSG_WAITALL));
    v = 1;
    SHOW(setsockopt(l, SOL_SOCKET, SO_LOCK_FILTER, &v, sizeof(v)));
    close(c);
    close(a);
    c = socket(AF_INET, SOCK_STREAM, 0);
    SHOW(connect(c, SA(at), sizeof(at)));
    a = accept(l, NULL, NULL);
    SHOW(setsockopt(a, SOL_SOCKET, SO_DETACH_FILTER, &v, sizeof(v)));
    SHOW(ATTACH(c, RET(0)));
    close(a);
    SHOW(recv(c, buf, sizeof(buf), MSG_DONTWAIT));
    close(c);
    close(l);
}

static void others(void)
{
    struct {
        struct nlmsghdr h;
        unsigned char family[16];
    } ask = {.h = {.nlmsg_len = sizeof(ask),
                   .nlmsg_type = 18,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP}};
    char buf[65536];
    int nl = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), s = socket(AF_UNIX, SOCK_STREAM, 0);

    SHOW(ATTACH(s, RET(0)));
    close(s);
    SHOW(ATTACH(nl, RET(0)));
    SHOW(send(nl, &ask, sizeof(ask), 0));
    SHOW(recv(nl, buf, sizeof(buf), MSG_DONTWAIT));
    SHOW(ATTACH(nl, RET(ALL)));
    close(nl);
}

int main(void)
{
    cpu_set_t one;

    setvbuf(stdout, NULL, _IOLBF, 0);
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof(one), &one);
    refused();
    datagrams(AF_INET);
    datagrams(AF_INET6);
    unix_messages(SOCK_DGRAM);
    unix_messages(SOCK_SEQPACKET);
    unix_messages(SOCK_STREAM);
    streams();
    others();
    return 0;
}
