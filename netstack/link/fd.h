/*
 * A link over a host descriptor that carries one Ethernet frame a read or write, behind a
 * virtio-net header: a TAP with IFF_VNET_HDR, an AF_PACKET socket with PACKET_VNET_HDR, or a
 * SOCK_SEQPACKET to a process that does as they do (sentry/boot/nat). Segments
 * of 64 KiB cross whole, checksums are left to whoever ends the journey. Sources: tun(4) and kernel
 * document tuntap.rst, packet(7), virtio 1.2 section 5.1.6.
 *
 * struct fd_link: owned by its interface, freed with it; the descriptor is closed then. Frames wait
 * in tx (lock rank LINK); one thread at a time writes them. Who runs the receiver's thread calls
 * fd_link_receive, unlocked, until it returns; fd_link_stop makes it return.
 */
#pragma once

#include "netstack/net.h"

struct fd_link;

struct fd_link_config {
    char name[16];
    uint8_t hw_addr[6];
    uint32_t mtu;
    int fd;          /* non-blocking; taken over on success */
    int wake_fd;     /* an eventfd that ends the receiver; taken over on success */
    bool offload;    /* the other side takes checksums and segments undone */
    bool loops_back; /* AF_PACKET: it also shows what was sent, to be dropped by address */
};
/* The stack's lock is held. -ENOMEM, or net_iface_add's. */
int fd_link_add(struct net_stack *s, const struct fd_link_config *config, struct fd_link **out,
                struct net_iface **out_iface) MUST_CHECK;
/* Reads frames into the stack until fd_link_stop or an error of the descriptor (-errno). */
int fd_link_receive(struct fd_link *l);
void fd_link_stop(struct fd_link *l);
