/*
 * Stacks for tests, with a fake clock and fake links. A world has two hosts, a and b, whose eth0
 * are joined by a wire that delivers when net_run says so, and can lose, repeat, reorder and
 * corrupt. The test may look at what crosses the wire, and put in frames of its own.
 *
 *     struct world w;
 *     world_start(&w);             addresses 10.0.0.1/24 and 10.0.0.2/24, fd00::1/64 and fd00::2/64
 *     ... world_run(&w, 5 * SECOND) ...
 *     world_stop(&w);              everything closed; no object left (the suite checks)
 */
#pragma once

#include "netstack/iface.h"
#include "netstack/net_int.h"
#include "netstack/udp.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/socket.h"
#include "tests/unit/fixture.h"

#define SECOND      1000000000UL
#define MILLISECOND 1000000UL
#define WORLD_LOG   4096

struct world;

struct wire_knobs {
    uint32_t drop, repeat, reorder, corrupt; /* per mille of frames */
    uint64_t delay_ns;
};

struct host {
    struct world *w;
    struct net_stack *s;
    struct net_iface *eth;
    struct list sent; /* frames on their way; time_ns: when they arrive */
    uint32_t events[16];
    uint64_t deadline_ns;
};

/* A frame that crossed, as the test sees it. */
struct seen {
    struct list node;
    struct host *from;
    uint32_t size;
    uint8_t data[2048]; /* its first bytes */
};

struct world {
    struct host a, b;
    uint64_t now_ns;
    struct random random;
    struct wire_knobs knobs;
    struct list seen; /* struct seen, kept while record is on */
    uint32_t seen_count;
    bool record, no_carry; /* no_carry: frames are shown only */
    uint32_t caps;
};

#define WORLD_SUITE(suite) KERNEL_SUITE(suite)

/* caps: NET_CAP_* of both links. */
void world_start_caps(struct world *w, uint32_t caps, uint32_t mtu);
static inline void world_start(struct world *w)
{
    world_start_caps(w, 0, 1500);
}
void world_stop(struct world *w);
/* Carries frames and fires timers until nothing is left to do or ns have passed; then the clock is
 * ns later. */
void world_run(struct world *w, uint64_t ns);
/* Moves the clock without carrying frames. */
void world_pass(struct world *w, uint64_t ns);
/* The frame arrives at h now. */
void host_inject(struct host *h, const void *frame, uint32_t size);
/* A frame from the other host's address with this IP packet. type: EtherType. */
void host_inject_ip(struct host *h, uint16_t type, const void *packet, uint32_t size);
/* The next frame recorded, removed from the list, NULL: none. The caller frees it (free). */
struct seen *world_next(struct world *w);
void world_forget(struct world *w);
/* The next from h whose EtherType is type; others are skipped. */
struct seen *world_next_of(struct world *w, struct host *h, uint16_t type);

struct ip_addr ip4(uint32_t host_order);
struct ip_addr ip6(const char *text); /* "fd00::1": groups and one :: */
struct net_end end4(uint32_t host_order, uint16_t port);
void host_add(struct net_iface *i, struct ip_addr a, uint8_t prefix);
void host_route(struct host *h, struct ip_addr dst, uint8_t prefix, struct ip_addr gateway);

#define A4 0x0a000001U
#define B4 0x0a000002U

/* Packets to be: each returns the size it wrote. Checksums are made unless said. */
uint32_t build_ip4(uint8_t *out, uint32_t from, uint32_t to, uint8_t proto, const void *payload,
                   uint32_t size);
uint32_t build_ip4_frag(uint8_t *out, uint32_t from, uint32_t to, uint8_t proto, uint16_t id,
                        uint32_t offset, bool more, const void *payload, uint32_t size);
uint32_t build_ip6(uint8_t *out, struct ip_addr from, struct ip_addr to, uint8_t next, uint8_t hops,
                   const void *payload, uint32_t size);
uint32_t build_udp(uint8_t *out, struct ip_addr from, struct ip_addr to, uint16_t from_port,
                   uint16_t to_port, const void *payload, uint32_t size);
uint32_t build_icmp4(uint8_t *out, uint8_t type, uint8_t code, uint32_t rest, const void *payload,
                     uint32_t size);
uint32_t build_icmp6(uint8_t *out, struct ip_addr from, struct ip_addr to, uint8_t type,
                     uint8_t code, const void *body, uint32_t size);

/* UDP endpoints in one step; h's lock is taken. */
struct udp_ep *udp_open(struct host *h, int family, uint16_t port);
void udp_shut(struct udp_ep *u);
int64_t udp_say(struct udp_ep *u, const struct net_end *to, const void *data, uint32_t size);
/* The next datagram's bytes, or a negative error. */
int64_t udp_hear(struct udp_ep *u, void *data, uint32_t size, struct udp_meta *meta);
