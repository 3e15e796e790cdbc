/*
 * overlay's own structures.
 *
 * A file copied up keeps its lower inode number, in an attribute of the upper file: it must not
 * change when the joining inode is forgotten and found again.
 *
 * struct ovl_inode: joins an upper and a lower inode (either may be NULL, not both). Found in a
 * hash by its lower inode, or by its upper one when it has no lower, so that hard links share it.
 * upper is set once, by copy-up, under the copy-up lock; parent and name (where a copy-up goes) are
 * guarded by it too. The hash lock (OBJ) guards the table.
 */
#pragma once

#include "fs/overlay/overlay.h"
#include "fs/vfs_int.h"
#include "sentry/abi/errno.h"

/* A zeroed head is an empty list: an unused table costs no memory. */
#define OVL_BUCKETS 4096
/* Attributes of upper files whose names start so are ours and not shown. */
#define OVL_XATTR "trusted.overlay."

struct ovl {
    struct superblock *upper, *lower;
    const struct cred *cred; /* root: for what the overlay itself makes in upper */
    struct mutex copyup_lock, table_lock;
    struct list buckets[OVL_BUCKETS];
};

struct ovl_inode {
    struct inode inode; /* first */
    struct list hash_node;
    struct inode *upper, *lower; /* references */
    struct ovl_inode *parent;    /* reference; NULL: the root */
    char *name;
    bool opaque; /* directory: lower is not looked at */
};

static inline struct ovl *ovl_of(const struct inode *inode)
{
    return inode->sb->data;
}

static inline struct ovl_inode *ovl_inode(struct inode *inode)
{
    return (struct ovl_inode *)inode;
}

static inline struct inode *ovl_upper(const struct ovl_inode *oi)
{
    return load_acquire(&oi->upper);
}

static inline struct inode *ovl_real(const struct ovl_inode *oi)
{
    struct inode *upper = ovl_upper(oi);

    return upper ? upper : oi->lower;
}

static inline bool is_whiteout(const struct inode *inode)
{
    return S_TYPE(inode->mode) == LX_S_IFCHR && inode->rdev == 0;
}

/*
 * super.c: the inode joining upper and lower (references taken over, also on failure), found under
 * name in dir.
 */
int ovl_inode_for(struct ovl_inode *dir, const char *name, struct inode *upper, struct inode *lower,
                  struct inode **out) MUST_CHECK;
/* The inode number that upper and lower (one may be NULL) show as. */
uint64_t ovl_number(struct inode *upper, const struct inode *lower);
/* Common fields from the real inode. */
void ovl_refresh(struct ovl_inode *oi);

/* copy_up.c: makes oi->upper exist; of a regular file's data only the first max_size bytes. */
int ovl_copy_up(struct ovl_inode *oi, uint64_t max_size) MUST_CHECK;
int ovl_set_parent(struct ovl_inode *oi, struct ovl_inode *parent, const char *name) MUST_CHECK;
/* An open file on a real inode, for the overlay's own use. */
int ovl_open_real(struct inode *real, uint32_t flags, const struct cred *cred,
                  struct file **out) MUST_CHECK;

/* lookup.c */
int ovl_lookup(struct inode *dir, const char *name, struct inode **out);
bool ovl_revalidate(struct inode *dir, const char *name, struct inode *cached);
/* One name in a real directory (NULL: -ENOENT), whiteouts included. */
int ovl_real_lookup(struct inode *dir, const char *name, struct inode **out) MUST_CHECK;
bool ovl_lower_has(struct ovl_inode *dir, const char *name);

/* change.c */
int ovl_create(struct inode *dir, const char *name, uint32_t mode, uint64_t rdev,
               const struct cred *cred, struct inode **out);
int ovl_mkdir(struct inode *dir, const char *name, uint32_t mode, const struct cred *cred,
              struct inode **out);
int ovl_symlink(struct inode *dir, const char *name, const char *target, const struct cred *cred,
                struct inode **out);
int ovl_link(struct inode *dir, const char *name, struct inode *target);
int ovl_unlink(struct inode *dir, const char *name, struct inode *victim);
int ovl_rmdir(struct inode *dir, const char *name, struct inode *victim);
int ovl_rename(struct inode *old_dir, const char *old_name, struct inode *moved,
               struct inode *new_dir, const char *new_name, struct inode *replaced, uint32_t flags);
int ovl_tmpfile(struct inode *dir, uint32_t mode, const struct cred *cred, struct inode **out);

/* readdir.c: fn per merged name until it returns nonzero (then that is the result). */
int ovl_for_each_name(struct ovl_inode *dir,
                      int (*fn)(void *arg, const char *name, struct inode *dir),
                      void *arg) MUST_CHECK;
/* The same over upper alone, whiteouts included. */
int ovl_for_each_upper_name(struct ovl_inode *dir,
                            int (*fn)(void *arg, const char *name, struct inode *dir),
                            void *arg) MUST_CHECK;
DECLARE_OPS(inode_ops, ovl_inode_ops);
DECLARE_OPS(file_ops, ovl_dir_ops);
DECLARE_OPS(file_ops, ovl_file_ops);
