/* Extended attributes. Source: xattr(7). */
#include "sentry/abi/mount.h"
#include "sentry/base/string.h"
#include "syscalls/io.h"

#define XATTR_NAME_MAX 255
#define XATTR_SIZE_MAX 65536U
#define XATTR_LIST_MAX 65536U

/* What a call works on: a path, or a descriptor's. */
struct xattr_target {
    struct path path;
    struct file *file; /* holds path when not NULL */
    struct task_vfs vfs;
    bool have_vfs;
};

static void target_put(struct xattr_target *x)
{
    if (x->have_vfs)
        task_vfs_put(&x->vfs);
    if (x->file)
        file_put(x->file);
    else if (x->path.dentry)
        path_put(&x->path);
}
#define AUTO_TARGET CLEANUP(target_put) struct xattr_target

enum target_kind { BY_PATH, BY_LINK, BY_FD };

static int target_get(struct task *t, const struct syscall_args *a, enum target_kind kind,
                      struct xattr_target *x)
{
    int err = 0;

    if (kind == BY_FD) {
        x->file = task_file(t, ARG_INT(0));
        if (!x->file)
            return -EBADF;
        if (!x->file->path.dentry)
            return -EOPNOTSUPP;
        x->path = x->file->path;
    } else {
        err = walk_at(t, LX_AT_FDCWD, ARG_PTR(0), kind == BY_PATH ? WALK_FOLLOW : 0, &x->path);
    }
    if (err)
        return err;
    task_vfs_get(t, &x->vfs);
    x->have_vfs = true;
    return 0;
}

static int copy_name(struct task *t, uaddr_t p, char name[XATTR_NAME_MAX + 1])
{
    int64_t n = copy_in_str(&t->us, name, p, XATTR_NAME_MAX + 1);

    if (n == -ENAMETOOLONG || n == 0)
        return -ERANGE;
    return n < 0 ? (int)n : 0;
}

static int64_t do_setxattr(struct task *t, const struct syscall_args *a, enum target_kind kind)
{
    AUTO_TARGET x = {.file = NULL};
    char name[XATTR_NAME_MAX + 1];
    uint64_t size = ARG_U64(3);
    AUTO_KFREE void *value = NULL;
    int err;

    if (ARG_U32(4) & ~(uint32_t)(LX_XATTR_CREATE | LX_XATTR_REPLACE))
        return -EINVAL;
    err = copy_name(t, ARG_PTR(1), name);
    if (err)
        return err;
    if (size > XATTR_SIZE_MAX)
        return -E2BIG;
    value = kmalloc(MAX(size, 1));
    if (!value)
        return -ENOMEM;
    if (copy_in(&t->us, value, ARG_PTR(2), size))
        return -EFAULT;
    err = target_get(t, a, kind, &x);
    return err ? err : vfs_setxattr(&x.vfs.ctx, &x.path, name, value, size, ARG_INT(4));
}

static int64_t do_getxattr(struct task *t, const struct syscall_args *a, enum target_kind kind)
{
    AUTO_TARGET x = {.file = NULL};
    char name[XATTR_NAME_MAX + 1];
    uint64_t size = MIN(ARG_U64(3), XATTR_SIZE_MAX);
    AUTO_KFREE void *value = NULL;
    int64_t n;
    int err = copy_name(t, ARG_PTR(1), name);

    if (err)
        return err;
    if (size) {
        value = kmalloc(size);
        if (!value)
            return -ENOMEM;
    }
    err = target_get(t, a, kind, &x);
    if (err)
        return err;
    n = vfs_getxattr(&x.vfs.ctx, &x.path, name, value, size);
    if (n > 0 && size && copy_out_last(&t->us, ARG_PTR(2), value, (size_t)n))
        return -EFAULT;
    return n;
}

static int64_t do_listxattr(struct task *t, const struct syscall_args *a, enum target_kind kind)
{
    AUTO_TARGET x = {.file = NULL};
    uint64_t size = MIN(ARG_U64(2), XATTR_LIST_MAX);
    AUTO_KFREE char *list = NULL;
    int64_t n;
    int err;

    if (size) {
        list = kmalloc(size);
        if (!list)
            return -ENOMEM;
    }
    err = target_get(t, a, kind, &x);
    if (err)
        return err;
    n = vfs_listxattr(&x.vfs.ctx, &x.path, list, size);
    if (n > 0 && size && copy_out_last(&t->us, ARG_PTR(1), list, (size_t)n))
        return -EFAULT;
    return n;
}

static int64_t do_removexattr(struct task *t, const struct syscall_args *a, enum target_kind kind)
{
    AUTO_TARGET x = {.file = NULL};
    char name[XATTR_NAME_MAX + 1];
    int err = copy_name(t, ARG_PTR(1), name);

    if (!err)
        err = target_get(t, a, kind, &x);
    return err ? err : vfs_removexattr(&x.vfs.ctx, &x.path, name);
}

int64_t sys_setxattr(struct task *t, const struct syscall_args *a)
{
    return do_setxattr(t, a, BY_PATH);
}

int64_t sys_lsetxattr(struct task *t, const struct syscall_args *a)
{
    return do_setxattr(t, a, BY_LINK);
}

int64_t sys_fsetxattr(struct task *t, const struct syscall_args *a)
{
    return do_setxattr(t, a, BY_FD);
}

int64_t sys_getxattr(struct task *t, const struct syscall_args *a)
{
    return do_getxattr(t, a, BY_PATH);
}

int64_t sys_lgetxattr(struct task *t, const struct syscall_args *a)
{
    return do_getxattr(t, a, BY_LINK);
}

int64_t sys_fgetxattr(struct task *t, const struct syscall_args *a)
{
    return do_getxattr(t, a, BY_FD);
}

int64_t sys_listxattr(struct task *t, const struct syscall_args *a)
{
    return do_listxattr(t, a, BY_PATH);
}

int64_t sys_llistxattr(struct task *t, const struct syscall_args *a)
{
    return do_listxattr(t, a, BY_LINK);
}

int64_t sys_flistxattr(struct task *t, const struct syscall_args *a)
{
    return do_listxattr(t, a, BY_FD);
}

int64_t sys_removexattr(struct task *t, const struct syscall_args *a)
{
    return do_removexattr(t, a, BY_PATH);
}

int64_t sys_lremovexattr(struct task *t, const struct syscall_args *a)
{
    return do_removexattr(t, a, BY_LINK);
}

int64_t sys_fremovexattr(struct task *t, const struct syscall_args *a)
{
    return do_removexattr(t, a, BY_FD);
}
