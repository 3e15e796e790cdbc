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
 * A socket to Docker's name server in the caller's network namespace, where the container's
 * resolv.conf names it; else -1.
 */
int net_docker_dns(const struct boot_config *c);
/* --pcap's file, emptied. 0, or -1 with *err. */
int net_open_pcap(const char *path, int *out_fd, struct cli_error *err);
