/*
 * epoll(7). An epoll holds items: (file, descriptor number) with an event set. Items sit on the
 * watched file's waitq and put themselves on the ready list when woken; nothing is scanned.
 *
 * struct epoll: counted; holders are its file and each of its items. struct epoll_item: in its
 * epoll's tree, and on the watched file's epoll_items list (guarded by that file's pos_lock), which
 * holds no reference of the file: file_put calls epoll_file_gone first thing after the last
 * reference went.
 *
 * Locks: epoll_graph.lock (edges between epolls), then epoll.lock (unranked: a watcher's before the
 * watched epoll's, an order that the loop check keeps acyclic), then the watched file's pos_lock or
 * object locks. epoll.ready_lock (rank READY) guards the ready list and is taken from notify. The
 * waitq of an epoll is unranked for the same reason as epoll.lock.
 */
#pragma once

#include "fs/file.h"
#include "sentry/base/rbtree.h"

#define EPOLL_MAX_NESTS 4

/* One per sandbox (struct kernel holds it): guards inner and outer edges of all epolls. Zeroed
 * memory is ready for use. */
struct epoll_graph {
    struct mutex lock;
    uint64_t generation;
};

struct lx_epoll_event {
    uint32_t events;
    uint64_t data;
} PACKED;

int epoll_create(struct epoll_graph *graph, const struct cred *cred, struct file **out) MUST_CHECK;
bool epoll_is(const struct file *f);
/* op: LX_EPOLL_CTL_*. f was found at fd. -EEXIST, -ENOENT, -EPERM (f can't be polled), -ELOOP,
 * -EINVAL, -ENOMEM. */
int epoll_ctl(struct file *epoll_file, int op, int fd, struct file *f,
              const struct lx_epoll_event *event) MUST_CHECK;
/* Up to max ready events to the guest's array: their number, -EAGAIN for none, -EFAULT. */
int64_t epoll_harvest(struct file *epoll_file, const struct uspace *us, uaddr_t events,
                      uint32_t max) MUST_CHECK;
/* f's last reference has gone: forgets all items that watch it. Before ops->release. */
void epoll_file_gone(struct file *f);
