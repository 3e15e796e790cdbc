/*
 * bind(2)'s rules over all endpoints of a protocol: conflicts, SO_REUSEADDR and SO_REUSEPORT as
 * socket(7) and Linux have them, dual stack, ephemeral ports (RFC 6056 3.3.3). One table a
 * protocol; bound ports are found through it. Under the stack's lock.
 */
#pragma once

#include "netstack/addr.h"
#include "sentry/base/list.h"

struct net_ep;
struct net_stack;

#define BIND_BUCKETS 1024U

/* A port taken. In net_ep.bind, or of its own (a TIME_WAIT record). Options are as of the bind or
 * the last bind_changed. */
struct net_bind {
    struct list node;    /* of its bucket; never zero: bind_init */
    struct ip_addr addr; /* any: all */
    uint32_t iface, uid; /* iface 0: all */
    uint16_t port;       /* 0: not in the table */
    uint8_t family;
    bool v6_only, reuse_addr, reuse_port, listening;
    bool by_connect;   /* the port was chosen by connect(2): others may share it the same way */
    bool yields;       /* set before its bind: others may bind where it is */
    struct net_ep *ep; /* NULL: a TIME_WAIT record */
};

enum bind_kind { BIND_STREAM, BIND_DGRAM };

struct bind_table {
    enum bind_kind kind;
    uint32_t salt; /* moves with each ephemeral port, RFC 6056 3.3.4 */
    uint32_t count;
    /* The search for even ports that failed last: by whose key, and when, in ports given back. */
    uint64_t full_key;
    uint32_t releases, full_at;
    bool full;
    struct list buckets[BIND_BUCKETS];
};

struct bind_table *bind_table_create(enum bind_kind kind) MUST_CHECK;
void bind_table_destroy(struct bind_table *t); /* all released */

void bind_init(struct net_bind *b);
/*
 * bind(2): at->port 0 picks an ephemeral port. Sets ep->local and ep->bind. -EINVAL: bound already;
 * -EADDRNOTAVAIL: not ours (free_bind, transparent and ip_nonlocal_bind allow it; multicast and
 * broadcast are for BIND_DGRAM), -EADDRINUSE; -ENODEV: no such scope; -EINVAL: link-local without
 * one. Privileged ports are the caller's.
 */
int bind_at(struct bind_table *t, struct net_ep *ep, const struct net_end *at) MUST_CHECK;
/*
 * A port for connect(2) of an unbound ep whose local.addr is chosen: one whose four-tuple
 * tuple_free says is free, RFC 6056 3.3.3. -EADDRNOTAVAIL: none left. tuple_free may be NULL
 * (datagrams: any free port).
 */
int bind_for_connect(struct bind_table *t, struct net_ep *ep, const struct net_end *remote,
                     bool (*tuple_free)(struct net_ep *ep, uint16_t port, void *arg),
                     void *arg) MUST_CHECK;
/* listen(2): -EADDRINUSE when others hold it in a way listening forbids. Binds port 0. */
int bind_for_listen(struct bind_table *t, struct net_ep *ep) MUST_CHECK;
/* An accepted connection shares its listener's port. */
void bind_inherit(struct bind_table *t, struct net_bind *child, struct net_ep *child_ep,
                  const struct net_bind *parent);
/* to takes from's place (a TIME_WAIT record for its endpoint). */
void bind_move(struct net_bind *to, struct net_bind *from);
void bind_release(struct bind_table *t, struct net_bind *b);
/* After reuse_addr, reuse_port, v6_only, bound_iface or local.addr of ep changed. */
void bind_changed(struct net_ep *ep);
/* All ports with this one's hash: compare port. */
struct list *bind_bucket(struct bind_table *t, uint16_t port);
