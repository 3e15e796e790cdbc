/* mount, umount2, pivot_root over fs/mount.h. All need CAP_SYS_ADMIN. Sources: mount(2), umount(2),
 * pivot_root(2). */
#include "fs/proc/proc.h"
#include "fs/sysfs/sysfs.h"
#include "fs/task/mqueue.h"
#include "fs/tmpfs/tmpfs.h"
#include "sentry/abi/mount.h"
#include "sentry/base/string.h"
#include "syscalls/io.h"

#define MS_MGC_VAL  0xc0ed0000U
#define MS_MGC_MASK 0xffff0000U
#define TYPE_SIZE   64
#define PROPAGATION (LX_MS_SHARED | LX_MS_PRIVATE | LX_MS_SLAVE | LX_MS_UNBINDABLE)
/* What a mount keeps of its flags. */
#define KEPT                                                                                       \
    (LX_MS_RDONLY | LX_MS_NOSUID | LX_MS_NODEV | LX_MS_NOEXEC | LX_MS_NOATIME | LX_MS_NODIRATIME | \
     LX_MS_RELATIME | LX_MS_STRICTATIME | LX_MS_SYNCHRONOUS | LX_MS_DIRSYNC | LX_MS_NOSYMFOLLOW)

static int make_tmpfs(struct task *t, const char *data, struct superblock **out)
{
    struct tmpfs_options o = {.mode = 01777, .uid = t->cred->fsuid, .gid = t->cred->fsgid};
    int err = data ? tmpfs_parse_options(data, &o) : 0;

    return err ? err : tmpfs_create(&o, out);
}

static int make_proc(struct task *t, const char *data, struct superblock **out)
{
    return procfs_create(t->tg->pid_ns, out);
}

static int make_sysfs(struct task *t, const char *data, struct superblock **out)
{
    return sysfs_create(out);
}

static int make_mqueue(struct task *t, const char *data, struct superblock **out)
{
    return mqueue_fs_get(t->ipc_ns, out);
}

/* Types a guest may mount; others are ENODEV, as in a kernel without them. */
static const struct fs_type {
    const char *name;
    int (*make)(struct task *t, const char *data, struct superblock **out);
} fs_types[] = {
    {"tmpfs", make_tmpfs},
    {"ramfs", make_tmpfs},
    {"proc", make_proc},
    {"sysfs", make_sysfs},
    {"mqueue", make_mqueue},
};

static int make_sb(struct task *t, const char *type, const char *data, struct superblock **out)
{
    for (size_t i = 0; i < ARRAY_SIZE(fs_types); i++) {
        if (strcmp(fs_types[i].name, type) == 0)
            return fs_types[i].make(t, data, out);
    }
    return -ENODEV;
}

/* An optional string argument: NULL when it is null. */
static int copy_optional(struct task *t, uaddr_t p, size_t size, char **out)
{
    char *s;
    int64_t n;

    *out = NULL;
    if (uaddr_is_null(p))
        return 0;
    s = kmalloc(size);
    if (!s)
        return -ENOMEM;
    n = copy_in_str(&t->us, s, p, size);
    if (n < 0) {
        kfree(s);
        return n == -ENAMETOOLONG ? -EINVAL : (int)n;
    }
    *out = s;
    return 0;
}

static int mount_new(struct task *t, const struct path *at, const char *source, uaddr_t type_p,
                     uaddr_t data_p, uint32_t flags)
{
    AUTO_KFREE char *type = NULL;
    AUTO_KFREE char *data = NULL;
    struct superblock *sb;
    int err = copy_optional(t, type_p, TYPE_SIZE, &type);

    if (!err)
        err = copy_optional(t, data_p, PAGE_SIZE, &data);
    if (err)
        return err;
    if (!type)
        return -EINVAL;
    err = make_sb(t, type, data, &sb);
    if (err)
        return err;
    err = mount_add(at, sb, source ? source : "none", flags & KEPT);
    sb_put(sb);
    return err;
}

/* There is one namespace's worth of mounts and none has peers: all are private already, or slaves
 * of nothing. */
static int change_propagation(uint32_t flags)
{
    uint32_t kind = flags & PROPAGATION;

    if (kind & (kind - 1))
        return -EINVAL;
    return kind == LX_MS_PRIVATE || kind == LX_MS_SLAVE ? 0 : -EINVAL;
}

static int mount_from(struct task *t, const char *source, const struct path *at, uint32_t flags)
{
    AUTO_PATH from = {0};
    struct task_vfs v;
    int err;

    if (!source || !source[0])
        return -EINVAL;
    task_vfs_get(t, &v);
    err = vfs_walk(&v.ctx, NULL, source, WALK_FOLLOW, &from);
    task_vfs_put(&v);
    if (err)
        return err;
    if (flags & LX_MS_BIND)
        return mount_bind(&from, at, flags & LX_MS_REC);
    return mount_move(&from, at);
}

int64_t sys_mount(struct task *t, const struct syscall_args *a)
{
    AUTO_KFREE char *source = NULL;
    AUTO_PATH at = {0};
    uint32_t flags = ARG_U32(3);
    int err;

    if ((flags & MS_MGC_MASK) == MS_MGC_VAL)
        flags &= ~MS_MGC_MASK;
    err = copy_optional(t, ARG_PTR(0), VFS_PATH_MAX, &source);
    if (!err)
        err = walk_at(t, LX_AT_FDCWD, ARG_PTR(1), WALK_FOLLOW, &at);
    if (err)
        return err;
    if (!task_capable(t, LX_CAP_SYS_ADMIN))
        return -EPERM;
    if (flags & LX_MS_REMOUNT)
        return mount_remount(&at, flags & KEPT);
    if (flags & (LX_MS_BIND | LX_MS_MOVE) && !(flags & PROPAGATION))
        return mount_from(t, source, &at, flags);
    if (flags & PROPAGATION)
        return change_propagation(flags);
    return mount_new(t, &at, source, ARG_PTR(2), ARG_PTR(4), flags);
}

int64_t sys_umount2(struct task *t, const struct syscall_args *a)
{
    uint32_t flags = ARG_U32(1);
    AUTO_PATH at = {0};
    int err;

    if (flags & ~(uint32_t)(LX_MNT_FORCE | LX_MNT_DETACH | LX_MNT_EXPIRE | LX_UMOUNT_NOFOLLOW))
        return -EINVAL;
    if (!task_capable(t, LX_CAP_SYS_ADMIN))
        return -EPERM;
    if (flags & LX_MNT_EXPIRE) /* needs a mark that says "not used since" */
        return -EINVAL;
    err = walk_at(t, LX_AT_FDCWD, ARG_PTR(0), flags & LX_UMOUNT_NOFOLLOW ? 0 : WALK_FOLLOW, &at);
    if (err)
        return err;
    if (at.dentry != at.mount->root)
        return -EINVAL;
    return mount_umount(&at, flags & LX_MNT_DETACH);
}

/* *p, of the caller's fs context, goes to to if it is at from. */
static void move_if_at(struct task *t, struct path *p, const struct path *from,
                       const struct path *to)
{
    struct path old = {0};

    mutex_lock(&t->fs->lock);
    if (p->mount == from->mount && p->dentry == from->dentry) {
        old = *p;
        *p = path_get(to);
    }
    mutex_unlock(&t->fs->lock);
    if (old.dentry)
        path_put(&old);
}

int64_t sys_pivot_root(struct task *t, const struct syscall_args *a)
{
    AUTO_PATH new_root = {0}, put_old = {0}, root = {0};
    int err;

    if (!task_capable(t, LX_CAP_SYS_ADMIN))
        return -EPERM;
    err = walk_at(t, LX_AT_FDCWD, ARG_PTR(0), WALK_FOLLOW | WALK_DIRECTORY, &new_root);
    if (!err)
        err = walk_at(t, LX_AT_FDCWD, ARG_PTR(1), WALK_FOLLOW | WALK_DIRECTORY, &put_old);
    if (err)
        return err;
    mutex_lock(&t->fs->lock);
    root = path_get(&t->fs->root);
    mutex_unlock(&t->fs->lock);
    err = mount_pivot_root(t->mount_ns, &root, &new_root, &put_old);
    if (!err) {
        move_if_at(t, &t->fs->root, &root, &new_root);
        move_if_at(t, &t->fs->cwd, &root, &new_root);
    }
    return err;
}
