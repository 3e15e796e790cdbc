/*
 * hostfs's own structures.
 *
 * struct hostfs_inode: found by (host device, inode number) in a hash, so that hard links share
 * one. A directory may hold an open host descriptor; at most HOSTFS_MAX_DIRS are open at once,
 * least recently used closed first, reopened through the parent. The parent is held by a reference.
 *
 * struct hostfs_handle: a host descriptor of a regular file, counted; holders are open files and,
 * for reading only, the inode, which keeps one for its next open (options.keep_files at most,
 * second chance). As long as it is held the host cannot give its inode number to another file.
 *
 * hostfs.lock (rank OBJ) guards the hash, the directory descriptors, every (parent, name) and the
 * list of kept handles; inode.lock the inode's own kept handle.
 */
#pragma once

#include "fs/file.h"
#include "fs/hostfs/hostfs.h"
#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/base/list.h"

/* A zeroed head is an empty list: an unused table costs no memory. */
#define HOSTFS_BUCKETS   4096
#define HOSTFS_MAX_DIRS  512
#define HOSTFS_KEEP_SIZE (16UL << 20) /* larger files are not kept: the host may want the space */

struct hostfs {
    struct mutex lock;
    bool readonly, fresh;
    enum hostfs_cache cache;
    struct list buckets[HOSTFS_BUCKETS];
    struct list open_dirs; /* hostfs_inode.lru, least recently used first; never the root */
    uint32_t open_dir_count;
    struct list kept_files; /* hostfs_inode.lru of those with a handle, oldest first */
    uint32_t kept_count, keep_files;
    char *root_name; /* kmalloc, or NULL */
};

struct hostfs_handle {
    struct ref ref;
    int32_t fd;
};

/* What a symlink says, as long as its ctime is this. */
struct hostfs_target {
    int64_t ctime_ns;
    uint32_t size;
    char text[];
};

struct hostfs_inode {
    struct inode inode; /* first */
    struct list hash_node, lru;
    uint64_t host_dev;
    struct hostfs_inode *parent; /* NULL: the root */
    char *name;
    int32_t fd;       /* directories: open descriptor or -1 */
    uint32_t pins;    /* users of fd right now */
    bool path_only;   /* fd may not be read: O_PATH */
    bool sealed;      /* a kernel interface of the host's (proc, sysfs ...): shown empty */
    bool handle_used; /* since it was last looked at for closing */
    uint32_t seen;    /* vfs_tick of the last refresh */
    struct hostfs_handle *handle; /* regular files: kept, or NULL */
    struct hostfs_target *target; /* symlinks: set once, then there for good */
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

/* May attributes seen before be believed now? */
bool hostfs_trusts(const struct hostfs_inode *hi);

/* handle.c: a host descriptor of a regular file's contents, kept or opened by name. */
int hostfs_handle_get(struct hostfs_inode *hi, bool for_writing,
                      struct hostfs_handle **out) MUST_CHECK;
void hostfs_handle_put(struct hostfs_handle *h);
/* The inode (locked, or nobody else's) keeps none any more. */
void hostfs_handle_forget(struct hostfs_inode *hi);
/* Makes room when the host has no more descriptors for us. */
void hostfs_forget_handles(struct hostfs *fs);

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
