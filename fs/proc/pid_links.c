/*
 * Magic links of /proc/PID: cwd, root, exe. They lead to the object itself, whatever its name;
 * looking needs a tracer's rights. ns/: pid_ns.c.
 */
#include "fs/mount.h"
#include "fs/proc/proc_pid.h"
#include "sentry/mm/mm.h"

enum link_kind { LINK_CWD, LINK_ROOT, LINK_EXE };

static int link_target(struct task *t, enum link_kind kind, struct path *out)
{
    struct fs_context *fs;
    struct file *exe;
    struct mm *mm;

    if (kind == LINK_EXE) {
        mm = task_mm_get(t);
        exe = mm && mm->exe ? file_of_mapped(mm->exe) : NULL;
        if (exe && exe->path.dentry)
            *out = path_get(&exe->path);
        else
            exe = NULL;
        if (mm)
            mm_put(mm);
        return exe ? 0 : -ENOENT;
    }
    fs = task_fs_get(t);
    if (!fs)
        return -ENOENT;
    mutex_lock(&fs->lock);
    *out = path_get(kind == LINK_CWD ? &fs->cwd : &fs->root);
    mutex_unlock(&fs->lock);
    fs_context_put(fs);
    return 0;
}

static int follow(struct inode *inode, const struct vfs_ctx *ctx, enum link_kind kind,
                  struct path *out)
{
    struct task *t = proc_task(proc_inode(inode));
    int r;

    if (!t)
        return -ENOENT;
    r = proc_may_access(ctx, t) ? link_target(t, kind, out) : -EACCES;
    task_put(t);
    return r;
}

static int64_t read_link(struct inode *inode, const struct vfs_ctx *ctx, enum link_kind kind,
                         char *buf, size_t size)
{
    struct strbuf text;
    struct path target;
    int64_t n = follow(inode, ctx, kind, &target);

    if (n)
        return n;
    strbuf_init(&text);
    if (ctx)
        (void)path_print(&target, &ctx->root, true, &text);
    path_put(&target);
    n = text.failed ? -ENOMEM : (int64_t)MIN(text.size, size);
    if (n > 0)
        memcpy(buf, text.data, (size_t)n);
    strbuf_free(&text);
    return n;
}

#define MAGIC_LINK(name, kind)                                                                     \
    static int name##_follow(struct inode *inode, const struct vfs_ctx *ctx, struct path *out)     \
    {                                                                                              \
        return follow(inode, ctx, kind, out);                                                      \
    }                                                                                              \
    static int64_t name##_readlink(struct inode *inode, const struct vfs_ctx *ctx, char *buf,      \
                                   size_t size)                                                    \
    {                                                                                              \
        return read_link(inode, ctx, kind, buf, size);                                             \
    }

MAGIC_LINK(cwd, LINK_CWD)
MAGIC_LINK(root, LINK_ROOT)
MAGIC_LINK(exe, LINK_EXE)

DEFINE_OPS(inode_ops, proc_cwd_ops) = {.follow = cwd_follow, .readlink_for = cwd_readlink};
DEFINE_OPS(inode_ops, proc_root_link_ops) = {.follow = root_follow, .readlink_for = root_readlink};
DEFINE_OPS(inode_ops, proc_exe_ops) = {.follow = exe_follow, .readlink_for = exe_readlink};
