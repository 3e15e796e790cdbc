/*
 * Superblocks and inodes. A filesystem embeds struct inode at the start of its own and fills the
 * common fields, which the VFS trusts for permission checks and (unless ops->getattr) for stat.
 *
 * struct inode: counted; holders are dentries, open files (through their dentry) and the
 * filesystem's own tables. The last put calls sb ops->free_inode. inode.lock guards the mutable
 * fields and a directory's contents; the VFS takes the directory's (or both directories', and the
 * victim's) lock around every operation that changes it, so filesystems need no lock for that.
 */
#pragma once

#include "sentry/abi/fcntl.h"
#include "sentry/base/lock.h"
#include "sentry/base/ops.h"
#include "sentry/base/ref.h"
#include "sentry/base/waiter.h"

struct cred;
struct dentry;
struct file;
struct inode;
struct pipe;
struct strbuf;
struct filelocks;
struct inotify_watch;
struct sock;
struct superblock;
struct path;
struct vfs_ctx;

/* Times are int64_t ns since the epoch. */
struct kstat {
    uint64_t dev, ino, nlink, size, blocks, rdev; /* blocks of 512 bytes */
    uint32_t mode, uid, gid, blksize;
    int64_t atime_ns, mtime_ns, ctime_ns, btime_ns;
};

struct kstatfs {
    uint64_t type, bsize, blocks, bfree, bavail, files, ffree, namelen, frsize;
};

enum setattr_valid {
    ATTR_MODE = 1,
    ATTR_UID = 2,
    ATTR_GID = 4,
    ATTR_SIZE = 8,
    ATTR_ATIME = 16,
    ATTR_MTIME = 32,
    ATTR_CTIME = 64,      /* always set with the others by the VFS */
    ATTR_TIMES_NOW = 128, /* utimensat(2) of now for both: write permission is enough; the VFS fills
                             the times in */
};

struct setattr {
    uint32_t valid;
    uint32_t mode, uid, gid;
    uint64_t size;
    int64_t atime_ns, mtime_ns, ctime_ns;
};

struct sb_ops {
    const char *type_name; /* "tmpfs" */
    void (*free_inode)(struct inode *inode);
    void (*free_sb)(struct superblock *sb);
    int (*statfs)(struct superblock *sb, struct kstatfs *out);
    int (*sync)(struct superblock *sb);
    /* The options column of /proc/mounts, each starting with a comma. */
    void (*show_options)(struct superblock *sb, struct strbuf *out);
    /* What its root is within a larger one, for mountinfo: a path, or NULL: all of it. */
    const char *(*root_name)(struct superblock *sb);
};

enum sb_flags {
    SB_RDONLY = 1,
    SB_NO_DCACHE = 2, /* names must be looked up each time (proc) */
    SB_REVALIDATE =
        4, /* ask ops->revalidate before trusting a cached dentry (volumes shared with the host) */
    SB_TIMED = 8, /* with it: but not again within VFS_TRUST_TICKS */
};

/* Time as caches need it, without a call: some 25 ms a tick, wrapping after years. */
static inline uint32_t vfs_tick(void)
{
    return (uint32_t)(__builtin_ia32_rdtsc() >> 26);
}

/* 2^31 cycles: between half a second and one on the processors of today. */
#define VFS_TRUST_TICKS 32

/* Was it seen (a vfs_tick) so short a time ago that SB_TIMED trusts it? */
static inline bool vfs_is_recent(uint32_t seen)
{
    return vfs_tick() - seen < VFS_TRUST_TICKS;
}

struct superblock {
    struct ref ref;     /* mounts and owners; at 0 the cached dentries and root are let go */
    struct ref passive; /* inodes, and one for all of ref; at 0 ops->free_sb */
    ops_ref_t ops;      /* struct sb_ops */
    uint64_t dev;       /* st_dev */
    uint32_t flags;
    struct mutex rename_lock;
    struct inode *root;         /* one reference until the last sb_put */
    struct dentry *root_dentry; /* one reference, made on the first mount; shared by all mounts */
    void *data;                 /* the filesystem's */
};

struct inode {
    struct ref ref;
    ops_ref_t ops; /* struct inode_ops */
    ops_ref_t
        file_ops; /* struct file_ops of the usual open; special files are redirected by the VFS */
    struct superblock *sb;
    uint64_t ino;
    struct mutex lock;
    /* guarded by lock (read without it for checks where Linux does so): */
    uint32_t mode, uid, gid, nlink;
    uint64_t rdev, size;
    int64_t atime_ns, mtime_ns, ctime_ns, btime_ns;
    uint32_t flags;      /* INODE_* */
    int32_t write_count; /* > 0: opens for writing; < 0: denied (being executed) */
    struct pipe *fifo;   /* S_ISFIFO, while open */
    struct sock *sock;   /* S_ISSOCK, while bound */
    struct filelocks *locks;
    struct waitq waiters;
    struct inotify_watch *watches; /* guarded by watch_lock: fs/fsnotify.h */
};

/* dir locked by the caller in all that change it. name is NUL-terminated, no slash, not . or
 * .., 1..255 bytes. NULL op: -EPERM, or what vfs_ says. New inodes come with one reference for the
 * caller. */
struct inode_ops {
    /* dir locked. -ENOENT when absent. */
    int (*lookup)(struct inode *dir, const char *name, struct inode **out);
    /* Is a cached answer (inode, or NULL for "absent") still right? SB_REVALIDATE only. */
    bool (*revalidate)(struct inode *dir, const char *name, struct inode *cached);
    /* mode holds the type (S_IFREG, S_IFIFO, S_IFCHR, S_IFBLK, S_IFSOCK) and bits after umask. */
    int (*create)(struct inode *dir, const char *name, uint32_t mode, uint64_t rdev,
                  const struct cred *cred, struct inode **out);
    int (*mkdir)(struct inode *dir, const char *name, uint32_t mode, const struct cred *cred,
                 struct inode **out);
    int (*symlink)(struct inode *dir, const char *name, const char *target, const struct cred *cred,
                   struct inode **out);
    int (*link)(struct inode *dir, const char *name, struct inode *target);
    int (*unlink)(struct inode *dir, const char *name, struct inode *victim);
    int (*rmdir)(struct inode *dir, const char *name, struct inode *victim);
    /* flags: LX_RENAME_*; replaced is the existing target or NULL. */
    int (*rename)(struct inode *old_dir, const char *old_name, struct inode *moved,
                  struct inode *new_dir, const char *new_name, struct inode *replaced,
                  uint32_t flags);
    /* O_TMPFILE: an unnamed inode. */
    int (*tmpfile)(struct inode *dir, uint32_t mode, const struct cred *cred, struct inode **out);
    /* Symlinks: the target's length (not terminated). */
    int64_t (*readlink)(struct inode *inode, char *buf, size_t size);
    /* Magic links (/proc/PID/exe, fd/N): the target as a path reference. Instead of readlink on a
     * walk. */
    int (*follow)(struct inode *inode, const struct vfs_ctx *ctx, struct path *out);
    /* Used in place of readlink where there is one: what it says depends on who asks (/proc/self)
     * or needs leave (/proc/PID/exe). */
    int64_t (*readlink_for)(struct inode *inode, const struct vfs_ctx *ctx, char *buf, size_t size);
    int (*getattr)(struct inode *inode, struct kstat *out);
    /* After the VFS's checks; must update the common fields. Locked. */
    int (*setattr)(struct inode *inode, const struct setattr *attr);
    /* Extra checks (MAY_*), after the mode bits. */
    int (*permission)(struct inode *inode, int mask, const struct cred *cred);
    /* On open, after checks: set file->private_data, or replace file->ops. */
    int (*open)(struct inode *inode, struct file *file);
    /* The same where who asks matters; used in place of open. */
    int (*open_for)(struct inode *inode, struct file *file, const struct vfs_ctx *ctx);
    int64_t (*getxattr)(struct inode *inode, const char *name, void *buf, size_t size);
    int (*setxattr)(struct inode *inode, const char *name, const void *value, size_t size,
                    int flags);
    int64_t (*listxattr)(struct inode *inode, char *buf, size_t size);
    int (*removexattr)(struct inode *inode, const char *name);
};

enum { INODE_LINKABLE = 1 }; /* nlink 0, but link(2) may name it: O_TMPFILE without O_EXCL */

enum { MAY_EXEC = 1, MAY_WRITE = 2, MAY_READ = 4 };

/* Fills the embedded fields of zeroed memory; the times are now; takes a reference of sb. */
void inode_init(struct inode *inode, struct superblock *sb, const void *inode_ops,
                const void *file_ops, uint64_t ino, uint32_t mode);
struct inode *inode_get(struct inode *inode);
void inode_put(struct inode *inode);
/* 0 or -EACCES by mode bits, owner, groups and capabilities; then ops->permission. */
int inode_permission(struct inode *inode, int mask, const struct cred *cred) MUST_CHECK;
/* A symlink's target, as ops->readlink_for or readlink give it. -EINVAL when it is none. */
int64_t inode_readlink(struct inode *inode, const struct vfs_ctx *ctx, char *buf,
                       size_t size) MUST_CHECK;
/* Fields, or ops->getattr. */
int inode_getattr(struct inode *inode, struct kstat *out) MUST_CHECK;
/*
 * For filesystems: a new inode's owner, group and mode as Linux chooses them (setgid directories).
 * mode includes the type.
 */
void inode_init_owner(struct inode *inode, const struct inode *dir, uint32_t mode,
                      const struct cred *cred);
/* Changed now: mtime and ctime. */
void inode_touch(struct inode *inode);
/* Copies what attr->valid says, but for the size, into the common fields. Locked. */
void inode_setattr_copy(struct inode *inode, const struct setattr *attr);
/* Counts of writers and of executions that deny writing: -ETXTBSY. */
int inode_get_write(struct inode *inode) MUST_CHECK;
void inode_put_write(struct inode *inode);
int inode_deny_write(struct inode *inode) MUST_CHECK;
void inode_allow_write(struct inode *inode);
/* Now, for timestamps (host CLOCK_REALTIME_COARSE, as Linux does). */
int64_t vfs_now_ns(void);

/* One reference for the caller. The filesystem then sets sb->root (a reference it gives away) and
 * data. free_inode and free_sb may run under other inodes' locks: they take none ranked INODE or
 * before. */
void sb_init(struct superblock *sb, const void *sb_ops, uint64_t dev);
/* An unused st_dev with major 0, as Linux gives to unnamed devices. */
uint64_t vfs_alloc_dev(void);
struct superblock *sb_get(struct superblock *sb);
void sb_put(struct superblock *sb);
