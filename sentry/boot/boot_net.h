/*
 * The sandbox's network as the CLI has prepared it: which links, with which addresses and routes.
 * boot_net.c builds the stack from it.
 */
#pragma once

#include "sentry/base/compiler.h"

struct boot;

#define BOOT_LINK_MAX  8U
#define BOOT_ADDR_MAX  16U
#define BOOT_ROUTE_MAX 64U

/* Docker's name server in a container's network namespace: 127.0.0.11. */
#define BOOT_DNS_ADDRESS 0x7f00000bU
#define BOOT_DNS_PORT    53

struct boot_ip {
    uint8_t bytes[16]; /* network order; IPv4 in the first four */
    uint8_t family;    /* AF_INET, AF_INET6; 0: none */
    uint8_t prefix;
};

struct boot_link {
    char name[16];
    uint8_t hw_addr[6];
    uint32_t mtu;
    int fd;         /* a TAP, AF_PACKET socket or SOCK_SEQPACKET: netstack/link/fd.h */
    bool packet;    /* AF_PACKET: it also shows what was sent */
    uint32_t index; /* the host's; used where it is only shown */
    struct boot_ip addrs[BOOT_ADDR_MAX];
    uint32_t addr_count;
};

struct boot_route {
    struct boot_ip dst, gateway; /* dst.prefix 0: the default; gateway.family 0: on the link */
    struct boot_ip source;       /* family 0: chosen */
    uint32_t link;               /* of links */
    uint32_t metric;
};

struct boot_network {
    bool loopback_up;
    bool host; /* sockets of IP are the host's; links have no fd and are only shown */
    struct boot_link links[BOOT_LINK_MAX];
    uint32_t link_count;
    struct boot_route routes[BOOT_ROUTE_MAX];
    uint32_t route_count;
    bool has_dns;
    int dns_fd; /* has_dns: a socket connected to BOOT_DNS_ADDRESS of the host's namespace */
};

/* NULL config: loopback only. 0, or a status after boot_fail. */
int boot_net_create(struct boot *b, const struct boot_network *n);
/* One thread a link, that receives, the name server's, and that of the host's sockets. */
int boot_net_start(struct boot *b);
/* boot_dns.c: carries what the guest asks BOOT_DNS_ADDRESS over fd. */
int boot_dns_start(struct boot *b, int fd) MUST_CHECK;
/* boot_dns_tcp.c: and over TCP, by sockets of its own (JAIL_DNS). */
int boot_dns_tcp_start(struct boot *b) MUST_CHECK;
