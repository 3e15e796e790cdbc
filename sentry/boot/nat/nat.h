/*
 * The network without root: a gateway in a process of its own, outside the sandbox's namespaces,
 * that ends the guest's connections in a stack of ours and carries them on by sockets of the host
 * it runs on. It sees the sandbox as a neighbour on a link, whose other end is the sentry's.
 *
 * The guest has NAT_GUEST4 and, where the host has IPv6, NAT_GUEST6; the gateway is NAT_GATEWAY4
 * and NAT_GATEWAY6; port 53 of NAT_DNS4 and the addresses after it are the host's name servers.
 */
#pragma once

#include "sentry/base/compiler.h"
#include "sentry/boot/boot_net.h"

#define NAT_PREFIX4  24
#define NAT_GATEWAY4 0x64600002U /* 100.96.0.2: of the carriers' space, RFC 6598 */
#define NAT_DNS4     0x64600003U
#define NAT_GUEST4   0x64600064U /* 100.96.0.100 */
#define NAT_PREFIX6  64
#define NAT_NET6     "\xfd\x63\x76\x69\x73\x6f\x72\0" /* RFC 4193 */
#define NAT_GATEWAY6 2
#define NAT_GUEST6   100
#define NAT_DNS_MAX  3
#define NAT_MTU      1500

struct nat_config {
    int fd;                              /* the link, a SOCK_SEQPACKET; taken over */
    int ready_fd;                        /* gets an int of 0 once it serves, and is closed */
    bool v6;                             /* the host has IPv6 */
    bool host_loopback;                  /* the gateway's address is the host's 127.0.0.1 and ::1 */
    struct boot_ip servers[NAT_DNS_MAX]; /* the host's name servers */
    uint32_t scopes[NAT_DNS_MAX];        /* their interfaces, where link-local; else 0 */
    uint32_t server_count;
};

/*
 * In the process that is to be the gateway, single-threaded, with no descriptor open but these:
 * sets up, locks itself in and serves until the other end of the link is closed: then 0, or -errno
 * when it cannot start.
 */
int nat_run(const struct nat_config *config) MUST_CHECK;
