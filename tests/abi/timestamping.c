/*
 * SO_TIMESTAMP, SO_TIMESTAMPNS, SO_TIMESTAMPING and MSG_ZEROCOPY: options, what comes with received
 * messages, what the error queue tells of sent ones. No times are printed.
 */
#include "abi.h"

#include <arpa/inet.h>
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SA(x) ((struct sockaddr *)&(x))
#ifndef SO_TIMESTAMP_NEW
#define SO_TIMESTAMP_NEW    63
#define SO_TIMESTAMPNS_NEW  64
#define SO_TIMESTAMPING_NEW 65
#endif

static const struct {
    int option;
    const char *name;
} options[] = {
    {SO_TIMESTAMP, "SO_TIMESTAMP"},       {SO_TIMESTAMP_NEW, "SO_TIMESTAMP_NEW"},
    {SO_TIMESTAMPNS, "SO_TIMESTAMPNS"},   {SO_TIMESTAMPNS_NEW, "SO_TIMESTAMPNS_NEW"},
    {SO_TIMESTAMPING, "SO_TIMESTAMPING"}, {SO_TIMESTAMPING_NEW, "SO_TIMESTAMPING_NEW"},
    {SO_ZEROCOPY, "SO_ZEROCOPY"},
};

static int udp(int family)
{
    struct sockaddr_in6 at6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in at4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr *at = family == AF_INET ? SA(at4) : SA(at6);
    socklen_t n = family == AF_INET ? sizeof(at4) : sizeof(at6);
    int s = socket(family, SOCK_DGRAM, 0);

    bind(s, at, n);
    getsockname(s, at, &n);
    connect(s, at, n);
    return s;
}

static void connected(int pair[2])
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);
    int l = socket(AF_INET, SOCK_STREAM, 0);

    bind(l, SA(at), n);
    listen(l, 1);
    getsockname(l, SA(at), &n);
    pair[0] = socket(AF_INET, SOCK_STREAM, 0);
    connect(pair[0], SA(at), n);
    pair[1] = accept(l, NULL, NULL);
    close(l);
}

static int set(int s, int option, int v)
{
    return setsockopt(s, SOL_SOCKET, option, &v, sizeof(v));
}

static void show_options(int s)
{
    for (unsigned i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        int v[2] = {-1, -1};
        socklen_t n = sizeof(v);

        if (getsockopt(s, SOL_SOCKET, options[i].option, v, &n))
            printf(" %s", strerrorname_np(errno));
        else
            printf(" %d/%u", v[0], n);
    }
    printf("\n");
}

static void setting(void)
{
    static const int flags[] = {0,      0x10,    0x18, 0x100000, 0x80000, 0x10000, 0x10080,
                                0x1000, 0x20018, 0x40, 0x3,      0x390,   0};
    int s = udp(AF_INET), t = socket(AF_INET, SOCK_STREAM, 0);

    show_options(s);
    for (unsigned i = 0; i < 4; i++) {
        SHOW(set(s, options[i].option, 1));
        show_options(s);
    }
    SHOW(set(s, SO_TIMESTAMPING_NEW, 0x18));
    show_options(s);
    SHOW(set(s, SO_TIMESTAMPING, 0x10));
    show_options(s);
    SHOW(set(s, SO_TIMESTAMP, 0));
    show_options(s);
    for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        printf("%#x: ", flags[i]);
        SHOW(set(s, SO_TIMESTAMPING, flags[i]));
    }
    SHOW(setsockopt(s, SOL_SOCKET, SO_TIMESTAMPING, flags, 3));
    SHOW(setsockopt(s, SOL_SOCKET, SO_TIMESTAMPING, (int[]){0x18, 0}, 8));
    show_options(s);
    SHOW(set(t, SO_TIMESTAMPING, SOF_TIMESTAMPING_OPT_ID));
    SHOW(set(t, SO_ZEROCOPY, 2));
    SHOW(set(t, SO_ZEROCOPY, 1));
    show_options(t);
    close(t);
    t = socket(AF_UNIX, SOCK_STREAM, 0);
    SHOW(set(t, SO_ZEROCOPY, 1));
    close(t);
    close(s);
}

/* One message and what came with it; stamps must be of about now. Their number. */
static int get(int s, int flags, bool quiet)
{
    char control[512], buf[256];
    struct iovec iov = {buf, sizeof(buf)};
    struct msghdr h = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof(control)};
    ssize_t n = recvmsg(s, &h, flags);
    int stamps = 0;

    for (struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c)) {
        struct timespec now, ts;
        struct sock_extended_err e;

        if (c->cmsg_level == SOL_SOCKET) {
            clock_gettime(CLOCK_REALTIME, &now);
            memcpy(&ts, CMSG_DATA(c), sizeof(ts));
            stamps++;
            if (!quiet)
                printf("stamp %d of %zu bytes, %s; ", c->cmsg_type, c->cmsg_len,
                       now.tv_sec - ts.tv_sec <= 100 && ts.tv_sec <= now.tv_sec ? "now" : "WHEN?");
        } else if (!quiet) {
            memcpy(&e, CMSG_DATA(c), sizeof(e));
            printf("level %d: errno %u origin %u type %u code %u info %u data %u; ", c->cmsg_level,
                   e.ee_errno, e.ee_origin, e.ee_type, e.ee_code, e.ee_info, e.ee_data);
        }
    }
    if (quiet)
        return stamps;
    if (n < 0)
        printf("%s\n", strerrorname_np(errno));
    else
        printf("%s flags %#x name %u\n", n ? "bytes" : "nothing", h.msg_flags, h.msg_namelen);
    return stamps;
}

/* Linux begins to stamp some time after the option was set: until it does. */
static void receiving(int from, int to, int option, int v)
{
    int s[2] = {from, to};

    printf("option %d %#x\n", option, v);
    set(to, option, v);
    do
        send(s[0], "x", 1, 0);
    while (get(to, 0, true) == 0);
    send(s[0], "y", 1, 0);
    get(to, 0, false);
    set(to, option, 0);
    send(s[0], "y", 1, 0);
    get(to, 0, false);
}

static void receive(void)
{
    int families[] = {AF_INET, AF_INET6}, p[2];

    for (int i = 0; i < 2; i++) {
        int s = udp(families[i]);

        for (int k = 0; k < 4; k++)
            receiving(s, s, options[k].option, 1);
        receiving(s, s, SO_TIMESTAMPING, SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_RX_SOFTWARE);
        receiving(s, s, SO_TIMESTAMPING_NEW,
                  SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_RX_SOFTWARE);
        close(s);
    }
    connected(p);
    for (int k = 0; k < 4; k++)
        receiving(p[0], p[1], options[k].option, 1);
    receiving(p[0], p[1], SO_TIMESTAMPING,
              SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_RX_SOFTWARE);
    close(p[0]);
    close(p[1]);
}

static void errors(int s, int count)
{
    for (int i = 0; i < count; i++) {
        struct pollfd p = {.fd = s};

        poll(&p, 1, 20000);
        printf("events %#x ", p.revents);
        get(s, MSG_ERRQUEUE, false);
    }
    get(s, MSG_ERRQUEUE, false);
}

#define TX (SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_TX_SOFTWARE)

static void send_with(int s, uint32_t flags)
{
    char control[CMSG_SPACE(sizeof(flags))] = "";
    struct iovec iov = {"abc", 3};
    struct msghdr h = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof(control)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&h);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SO_TIMESTAMPING;
    c->cmsg_len = CMSG_LEN(sizeof(flags));
    memcpy(CMSG_DATA(c), &flags, sizeof(flags));
    SHOW(sendmsg(s, &h, 0));
}

static void sending(int family)
{
    int s = udp(family), v;
    socklen_t n = sizeof(v);
    char buf[10];

    printf("sent by UDP\n");
    set(s, SO_TIMESTAMPING, TX);
    SHOW(send(s, "abc", 3, 0));
    errors(s, 1);
    set(s, SO_TIMESTAMPING,
        TX | SOF_TIMESTAMPING_TX_SCHED | SOF_TIMESTAMPING_OPT_ID | SOF_TIMESTAMPING_OPT_TSONLY);
    SHOW(send(s, "abc", 3, 0));
    SHOW(send(s, "abc", 3, 0));
    getsockopt(s, SOL_SOCKET, SO_ERROR, &v, &n);
    printf("error %d\n", v);
    errors(s, 4);
    send_with(s, 0);
    errors(s, 0);
    send_with(s, SOF_TIMESTAMPING_TX_SOFTWARE);
    errors(s, 1);
    send_with(s, SOF_TIMESTAMPING_SOFTWARE);
    set(s, SO_TIMESTAMPING, SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_OPT_TSONLY);
    SHOW(send(s, "abc", 3, 0)); /* made, but not shown */
    errors(s, 1);
    for (int i = 0; i < 6; i++)
        SHOW(recv(s, buf, sizeof(buf), 0));
    close(s);
}

static void streaming(void)
{
    char buf[100000];
    int p[2];

    printf("sent by TCP\n");
    connected(p);
    set(p[0], SO_TIMESTAMPING,
        TX | SOF_TIMESTAMPING_TX_SCHED | SOF_TIMESTAMPING_TX_ACK | SOF_TIMESTAMPING_OPT_ID |
            SOF_TIMESTAMPING_OPT_TSONLY);
    SHOW(send(p[0], "abc", 3, 0));
    SHOW(recv(p[1], buf, 3, MSG_WAITALL));
    errors(p[0], 3);
    SHOW(send(p[0], "defgh", 5, 0));
    SHOW(recv(p[1], buf, 5, MSG_WAITALL));
    errors(p[0], 3);
    send_with(p[0], 0);
    SHOW(recv(p[1], buf, 3, MSG_WAITALL));
    errors(p[0], 0);
    send_with(p[0], SOF_TIMESTAMPING_TX_ACK);
    SHOW(recv(p[1], buf, 3, MSG_WAITALL));
    errors(p[0], 1);
    close(p[0]);
    close(p[1]);
}

/* Notices of sends until that with number last; how they are joined depends on time. */
static void notices(int s, uint32_t last)
{
    uint32_t next = 0;

    while (next <= last) {
        char control[256];
        struct msghdr h = {.msg_control = control, .msg_controllen = sizeof(control)};
        struct pollfd p = {.fd = s};
        struct sock_extended_err e;
        struct cmsghdr *c;

        poll(&p, 1, 20000);
        if (recvmsg(s, &h, MSG_ERRQUEUE) < 0 || !(c = CMSG_FIRSTHDR(&h))) {
            printf("no notice: %s\n", strerrorname_np(errno));
            return;
        }
        memcpy(&e, CMSG_DATA(c), sizeof(e));
        if (e.ee_info != next || e.ee_errno || e.ee_origin != SO_EE_ORIGIN_ZEROCOPY ||
            e.ee_code != SO_EE_CODE_ZEROCOPY_COPIED || c->cmsg_level != SOL_IP || h.msg_namelen)
            printf("notice of %u, not %u\n", e.ee_info, next);
        next = e.ee_data + 1;
    }
    printf("sends up to %u told\n", last);
}

static void zerocopy(void)
{
    static char big[300000], in[300000];
    int p[2], s = udp(AF_INET), v = -1;
    socklen_t n = sizeof(v);

    connected(p);
    SHOW(send(p[0], "abc", 3, MSG_ZEROCOPY)); /* not asked for: as without the flag */
    SHOW(recv(p[1], in, 3, MSG_WAITALL));
    errors(p[0], 0);
    set(p[0], SO_ZEROCOPY, 1);
    SHOW(send(p[0], "abc", 3, 0));
    SHOW(recv(p[1], in, 3, MSG_WAITALL));
    errors(p[0], 0);
    for (int i = 0; i < 3; i++)
        SHOW(send(p[0], big, 10000, MSG_ZEROCOPY));
    SHOW(recv(p[1], in, 30000, MSG_WAITALL));
    notices(p[0], 2);
    getsockopt(p[0], SOL_SOCKET, SO_ERROR, &v, &n);
    printf("error %d\n", v);
    SHOW(send(p[0], "", 0, MSG_ZEROCOPY));
    errors(p[0], 0);
    set(s, SO_ZEROCOPY, 1);
    SHOW(send(s, big, 1000, MSG_ZEROCOPY));
    SHOW(recv(s, in, sizeof(in), 0));
    SHOW(send(s, big, 30000, MSG_ZEROCOPY));
    SHOW(recv(s, in, sizeof(in), 0));
    notices(s, 1);
    close(s);
    close(p[0]);
    close(p[1]);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    setting();
    receive();
    sending(AF_INET);
    sending(AF_INET6);
    streaming();
    zerocopy();
    return 0;
}
