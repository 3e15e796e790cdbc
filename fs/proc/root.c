/*
 * /proc itself: fixed names, one directory a process, self and thread-self. Takes tasks_lock
 * through task.h.
 */
#include "fs/proc/proc_int.h"

#define FIRST_PID_POS                                                                              \
    64 /* positions in the listing: ., .., names below, then FIRST_PID_POS + tgid */

static PROC_NODES(root_nodes) = {
    {.name = "self", .mode = LX_S_IFLNK | 0777, .inode_ops = &proc_self_ops},
    {.name = "thread-self", .mode = LX_S_IFLNK | 0777, .inode_ops = &proc_thread_self_ops},
    PROC_FILE("cgroups", proc_show_cgroups),
    PROC_FILE("cmdline", proc_show_cmdline),
    PROC_FILE("cpuinfo", proc_show_cpuinfo),
    PROC_FILE("devices", proc_show_devices),
    PROC_FILE("filesystems", proc_show_filesystems),
    PROC_FILE("loadavg", proc_show_loadavg),
    PROC_FILE("meminfo", proc_show_meminfo),
    PROC_LINK("mounts", "self/mounts"),
    PROC_LINK("net", "self/net"),
    PROC_FILE("partitions", proc_show_partitions),
    PROC_FILE("stat", proc_show_stat),
    PROC_FILE("swaps", proc_show_swaps),
    {.name = "sys", .mode = LX_S_IFDIR | 0555},
    {.name = "sysvipc", .mode = LX_S_IFDIR | 0555},
    PROC_FILE("uptime", proc_show_uptime),
    PROC_FILE("version", proc_show_version),
    PROC_FILE("vmstat", proc_show_vmstat),
};
_Static_assert(ARRAY_SIZE(root_nodes) + 2 <= FIRST_PID_POS,
               "positions of processes come after the names");

DEFINE_OPS(proc_node, proc_root_node) = {
    .name = "/",
    .mode = LX_S_IFDIR | 0555,
    .inode_ops = &proc_root_inode_ops,
    .file_ops = &proc_root_file_ops,
};

static int lookup_pid(struct inode *dir, const char *name, struct inode **out)
{
    struct thread_group *tg;
    int32_t pid;
    struct task *t;
    int r = proc_parse_id(name, &pid);

    if (r)
        return r;
    /* A thread's number works as well, though only processes are listed. */
    t = task_find_in(proc_pid_ns(dir), pid);
    if (!t)
        return -ENOENT;
    tg = thread_group_get(t->tg);
    pid = t->tid;
    task_put(t);
    r = proc_new_inode(dir->sb, &proc_pid_node, tg, pid, false, out);
    thread_group_put(tg);
    return r;
}

static int root_lookup(struct inode *dir, const char *name, struct inode **out)
{
    if (name[0] >= '0' && name[0] <= '9')
        return lookup_pid(dir, name, out);
    if (strcmp(name, "sys") == 0)
        return proc_new_child(dir, &proc_sys_node, out);
    if (strcmp(name, "sysvipc") == 0)
        return proc_new_child(dir, &proc_sysvipc_node, out);
    for (uint32_t i = 0; i < ARRAY_SIZE(root_nodes); i++)
        if (strcmp(root_nodes[i].name, name) == 0)
            return proc_new_child(dir, &root_nodes[i], out);
    return -ENOENT;
}

static int root_readdir(struct file *f, struct dir_filler *df, uint64_t *pos)
{
    const struct pid_ns *ns = proc_pid_ns(f->inode);
    int32_t tgid;
    char name[12];

    if (!proc_emit_dots(f, df, pos))
        return 0;
    if (*pos < FIRST_PID_POS) {
        if (!proc_emit_nodes(df, root_nodes, ARRAY_SIZE(root_nodes), false, 2, pos))
            return 0;
        *pos = FIRST_PID_POS;
    }
    while ((tgid = thread_group_next_in(ns, (int32_t)(*pos - FIRST_PID_POS))) != 0) {
        uint64_t next = FIRST_PID_POS + (uint64_t)tgid;

        cv_snprintf(name, sizeof(name), "%d", tgid);
        if (!proc_emit(df, name, next, LX_S_IFDIR, &next))
            return 0;
        *pos = next;
    }
    return 0;
}

DEFINE_OPS(inode_ops, proc_root_inode_ops) = {.lookup = root_lookup};
DEFINE_OPS(file_ops, proc_root_file_ops) = {.readdir = root_readdir, .llseek = proc_dir_llseek};

/* ---- self, thread-self ---- */

static int64_t self_readlink(struct inode *inode, const struct vfs_ctx *ctx, char *buf, size_t size)
{
    int32_t tgid = ctx && ctx->task ? pid_nr_in(proc_pid_ns(inode), ctx->task->tg->tgid) : 0;
    char text[12];
    int n;

    if (!tgid)
        return -ENOENT;
    n = cv_snprintf(text, sizeof(text), "%d", tgid);
    n = (int)MIN((size_t)n, size);
    memcpy(buf, text, (size_t)n);
    return n;
}

static int64_t thread_self_readlink(struct inode *inode, const struct vfs_ctx *ctx, char *buf,
                                    size_t size)
{
    const struct pid_ns *ns = proc_pid_ns(inode);
    int32_t tgid = ctx && ctx->task ? pid_nr_in(ns, ctx->task->tg->tgid) : 0;
    char text[32];
    int n;

    if (!tgid)
        return -ENOENT;
    n = cv_snprintf(text, sizeof(text), "%d/task/%d", tgid, pid_nr_in(ns, ctx->task->tid));
    n = (int)MIN((size_t)n, size);
    memcpy(buf, text, (size_t)n);
    return n;
}

DEFINE_OPS(inode_ops, proc_self_ops) = {.readlink_for = self_readlink};
DEFINE_OPS(inode_ops, proc_thread_self_ops) = {.readlink_for = thread_self_readlink};
