/* What files are: stat, statx, access, statfs. Changes of it are in sys_attr.c. Sources: stat(2),
 * statx(2), access(2), statfs(2). */
#include "sentry/abi/mount.h"
#include "sentry/base/string.h"
#include "syscalls/io.h"

#define NS_PER_SEC 1000000000LL

static int64_t ns_floor_sec(int64_t ns)
{
    return ns / NS_PER_SEC - (ns % NS_PER_SEC < 0);
}

static int64_t ns_rest(int64_t ns)
{
    return ns - ns_floor_sec(ns) * NS_PER_SEC;
}

static int64_t put_stat(struct task *t, const struct kstat *k, uaddr_t p)
{
    struct lx_stat st = {
        .dev = k->dev,
        .ino = k->ino,
        .nlink = k->nlink,
        .mode = k->mode,
        .uid = k->uid,
        .gid = k->gid,
        .rdev = k->rdev,
        .size = (int64_t)k->size,
        .blksize = k->blksize,
        .blocks = (int64_t)k->blocks,
        .atime = ns_floor_sec(k->atime_ns),
        .atime_nsec = ns_rest(k->atime_ns),
        .mtime = ns_floor_sec(k->mtime_ns),
        .mtime_nsec = ns_rest(k->mtime_ns),
        .ctime = ns_floor_sec(k->ctime_ns),
        .ctime_nsec = ns_rest(k->ctime_ns),
    };

    return copy_out_last_obj(&t->us, p, &st);
}

/* out_path, unless NULL: the file's, counted, or empty when it has none. */
static int stat_fd(struct task *t, int fd, struct kstat *out, struct path *out_path)
{
    AUTO_FILE f = task_file_or_path(t, fd);
    int err = f ? file_getattr(f, out) : -EBADF;

    if (!err && out_path && f->path.dentry)
        *out_path = path_get(&f->path);
    return err;
}

/* at_flags as newfstatat has them. An empty name with AT_EMPTY_PATH is the descriptor itself, which
 * may have no path. */
static int stat_at(struct task *t, int dirfd, uaddr_t name, uint32_t at_flags, struct kstat *out,
                   struct path *out_path)
{
    AUTO_AT_PATH(p);
    struct path path;
    int err;

    err = at_path_copy(t, name, at_flags & LX_AT_EMPTY_PATH, &p);
    if (err)
        return err;
    if (!p.name[0] && dirfd != LX_AT_FDCWD) {
        return stat_fd(t, dirfd, out, out_path);
    }
    err = task_at_base(t, dirfd, p.name, &p.base);
    if (err)
        return err;
    p.have_base = true;
    task_vfs_get(t, &p.vfs);
    p.have_vfs = true;
    err = at_path_walk(&p,
                       (at_flags & LX_AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) |
                           (at_flags & LX_AT_EMPTY_PATH ? WALK_EMPTY : 0),
                       &path);
    if (err)
        return err;
    err = vfs_getattr(&path, out);
    if (out_path && !err)
        *out_path = path;
    else
        path_put(&path);
    return err;
}

static int64_t stat_call(struct task *t, int dirfd, uaddr_t name, uint32_t at_flags, uaddr_t out)
{
    struct kstat k;
    int err = stat_at(t, dirfd, name, at_flags, &k, NULL);

    return err ? err : put_stat(t, &k, out);
}

int64_t sys_stat(struct task *t, const struct syscall_args *a)
{
    return stat_call(t, LX_AT_FDCWD, ARG_PTR(0), 0, ARG_PTR(1));
}

int64_t sys_lstat(struct task *t, const struct syscall_args *a)
{
    return stat_call(t, LX_AT_FDCWD, ARG_PTR(0), LX_AT_SYMLINK_NOFOLLOW, ARG_PTR(1));
}

int64_t sys_fstat(struct task *t, const struct syscall_args *a)
{
    AUTO_FILE f = task_file_or_path(t, ARG_INT(0));
    struct kstat k;
    int err;

    if (!f)
        return -EBADF;
    err = file_getattr(f, &k);
    return err ? err : put_stat(t, &k, ARG_PTR(1));
}

int64_t sys_newfstatat(struct task *t, const struct syscall_args *a)
{
    uint32_t flags = ARG_U32(3);

    if (flags & ~(uint32_t)(LX_AT_SYMLINK_NOFOLLOW | LX_AT_NO_AUTOMOUNT | LX_AT_EMPTY_PATH |
                            LX_AT_STATX_SYNC_TYPE))
        return -EINVAL;
    /* A null name with AT_EMPTY_PATH means the descriptor, since Linux 6.11. */
    if (flags & LX_AT_EMPTY_PATH && uaddr_is_null(ARG_PTR(1)) && ARG_INT(0) >= 0)
        return sys_fstat(t, &(struct syscall_args){{a->arg[0], a->arg[2]}});
    return stat_call(t, ARG_INT(0), ARG_PTR(1), flags, ARG_PTR(2));
}

struct lx_statx_time {
    int64_t sec;
    uint32_t nsec;
    int32_t pad;
};

struct lx_statx {
    uint32_t mask, blksize;
    uint64_t attributes;
    uint32_t nlink, uid, gid;
    uint16_t mode, pad0;
    uint64_t ino, size, blocks, attributes_mask;
    struct lx_statx_time atime, btime, ctime, mtime;
    uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
    uint64_t mnt_id;
    uint32_t dio_mem_align, dio_offset_align;
    uint64_t spare[12];
};
_Static_assert(sizeof(struct lx_statx) == 256, "struct statx");

static uint32_t dev_major(uint64_t dev)
{
    return (uint32_t)((dev >> 8) & 0xfff) | (uint32_t)((dev >> 32) & 0xfffff000);
}

static uint32_t dev_minor(uint64_t dev)
{
    return (uint32_t)(dev & 0xff) | (uint32_t)((dev >> 12) & 0xffffff00);
}

static struct lx_statx_time statx_time(int64_t ns)
{
    return (struct lx_statx_time){.sec = ns_floor_sec(ns), .nsec = (uint32_t)ns_rest(ns)};
}

static void fill_statx(const struct kstat *k, const struct path *path, struct lx_statx *x)
{
    memset(x, 0, sizeof(*x));
    x->mask = LX_STATX_BASIC_STATS;
    x->blksize = k->blksize;
    x->nlink = (uint32_t)k->nlink;
    x->uid = k->uid;
    x->gid = k->gid;
    x->mode = (uint16_t)k->mode;
    x->ino = k->ino;
    x->size = k->size;
    x->blocks = k->blocks;
    x->atime = statx_time(k->atime_ns);
    x->ctime = statx_time(k->ctime_ns);
    x->mtime = statx_time(k->mtime_ns);
    if (k->btime_ns) {
        x->btime = statx_time(k->btime_ns);
        x->mask |= LX_STATX_BTIME;
    }
    x->rdev_major = dev_major(k->rdev);
    x->rdev_minor = dev_minor(k->rdev);
    x->dev_major = dev_major(k->dev);
    x->dev_minor = dev_minor(k->dev);
    x->attributes_mask = LX_STATX_ATTR_MOUNT_ROOT;
    if (path->mount) {
        x->mnt_id = path->mount->id;
        x->mask |= LX_STATX_MNT_ID;
        if (path->dentry == path->mount->root)
            x->attributes |= LX_STATX_ATTR_MOUNT_ROOT;
    }
}

int64_t sys_statx(struct task *t, const struct syscall_args *a)
{
    uint32_t flags = ARG_U32(2);
    AUTO_PATH path = {0};
    struct lx_statx x;
    struct kstat k;
    int err;

    if (flags & ~(uint32_t)(LX_AT_SYMLINK_NOFOLLOW | LX_AT_NO_AUTOMOUNT | LX_AT_EMPTY_PATH |
                            LX_AT_STATX_SYNC_TYPE) ||
        (flags & LX_AT_STATX_SYNC_TYPE) == LX_AT_STATX_SYNC_TYPE || ARG_U32(3) & LX_STATX__RESERVED)
        return -EINVAL;
    if (flags & LX_AT_EMPTY_PATH && uaddr_is_null(ARG_PTR(1)) && ARG_INT(0) >= 0) {
        err = stat_fd(t, ARG_INT(0), &k, &path);
    } else {
        err = stat_at(t, ARG_INT(0), ARG_PTR(1), flags, &k, &path);
    }
    if (err)
        return err;
    fill_statx(&k, &path, &x);
    return copy_out_last_obj(&t->us, ARG_PTR(4), &x);
}

/* The caller with its real ids in place of the effective ones: what access(2) checks with. One
 * reference; mostly c itself. */
static const struct cred *real_cred(const struct cred *c)
{
    uint64_t caps = c->cap_effective;
    struct cred *r;

    if (!(c->securebits & 4)) /* SECBIT_NO_SETUID_FIXUP */
        caps = c->uid ? 0 : c->cap_permitted;
    if (c->fsuid == c->uid && c->fsgid == c->gid && c->cap_effective == caps)
        return cred_get(c);
    r = cred_copy(c);
    if (!r)
        return NULL;
    r->fsuid = r->uid;
    r->fsgid = r->gid;
    r->cap_effective = caps;
    return r;
}

static int64_t do_access(struct task *t, int dirfd, uaddr_t name, uint32_t mode, uint32_t flags)
{
    AUTO_AT_PATH(p);
    AUTO_PATH path = {0};
    const struct cred *cred = NULL;
    struct vfs_ctx ctx;
    int err;

    if (mode & ~7u ||
        flags & ~(uint32_t)(LX_AT_EACCESS | LX_AT_SYMLINK_NOFOLLOW | LX_AT_EMPTY_PATH))
        return -EINVAL;
    err = at_path_get(t, dirfd, name, flags & LX_AT_EMPTY_PATH, &p);
    if (err)
        return err;
    ctx = p.vfs.ctx;
    if (!(flags & LX_AT_EACCESS)) {
        cred = real_cred(t->cred);
        if (!cred)
            return -ENOMEM;
        ctx.cred = cred;
    }
    err = vfs_walk(&ctx, p.base.use, p.name,
                   (flags & LX_AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) |
                       (flags & LX_AT_EMPTY_PATH ? WALK_EMPTY : 0),
                   &path);
    if (!err && mode)
        err = vfs_access(&ctx, &path, (int)mode);
    if (cred)
        cred_put(cred);
    return err;
}

int64_t sys_access(struct task *t, const struct syscall_args *a)
{
    return do_access(t, LX_AT_FDCWD, ARG_PTR(0), ARG_U32(1), 0);
}

int64_t sys_faccessat(struct task *t, const struct syscall_args *a)
{
    return do_access(t, ARG_INT(0), ARG_PTR(1), ARG_U32(2), 0);
}

int64_t sys_faccessat2(struct task *t, const struct syscall_args *a)
{
    return do_access(t, ARG_INT(0), ARG_PTR(1), ARG_U32(2), ARG_U32(3));
}

struct lx_statfs {
    int64_t type, bsize;
    uint64_t blocks, bfree, bavail, files, ffree;
    uint64_t fsid;
    int64_t namelen, frsize, flags, spare[4];
};
_Static_assert(sizeof(struct lx_statfs) == 120, "struct statfs");

#define ST_VALID 0x20

static int64_t statfs_path(struct task *t, const struct path *path, uaddr_t out)
{
    struct kstatfs k;
    struct lx_statfs s;
    int err = vfs_statfs(path, &k);

    if (err)
        return err;
    s = (struct lx_statfs){
        .type = (int64_t)k.type,
        .bsize = (int64_t)k.bsize,
        .blocks = k.blocks,
        .bfree = k.bfree,
        .bavail = k.bavail,
        .files = k.files,
        .ffree = k.ffree,
        .fsid = path->mount->sb->dev,
        .namelen = (int64_t)k.namelen,
        .frsize = (int64_t)(k.frsize ? k.frsize : k.bsize),
        .flags = ST_VALID |
                 (path->mount->flags & (LX_MS_RDONLY | LX_MS_NOSUID | LX_MS_NODEV | LX_MS_NOEXEC)),
    };
    if (path->mount->flags & LX_MS_NOATIME)
        s.flags |= LX_ST_NOATIME;
    if (path->mount->flags & LX_MS_NODIRATIME)
        s.flags |= LX_ST_NODIRATIME;
    if (path->mount->flags & LX_MS_RELATIME)
        s.flags |= LX_ST_RELATIME;
    if (path->mount->flags & LX_MS_NOSYMFOLLOW)
        s.flags |= LX_ST_NOSYMFOLLOW;
    return copy_out_last_obj(&t->us, out, &s);
}

int64_t sys_statfs(struct task *t, const struct syscall_args *a)
{
    AUTO_PATH path = {0};
    int err = walk_at(t, LX_AT_FDCWD, ARG_PTR(0), WALK_FOLLOW, &path);

    return err ? err : statfs_path(t, &path, ARG_PTR(1));
}

int64_t sys_fstatfs(struct task *t, const struct syscall_args *a)
{
    AUTO_FILE f = task_file_or_path(t, ARG_INT(0));
    struct lx_statfs s = {.bsize = 4096, .frsize = 4096, .namelen = 255, .flags = ST_VALID};

    if (!f)
        return -EBADF;
    if (f->path.dentry)
        return statfs_path(t, &f->path, ARG_PTR(1));
    if ((f->anon_mode & LX_S_IFMT) == LX_S_IFIFO)
        s.type = LX_PIPEFS_MAGIC;
    else if ((f->anon_mode & LX_S_IFMT) == LX_S_IFSOCK)
        s.type = LX_SOCKFS_MAGIC;
    else
        s.type = LX_ANON_INODE_FS_MAGIC;
    return copy_out_last_obj(&t->us, ARG_PTR(1), &s);
}
