/*
 * POSIX message queues, and the filesystem that shows them. Source: mq_overview(7), mq_open(2)
 * and family.
 *
 * A queue is an inode: it lives while it has a name or is open. There is one filesystem a sandbox.
 */
#pragma once

#include "fs/file.h"
#include "fs/inode.h"

struct kernel;
struct task;

struct lx_mq_attr {
    int64_t flags, max_messages, message_size, messages, reserved[4];
};
_Static_assert(sizeof(struct lx_mq_attr) == 64, "struct mq_attr");

#define MQ_PRIO_MAX         32768U

struct ipc_ns;

struct mqueue_event {
    int32_t notify, signo; /* LX_SIGEV_* */
    uint64_t value;
};

/* The filesystem, with a reference for the caller. -ENOMEM. */
int mqueue_fs_get(struct ipc_ns *ns, struct superblock **out) MUST_CHECK;

/* name: without its slash. attr: of a new queue, or NULL. *out: a file, one reference. */
int mqueue_open(struct task *t, const char *name, uint32_t flags, uint32_t mode,
                const struct lx_mq_attr *attr, struct file **out) MUST_CHECK;
int mqueue_unlink(struct task *t, const char *name) MUST_CHECK;
/* data: kmalloc'ed, taken over on success. deadline_ns: host CLOCK_MONOTONIC, or PARK_FOREVER.
 * -EBADF: f is no queue, or not open for this. */
int mqueue_send(struct task *t, struct file *f, char *data, size_t size, uint32_t priority,
                uint64_t deadline_ns) MUST_CHECK;
/* *out: kmalloc'ed, the caller's, of *size bytes; room: of the caller's buffer. */
int mqueue_receive(struct task *t, struct file *f, size_t room, uint64_t deadline_ns, char **out,
                   size_t *size, uint32_t *priority) MUST_CHECK;
/* event NULL: no more. */
int mqueue_notify(struct task *t, struct file *f, const struct mqueue_event *event) MUST_CHECK;
/* old may be NULL; with new, its O_NONBLOCK is the file's from then on. */
int mqueue_attr(struct file *f, const struct lx_mq_attr *new, struct lx_mq_attr *old) MUST_CHECK;
/* The longest message that may be sent to f; -EBADF. */
int64_t mqueue_message_size(struct file *f) MUST_CHECK;
