/*
 * Packets. A pkt is a small linear head (headers are pushed and pulled there) followed by
 * references to pieces of counted data blocks, so that a 64 KiB segment crosses the stack, a clone
 * for retransmission and a receive queue without its bytes being copied.
 *
 * struct net_buf: counted; its bytes never change once a second reference exists.
 * struct pkt: one owner at a time; functions that take one say so ("takes p"). No locks: the
 * owner's. Sizes are bytes; multi-byte fields in host order unless named _be.
 */
#pragma once

#include "netstack/addr.h"
#include "sentry/base/list.h"
#include "sentry/base/ops.h"
#include "sentry/base/ref.h"

#define PKT_HEAD      320U   /* linear room: every header the stack writes, options included */
#define PKT_MAX_FRAGS 18U    /* 64 KiB in 4 KiB pieces, and ends */
#define PKT_MAX       65549U /* 65,535 and an Ethernet header */
#define NET_BUF_MAX   (PKT_MAX + 64U)

struct net_buf {
    struct ref ref;
    uint32_t size; /* of data */
    /* rep movsb takes 15 times as long to where page offsets are 1 to 15 beyond the source's, as
     * those of a page of the guest's are with any other place of it (AMD Zen 3) */
    uint8_t data[] ALIGNED(16);
};

struct pkt_frag {
    struct net_buf *buf; /* one reference */
    uint32_t offset, size;
};

enum pkt_type { PKT_HOST, PKT_BROADCAST, PKT_MULTICAST, PKT_OTHERHOST, PKT_OUTGOING };

enum pkt_csum {
    PKT_CSUM_NONE,     /* in: unverified, out: complete */
    PKT_CSUM_VERIFIED, /* in: the transport checksum is known to be right */
    /* the 16 bits at csum_start + csum_offset hold the pseudo header's sum; the rest from
     * csum_start on is still to be added: by the link that can, else by pkt_csum_finish */
    PKT_CSUM_PARTIAL,
};

enum pkt_gso { PKT_GSO_NONE, PKT_GSO_TCP4, PKT_GSO_TCP6, PKT_GSO_UDP };

struct net_iface;
struct pkt;

/* Told when a packet that carries a charge is freed; under whatever locks the freer holds. */
struct pkt_owner_ops {
    void (*freed)(struct pkt *p, void *owner);
};

struct pkt {
    struct list node;
    uint32_t size;                /* head and fragments */
    uint16_t head_off, head_size; /* the linear part within head[] */
    uint8_t frag_count;
    uint8_t type;                     /* enum pkt_type */
    uint8_t csum;                     /* enum pkt_csum */
    uint8_t gso;                      /* enum pkt_gso */
    uint16_t gso_size, gso_segs;      /* payload of a segment; how many */
    uint16_t csum_start, csum_offset; /* from the first byte of the packet now */
    uint16_t protocol;                /* EtherType, host order */
    uint16_t l2, l3, l4;              /* offsets of headers in head[], set on the way in */
    uint8_t ip_proto;
    bool ce;     /* arrived with Congestion Experienced */
    bool looped; /* in: from ourselves, by no link */
    uint32_t mark, priority;
    uint64_t time_ns;        /* CLOCK_REALTIME of arrival, 0: not taken */
    struct net_iface *iface; /* in: where from; out: where to. Valid under the stack's lock */
    uint32_t in_iface;   /* index of the interface it came by, once iface is no more looked at */
    ops_ref_t owner_ops; /* struct pkt_owner_ops, or none */
    void *owner;
    uint32_t charge; /* what it counts against a socket's buffer */
    struct pkt_frag frags[PKT_MAX_FRAGS];
    uint8_t head[PKT_HEAD];
};

/* NULL: out of memory. size <= NET_BUF_MAX. What data holds is anything: it is never to be sent
 * before it was written. */
struct net_buf *net_buf_alloc(uint32_t size) MUST_CHECK;
struct net_buf *net_buf_get(struct net_buf *b);
void net_buf_put(struct net_buf *b);

/* The net_buf sizes that waste least memory: pieces to cut a large write into. */
#define NET_BUF_PIECE (32768U - 64U)

/* An empty packet with room for headers in front of its (empty) head. */
struct pkt *pkt_alloc(void) MUST_CHECK;
void pkt_free(struct pkt *p);
/* Same data blocks, own head (headers that were pulled included); no owner. */
struct pkt *pkt_clone(const struct pkt *p) MUST_CHECK;
/* A fresh packet with a copy of size bytes, headroom kept. */
struct pkt *pkt_from_bytes(const void *bytes, uint32_t size) MUST_CHECK;
/* Appends a piece; takes one reference of its own. -EMSGSIZE when full. */
int pkt_add_frag(struct pkt *p, struct net_buf *b, uint32_t offset, uint32_t size) MUST_CHECK;
/* n bytes in front of / at the end of the linear head. push BUGs without room; append needs no
 * frags. */
void *pkt_push(struct pkt *p, uint32_t n);
void *pkt_append(struct pkt *p, uint32_t n);
/* The first n bytes contiguous in the head (moved there from fragments); NULL when it has less. */
void *pkt_need(struct pkt *p, uint32_t n) MUST_CHECK;
/* Drops n bytes in front; false when it has less. */
bool pkt_pull(struct pkt *p, uint32_t n) MUST_CHECK;
/* Cuts to size. */
void pkt_trim(struct pkt *p, uint32_t size);
/* Copies n bytes from offset; false when out of range. */
bool pkt_read(const struct pkt *p, uint32_t offset, void *to, uint32_t n) MUST_CHECK;
/* Appends size bytes of from, starting at offset: references, but what lies in from's head is
 * copied. -ENOMEM, -EMSGSIZE (too many pieces), -EINVAL out of range; to may have got a part then.
 */
int pkt_add_range(struct pkt *to, const struct pkt *from, uint32_t offset,
                  uint32_t size) MUST_CHECK;
/* A packet of these pieces (references), copied into one block where they are too many. NULL: out
 * of memory or over PKT_MAX. */
struct pkt *pkt_from_frags(const struct pkt_frag *frags, uint32_t count) MUST_CHECK;
/* What it costs in memory, for socket buffers: data and the packet itself. */
uint32_t pkt_truesize(const struct pkt *p);

static inline uint8_t *pkt_data(struct pkt *p)
{
    return p->head + p->head_off;
}

/* RFC 1071: the folded, uncomplemented sum of size bytes from offset. */
uint16_t pkt_sum(const struct pkt *p, uint32_t offset, uint32_t size);
uint16_t net_sum(const void *data, uint32_t size, uint32_t sum);
/* RFC 9293 3.1, RFC 8200 8.1: the pseudo header's folded sum, size bytes of header and payload. */
uint16_t net_pseudo_sum(const struct ip_addr *from, const struct ip_addr *to, uint8_t proto,
                        uint32_t size);
/* Completes PARTIAL. */
void pkt_csum_finish(struct pkt *p);
/* Cuts a GSO packet into segments appended to out; takes p. -ENOMEM, or
 * -EINVAL when it is none: p is freed, out unchanged. */
int pkt_segment(struct pkt *p, struct list *out) MUST_CHECK;
/* Frees them all. */
void pkt_list_free(struct list *packets);
