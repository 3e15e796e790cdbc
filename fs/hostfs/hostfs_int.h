/*
 * hostfs's own structures.
 *
 * struct hostfs_inode: found by (host device, inode number) in a hash, so that hard links share
 * one. A directory may hold an open host descriptor; at most HOSTFS_MAX_DIRS are open at once,
 * least recently used closed first, reopened through the parent. The parent is held by a reference.
 *
 * hostfs.lock (rank OBJ) guards the hash, the directory descriptors and every (parent, name).
 */
#pragma once

#include "fs/file.h"
#include "fs/hostfs/hostfs.h"
#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/base/list.h"

#define HOSTFS_BUCKETS 1024
#define HOSTFS_MAX_DIRS 512

struct hostfs {
    struct mutex lock;
    bool readonly, fresh;
    struct list buckets[HOSTFS_BUCKETS];
    struct list open_dirs; /* hostfs_inode.lru, least recently used first; never the root */
    uint32_t open_dir_count;
};

struct hostfs_inode {
    struct inode inode; /* first */
    struct list hash_node, lru;
    uint64_t host_dev;
    struct hostfs_inode *parent; /* NULL: the root */
    char *name;
    int32_t fd;    /* directories: open descriptor or -1 */
    uint32_t pins; /* users of fd right now */
    bool sealed; /* a kernel interface of the host's (proc, sysfs ...): shown empty */
    uint64_t blocks;
    uint32_t blksize;
};

static inline struct hostfs *hostfs_of(const struct inode *inode)
{
    return inode->sb->data;
}

static inline struct hostfs_inode *hostfs_inode(struct inode *inode)
{
    return (struct hostfs_inode *)inode;
}

/* The directory's host descriptor, kept open (and the inode referenced) until dir_unpin. */
int hostfs_dir_pin(struct hostfs_inode *dir) MUST_CHECK;
void hostfs_dir_unpin(struct hostfs_inode *dir);
/*
 * dir's pinned descriptor and name of a non-root inode: *out_name is kmalloc'ed. Unpin *out_parent
 * after use.
 */
int hostfs_locate(struct hostfs_inode *hi, struct hostfs_inode **out_parent, int *out_fd,
                  char **out_name) MUST_CHECK;
void hostfs_dir_forget(struct hostfs *fs, struct hostfs_inode *dir); /* closes fd; lock held */

/*
 * The inode for what statat found under (dir, name): an existing one refreshed, or a new one;
 * counted.
 */
int hostfs_inode_for(struct hostfs_inode *dir, const char *name, const struct host_stat *st,
                     struct inode **out) MUST_CHECK;
/* Is name in dir (pinned as fd) where one of the host kernel's own interfaces is mounted? */
bool hostfs_is_interface(const struct hostfs_inode *dir, int fd, const char *name,
                         const struct host_stat *st);
void hostfs_refresh(struct hostfs_inode *hi, const struct host_stat *st);
void hostfs_set_name(struct hostfs_inode *hi, struct hostfs_inode *parent, const char *name);
void hostfs_free_inode(struct inode *inode);

/* A host descriptor of the inode's contents; flags O_RDONLY or O_RDWR... of the host. */
int64_t hostfs_open_host(struct hostfs_inode *hi, int flags) MUST_CHECK;

DECLARE_OPS(inode_ops, hostfs_inode_ops);
DECLARE_OPS(file_ops, hostfs_file_ops);
DECLARE_OPS(file_ops, hostfs_dir_ops);
int hostfs_file_open(struct inode *inode, struct file *file);
/* change.c */
int hostfs_create_node(struct inode *dir, const char *name, uint32_t mode, uint64_t rdev,
                       const struct cred *cred, struct inode **out);
int hostfs_mkdir(struct inode *dir, const char *name, uint32_t mode, const struct cred *cred,
                 struct inode **out);
int hostfs_symlink(struct inode *dir, const char *name, const char *target, const struct cred *cred,
                   struct inode **out);
int hostfs_link(struct inode *dir, const char *name, struct inode *target);
int hostfs_unlink(struct inode *dir, const char *name, struct inode *victim);
int hostfs_rmdir(struct inode *dir, const char *name, struct inode *victim);
int hostfs_rename(struct inode *old_dir, const char *old_name, struct inode *moved,
                  struct inode *new_dir, const char *new_name, struct inode *replaced,
                  uint32_t flags);
int hostfs_setattr(struct inode *inode, const struct setattr *attr);
