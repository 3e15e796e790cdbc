/*
 * File locks: POSIX record locks (owner: the descriptor table), open file description locks and
 * flock (owner: the file). Source: fcntl(2), flock(2). Nothing blocks here: -EAGAIN, and the caller
 * waits on filelock_queue and tries again.
 *
 * struct filelocks: made on an inode's first lock, freed with it; its lock (rank FILELOCK) guards
 * its lists. Waits that POSIX callers announce are kept in vfs_state.blocked to find circles.
 */
#pragma once

#include "sentry/base/compiler.h"

struct file;
struct fdtable;
struct filelocks;
struct filelock_wait;
struct inode;
struct waitq;

enum filelock_kind { FILELOCK_POSIX, FILELOCK_OFD, FILELOCK_FLOCK };

/* One lock or request; type is LX_F_RDLCK, LX_F_WRLCK or LX_F_UNLCK; the range includes end
 * (INT64_MAX: to the end). */
struct filelock_range {
    int32_t type;
    int32_t pid; /* what F_GETLK shows; -1 for OFD locks */
    int64_t start, end;
};

/*
 * F_SETLK, F_OFD_SETLK: 0, -EAGAIN, -EBADF (mode of f), -ENOLCK (no memory). table: the caller's,
 * the owner of POSIX locks. With wait (F_SETLKW) a conflict is noted in *wait, so that circles are
 * found: -EDEADLK. The caller ends it with filelock_wait_end, however its waiting ended; *wait NULL
 * at first.
 */
int filelock_set(struct file *f, struct fdtable *table, enum filelock_kind kind,
                 const struct filelock_range *req, struct filelock_wait **wait) MUST_CHECK;
void filelock_wait_end(struct filelock_wait **wait);
/* F_GETLK: *io becomes the first conflicting lock, or its type LX_F_UNLCK. */
int filelock_test(struct file *f, struct fdtable *table, enum filelock_kind kind,
                  struct filelock_range *io) MUST_CHECK;
/* flock(2) without waiting: operation LX_LOCK_SH, LX_LOCK_EX or LX_LOCK_UN. 0, -EAGAIN, -ENOLCK. */
int filelock_flock(struct file *f, int operation) MUST_CHECK;
/* Wakes (LX_POLLIN) when a lock of the inode goes; NULL when it never had one. */
struct waitq *filelock_queue(struct inode *inode);

/* For the VFS. */
void filelocks_release_posix(struct inode *inode, struct fdtable *table);
void filelocks_release_file(struct file *f);
void filelocks_free(struct filelocks *locks);

/* For /proc/locks and fdinfo: fn per lock of the inode under its lock; must take none itself. */
void filelocks_for_each(struct inode *inode,
                        void (*fn)(enum filelock_kind kind, const struct filelock_range *range,
                                   const void *owner, void *arg),
                        void *arg);
