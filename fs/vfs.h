/*
 * The VFS's calls for the syscall layer: path walk, open, and every change of a tree. Each takes a
 * vfs_ctx, never "current". Sources: path_resolution(7), open(2), openat2(2), rename(2), mount(2),
 * ...
 */
#pragma once

#include "fs/file.h"
#include "fs/inode.h"
#include "fs/mount.h"

/* All borrowed for the call. */
struct vfs_ctx {
    const struct cred *cred;
    struct path root, cwd;
    uint32_t umask;
    uint64_t fsize_limit;
    struct mount_ns *mount_ns;
    struct task
        *task; /* who asks; opaque here, for fs/proc and terminals; NULL: the kernel itself */
};

/* Where a path starts: an absolute one at ctx->root, a relative one at base (a directory
 * descriptor's path, or ctx->cwd). */
enum walk_flags {
    WALK_FOLLOW = 1,    /* follow a final symlink */
    WALK_EMPTY = 2,     /* "" means base itself (AT_EMPTY_PATH) */
    WALK_DIRECTORY = 4, /* the result must be a directory: ENOTDIR */
    WALK_NO_XDEV = 8,   /* openat2 RESOLVE_* */
    WALK_NO_MAGICLINKS = 16,
    WALK_NO_SYMLINKS = 32,
    WALK_BENEATH = 64,
    WALK_IN_ROOT = 128,
};

#define VFS_PATH_MAX     4096 /* with the NUL: ENAMETOOLONG */
#define VFS_NAME_MAX     255
#define VFS_MAX_SYMLINKS 40 /* ELOOP */

/* base: NULL for ctx->cwd. *out holds references. */
int vfs_walk(const struct vfs_ctx *ctx, const struct path *base, const char *name, uint32_t flags,
             struct path *out) MUST_CHECK;

/*
 * flags and mode as openat2(2) has them after the caller checked reserved bits; resolve: WALK_*. A
 * FIFO opened without O_NONBLOCK whose other end is missing comes with FMODE_OPENING set: the
 * caller waits on file_poll_queue until vfs_open_ready, or puts the file when interrupted. Device
 * nodes go to their driver (vfs_register_chrdev).
 */
int vfs_open_at(const struct vfs_ctx *ctx, const struct path *base, const char *name,
                uint32_t flags, uint32_t mode, uint32_t resolve, struct file **out) MUST_CHECK;
/* 0 when the open is complete (FMODE_OPENING is cleared), -EAGAIN while the other end is missing.
 */
int vfs_open_ready(struct file *f) MUST_CHECK;
/* Opens what a path already names (no walk), e.g. for exec: checks permission as flags say. */
int vfs_open_path(const struct vfs_ctx *ctx, const struct path *path, uint32_t flags,
                  struct file **out) MUST_CHECK;

/* For exec: a regular file with execute permission on a mount without noexec (-EACCES), -ETXTBSY
 * when it is open for writing. Until the last file_put nobody can open it for writing. */
int vfs_open_exec(const struct vfs_ctx *ctx, const struct path *path, struct file **out) MUST_CHECK;
/* For what was only read or mapped for an exec (scripts, the ELF interpreter): writing is allowed
 * again now, before the last file_put. Nothing where it is already. */
void vfs_exec_allow_write(struct file *f);

int vfs_mknod_at(const struct vfs_ctx *ctx, const struct path *base, const char *name,
                 uint32_t mode, uint64_t rdev) MUST_CHECK;
int vfs_mkdir_at(const struct vfs_ctx *ctx, const struct path *base, const char *name,
                 uint32_t mode) MUST_CHECK;
int vfs_symlink_at(const struct vfs_ctx *ctx, const char *target, const struct path *base,
                   const char *name) MUST_CHECK;
int vfs_link_at(const struct vfs_ctx *ctx, const struct path *old_base, const char *old_name,
                const struct path *new_base, const char *new_name, int flags) MUST_CHECK;
int vfs_unlink_at(const struct vfs_ctx *ctx, const struct path *base, const char *name) MUST_CHECK;
int vfs_rmdir_at(const struct vfs_ctx *ctx, const struct path *base, const char *name) MUST_CHECK;
int vfs_rename_at(const struct vfs_ctx *ctx, const struct path *old_base, const char *old_name,
                  const struct path *new_base, const char *new_name, uint32_t flags) MUST_CHECK;
int64_t vfs_readlink(const struct vfs_ctx *ctx, const struct path *path, char *buf,
                     size_t size) MUST_CHECK;
/* chmod, chown, truncate, utimens on a path or open file; all checks (ownership, capabilities,
 * read-only, setid clearing) inside. */
int vfs_setattr(const struct vfs_ctx *ctx, const struct path *path,
                struct setattr *attr) MUST_CHECK;
int vfs_getattr(const struct path *path, struct kstat *out) MUST_CHECK;
/* access(2): with the real ids when the caller built cred so. */
int vfs_access(const struct vfs_ctx *ctx, const struct path *path, int mask) MUST_CHECK;
int vfs_statfs(const struct path *path, struct kstatfs *out) MUST_CHECK;
int vfs_truncate_file(const struct vfs_ctx *ctx, struct file *f, uint64_t size) MUST_CHECK;

int64_t vfs_getxattr(const struct vfs_ctx *ctx, const struct path *path, const char *name,
                     void *buf, size_t size) MUST_CHECK;
int vfs_setxattr(const struct vfs_ctx *ctx, const struct path *path, const char *name,
                 const void *value, size_t size, int flags) MUST_CHECK;
int64_t vfs_listxattr(const struct vfs_ctx *ctx, const struct path *path, char *buf,
                      size_t size) MUST_CHECK;
int vfs_removexattr(const struct vfs_ctx *ctx, const struct path *path,
                    const char *name) MUST_CHECK;

/*
 * Device nodes: drivers register by type and number at boot (fs/dev, fs/devpts). The open function
 * sets file->ops and private_data. The table lives in the arena; opens are found by offset.
 */
struct dev_ops {
    int (*open)(struct inode *inode, struct file *file, const struct vfs_ctx *ctx);
};
int vfs_register_chrdev(uint32_t major, uint32_t minor_first, uint32_t minor_count,
                        const void *dev_ops) MUST_CHECK;

/* Sets up the dentry cache, device table and anonymous inode numbers in the arena; once at boot. */
int vfs_init(void) MUST_CHECK;
void vfs_destroy(void);
uint64_t vfs_next_anon_ino(void);
