/*
 * What happens to files, for those who watch them: inotify(7). The VFS tells it here, at the place
 * where the thing has happened; while nobody in the sandbox watches anything, telling is one load.
 *
 * struct inotify_watch: one instance's interest in one inode, in three lists: the inode's, its
 * instance's (by number) and the one of all. It holds a reference to the inode, which filesystems
 * find again by their tables, so that a watch outlives the cached name it was made by.
 *
 * Lock: watch_lock of the vfs state (rank OBJ) guards every watch and every instance's queue. The
 * callers may hold inode locks, so nothing here takes one.
 */
#pragma once

#include "fs/file.h"
#include "fs/vfs_int.h"
#include "sentry/abi/poll.h"
#include "sentry/base/list.h"
#include "sentry/base/rbtree.h"

struct inotify;

struct inotify_watch {
    struct inotify *owner;
    struct inode *inode;
    struct inotify_watch *next; /* of the same inode */
    struct list all;            /* vfs_state.watches */
    struct rb_node by_wd;
    int32_t wd;
    uint32_t mask; /* LX_IN_*: events wanted, LX_IN_ONESHOT, LX_IN_EXCL_UNLINK */
};

/* ---- telling ---- */

static inline bool fsnotify_active(void)
{
    return READ_ONCE(vfs_state()->watch_count) != 0;
}

void fsnotify_tell_inode(struct inode *inode, uint32_t event);
void fsnotify_tell_name(struct inode *dir, uint32_t event, const char *name, uint32_t cookie);
void fsnotify_tell_dentry(struct dentry *d, uint32_t event);
void fsnotify_tell_move(struct inode *from, const char *old_name, struct inode *to,
                        const char *new_name, struct inode *moved, struct inode *replaced);
void fsnotify_tell_gone(struct inode *inode);
void fsnotify_tell_unmount(struct superblock *sb);

/* event (one LX_IN_* bit) to what d names, and to its directory by d's name. */
static inline void fsnotify_dentry(struct dentry *d, uint32_t event)
{
    if (fsnotify_active())
        fsnotify_tell_dentry(d, event);
}

/* The same of an open file; nothing for files without a path. */
static inline void fsnotify_file(const struct file *f, uint32_t event)
{
    if (fsnotify_active() && f->path.dentry && !(f->mode & FMODE_PATH))
        fsnotify_tell_dentry(f->path.dentry, event);
}

/* To inode alone: its link count changed, say. */
static inline void fsnotify_inode(struct inode *inode, uint32_t event)
{
    if (fsnotify_active())
        fsnotify_tell_inode(inode, event);
}

/* A name in dir was made or removed: event is LX_IN_CREATE or LX_IN_DELETE, with LX_IN_ISDIR. */
static inline void fsnotify_name(struct inode *dir, uint32_t event, const char *name)
{
    if (fsnotify_active())
        fsnotify_tell_name(dir, event, name, 0);
}

/* replaced: what the new name stood for before, or NULL. Under the directories' locks. */
static inline void fsnotify_move(struct inode *from, const char *old_name, struct inode *to,
                                 const char *new_name, struct inode *moved, struct inode *replaced)
{
    if (fsnotify_active())
        fsnotify_tell_move(from, old_name, to, new_name, moved, replaced);
}

/* The last use of an inode without names has ended: its watches end. */
static inline void fsnotify_gone(struct inode *inode)
{
    if (fsnotify_active() && READ_ONCE(inode->watches))
        fsnotify_tell_gone(inode);
}

/* sb is no longer mounted anywhere: the watches on it end. */
static inline void fsnotify_unmount(struct superblock *sb)
{
    if (fsnotify_active())
        fsnotify_tell_unmount(sb);
}

/* ---- inotify.c's part, under watch_lock ---- */

/* Appends an event to w's instance, if w wants it. name may be NULL. A watch for one event ends. */
void inotify_event_locked(struct inotify_watch *w, uint32_t event, uint32_t cookie,
                          const char *name);
/* Takes w out of all lists and tells its instance (LX_IN_IGNORED); the caller, outside the lock,
 * gives it to inotify_watch_free. */
void inotify_watch_end_locked(struct inotify_watch *w);
void inotify_watch_free(struct inotify_watch *w);
