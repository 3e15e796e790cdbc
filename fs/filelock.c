/*
 * File locks: conflict, splitting and merging of ranges, circles of waiters. Takes filelocks.lock;
 * then vfs_state.blocked_lock (never both the other way). Memory for a request is taken before
 * anything changes, so that a request is done whole or not at all.
 */
#include "fs/filelock.h"

#include "fs/vfs_int.h"
#include "sentry/abi/errno.h"
#include "sentry/base/slab.h"

struct filelocks {
    struct mutex lock; /* rank FILELOCK */
    struct list locks; /* struct record; an owner's are sorted by start and don't overlap */
    struct waitq queue;
};

struct record {
    struct list node;
    enum filelock_kind kind;
    const void *owner;
    struct filelock_range range;
};

/* owner waits for blocker's lock. */
struct filelock_wait {
    struct list node;
    const void *owner, *blocker;
};

SLAB_TYPE(filelocks_slab, struct filelocks);
SLAB_TYPE(record_slab, struct record);
SLAB_TYPE(wait_slab, struct filelock_wait);

static struct filelocks *locks_of(struct inode *inode)
{
    return load_acquire(&inode->locks);
}

/* Made on first use; NULL when out of memory. */
static struct filelocks *locks_make(struct inode *inode)
{
    struct filelocks *fl = locks_of(inode), *none = NULL;

    if (fl)
        return fl;
    fl = slab_alloc(&filelocks_slab);
    if (!fl)
        return NULL;
    mutex_init(&fl->lock, RANK_FILELOCK);
    list_init(&fl->locks);
    waitq_init(&fl->queue);
    if (__atomic_compare_exchange_n(&inode->locks, &none, fl, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE))
        return fl;
    waitq_destroy(&fl->queue);
    slab_free(&filelocks_slab, fl);
    return none;
}

void filelocks_free(struct filelocks *fl)
{
    if (!fl)
        return;
    BUG_ON(!list_empty(&fl->locks));
    waitq_destroy(&fl->queue);
    slab_free(&filelocks_slab, fl);
}

struct waitq *filelock_queue(struct inode *inode)
{
    struct filelocks *fl = locks_of(inode);

    return fl ? &fl->queue : NULL;
}

static bool overlaps(const struct filelock_range *a, const struct filelock_range *b)
{
    return a->start <= b->end && b->start <= a->end;
}

/* flock's locks and fcntl's don't see each other. */
static struct record *find_conflict(struct filelocks *fl, enum filelock_kind kind,
                                    const void *owner, const struct filelock_range *req)
{
    struct record *r, *first = NULL;

    list_for_each (r, &fl->locks, node) {
        if ((r->kind == FILELOCK_FLOCK) != (kind == FILELOCK_FLOCK) || r->owner == owner)
            continue;
        if (r->range.type == LX_F_RDLCK && req->type == LX_F_RDLCK)
            continue;
        if (overlaps(&r->range, req) && (!first || r->range.start < first->range.start))
            first = r;
    }
    return first;
}

static void insert_sorted(struct filelocks *fl, struct record *fresh)
{
    struct record *r;

    list_for_each (r, &fl->locks, node) {
        if (r->range.start > fresh->range.start)
            break;
    }
    list_add_tail(&r->node, &fresh->node);
}

/* Takes req's range out of owner's locks; a lock around it is split with *spare (used: set NULL).
 * True when something was released. */
static bool cut_range(struct filelocks *fl, enum filelock_kind kind, const void *owner,
                      const struct filelock_range *req, struct record **spare)
{
    struct record *r, *tmp, *tail = NULL;
    bool released = false;

    list_for_each_safe (r, tmp, &fl->locks, node) {
        if (r->kind != kind || r->owner != owner || !overlaps(&r->range, req))
            continue;
        released = true;
        if (r->range.start < req->start && r->range.end > req->end) {
            tail = *spare;
            *spare = NULL;
            *tail = *r;
            list_init(&tail->node);
            tail->range.start = req->end + 1;
            r->range.end = req->start - 1;
        } else if (r->range.start < req->start) {
            r->range.end = req->start - 1;
        } else if (r->range.end > req->end) {
            r->range.start = req->end + 1;
        } else {
            list_del(&r->node);
            slab_free(&record_slab, r);
        }
    }
    if (tail)
        insert_sorted(fl, tail);
    return released;
}

/* Adjacent locks of one kind, owner and type become one. */
static void merge(struct filelocks *fl, struct record *fresh)
{
    struct record *r, *tmp;

    list_for_each_safe (r, tmp, &fl->locks, node) {
        if (r == fresh || r->kind != fresh->kind || r->owner != fresh->owner ||
            r->range.type != fresh->range.type)
            continue;
        if (r->range.end + 1 != fresh->range.start &&
            (fresh->range.end == INT64_MAX || fresh->range.end + 1 != r->range.start))
            continue;
        fresh->range.start = MIN(fresh->range.start, r->range.start);
        fresh->range.end = MAX(fresh->range.end, r->range.end);
        list_del(&r->node);
        slab_free(&record_slab, r);
    }
    list_del(&fresh->node);
    insert_sorted(fl, fresh);
}

/* fresh is used for a lock, spare for a split; what is left of them is the caller's to free. */
static void apply(struct filelocks *fl, enum filelock_kind kind, const void *owner,
                  const struct filelock_range *req, struct record **fresh, struct record **spare)
{
    bool released = cut_range(fl, kind, owner, req, spare);

    if (req->type != LX_F_UNLCK) {
        struct record *r = *fresh;

        *fresh = NULL;
        r->kind = kind;
        r->owner = owner;
        r->range = *req;
        list_init(&r->node);
        insert_sorted(fl, r);
        merge(fl, r);
    }
    if (released)
        waitq_wake_all(&fl->queue, LX_POLLIN);
}

/* Would owner waiting for blocker close a circle? */
static bool closes_circle(const void *owner, const void *blocker)
{
    struct vfs_state *v = vfs_state();

    for (int steps = 0; steps < 64; steps++) {
        struct filelock_wait *w;
        const void *next = NULL;

        list_for_each (w, &v->blocked, node) {
            if (w->owner == blocker) {
                next = w->blocker;
                break;
            }
        }
        if (!next)
            return false;
        if (next == owner)
            return true;
        blocker = next;
    }
    return false;
}

static int note_wait(const void *owner, const void *blocker, struct filelock_wait **wait)
{
    struct vfs_state *v = vfs_state();
    int err = -EAGAIN;

    if (!*wait) {
        *wait = slab_alloc(&wait_slab);
        if (!*wait)
            return -ENOLCK;
        list_init(&(*wait)->node);
    }
    mutex_lock(&v->blocked_lock);
    list_del(&(*wait)->node);
    if (closes_circle(owner, blocker)) {
        err = -EDEADLK;
    } else {
        (*wait)->owner = owner;
        (*wait)->blocker = blocker;
        list_add(&v->blocked, &(*wait)->node);
    }
    mutex_unlock(&v->blocked_lock);
    return err;
}

void filelock_wait_end(struct filelock_wait **wait)
{
    struct vfs_state *v = vfs_state();

    if (!*wait)
        return;
    mutex_lock(&v->blocked_lock);
    list_del(&(*wait)->node);
    mutex_unlock(&v->blocked_lock);
    slab_free(&wait_slab, *wait);
    *wait = NULL;
}

static int set_range(struct filelocks *fl, enum filelock_kind kind, const void *owner,
                     const struct filelock_range *req, const void **out_blocker)
{
    struct record *fresh = slab_alloc(&record_slab), *spare = slab_alloc(&record_slab);
    int err = fresh && spare ? 0 : -ENOLCK;

    if (err == 0) {
        struct record *conflict;

        mutex_lock(&fl->lock);
        conflict = req->type == LX_F_UNLCK ? NULL : find_conflict(fl, kind, owner, req);
        if (conflict) {
            *out_blocker = conflict->owner;
            err = -EAGAIN;
        } else {
            apply(fl, kind, owner, req, &fresh, &spare);
        }
        mutex_unlock(&fl->lock);
    }
    if (fresh)
        slab_free(&record_slab, fresh);
    if (spare)
        slab_free(&record_slab, spare);
    return err;
}

static const void *owner_of(struct file *f, struct fdtable *table, enum filelock_kind kind)
{
    return kind == FILELOCK_POSIX ? (const void *)table : (const void *)f;
}

int filelock_set(struct file *f, struct fdtable *table, enum filelock_kind kind,
                 const struct filelock_range *req, struct filelock_wait **wait)
{
    const void *owner = owner_of(f, table, kind), *blocker = NULL;
    struct filelocks *fl;
    int err;

    if ((f->mode & FMODE_PATH) || !f->inode)
        return -EBADF;
    if ((req->type == LX_F_RDLCK && !(f->mode & FMODE_READ)) ||
        (req->type == LX_F_WRLCK && !(f->mode & FMODE_WRITE)))
        return -EBADF;
    if (req->start < 0 || req->end < req->start)
        return -EINVAL;
    fl = req->type == LX_F_UNLCK ? locks_of(f->inode) : locks_make(f->inode);
    if (!fl)
        return req->type == LX_F_UNLCK ? 0 : -ENOLCK;
    err = set_range(fl, kind, owner, req, &blocker);
    if (err == -EAGAIN && wait && kind == FILELOCK_POSIX)
        err = note_wait(owner, blocker, wait);
    return err;
}

int filelock_test(struct file *f, struct fdtable *table, enum filelock_kind kind,
                  struct filelock_range *io)
{
    struct filelocks *fl;
    struct record *conflict = NULL;

    if ((f->mode & FMODE_PATH) || !f->inode)
        return -EBADF;
    if (io->type == LX_F_UNLCK || io->start < 0 || io->end < io->start)
        return -EINVAL;
    fl = locks_of(f->inode);
    if (fl) {
        mutex_lock(&fl->lock);
        conflict = find_conflict(fl, kind, owner_of(f, table, kind), io);
        if (conflict)
            *io = conflict->range;
        mutex_unlock(&fl->lock);
    }
    if (!conflict)
        io->type = LX_F_UNLCK;
    return 0;
}

int filelock_flock(struct file *f, int operation)
{
    struct filelock_range req = {.start = 0, .end = INT64_MAX};
    const void *blocker;
    struct filelocks *fl;

    if ((f->mode & FMODE_PATH) || !f->inode)
        return -EBADF;
    switch (operation) {
    case LX_LOCK_SH:
        req.type = LX_F_RDLCK;
        break;
    case LX_LOCK_EX:
        req.type = LX_F_WRLCK;
        break;
    case LX_LOCK_UN:
        req.type = LX_F_UNLCK;
        break;
    default:
        return -EINVAL;
    }
    fl = req.type == LX_F_UNLCK ? locks_of(f->inode) : locks_make(f->inode);
    if (!fl)
        return req.type == LX_F_UNLCK ? 0 : -ENOLCK;
    return set_range(fl, FILELOCK_FLOCK, f, &req, &blocker);
}

static void release_owner(struct filelocks *fl, const void *owner)
{
    struct record *r, *tmp;
    bool released = false;

    mutex_lock(&fl->lock);
    list_for_each_safe (r, tmp, &fl->locks, node) {
        if (r->owner != owner)
            continue;
        list_del(&r->node);
        slab_free(&record_slab, r);
        released = true;
    }
    if (released)
        waitq_wake_all(&fl->queue, LX_POLLIN);
    mutex_unlock(&fl->lock);
}

void filelocks_release_posix(struct inode *inode, struct fdtable *table)
{
    struct filelocks *fl = locks_of(inode);

    if (fl)
        release_owner(fl, table);
}

void filelocks_release_file(struct file *f)
{
    struct filelocks *fl = locks_of(f->inode);

    if (fl)
        release_owner(fl, f);
}

void filelocks_for_each(struct inode *inode,
                        void (*fn)(enum filelock_kind kind, const struct filelock_range *range,
                                   const void *owner, void *arg),
                        void *arg)
{
    struct filelocks *fl = locks_of(inode);
    struct record *r;

    if (!fl)
        return;
    mutex_lock(&fl->lock);
    list_for_each (r, &fl->locks, node) {
        fn(r->kind, &r->range, r->owner, arg);
    }
    mutex_unlock(&fl->lock);
}
