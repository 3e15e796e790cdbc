/* UDP and ping endpoints, between their files. Under the stack's lock. */
#pragma once

#include "netstack/errq.h"
#include "netstack/ip_int.h"
#include "netstack/udp.h"

/* From udp_create until udp_close. */
struct udp_ep {
    struct net_ep ep;
    struct list queue;    /* packets: data is the payload, its headers before it in head[] */
    uint32_t queue_bytes; /* their pkt_truesize */
    bool addr_auto;       /* connect(2) chose local.addr: gone with the connection */
    bool port_auto;       /* and the port */
    struct net_path path; /* of the connection, good while the generation is the same */
    struct net_end path_to;
    bool path_valid;
    struct pkt *corked;
    struct net_end cork_to;
    struct ip_addr cork_from; /* any: not given */
    uint32_t cork_gso;
};

static inline bool is_ping(const struct udp_ep *u)
{
    return u->ep.proto == 1 || u->ep.proto == 58;
}

/* RFC 3828 */
static inline bool is_lite(const struct udp_ep *u)
{
    return u->ep.proto == 136;
}

static inline struct udp_ep *udp_of(struct net_ep *ep)
{
    return container_of(ep, struct udp_ep, ep);
}

struct bind_table *udp_table(const struct udp_ep *u);
/* UDP's and UDP-Lite's ports are each their own. */
struct bind_table *udp_ports(struct net_stack *s, uint8_t proto);
/* The datagram is queued or dropped and counted. Takes p, at its payload. */
void udp_queue(struct udp_ep *u, struct pkt *p);
/* The end a message goes to, the way, the source. */
struct udp_route {
    struct net_end to;
    struct net_path path;
    struct ip_addr from;
    bool multicast;
};
int udp_find_route(struct udp_ep *u, const struct udp_send *send, struct udp_route *r) MUST_CHECK;
/* Fills the parts of send that the socket's options decide. */
void udp_fill_send(struct udp_ep *u, const struct udp_send *m, const struct udp_route *r,
                   uint32_t size, struct ip_send *out);
int64_t ping_send(struct udp_ep *u, const struct udp_send *send, const struct pkt_frag *frags,
                  uint32_t count) MUST_CHECK;
/* Whom a packet is for: the endpoint that fits it best. group_hash chooses among equal ones of a
 * SO_REUSEPORT group. */
struct udp_ep *udp_lookup(struct net_stack *s, uint8_t proto, const struct net_end *local,
                          const struct net_end *remote, uint32_t iface);
/* ep takes a packet spread to many. */
bool udp_wants_spread(struct udp_ep *u, const struct net_end *local, const struct net_end *remote,
                      uint32_t iface);
void ping_icmp_error(struct net_stack *s, const struct icmp_error *e);
int udp_error_in(struct udp_ep *u, const struct icmp_error *e, uint32_t payload_at);
