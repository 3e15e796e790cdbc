/*
 * Mounts and mount namespaces. struct mount: counted; holders are paths and its namespace's list.
 * Guarded by the mount lock (rank MOUNT): the tree and the lists.
 */
#pragma once

#include "fs/dentry.h"
#include "sentry/base/list.h"
#include "sentry/base/ref.h"

struct superblock;
struct vfs_ctx;

struct mount {
    struct ref ref;
    uint32_t id;    /* mountinfo's */
    uint32_t flags; /* LX_MS_RDONLY NOSUID NODEV NOEXEC NOATIME RELATIME ... */
    struct superblock *sb;
    struct dentry *root;       /* of this mount (a bind mount's may be deep) */
    struct mount *parent;      /* NULL: a namespace's root, or detached */
    struct dentry *mountpoint; /* in parent */
    struct mount_ns *ns;       /* NULL: detached */
    struct list children, sibling, ns_node, hash_node;
    uint32_t peer_group; /* 0: private */
    uint32_t writers;    /* files open for writing */
    struct mount *copy;  /* while a tree is being copied */
    char *source;        /* kmalloc: first column of /proc/mounts */
};

struct mount_ns {
    struct ref ref;
    struct mount *root;
    struct list mounts; /* in mount order */
    uint32_t count;
    uint64_t event; /* grows with each change: poll on /proc/mounts */
};

/* A namespace whose root is sb (reference taken). */
int mount_ns_create(struct superblock *sb, const char *source, uint32_t flags,
                    struct mount_ns **out) MUST_CHECK;
struct mount_ns *mount_ns_get(struct mount_ns *ns);
void mount_ns_put(struct mount_ns *ns);
/* Its topmost root, with references. */
void mount_ns_root(struct mount_ns *ns, struct path *out);
/* unshare(CLONE_NEWNS): a copy; paths in map[] are moved to their counterparts. */
int mount_ns_copy(struct mount_ns *ns, struct path *map[], size_t map_count,
                  struct mount_ns **out) MUST_CHECK;

struct mount *mount_get(struct mount *m);
void mount_put(struct mount *m);

/* Mounts sb (reference taken) on at. Privilege is the caller's business. -EBUSY, -ENOTDIR, -ENOMEM,
 * -EINVAL. */
int mount_add(const struct path *at, struct superblock *sb, const char *source,
              uint32_t flags) MUST_CHECK;
int mount_bind(const struct path *from, const struct path *at, bool recursive) MUST_CHECK;
int mount_remount(const struct path *at, uint32_t flags) MUST_CHECK;
int mount_move(const struct path *from, const struct path *to) MUST_CHECK;
/* detach: MNT_DETACH; else -EBUSY when in use: at holds the only other reference. */
int mount_umount(const struct path *at, bool detach) MUST_CHECK;
/* root: the caller's. Its mount goes to put_old, new_root's takes its place; whose root and cwd
 * follow is the caller's business. */
int mount_pivot_root(struct mount_ns *ns, const struct path *root, const struct path *new_root,
                     const struct path *put_old) MUST_CHECK;

/* Steps for the walk: *p on a mountpoint becomes the top mount's root (repeatedly); .. from a
 * mount's root goes to its mountpoint. */
void mount_descend(struct path *p);
bool mount_ascend(struct path *p);

/* A mount of sb (reference taken) in no namespace, for files without a visible tree. */
int mount_create_detached(struct superblock *sb, const char *source, uint32_t flags,
                          struct mount **out) MUST_CHECK;
/* May the tree be changed through this path? */
bool path_is_readonly(const struct path *p);

/* The namespace's mounts in order, fn under no lock on a snapshot with references; stops when fn
 * returns nonzero. */
int mount_for_each(struct mount_ns *ns, int (*fn)(struct mount *m, void *arg), void *arg);
