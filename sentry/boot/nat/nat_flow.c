/*
 * The table of flows: found by both ends, made with a socket of the host, woken by either side,
 * given up when nothing is heard of them (RFC 4787 4.3, RFC 5382 5, RFC 5508 3.2).
 */
#include "sentry/boot/nat/nat_int.h"

#include "sentry/abi/poll.h"
#include "sentry/base/hash.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

#define OPENING_NS   (60 * NAT_NS)  /* a guest that does not answer */
#define QUESTION_NS  (30 * NAT_NS)  /* datagrams that nobody answered */
#define DATAGRAMS_NS (300 * NAT_NS) /* RFC 4787 4.3's recommendation */
#define ECHO_NS      (60 * NAT_NS)  /* RFC 5508 REQ-2 */

static struct nat_flow **bucket(struct nat *n, int proto, const struct net_end *guest,
                                const struct net_end *to)
{
    struct {
        struct ip_addr a, b;
        uint16_t ports[2];
        uint32_t proto;
    } key = {guest->addr, to->addr, {guest->port, to->port}, (uint32_t)proto};

    return &n->buckets[hash_bytes(&key, sizeof(key), n->salt) & (NAT_BUCKETS - 1)];
}

static bool same_end(const struct net_end *a, const struct net_end *b)
{
    return a->port == b->port && ip_equal(&a->addr, &b->addr);
}

struct nat_flow *nat_find(struct nat *n, int proto, const struct net_end *guest,
                          const struct net_end *to)
{
    struct nat_flow *f = *bucket(n, proto, guest, to);

    while (f && !(f->proto == proto && same_end(&f->guest, guest) && same_end(&f->to, to)))
        f = f->next;
    return f;
}

/* ---- made ---- */

/* How long it may be silent; UINT64_MAX: for ever, as a connection may. */
static uint64_t patience(const struct nat_flow *f)
{
    if (f->proto == NAT_TCP)
        return f->state == NAT_OPENING ? OPENING_NS : UINT64_MAX;
    if (f->proto == NAT_ECHO)
        return ECHO_NS;
    return f->answered ? DATAGRAMS_NS : QUESTION_NS;
}

static void notify(struct waiter *w, uint32_t events, struct wakes *wakes)
{
    nat_ready(container_of(w, struct nat_flow, waiter));
}

static DEFINE_OPS(waiter_ops, nat_flow_waiter_ops) = {.notify = notify};

static int host_socket(struct nat *n, struct nat_flow *f, const struct nat_host *host)
{
    int family = host->addr.ss_family, on = 1, r,
        type = (f->proto == NAT_TCP ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC,
        proto = f->proto != NAT_ECHO ? 0
                : family == AF_INET  ? IPPROTO_ICMP
                                     : IPPROTO_ICMPV6;
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = f};

    f->fd = socket(family, type, proto);
    if (f->fd < 0)
        return -errno;
    if (f->proto == NAT_TCP) {
        (void)setsockopt(f->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        (void)setsockopt(f->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    }
    r = connect(f->fd, (const struct sockaddr *)&host->addr, host->size) < 0 ? -errno : 0;
    if (r == -EINPROGRESS)
        r = 0;
    if (!r && nat_watch(n, EPOLL_CTL_ADD, f->fd, &e) < 0)
        r = -errno;
    return r;
}

static void close_oldest_datagram(struct nat *n)
{
    struct nat_flow *f;

    list_for_each (f, &n->active, node) {
        if (f->proto != NAT_TCP) {
            nat_close(f);
            return;
        }
    }
}

struct nat_flow *nat_open(struct nat *n, int proto, const struct net_end *guest,
                          const struct net_end *to, const struct nat_host *host, int *err)
{
    struct nat_flow *f, **b = bucket(n, proto, guest, to);

    if (proto != NAT_TCP && (n->datagram_count >= NAT_DATAGRAMS || list_empty(&n->free)))
        close_oldest_datagram(n);
    if (list_empty(&n->free)) {
        *err = -ENOBUFS;
        return NULL;
    }
    f = list_first(&n->free, struct nat_flow, node);
    list_del(&f->node);
    *f = (struct nat_flow){.nat = n,
                           .proto = (uint8_t)proto,
                           .state = proto == NAT_TCP ? NAT_CONNECTING : NAT_OPEN,
                           .guest = *guest,
                           .to = *to,
                           .next = *b};
    waitq_init(&f->waitq);
    f->waiter = (struct waiter){.mask = UINT32_MAX, .ops = ops_ref(&nat_flow_waiter_ops)};
    waitq_add(&f->waitq, &f->waiter);
    *b = f;
    list_add_tail(&n->active, &f->node);
    list_init(&f->ready);
    n->datagram_count += proto != NAT_TCP;
    nat_used(f);
    *err = host_socket(n, f, host);
    if (!*err)
        return f;
    nat_close(f);
    return NULL;
}

void nat_close(struct nat_flow *f)
{
    struct nat *n = f->nat;
    struct nat_flow **at = bucket(n, f->proto, &f->guest, &f->to);

    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    if (f->proto == NAT_TCP)
        nat_tcp_close(f);
    else if (f->proto == NAT_UDP)
        nat_udp_close(f);
    if (f->fd >= 0)
        close(f->fd); /* epoll forgets it */
    waitq_remove(&f->waiter);
    waitq_destroy(&f->waitq);
    list_del(&f->ready);
    list_del(&f->node);
    n->datagram_count -= f->proto != NAT_TCP;
    f->state = NAT_FREE;
    list_add_tail(&n->free, &f->node);
}

/* ---- woken ---- */

void nat_ready(struct nat_flow *f)
{
    if (list_empty(&f->ready))
        list_add_tail(&f->nat->ready, &f->ready);
}

void nat_used(struct nat_flow *f)
{
    struct nat *n = f->nat;
    uint64_t most = patience(f);

    f->used_ns = n->now_ns;
    list_del(&f->node);
    list_add_tail(&n->active, &f->node);
    if (most != UINT64_MAX)
        n->expire_ns = MIN(n->expire_ns, n->now_ns + most);
}

void nat_event(struct nat_flow *f, uint32_t events)
{
    if (f->state == NAT_FREE)
        return; /* closed since it was told */
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        f->readable = true;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        f->writable = true;
    nat_ready(f);
}

void nat_pump(struct nat_flow *f)
{
    if (f->proto == NAT_TCP)
        nat_tcp_pump(f);
    else if (f->proto == NAT_UDP)
        nat_udp_pump(f);
    else
        nat_echo_pump(f);
}

/* ---- given up ---- */

void nat_expire(struct nat *n)
{
    struct nat_flow *f, *next;

    n->expire_ns = UINT64_MAX;
    list_for_each_safe (f, next, &n->active, node) {
        uint64_t most = patience(f);

        if (most == UINT64_MAX)
            continue;
        if (n->now_ns - f->used_ns >= most)
            nat_close(f);
        else
            n->expire_ns = MIN(n->expire_ns, f->used_ns + most);
    }
}
