/* Between epoll.c and epoll_graph.c. The locks are in epoll.h. */
#pragma once

#include "fs/epoll.h"

struct epoll {
    struct ref ref;
    struct epoll_graph *graph;
    struct mutex lock;    /* unranked: the items */
    struct rb_root items; /* epoll_item.node by (file, fd) */
    struct waitq waiters; /* POLLIN: the ready list may have something */
    struct mutex ready_lock;
    struct list ready;    /* epoll_item.ready_node; guarded by ready_lock */
    uint32_t ready_count; /* read without the lock as a hint */
    /* guarded by graph->lock: */
    struct list inner;               /* epoll_item.inner_node: ours that watch epolls */
    struct list outer;               /* epoll_item.outer_node: items of others that watch us */
    uint64_t below_seen, above_seen; /* generation in which the next two were worked out */
    int below, above;                /* longest chains of epolls under and over this one */
};

struct epoll_item {
    struct rb_node node;
    struct list file_node; /* file.epoll_items */
    struct list ready_node;
    struct list inner_node, outer_node;
    struct waiter waiter;
    struct epoll *ep;  /* one reference */
    struct file *file; /* none: see epoll_file_gone */
    int fd;
    bool ready;      /* on ep->ready */
    uint32_t events; /* private bits alone: disabled after EPOLLONESHOT; changes under ep->lock */
    uint32_t wanted; /* as the guest gave it */
    uint64_t data;
};

struct epoll *epoll_of(const struct file *f);
/* Would ep watching target close a loop or make a chain too long? -ELOOP. graph->lock held. */
int epoll_graph_check(struct epoll *ep, struct epoll *target) MUST_CHECK;
/* Enters and leaves the edge of an item whose file is an epoll; nothing for other files.
 * graph->lock held when it is. */
void epoll_graph_link(struct epoll_item *it);
void epoll_graph_unlink(struct epoll_item *it);
