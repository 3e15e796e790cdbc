/*
 * Telling watches what happened to files: to which inodes an event goes, by which name, in which
 * order. Queues and calls are inotify.c. Takes watch_lock; dcache_lock for a dentry's parent and
 * name before it. Source: inotify(7).
 */
#include "fs/fsnotify.h"

#include "fs/file.h"
#include "sentry/base/string.h"

/* Watches that ended under the lock; freed outside it. */
struct ended {
    struct inotify_watch *first;
};

static void lock(void) TSA(acquire_capability(vfs_state()->watch_lock))
{
    mutex_lock(&vfs_state()->watch_lock);
}

static void unlock(void) TSA(release_capability(vfs_state()->watch_lock))
{
    mutex_unlock(&vfs_state()->watch_lock);
}

static void free_ended(struct ended *ended)
{
    while (ended->first) {
        struct inotify_watch *w = ended->first;

        ended->first = w->next;
        inotify_watch_free(w);
    }
}

static void end_locked(struct inotify_watch *w, struct ended *ended)
{
    inotify_watch_end_locked(w);
    w->next = ended->first;
    ended->first = w;
}

static uint32_t kind(const struct inode *inode)
{
    return mode_is_dir(READ_ONCE(inode->mode)) ? LX_IN_ISDIR : 0;
}

/* unlinked: the file was reached by a name that is gone. */
static void tell_locked(struct inode *inode, uint32_t event, uint32_t cookie, const char *name,
                        bool unlinked, struct ended *ended)
{
    struct inotify_watch *w = inode->watches, *next;

    for (; w; w = next) {
        next = w->next;
        if (!(w->mask & event & LX_IN_ALL_EVENTS) || (unlinked && (w->mask & LX_IN_EXCL_UNLINK)))
            continue;
        inotify_event_locked(w, event, cookie, name);
        if (w->mask & LX_IN_ONESHOT)
            end_locked(w, ended);
    }
}

void fsnotify_tell_inode(struct inode *inode, uint32_t event)
{
    struct ended ended = {NULL};

    if (!READ_ONCE(inode->watches))
        return;
    lock();
    tell_locked(inode, event | kind(inode), 0, NULL, false, &ended);
    unlock();
    free_ended(&ended);
}

void fsnotify_tell_name(struct inode *dir, uint32_t event, const char *name, uint32_t cookie)
{
    struct ended ended = {NULL};

    if (!READ_ONCE(dir->watches))
        return;
    lock();
    tell_locked(dir, event, cookie, name, false, &ended);
    unlock();
    free_ended(&ended);
}

void fsnotify_tell_dentry(struct dentry *d, uint32_t event)
{
    char name[VFS_NAME_MAX + 1];
    struct dentry *parent = NULL;
    struct ended ended = {NULL};
    bool unlinked;

    dcache_lock();
    if (d->parent != d && d->parent->inode && READ_ONCE(d->parent->inode->watches)) {
        parent = dentry_get(d->parent);
        memcpy(name, d->name, d->name_size);
        name[d->name_size] = '\0';
    }
    dcache_unlock();
    if (!parent && !READ_ONCE(d->inode->watches))
        return;
    unlinked = dentry_is_unlinked(d);
    event |= kind(d->inode);
    lock();
    if (parent)
        tell_locked(parent->inode, event, 0, name, unlinked, &ended);
    tell_locked(d->inode, event, 0, NULL, unlinked, &ended);
    unlock();
    free_ended(&ended);
    dentry_put(parent);
}

void fsnotify_tell_move(struct inode *from, const char *old_name, struct inode *to,
                        const char *new_name, struct inode *moved, struct inode *replaced)
{
    uint32_t dir = kind(moved);
    struct ended ended = {NULL};
    uint32_t cookie;

    lock();
    cookie = ++vfs_state()->watch_cookie;
    tell_locked(from, LX_IN_MOVED_FROM | dir, cookie, old_name, false, &ended);
    tell_locked(to, LX_IN_MOVED_TO | dir, cookie, new_name, false, &ended);
    if (replaced)
        tell_locked(replaced, LX_IN_ATTRIB | kind(replaced), 0, NULL, false, &ended);
    tell_locked(moved, LX_IN_MOVE_SELF, 0, NULL, false, &ended);
    unlock();
    free_ended(&ended);
}

/* The inode's watches hear a last event, wanted or not where the bit is not one to want. */
static void end_all_locked(struct inode *inode, uint32_t event, struct ended *ended)
{
    while (inode->watches) {
        struct inotify_watch *w = inode->watches;

        if (!(event & LX_IN_ALL_EVENTS) || (w->mask & event))
            inotify_event_locked(w, event, 0, NULL);
        end_locked(w, ended);
    }
}

void fsnotify_tell_gone(struct inode *inode)
{
    struct ended ended = {NULL};

    lock();
    end_all_locked(inode, LX_IN_DELETE_SELF, &ended);
    unlock();
    free_ended(&ended);
}

void fsnotify_tell_unmount(struct superblock *sb)
{
    struct list *watches = &vfs_state()->watches;
    struct ended ended = {NULL};
    struct inotify_watch *w, *next;

    lock();
    list_for_each_safe (w, next, watches, all) {
        if (w->inode->sb != sb)
            continue;
        inotify_event_locked(w, LX_IN_UNMOUNT | kind(w->inode), 0, NULL);
        end_locked(w, &ended);
    }
    unlock();
    free_ended(&ended);
}
