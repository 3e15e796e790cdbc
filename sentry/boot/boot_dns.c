/*
 * The name server that Docker has at 127.0.0.11 of a container's network namespace, for guests
 * whose 127.0.0.11 is in our stack: datagrams to its port go out by a host socket and the answers
 * come back. TCP is boot_dns_tcp.c's. Two threads: queries sleeps until the guest asks, answers in
 * a read of the host's socket. Locks: the stack's; lock (rank OBJ) for the table of what was asked.
 */
#include "fs/sock/netns.h"
#include "netstack/udp.h"
#include "platform/host/host.h"
#include "sentry/base/slab.h"
#include "sentry/boot/boot_int.h"
#include "sentry/boot/boot_net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define ASKED_MAX   256U  /* under way; the oldest is forgotten */
#define MESSAGE_MAX 4096U /* RFC 6891 6.2.5: what resolvers offer */
#define HEADER_SIZE 12U   /* RFC 1035 4.1.1: the id is in its first two bytes */

struct asked {
    struct net_end from;
    uint16_t id;  /* the guest's */
    uint16_t key; /* ours: the index in its low byte, the rest random */
    bool used;
};

/* In the arena: guests' calls wake it. */
struct dns {
    struct netns *ns;
    struct udp_ep *ep;
    struct waitq waiters;
    struct parker parker;
    struct park_waiter waiter;
    int fd;
    struct mutex lock;
    struct asked asked[ASKED_MAX];
    uint32_t next;
    uint8_t query[MESSAGE_MAX], answer[MESSAGE_MAX]; /* a thread's each */
};

/* The key for a query, or a negative error. */
static int note_query(struct dns *d, const struct net_end *from, uint16_t id)
{
    uint8_t salt;
    struct asked *a;
    uint16_t key;

    if (host_getrandom(&salt, sizeof(salt)) != sizeof(salt))
        return -EIO;
    mutex_lock(&d->lock);
    key = (uint16_t)(salt << 8 | (d->next % ASKED_MAX));
    a = &d->asked[d->next++ % ASKED_MAX];
    *a = (struct asked){.from = *from, .id = id, .key = key, .used = true};
    mutex_unlock(&d->lock);
    return key;
}

static bool take_query(struct dns *d, uint16_t key, struct asked *out)
{
    struct asked *a = &d->asked[key % ASKED_MAX];
    bool found;

    mutex_lock(&d->lock);
    found = a->used && a->key == key;
    *out = *a;
    if (found)
        a->used = false;
    mutex_unlock(&d->lock);
    return found;
}

static void forward_query(struct dns *d, struct pkt *p, const struct udp_meta *meta)
{
    uint32_t size = p->size;
    uint16_t id, key;
    int r;

    if (size < HEADER_SIZE || size > MESSAGE_MAX || !pkt_read(p, 0, d->query, size))
        return;
    memcpy(&id, d->query, sizeof(id));
    r = note_query(d, &meta->from, id);
    if (r < 0)
        return;
    key = (uint16_t)r;
    memcpy(d->query, &key, sizeof(key));
    (void)!host_write(d->fd, d->query, size); /* lost as on a wire: the guest asks again */
}

static void queries(void *arg)
{
    struct dns *d = arg;

    for (;;) {
        struct udp_meta meta;
        struct pkt *p;
        int err;

        netns_lock(d->ns);
        err = udp_recv(d->ep, false, &p, &meta);
        netns_unlock(d->ns);
        if (err == 0 && p) {
            forward_query(d, p, &meta);
            pkt_free(p);
        } else if (err == -EAGAIN) {
            (void)!park(&d->parker, PARK_FOREVER);
        }
    }
}

static void send_answer(struct dns *d, const struct asked *a, uint32_t size)
{
    struct udp_send send = {.to = &a->from, .ttl = -1, .tos = -1};
    struct net_buf *buf = net_buf_alloc(size);
    struct pkt_frag frag = {.buf = buf, .size = size};

    if (!buf)
        return;
    memcpy(d->answer, &a->id, sizeof(a->id));
    memcpy(buf->data, d->answer, size);
    netns_lock(d->ns);
    (void)!udp_send(d->ep, &send, &frag, 1);
    netns_unlock(d->ns);
    net_buf_put(buf);
}

static void answers(void *arg)
{
    struct dns *d = arg;

    for (;;) {
        int64_t n = host_read(d->fd, d->answer, sizeof(d->answer));
        struct asked a;
        uint16_t key;

        if (n == -EINTR || n == -ECONNREFUSED) /* the server was away; the guest asks again */
            continue;
        if (n < 0)
            return;
        if (n < (int64_t)HEADER_SIZE)
            continue;
        memcpy(&key, d->answer, sizeof(key));
        if (take_query(d, key, &a))
            send_answer(d, &a, (uint32_t)n);
    }
}

static int open_endpoint(struct dns *d)
{
    struct net_end at = {.addr = ip_from_v4(htonl(BOOT_DNS_ADDRESS)), .port = BOOT_DNS_PORT};
    int err;

    netns_lock(d->ns);
    err = udp_create(d->ns->stack, AF_INET, IPPROTO_UDP, &d->waiters, &d->ep);
    if (!err) {
        udp_net_ep(d->ep)->bind.yields = true;
        err = udp_bind(d->ep, &at);
    }
    netns_unlock(d->ns);
    return err;
}

int boot_dns_start(struct boot *b, int fd)
{
    struct dns *d = kmalloc(sizeof(*d));
    int err;

    if (!d)
        return -ENOMEM;
    d->ns = b->kernel->netns;
    d->fd = fd;
    mutex_init(&d->lock, RANK_OBJ);
    waitq_init(&d->waiters);
    park_waiter_init(&d->waiter, &d->parker, LX_POLLIN);
    waitq_add(&d->waiters, &d->waiter.w);
    err = open_endpoint(d);
    if (!err)
        err = boot_start_thread(queries, d);
    return err ? err : boot_start_thread(answers, d);
}
