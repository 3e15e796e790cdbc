/*
 * /proc/PID/ns: links that name a task's namespaces and lead to files that stand for them, which
 * setns(2) takes. Of most kinds there is one namespace. Looking needs a tracer's rights. Takes
 * task.res_lock. Source: namespaces(7).
 */
#include "fs/mount.h"
#include "fs/proc/proc_pid.h"
#include "sentry/abi/sched.h"
#include "sentry/kernel/namespace.h"

#define INO_FIRST  4026531834U /* Linux's are near this */
#define INO_MOUNTS 4026532000U
#define INO_SPAN   700000U

struct ns_kind {
    const char *name;
    uint64_t flag;
};

static const struct ns_kind kinds[] = {
    {"cgroup", LX_CLONE_NEWCGROUP}, {"ipc", LX_CLONE_NEWIPC}, {"mnt", LX_CLONE_NEWNS},
    {"net", LX_CLONE_NEWNET},       {"pid", LX_CLONE_NEWPID}, {"time", LX_CLONE_NEWTIME},
    {"user", LX_CLONE_NEWUSER},     {"uts", LX_CLONE_NEWUTS},
};

DECLARE_OPS(inode_ops, ns_file_inode_ops);
DECLARE_OPS(file_ops, ns_file_ops);
static PROC_NODES(file_nodes) = {
#define FILE_NODE(n)                                                                               \
    {                                                                                              \
        .name = n, .mode = LX_S_IFREG | 0444, .inode_ops = &ns_file_inode_ops,                     \
        .file_ops = &ns_file_ops,                                                                  \
    }
    FILE_NODE("cgroup"), FILE_NODE("ipc"),  FILE_NODE("mnt"),  FILE_NODE("net"),
    FILE_NODE("pid"),    FILE_NODE("time"), FILE_NODE("user"), FILE_NODE("uts"),
};
_Static_assert(ARRAY_SIZE(file_nodes) == ARRAY_SIZE(kinds), "a file for each kind");
DEFINE_OPS(inode_ops, ns_file_inode_ops) = {.getattr = NULL};
DEFINE_OPS(file_ops, ns_file_ops) = {.read = NULL};

/* What a link leads to. */
struct ns_target {
    uint32_t kind; /* index of kinds */
    uint32_t ino;
    struct namespaces ns; /* references to what is of that kind */
};

/* Keeps in ns what is of the kind, and numbers it. */
static void pick(const struct task *t, bool children, struct ns_target *out)
{
    struct namespaces all = out->ns;

    out->ino = INO_FIRST + out->kind;
    out->ns = (struct namespaces){0};
    if (kinds[out->kind].flag == LX_CLONE_NEWNS && all.mounts) {
        out->ns.mounts = mount_ns_get(all.mounts);
        if (all.mounts != t->k->mount_ns)
            out->ino =
                INO_MOUNTS + (uint32_t)((uintptr_t)all.mounts / sizeof(*all.mounts) % INO_SPAN);
    } else if (kinds[out->kind].flag == LX_CLONE_NEWPID) {
        out->ns.child_pids = pid_ns_get(children ? all.child_pids : t->tg->pid_ns);
        out->ino = out->ns.child_pids->ino;
    } else if (kinds[out->kind].flag == LX_CLONE_NEWUTS) {
        out->ns.uts = uts_ns_get(all.uts);
        out->ino = out->ns.uts->ino;
    } else if (kinds[out->kind].flag == LX_CLONE_NEWIPC && all.ipc) {
        out->ns.ipc = ipc_ns_get(all.ipc);
        out->ino = all.ipc->ino;
    }
    namespaces_put(&all);
}

/* -ENOENT, -EACCES. */
static int identify(struct inode *inode, const struct vfs_ctx *ctx, struct ns_target *out)
{
    struct proc_inode *pi = proc_inode(inode);
    const char *name = proc_node_of(pi)->name;
    struct task *t = proc_task(pi);
    int r;

    if (!t)
        return -ENOENT;
    r = proc_may_access(ctx, t) ? 0 : -EACCES;
    if (!r) {
        out->kind = 0;
        while (out->kind + 1 < ARRAY_SIZE(kinds) && !str_starts(name, kinds[out->kind].name))
            out->kind++;
        task_namespaces_get(t, &out->ns);
        pick(t, strcmp(name, "pid_for_children") == 0, out);
    }
    task_put(t);
    return r;
}

static int64_t ns_readlink(struct inode *inode, const struct vfs_ctx *ctx, char *buf, size_t size)
{
    struct ns_target target;
    char text[40];
    size_t n;
    int r = identify(inode, ctx, &target);

    if (r)
        return r;
    n = (size_t)cv_snprintf(text, sizeof(text), "%s:[%u]", kinds[target.kind].name, target.ino);
    namespaces_put(&target.ns);
    n = MIN(n, size);
    memcpy(buf, text, n);
    return (int64_t)n;
}

static int ns_follow(struct inode *inode, const struct vfs_ctx *ctx, struct path *out)
{
    struct namespaces *ns = kmalloc(sizeof(*ns));
    struct ns_target target;
    struct inode *file;
    char name[40];
    int r = ns ? identify(inode, ctx, &target) : -ENOMEM;

    if (r) {
        kfree(ns);
        return r;
    }
    *ns = target.ns;
    r = proc_new_inode(inode->sb, &file_nodes[target.kind], NULL, 0, false, &file);
    if (r) {
        namespaces_put(ns);
        kfree(ns);
        return r;
    }
    proc_inode(file)->ns = ns;
    file->ino = target.ino;
    cv_snprintf(name, sizeof(name), "%s:[%u]", kinds[target.kind].name, target.ino);
    return proc_nameless_path(file, name, out);
}

DEFINE_OPS(inode_ops, proc_ns_ops) = {.readlink_for = ns_readlink, .follow = ns_follow};

bool proc_namespace_get(const struct file *f, uint64_t *kind, struct namespaces *out)
{
    const struct proc_inode *pi;

    if (!ops_is(f->ops, &ns_file_ops))
        return false;
    pi = proc_inode(f->inode);
    *kind = kinds[proc_node_of(pi) - file_nodes].flag;
    *out = (struct namespaces){
        .mounts = pi->ns->mounts ? mount_ns_get(pi->ns->mounts) : NULL,
        .child_pids = pi->ns->child_pids ? pid_ns_get(pi->ns->child_pids) : NULL,
        .uts = pi->ns->uts ? uts_ns_get(pi->ns->uts) : NULL,
        .ipc = pi->ns->ipc ? ipc_ns_get(pi->ns->ipc) : NULL,
    };
    return true;
}
