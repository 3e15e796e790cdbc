/*
 * The running task's view of files and paths, for handlers: fs contexts (root, cwd, umask),
 * descriptors, path arguments. Locks: fs_context.lock.
 */
#include "sentry/abi/errno.h"
#include "sentry/abi/fcntl.h"
#include "sentry/abi/sched.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"
#include "sentry/kernel/kernel.h"

SLAB_TYPE(fs_context_slab, struct fs_context);

struct fs_context *fs_context_alloc(const struct path *root, const struct path *cwd, uint32_t umask)
{
    struct fs_context *fs = slab_alloc(&fs_context_slab);

    if (!fs)
        return NULL;
    ref_init(&fs->ref);
    mutex_init(&fs->lock, RANK_FS);
    fs->root = path_get(root);
    fs->cwd = path_get(cwd);
    fs->umask = umask;
    return fs;
}

struct fs_context *fs_context_get(struct fs_context *fs)
{
    ref_get(&fs->ref);
    return fs;
}

void fs_context_put(struct fs_context *fs)
{
    if (!fs || !ref_put(&fs->ref))
        return;
    path_put(&fs->root);
    path_put(&fs->cwd);
    slab_free(&fs_context_slab, fs);
}

int fs_context_copy(struct fs_context *fs, struct fs_context **out)
{
    mutex_lock(&fs->lock);
    *out = fs_context_alloc(&fs->root, &fs->cwd, fs->umask);
    mutex_unlock(&fs->lock);
    return *out ? 0 : -ENOMEM;
}

void task_vfs_get(struct task *t, struct task_vfs *out)
{
    struct fs_context *fs = t->fs;

    out->ctx.cred = t->cred;
    out->ctx.task = t;
    out->ctx.fsize_limit = task_rlimit(t, LX_RLIMIT_FSIZE);
    out->ctx.mount_ns = t->mount_ns;
    /*
     * Nobody but the caller can change a context that only it holds; others may look at it
     * meanwhile.
     */
    out->counted = __atomic_load_n(&fs->ref.count, __ATOMIC_ACQUIRE) != 1;
    if (likely(!out->counted)) {
        out->ctx.root = fs->root;
        out->ctx.cwd = fs->cwd;
        out->ctx.umask = fs->umask;
        return;
    }
    mutex_lock(&fs->lock);
    out->ctx.root = path_get(&fs->root);
    out->ctx.cwd = path_get(&fs->cwd);
    out->ctx.umask = fs->umask;
    mutex_unlock(&fs->lock);
}

void task_vfs_put(struct task_vfs *v)
{
    if (!v->counted)
        return;
    path_put(&v->ctx.root);
    path_put(&v->ctx.cwd);
    v->counted = false;
}

struct file *task_file(struct task *t, int fd)
{
    return fdtable_file(t->files, fd, false);
}

struct file *task_file_or_path(struct task *t, int fd)
{
    return fdtable_file(t->files, fd, true);
}

int task_install_fd(struct task *t, struct file *f, bool cloexec)
{
    int fd = fdtable_install(t->files, f, 0, cloexec, task_rlimit(t, LX_RLIMIT_NOFILE));

    if (fd < 0)
        file_put(f);
    return fd;
}

int task_copy_path(struct task *t, uaddr_t p, bool allow_empty, char **out)
{
    char *buf = kmalloc(VFS_PATH_MAX);
    int64_t size;

    if (!buf)
        return -ENOMEM;
    size = copy_in_str(&t->us, buf, p, VFS_PATH_MAX);
    if (size > 0 || (size == 0 && allow_empty)) {
        *out = buf;
        return 0;
    }
    kfree(buf);
    return size == 0 ? -ENOENT : (int)size;
}

int task_at_base(struct task *t, int dirfd, const char *name, struct at_base *out)
{
    struct file *f;

    *out = (struct at_base){.use = NULL};
    if (name[0] == '/' || dirfd == LX_AT_FDCWD)
        return 0;
    f = task_file_or_path(t, dirfd);
    if (!f)
        return -EBADF;
    if (!f->path.dentry) { /* an anonymous file: no names beneath it */
        file_put(f);
        return -ENOTDIR;
    }
    out->path = path_get(&f->path);
    out->use = &out->path;
    file_put(f);
    return 0;
}

void task_at_base_put(struct at_base *b)
{
    if (b->use)
        path_put(&b->path);
    b->use = NULL;
}
