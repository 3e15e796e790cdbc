/* Between mqueue.c and mqueue_fs.c. */
#pragma once

#include "fs/task/mqueue.h"
#include "fs/vfs.h"
#include "sentry/base/list.h"
#include "sentry/base/slab.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/limits.h"

#define MQUEUE_HARD_MESSAGES 65536
#define MQUEUE_HARD_SIZE     (16 << 20)
#define MQUEUE_FILE_SIZE     80 /* what stat says of each */

struct mqueue_fs {
    struct superblock sb; /* first */
    uint64_t next_ino;
    struct list named; /* struct mqueue.node; guarded by the root's lock, as is count */
    uint32_t count;
    struct mutex lock; /* rank OBJ2 */
    struct list all;   /* struct mqueue.all_node, unlinked ones too; guarded by lock */
};

struct mqueue_message {
    struct list node;
    char *data; /* kmalloc */
    size_t size;
    uint32_t priority;
};

struct mqueue {
    struct inode inode; /* first */
    struct list node, all_node;
    char *name;     /* kmalloc */
    uint32_t owner; /* who its bytes count for */
    uint64_t charged;
    struct waitq waiters; /* POLLIN, POLLOUT */
    /* guarded by lock: */
    struct mutex lock;    /* rank OBJ */
    struct list messages; /* highest priority first */
    int64_t max_messages, message_size, count;
    uint64_t bytes;
    uint32_t receivers; /* waiting ones: they come before a notification */
    struct {
        struct thread_group *tg; /* one reference; NULL: nobody asked */
        struct mqueue_event event;
    } notify;
};

DECLARE_OPS(inode_ops, mqueue_inode_ops);
DECLARE_OPS(file_ops, mqueue_file_ops);

/* NULL: the inode is no queue. */
static inline struct mqueue *mqueue_of(struct inode *inode)
{
    return inode && ops_is(inode->ops, &mqueue_inode_ops) ? (struct mqueue *)(void *)inode : NULL;
}

/* With the root locked. name: a reference is the caller's; NULL there is none. */
struct mqueue *mqueue_find_locked(struct mqueue_fs *fs, const char *name);
/* attr NULL: as usual. limit: of bytes of all the owner's queues. cred's own. */
int mqueue_create_locked(struct mqueue_fs *fs, const char *name, uint32_t mode,
                         const struct cred *cred, const struct lx_mq_attr *attr, uint64_t limit,
                         struct mqueue **out) MUST_CHECK;
/* The name goes; a reference with it. */
void mqueue_unname_locked(struct mqueue_fs *fs, struct mqueue *q);
/* What a queue that goes away holds. */
void mqueue_drop_contents(struct mqueue *q);
