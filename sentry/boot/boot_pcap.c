/*
 * --pcap: what the first interface to the host carries, or lo where there is none, into a file in
 * pcapng. The stack's tap copies into a ring; a thread of its own writes the file. What does not
 * fit meanwhile is left out, and counted in the log at the end. Lock: ring.lock (rank LINK), taken
 * under the stack's.
 */
#include "fs/sock/netns.h"
#include "netstack/iface.h"
#include "netstack/pcap.h"
#include "platform/host/host.h"
#include "sentry/base/log.h"
#include "sentry/base/slab.h"
#include "sentry/base/waiter.h"
#include "sentry/boot/boot_int.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define RING_SIZE    (4U << 20)
#define SNAP         262144U
#define FINISH_TRIES 2000 /* of 1 ms */

struct boot_pcap {
    struct mutex lock;
    struct parker parker; /* of the writer */
    struct net_iface *iface;
    int fd;
    /* guarded by lock: */
    uint64_t written, taken; /* bytes put in and taken out, ever */
    uint64_t lost;           /* blocks */
    bool failed;             /* the file takes no more */
    uint8_t data[RING_SIZE];
};

static void put(struct boot_pcap *c, const void *from, const struct pkt *p, uint32_t size)
{
    for (uint32_t done = 0; done < size;) {
        uint32_t at = (uint32_t)(c->written % RING_SIZE), n = MIN(size - done, RING_SIZE - at);

        if (from)
            memcpy(c->data + at, (const uint8_t *)from + done, n);
        else if (!pkt_read(p, done, c->data + at, n))
            memset(c->data + at, 0, n);
        c->written += n;
        done += n;
    }
}

static void ring_write(void *writer, const void *head, uint32_t head_size, const struct pkt *p,
                       uint32_t size, const void *tail, uint32_t tail_size)
{
    struct boot_pcap *c = writer;
    uint64_t total = (uint64_t)head_size + size + tail_size;
    bool fits;

    mutex_lock(&c->lock);
    fits = !c->failed && RING_SIZE - (c->written - c->taken) >= total;
    if (fits) {
        put(c, head, NULL, head_size);
        put(c, NULL, p, size);
        put(c, tail, NULL, tail_size);
    } else {
        c->lost++;
    }
    mutex_unlock(&c->lock);
    if (fits)
        unpark(&c->parker);
}

DEFINE_OPS(pcap_ops, boot_pcap_ops) = {.write = ring_write};

/* The next piece that lies together; 0: nothing waits. */
static uint32_t next_piece(struct boot_pcap *c, uint32_t *out_at)
{
    uint64_t n;

    mutex_lock(&c->lock);
    n = c->written - c->taken;
    *out_at = (uint32_t)(c->taken % RING_SIZE);
    mutex_unlock(&c->lock);
    return (uint32_t)MIN(n, RING_SIZE - *out_at);
}

static void writer(void *arg)
{
    struct boot_pcap *c = arg;

    for (;;) {
        uint32_t at, size = next_piece(c, &at);
        int64_t n;

        if (!size) {
            (void)!park(&c->parker, PARK_FOREVER);
            continue;
        }
        n = host_write(c->fd, c->data + at, size);
        mutex_lock(&c->lock);
        if (n <= 0) {
            if (!c->failed)
                log_error("--pcap: the file takes no more: %ld", (long)n);
            c->failed = true;
            n = (int64_t)(c->written - c->taken);
        }
        c->taken += (uint64_t)n;
        mutex_unlock(&c->lock);
    }
}

int boot_pcap_start(struct boot *b)
{
    struct netns *ns = b->kernel->netns;
    struct net_iface *i = NULL, *next = NULL;
    struct boot_pcap *c;
    int err;

    if (b->config->pcap_fd < 0)
        return 0;
    c = kmalloc(sizeof(*c));
    if (!c)
        return boot_fail(b->config, 1, "--pcap: out of memory");
    memset(c, 0, offsetof(struct boot_pcap, data));
    mutex_init(&c->lock, RANK_LINK);
    c->fd = b->config->pcap_fd;
    netns_lock(ns);
    while ((next = net_iface_next(ns->stack, next)))
        if (!i || (i->flags & NET_IFF_LOOPBACK && !(next->flags & NET_IFF_LOOPBACK)))
            i = next;
    err = i ? pcap_start(i, &boot_pcap_ops, c, SNAP) : -ENODEV;
    c->iface = i;
    netns_unlock(ns);
    if (!err)
        err = boot_start_thread(writer, c);
    if (err)
        return boot_fail(b->config, 1, "--pcap: %s", boot_error(err));
    b->pcap = c;
    return 0;
}

void boot_pcap_finish(struct boot *b)
{
    struct boot_pcap *c = b->pcap;
    uint32_t at;

    if (!c)
        return;
    for (int n = 0; n < FINISH_TRIES && next_piece(c, &at); n++)
        usleep(1000);
    if (c->lost)
        log_error("--pcap: %lu packets are missing from the file", (unsigned long)c->lost);
}
