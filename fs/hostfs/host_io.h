/*
 * Host descriptors that block (the stdio a sandbox was started with: pipes, terminals, files) as
 * guest files, and the one host thread that watches their readiness. A descriptor is watched only
 * while somebody waits for it; idle ones cost nothing.
 */
#pragma once

#include "fs/file.h"

struct host_io;
struct kernel;

/*
 * The watcher's state in the arena. wake_fd: an eventfd of the host's that interrupts its poll
 * (taken over).
 */
int host_io_create(int wake_fd, struct host_io **out) MUST_CHECK;
/* The body of the watcher's host thread; returns after host_io_stop. */
void host_io_thread(void *host_io);
void host_io_stop(struct host_io *io);
void host_io_destroy(struct host_io *io);

/* One watched descriptor, embedded in whoever reads or writes it. */
struct host_watch {
    struct list node;
    struct host_io *io;
    struct waitq *queue;
    int32_t fd;
    uint32_t armed; /* poll events waited for; guarded by host_io's lock */
};
void host_watch_init(struct host_watch *w, struct host_io *io, int fd, struct waitq *queue);
void host_watch_remove(struct host_watch *w);
/* What of mask is ready now (asks the host); the rest is armed: queue is woken when it comes. */
uint32_t host_watch_poll(struct host_watch *w, uint32_t mask);

/*
 * fd (taken over) as a guest file with flags' access mode. Positioned reads and seeks go to the
 * host's own file position.
 */
int host_stream_create(struct host_io *io, int fd, uint32_t flags, const struct cred *cred,
                       struct file **out) MUST_CHECK;
