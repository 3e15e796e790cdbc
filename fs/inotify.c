/*
 * inotify(7): instances, their watches by number, their queues. Which events come is fsnotify.c.
 * Takes watch_lock, which guards all of it; guest memory is copied outside.
 */
#include "fs/inotify.h"

#include "fs/fsnotify.h"
#include "fs/vfs.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/tty.h"
#include "sentry/abi/types.h"
#include "sentry/base/cred.h"
#include "sentry/base/fmt.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"
#include "sentry/mm/usermem.h"

#define WATCH_FLAGS (LX_IN_ONESHOT | LX_IN_EXCL_UNLINK)
#define GIVEN_MASK                                                                                 \
    (LX_IN_ALL_EVENTS | WATCH_FLAGS | LX_IN_MASK_ADD | LX_IN_MASK_CREATE | LX_IN_ONLYDIR |         \
     LX_IN_DONT_FOLLOW | LX_IN_UNMOUNT | LX_IN_Q_OVERFLOW | LX_IN_IGNORED | LX_IN_ISDIR)

struct event {
    struct list node;
    struct lx_inotify_event head; /* len: the name's with its padding */
    char name[];
};

/* Owned by its file. */
struct inotify {
    struct list node; /* vfs_state.inotifys */
    struct rb_root watches;
    struct list events;
    uint32_t watch_count, event_count;
    int32_t last_wd;
    uint32_t uid; /* whose limits it counts against */
    struct waitq waiters;
};
SLAB_TYPE(inotify_slab, struct inotify);
SLAB_TYPE(watch_slab, struct inotify_watch);

static struct mutex *watch_lock(void)
{
    return &vfs_state()->watch_lock;
}

/* ---- queues ---- */

static uint32_t padded(const char *name)
{
    return name ? (uint32_t)(strlen(name) / 16 + 1) * 16 : 0;
}

static bool repeats(const struct inotify *in, const struct event *e)
{
    const struct event *last;

    if (list_empty(&in->events))
        return false;
    last = container_of(in->events.prev, struct event, node);
    return last->head.wd == e->head.wd && last->head.mask == e->head.mask &&
           last->head.len == e->head.len && memcmp(last->name, e->name, e->head.len) == 0;
}

/* Without memory the event is lost, as one that overflows is. */
static void append_locked(struct inotify *in, int32_t wd, uint32_t mask, uint32_t cookie,
                          const char *name)
{
    uint32_t size = padded(name);
    struct event *e = kmalloc(sizeof(*e) + size);

    if (!e)
        return;
    e->head = (struct lx_inotify_event){.wd = wd, .mask = mask, .cookie = cookie, .len = size};
    if (name)
        memcpy(e->name, name, strlen(name));
    if (repeats(in, e)) {
        kfree(e);
        return;
    }
    list_add_tail(&in->events, &e->node);
    in->event_count++;
    waitq_wake(&in->waiters, LX_POLLIN | LX_POLLRDNORM);
}

void inotify_event_locked(struct inotify_watch *w, uint32_t event, uint32_t cookie,
                          const char *name)
{
    struct inotify *in = w->owner;

    if (event & (LX_IN_DELETE_SELF | LX_IN_MOVE_SELF))
        event &= ~LX_IN_ISDIR;
    if (in->event_count < INOTIFY_MAX_EVENTS)
        append_locked(in, w->wd, event, cookie, name);
    else
        append_locked(in, -1, LX_IN_Q_OVERFLOW, 0, NULL); /* once: the next would repeat it */
}

static struct event *pop_locked(struct inotify *in, uint64_t room)
{
    struct event *e;

    if (list_empty(&in->events))
        return NULL;
    e = container_of(in->events.next, struct event, node);
    if (sizeof(e->head) + e->head.len > room)
        return NULL;
    list_del(&e->node);
    in->event_count--;
    return e;
}

/* ---- watches ---- */

static void count_watch(struct inotify *in, int32_t by)
{
    in->watch_count += (uint32_t)by;
    WRITE_ONCE(vfs_state()->watch_count, vfs_state()->watch_count + (uint32_t)by);
}

void inotify_watch_end_locked(struct inotify_watch *w)
{
    struct inotify_watch **link = &w->inode->watches;

    while (*link != w)
        link = &(*link)->next;
    *link = w->next;
    list_del(&w->all);
    rb_erase(&w->owner->watches, &w->by_wd);
    count_watch(w->owner, -1);
    inotify_event_locked(w, LX_IN_IGNORED, 0, NULL);
}

void inotify_watch_free(struct inotify_watch *w)
{
    inode_put(w->inode);
    slab_free(&watch_slab, w);
}

static struct inotify_watch *find_wd_locked(const struct inotify *in, int32_t wd)
{
    struct rb_node *node = in->watches.node;

    while (node) {
        struct inotify_watch *w = rb_entry(node, struct inotify_watch, by_wd);

        if (w->wd == wd)
            return w;
        node = wd < w->wd ? node->left : node->right;
    }
    return NULL;
}

/* Numbers grow; after the last the first free one is taken. */
static void insert_locked(struct inotify *in, struct inotify_watch *w)
{
    struct rb_node **link = &in->watches.node, *parent = NULL;

    do
        in->last_wd = in->last_wd == INT32_MAX ? 1 : in->last_wd + 1;
    while (find_wd_locked(in, in->last_wd));
    w->wd = in->last_wd;
    while (*link) {
        parent = *link;
        link = w->wd < rb_entry(parent, struct inotify_watch, by_wd)->wd ? &parent->left
                                                                         : &parent->right;
    }
    rb_insert(&in->watches, &w->by_wd, parent, link);
    w->next = w->inode->watches;
    w->inode->watches = w;
    list_add_tail(&vfs_state()->watches, &w->all);
    count_watch(in, 1);
}

/* What a user has in all instances. */
static void usage_locked(uint32_t uid, uint32_t *out_instances, uint32_t *out_watches)
{
    struct inotify *in;

    *out_instances = *out_watches = 0;
    list_for_each (in, &vfs_state()->inotifys, node) {
        if (in->uid != uid)
            continue;
        ++*out_instances;
        *out_watches += in->watch_count;
    }
}

static int64_t change_locked(struct inotify_watch *w, uint32_t mask)
{
    uint32_t kept = mask & (LX_IN_ALL_EVENTS | WATCH_FLAGS);

    if (mask & LX_IN_MASK_CREATE)
        return -EEXIST;
    w->mask = mask & LX_IN_MASK_ADD ? w->mask | kept : kept;
    return w->wd;
}

static int64_t add_locked(struct inotify *in, struct inode *inode, uint32_t mask,
                          struct inotify_watch **fresh)
{
    uint32_t instances, watches;
    struct inotify_watch *w;

    for (w = inode->watches; w; w = w->next) {
        if (w->owner == in)
            return change_locked(w, mask);
    }
    usage_locked(in->uid, &instances, &watches);
    if (watches >= INOTIFY_MAX_WATCHES)
        return -ENOSPC;
    w = *fresh;
    *fresh = NULL;
    w->owner = in;
    w->inode = inode_get(inode);
    w->mask = mask & (LX_IN_ALL_EVENTS | WATCH_FLAGS);
    insert_locked(in, w);
    return w->wd;
}

bool inotify_mask_is_valid(uint32_t mask)
{
    return (mask & GIVEN_MASK) && !((mask & LX_IN_MASK_ADD) && (mask & LX_IN_MASK_CREATE));
}

int64_t inotify_add_watch(struct file *f, struct inode *inode, uint32_t mask)
{
    struct inotify_watch *fresh;
    int64_t wd;

    fresh = slab_alloc(&watch_slab);
    if (!fresh)
        return -ENOMEM;
    mutex_lock(watch_lock());
    wd = add_locked(f->private_data, inode, mask, &fresh);
    mutex_unlock(watch_lock());
    if (fresh)
        slab_free(&watch_slab, fresh);
    return wd;
}

int inotify_rm_watch(struct file *f, int32_t wd)
{
    struct inotify_watch *w;

    mutex_lock(watch_lock());
    w = find_wd_locked(f->private_data, wd);
    if (w)
        inotify_watch_end_locked(w);
    mutex_unlock(watch_lock());
    if (!w)
        return -EINVAL;
    inotify_watch_free(w);
    return 0;
}

/* ---- the file ---- */

static int64_t inotify_read(struct file *f, struct uio *uio, int64_t *pos)
{
    struct inotify *in = f->private_data;
    int64_t total = 0;

    for (;;) {
        int64_t size, done;
        struct event *e;
        bool empty;

        mutex_lock(watch_lock());
        e = pop_locked(in, uio->left);
        empty = list_empty(&in->events);
        mutex_unlock(watch_lock());
        if (!e && !total)
            return empty ? -EAGAIN : -EINVAL;
        if (!e)
            return total;
        size = (int64_t)(sizeof(e->head) + e->head.len);
        done = uio_put(uio, &e->head, (size_t)size);
        kfree(e);
        if (done != size)
            return -EFAULT;
        total += size;
    }
}

static uint32_t inotify_poll(struct file *f, uint32_t mask)
{
    struct inotify *in = f->private_data;
    bool empty;

    mutex_lock(watch_lock());
    empty = list_empty(&in->events);
    mutex_unlock(watch_lock());
    return empty ? 0 : (LX_POLLIN | LX_POLLRDNORM) & mask;
}

static struct waitq *inotify_poll_queue(struct file *f)
{
    return &((struct inotify *)f->private_data)->waiters;
}

static int64_t inotify_ioctl(struct file *f, const struct ioctl_ctx *ctx, uint64_t request,
                             uint64_t arg)
{
    struct inotify *in = f->private_data;
    struct event *e;
    int32_t n = 0;

    if (request != LX_FIONREAD)
        return -ENOTTY;
    mutex_lock(watch_lock());
    list_for_each (e, &in->events, node)
        n += (int32_t)(sizeof(e->head) + e->head.len);
    mutex_unlock(watch_lock());
    return copy_out_obj(ctx->us, uaddr(arg), &n);
}

static void inotify_release(struct file *f)
{
    struct inotify *in = f->private_data;
    struct event *e, *next;
    struct rb_node *first;

    for (;;) {
        mutex_lock(watch_lock());
        first = rb_first(&in->watches);
        if (!first)
            list_del(&in->node);
        else
            inotify_watch_end_locked(rb_entry(first, struct inotify_watch, by_wd));
        mutex_unlock(watch_lock());
        if (!first)
            break;
        inotify_watch_free(rb_entry(first, struct inotify_watch, by_wd));
    }
    list_for_each_safe (e, next, &in->events, node)
        kfree(e);
    waitq_destroy(&in->waiters);
    slab_free(&inotify_slab, in);
}

static void inotify_show(struct file *f, const struct pid_ns *reader, struct strbuf *out)
{
    struct inotify *in = f->private_data;
    struct rb_node *node;

    mutex_lock(watch_lock());
    for (node = rb_last(&in->watches); node; node = rb_prev(node)) {
        const struct inotify_watch *w = rb_entry(node, struct inotify_watch, by_wd);

        strbuf_printf(out, "inotify wd:%x ino:%lx sdev:%x mask:%x ignored_mask:0 \n",
                      (uint32_t)w->wd, (unsigned long)w->inode->ino, (uint32_t)w->inode->sb->dev,
                      w->mask & LX_IN_ALL_EVENTS);
    }
    mutex_unlock(watch_lock());
}

static void inotify_describe(struct file *f, struct strbuf *out)
{
    strbuf_puts(out, "anon_inode:inotify");
}

DEFINE_OPS(file_ops, inotify_file_ops) = {
    .read = inotify_read,
    .poll = inotify_poll,
    .poll_queue = inotify_poll_queue,
    .ioctl = inotify_ioctl,
    .llseek = noop_llseek,
    .release = inotify_release,
    .show_fdinfo = inotify_show,
    .describe = inotify_describe,
};

bool inotify_is(const struct file *f)
{
    return ops_is(f->ops, &inotify_file_ops);
}

int inotify_create(uint32_t flags, const struct cred *cred, struct file **out)
{
    struct inotify *in = slab_alloc(&inotify_slab);
    uint32_t instances, watches;
    struct file *f;

    if (!in)
        return -ENOMEM;
    list_init(&in->events);
    waitq_init(&in->waiters);
    in->uid = cred->uid;
    f = file_alloc_anon(&inotify_file_ops, LX_O_RDONLY | (flags & LX_O_NONBLOCK), in, cred);
    if (!f) {
        slab_free(&inotify_slab, in);
        return -ENOMEM;
    }
    mutex_lock(watch_lock());
    usage_locked(in->uid, &instances, &watches);
    list_add_tail(&vfs_state()->inotifys, &in->node);
    mutex_unlock(watch_lock());
    if (instances >= INOTIFY_MAX_INSTANCES) {
        file_put(f);
        return -EMFILE;
    }
    *out = f;
    return 0;
}
