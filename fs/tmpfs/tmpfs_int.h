/*
 * tmpfs's own structures.
 *
 * struct tmpfs_inode: freed with its last reference; a directory's entries hold one of each inode
 * in them. inode.lock guards everything but where said. A regular file's data is in small (up to
 * TMPFS_INLINE bytes) until it moves, once and for good, to host_fd.
 */
#pragma once

#include "fs/tmpfs/tmpfs.h"
#include "fs/vfs_int.h"
#include "sentry/base/rbtree.h"

#define TMPFS_INLINE      32768U /* most files are smaller, and so need no host call */
#define TMPFS_DIRENT_SIZE 20         /* what an entry adds to a directory's st_size */
#define TMPFS_XATTR_MAX   (1U << 20) /* bytes an inode */

struct tmpfs {
    struct superblock sb;                       /* first */
    uint64_t max_pages, max_inodes;             /* 0: no limit */
    uint32_t mode, uid, gid;                    /* as given, for show_options */
    uint64_t used_pages, used_inodes, next_ino; /* atomic */
    struct mutex drain_lock;                    /* rank OBJ */
    struct list drain; /* struct tmpfs_entry of directories freed with entries in them */
    bool draining;
};

struct tmpfs_entry {
    struct rb_node by_name, by_cookie;
    struct list drain;
    struct inode *inode; /* one reference */
    uint64_t cookie;
    uint64_t hash;
    uint32_t name_size;
    char name[];
};

struct tmpfs_xattr {
    struct list node;
    char *name; /* both kmalloc */
    char *value;
    size_t size;
};

struct tmpfs_inode {
    struct inode inode; /* first */
    struct list xattrs;
    uint64_t xattr_bytes;
    /* directories: entries by (hash, name) and by cookie */
    struct rb_root names, cookies;
    uint64_t next_cookie;
    uint64_t parent_ino;
    /* symlinks */
    char *target;
    /* regular files */
    struct mutex write_lock; /* rank FILEWRITE: one write at a time */
    char *small; /* kmalloc; at least inode.size bytes while host_fd < 0, zero behind it */
    uint32_t small_capacity;
    uint32_t small_pages; /* a bit per page of it that was written: what stat counts */
    /* The memfd has no holes and nothing behind its end: what is charged is known from the size. */
    bool dense;
    int32_t host_fd;      /* -1: none; set once, under lock, read without */
    uint32_t seals;       /* LX_F_SEAL_* */
    uint32_t truncations; /* grows with each change of size by truncation */
    uint64_t charged;     /* pages of used_pages */
};

DECLARE_OPS(inode_ops, tmpfs_dir_inode_ops);
DECLARE_OPS(inode_ops, tmpfs_reg_inode_ops);
DECLARE_OPS(inode_ops, tmpfs_link_inode_ops);
DECLARE_OPS(inode_ops, tmpfs_node_inode_ops);
DECLARE_OPS(file_ops, tmpfs_dir_file_ops);
DECLARE_OPS(file_ops, tmpfs_reg_file_ops);

static inline struct tmpfs *tmpfs_of(const struct inode *inode)
{
    return (struct tmpfs *)inode->sb;
}

static inline struct tmpfs_inode *tmpfs_inode(struct inode *inode)
{
    return (struct tmpfs_inode *)inode;
}

static inline int tmpfs_host_fd(struct tmpfs_inode *ti)
{
    return load_acquire(&ti->host_fd);
}

/* super.c. dir NULL: a root or memfd. -ENOSPC, -ENOMEM. */
int tmpfs_new_inode(struct tmpfs *fs, const struct inode *dir, uint32_t mode,
                    const struct cred *cred, struct inode **out) MUST_CHECK;
int tmpfs_create_fs(const struct tmpfs_options *options, struct tmpfs **out) MUST_CHECK;
/* Pages of data: -ENOSPC above the limit. */
int tmpfs_charge(struct tmpfs *fs, uint64_t pages) MUST_CHECK;
void tmpfs_uncharge(struct tmpfs *fs, uint64_t pages);

/* dir.c: takes all entries out of a directory that is being freed. */
void tmpfs_free_entries(struct tmpfs *fs, struct tmpfs_inode *dir);

/* data.c */
/* Data moves to a host memfd; harmless when it has. Locked. */
int tmpfs_to_host(struct tmpfs_inode *ti) MUST_CHECK;
int tmpfs_resize(struct tmpfs_inode *ti, uint64_t size) MUST_CHECK; /* locked; seals are checked */
int tmpfs_grow_small(struct tmpfs_inode *ti,
                     uint64_t size) MUST_CHECK; /* locked; host_fd < 0 and size <= TMPFS_INLINE */
/* Sets what is charged to what the host file now occupies: for a dense one without asking. Locked.
 */
void tmpfs_recharge(struct tmpfs_inode *ti, uint64_t reserved);
/* The pages that [offset, offset + n) of inline data lies in. */
uint32_t tmpfs_small_pages(uint64_t offset, uint64_t n);
/* Pages that stat shows. */
uint64_t tmpfs_pages_used(struct tmpfs_inode *ti);
/* Reserves pages for writing n bytes at offset; fewer bytes when the space ends: *n, at least 1.
 * A write behind the end leaves a hole: no longer dense. -ENOSPC. */
int tmpfs_reserve(struct tmpfs_inode *ti, uint64_t offset, uint64_t *n,
                  uint64_t *out_pages) MUST_CHECK;
void tmpfs_free_data(struct tmpfs_inode *ti);

/* attr.c */
int tmpfs_getattr(struct inode *inode, struct kstat *out);
int tmpfs_setattr(struct inode *inode, const struct setattr *attr);
int64_t tmpfs_getxattr(struct inode *inode, const char *name, void *buf, size_t size);
int tmpfs_setxattr(struct inode *inode, const char *name, const void *value, size_t size,
                   int flags);
int64_t tmpfs_listxattr(struct inode *inode, char *buf, size_t size);
int tmpfs_removexattr(struct inode *inode, const char *name);
void tmpfs_free_xattrs(struct tmpfs_inode *ti);

/* memfd.c */
int tmpfs_add_seals(struct file *f, uint32_t seals);
int64_t tmpfs_get_seals(struct file *f);

#define TMPFS_XATTR_OPS                                                                            \
    .getxattr = tmpfs_getxattr, .setxattr = tmpfs_setxattr, .listxattr = tmpfs_listxattr,          \
    .removexattr = tmpfs_removexattr
