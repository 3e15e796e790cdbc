/*
 * What an interface carries, as pcapng records for tcpdump and Wireshark. draft-ietf-opsawg-pcapng.
 * Under the stack's lock; write gets whole blocks and must not block (it buffers).
 */
#pragma once

#include "netstack/iface.h"

struct pcap_ops {
    /* pieces in order make one block. A failure to store it is the writer's own affair. */
    void (*write)(void *writer, const void *head, uint32_t head_size, const struct pkt *p,
                  uint32_t size, const void *tail, uint32_t tail_size);
};

/* Begins: the section and interface blocks are written at once. snap: bytes kept of a packet.
 * -EBUSY, -ENOMEM. ops: struct pcap_ops in cv_ops. */
int pcap_start(struct net_iface *i, const void *ops, void *writer, uint32_t snap) MUST_CHECK;
/* write is not called after it. */
void pcap_stop(struct net_iface *i);
void pcap_tap(struct net_iface *i, const struct pkt *p, bool outgoing);
