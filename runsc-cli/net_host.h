/*
 * The host's side of a sandbox's network: what boot_net.h describes, made on the host. Needs
 * CAP_NET_ADMIN in the network namespace it is called in.
 */
#pragma once

#include "runsc-cli/error.h"
#include "sentry/boot/boot.h"
#include "sentry/boot/boot_net.h"

/*
 * A private link for `do`: a TAP in the caller's network namespace with a /30 of its own,
 * forwarding and masquerading (nftables) to the outside. Fills n with the guest's end. *out_guard
 * keeps the nftables table alive: it and the TAP go when it and n's descriptors are closed, however
 * the process ends. What stays on the host is forwarding on the outgoing interface. 0, or -1 with
 * *err.
 */
int net_make_private(struct boot_network *n, int *out_guard, struct cli_error *err);
/*
 * For the process that waits for a sandbox, once that has its own descriptors of the link: gives up
 * its own, so that they go right after its end, and do not delay it.
 */
void net_release_at_exit(const struct boot_network *n, int guard);
/*
 * The interfaces of the network namespace the caller is in, taken over: addresses and routes move
 * into n and leave the host's interfaces, packets cross by AF_PACKET. 0, or -1 with *err.
 */
int net_take_over(struct boot_network *n, struct cli_error *err);
/*
 * The interfaces, addresses and routes of the network namespace the caller is in, for guests to
 * see; the first BOOT_LINK_MAX of Ethernet that are up. Without netlink: none.
 */
void net_show(struct boot_network *n);
/*
 * A socket to Docker's name server in the caller's network namespace, where the container's
 * resolv.conf names it; else -1.
 */
int net_docker_dns(const struct boot_config *c);
/*
 * The network without root: a gateway in a process of its own carries the guest's connections on by
 * sockets of the network namespace the caller is in (sentry/boot/nat). It ends with the sandbox.
 * Fills n with the guest's end. guest: gets a resolv.conf that names the host's servers by the
 * gateway's addresses, unless it has a mount there; or NULL. host_loopback: the gateway's address
 * is the host's loopback. 0, or -1 with *err.
 */
int net_make_user(struct boot_network *n, struct boot_config *guest, bool host_loopback,
                  struct cli_error *err);
/* --pcap's file, emptied. 0, or -1 with *err. */
int net_open_pcap(const char *path, int *out_fd, struct cli_error *err);
