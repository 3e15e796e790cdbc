/*
 * Magic links of /proc/PID: cwd, root, exe, and ns/. They lead to the object itself, whatever its
 * name; looking needs a tracer's rights.
 */
#include "fs/mount.h"
#include "fs/proc/proc_pid.h"
#include "sentry/mm/mm.h"

#define NS_INO_FIRST  4026531834U /* the initial namespaces' numbers are near this on Linux */
#define NS_INO_OTHERS 4026532000U
#define NS_INO_SPAN   1000000U

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

/* ---- ns/: one namespace of each kind, but mount namespaces; their files say which, and no more
 * ---- */

static const char *const ns_kinds[] = {"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"};

DECLARE_OPS(inode_ops, ns_file_inode_ops);
DECLARE_OPS(file_ops, ns_file_ops);
DEFINE_OPS(proc_node, ns_file_node) = {
    .name = "",
    .mode = LX_S_IFREG | 0444,
    .inode_ops = &ns_file_inode_ops,
    .file_ops = &ns_file_ops,
};
DEFINE_OPS(inode_ops, ns_file_inode_ops) = {.getattr = NULL};
DEFINE_OPS(file_ops, ns_file_ops) = {.read = NULL};

/* The link's kind and the number of the task's namespace of it. -ENOENT, -EACCES. */
static int ns_identify(struct inode *inode, const struct vfs_ctx *ctx, const char **out_kind,
                       uint32_t *out_ino)
{
    struct proc_inode *pi = proc_inode(inode);
    const char *name = proc_node_of(pi)->name;
    struct task *t = proc_task(pi);
    uint32_t kind = 0;
    int r;

    if (!t)
        return -ENOENT;
    r = proc_may_access(ctx, t) ? 0 : -EACCES;
    while (kind + 1 < ARRAY_SIZE(ns_kinds) && !str_starts(name, ns_kinds[kind]))
        kind++;
    *out_kind = ns_kinds[kind];
    *out_ino = NS_INO_FIRST + kind;
    mutex_lock(&t->res_lock);
    if (strcmp(*out_kind, "mnt") == 0 && t->mount_ns && t->mount_ns != t->k->mount_ns)
        *out_ino = NS_INO_OTHERS +
                   (uint32_t)((uintptr_t)t->mount_ns / sizeof(struct mount_ns) % NS_INO_SPAN);
    mutex_unlock(&t->res_lock);
    task_put(t);
    return r;
}

static int64_t ns_readlink(struct inode *inode, const struct vfs_ctx *ctx, char *buf, size_t size)
{
    const char *kind;
    uint32_t ino;
    char text[40];
    size_t n;
    int r = ns_identify(inode, ctx, &kind, &ino);

    if (r)
        return r;
    n = (size_t)cv_snprintf(text, sizeof(text), "%s:[%u]", kind, ino);
    n = MIN(n, size);
    memcpy(buf, text, n);
    return (int64_t)n;
}

static int ns_follow(struct inode *inode, const struct vfs_ctx *ctx, struct path *out)
{
    struct inode *target;
    const char *kind;
    uint32_t ino;
    int r = ns_identify(inode, ctx, &kind, &ino);

    if (!r)
        r = proc_new_inode(inode->sb, &ns_file_node, NULL, 0, false, &target);
    if (r)
        return r;
    target->ino = ino;
    return proc_nameless_path(target, kind, out);
}

DEFINE_OPS(inode_ops, proc_ns_ops) = {.readlink_for = ns_readlink, .follow = ns_follow};
