/* pcapng blocks: section header, interface description, enhanced packets. Under the stack's lock.
 */
#include "netstack/pcap.h"

#include "netstack/net_int.h"
#include "netstack/wire/eth.h"
#include "sentry/base/slab.h"

enum { BLOCK_SECTION = 0x0a0d0d0a, BLOCK_INTERFACE = 1, BLOCK_PACKET = 6 };
enum { LINK_ETHERNET = 1, LINK_RAW = 101 };
enum { OPT_NAME = 2, OPT_TSRESOL = 9, OPT_FLAGS = 2 };

struct pcap {
    ops_ref_t ops;
    void *writer;
    uint32_t snap;
};

struct section {
    uint32_t type, size, magic;
    uint16_t major, minor;
    uint64_t length;
    uint32_t size_again;
} PACKED;

struct interface {
    uint32_t type, size;
    uint16_t link, reserved;
    uint32_t snap;
    uint16_t name_opt, name_size;
    char name[16];
    uint16_t resol_opt, resol_size;
    uint8_t resol, padding[3];
    uint32_t end;
    uint32_t size_again;
} PACKED;

struct packet {
    uint32_t type, size, interface, time_high, time_low, captured, original;
} PACKED;

struct packet_end {
    uint16_t flags_opt, flags_size;
    uint32_t flags, end, size_again;
} PACKED;

/* lo's packets have no link header; readers expect an empty Ethernet one, as Linux shows. */
static bool fake_header(const struct net_iface *i)
{
    return i->hw_type == NET_HW_LOOPBACK;
}

int pcap_start(struct net_iface *i, const void *ops, void *writer, uint32_t snap)
{
    struct section s = {BLOCK_SECTION, sizeof(s), 0x1a2b3c4d, 1, 0, UINT64_MAX, sizeof(s)};
    struct interface d = {.type = BLOCK_INTERFACE,
                          .size = sizeof(d),
                          .link = i->hw_size == 6 ? LINK_ETHERNET : LINK_RAW,
                          .snap = snap,
                          .name_opt = OPT_NAME,
                          .name_size = sizeof(d.name),
                          .resol_opt = OPT_TSRESOL,
                          .resol_size = 1,
                          .resol = 9, /* ns */
                          .size_again = sizeof(d)};
    struct pcap *c;

    if (i->pcap)
        return -EBUSY;
    c = kmalloc(sizeof(*c));
    if (!c)
        return -ENOMEM;
    c->ops = ops_ref(ops);
    c->writer = writer;
    c->snap = snap;
    i->pcap = c;
    memcpy(d.name, i->name, sizeof(d.name));
    OPS_GET(pcap_ops, c->ops)->write(writer, &s, sizeof(s), NULL, 0, NULL, 0);
    OPS_GET(pcap_ops, c->ops)->write(writer, &d, sizeof(d), NULL, 0, NULL, 0);
    return 0;
}

void pcap_stop(struct net_iface *i)
{
    kfree(i->pcap);
    i->pcap = NULL;
}

void pcap_tap(struct net_iface *i, const struct pkt *p, bool outgoing)
{
    struct pcap *c = i->pcap;
    uint32_t extra = fake_header(i) ? ETH_HEADER : 0, size = MIN(p->size, c->snap);
    uint32_t padding = -(size + extra) & 3;
    uint64_t now = net_real_ns(i->stack);
    struct {
        struct packet h;
        struct wire_eth eth;
    } PACKED head = {.eth = {.type_be = be16(p->protocol)}};
    struct {
        uint8_t padding[3];
        struct packet_end end;
    } PACKED tail = {.padding = {0}};

    head.h = (struct packet){.type = BLOCK_PACKET,
                             .time_high = (uint32_t)(now >> 32),
                             .time_low = (uint32_t)now,
                             .captured = size + extra,
                             .original = p->size + extra};
    head.h.size = (uint32_t)(sizeof(head.h) + sizeof(tail.end)) + extra + size + padding;
    tail.end = (struct packet_end){OPT_FLAGS, 4, outgoing ? 2 : 1, 0, head.h.size};
    OPS_GET(pcap_ops, c->ops)
        ->write(c->writer, &head, (uint32_t)sizeof(head.h) + extra, p, size,
                (uint8_t *)&tail.end - padding, (uint32_t)sizeof(tail.end) + padding);
}
