/*
 * The tables of /proc/PID and /proc/PID/task/TID, and the task directory. What the entries say is
 * in the pid_ files.
 */
#include "fs/proc/net.h"

#define FIRST_TID_POS 2

static PROC_NODES(ns_nodes) = {
    {.name = "cgroup", .mode = LX_S_IFLNK | 0777, .inode_ops = &proc_ns_ops},
    {.name = "ipc", .mode = LX_S_IFLNK | 0777, .inode_ops = &proc_ns_ops},
    {.name = "mnt", .mode = LX_S_IFLNK | 0777, .inode_ops = &proc_ns_ops},
    {.name = "net", .mode = LX_S_IFLNK | 0777, .inode_ops = &proc_ns_ops},
    {.name = "pid", .mode = LX_S_IFLNK | 0777, .inode_ops = &proc_ns_ops},
    {.name = "pid_for_children", .mode = LX_S_IFLNK | 0777, .inode_ops = &proc_ns_ops},
    {.name = "time", .mode = LX_S_IFLNK | 0777, .inode_ops = &proc_ns_ops},
    {.name = "time_for_children", .mode = LX_S_IFLNK | 0777, .inode_ops = &proc_ns_ops},
    {.name = "user", .mode = LX_S_IFLNK | 0777, .inode_ops = &proc_ns_ops},
    {.name = "uts", .mode = LX_S_IFLNK | 0777, .inode_ops = &proc_ns_ops},
};

#define SECRET(n, fn)                                                                              \
    {                                                                                              \
        .name = n, .mode = LX_S_IFREG | 0400, .show = fn, .flags = PROC_ACCESS                     \
    }
#define LINK_TO(n, ops)                                                                            \
    {                                                                                              \
        .name = n, .mode = LX_S_IFLNK | 0777, .inode_ops = &ops                                    \
    }

static PROC_NODES(pid_nodes) = {
    {.name = "task",
     .mode = LX_S_IFDIR | 0555,
     .flags = PROC_PROCESS,
     .inode_ops = &proc_task_dir_ops,
     .file_ops = &proc_task_dir_file_ops},
    {.name = "fd",
     .mode = LX_S_IFDIR | 0500,
     .inode_ops = &proc_fd_dir_ops,
     .file_ops = &proc_fd_dir_file_ops},
    {.name = "fdinfo",
     .mode = LX_S_IFDIR | 0555,
     .inode_ops = &proc_fdinfo_dir_ops,
     .file_ops = &proc_fd_dir_file_ops},
    {.name = "ns",
     .mode = LX_S_IFDIR | 0511,
     .children = ns_nodes,
     .child_count = ARRAY_SIZE(ns_nodes)},
    SECRET("auxv", proc_show_pid_auxv),
    PROC_FILE("cgroup", proc_show_pid_cgroup),
    {.name = "children",
     .mode = LX_S_IFREG | 0444,
     .show = proc_show_pid_children,
     .flags = PROC_THREAD},
    PROC_FILE("cmdline", proc_show_pid_cmdline),
    PROC_RW("comm", proc_show_pid_comm, proc_store_pid_comm),
    PROC_RW("coredump_filter", proc_show_pid_coredump_filter, proc_store_pid_coredump_filter),
    LINK_TO("cwd", proc_cwd_ops),
    SECRET("environ", proc_show_pid_environ),
    LINK_TO("exe", proc_exe_ops),
    PROC_FILE("gid_map", proc_show_pid_gid_map),
    PROC_FILE("limits", proc_show_pid_limits),
    PROC_FILE("loginuid", proc_show_pid_loginuid),
    {.name = "maps", .mode = LX_S_IFREG | 0444, .show = proc_show_pid_maps, .flags = PROC_ACCESS},
    {.name = "mem",
     .mode = LX_S_IFREG | 0600,
     .inode_ops = &proc_mem_inode_ops,
     .file_ops = &proc_mem_ops},
    PROC_FILE("mountinfo", proc_show_pid_mountinfo),
    PROC_FILE("mounts", proc_show_pid_mounts),
    {.name = "mountstats",
     .mode = LX_S_IFREG | 0400,
     .show = proc_show_pid_mountstats,
     .flags = PROC_PROCESS},
    {.name = "net",
     .mode = LX_S_IFDIR | 0555,
     .flags = PROC_PROCESS,
     .children = proc_net_nodes,
     .child_count = PROC_NET_COUNT},
    {.name = "oom_adj", .mode = LX_S_IFREG | 0444, .show = proc_show_pid_oom_adj},
    PROC_FILE("oom_score", proc_show_pid_oom_score),
    PROC_RW("oom_score_adj", proc_show_pid_oom_score_adj, proc_store_pid_oom_score_adj),
    SECRET("personality", proc_show_pid_personality),
    LINK_TO("root", proc_root_link_ops),
    PROC_FILE("sessionid", proc_show_pid_sessionid),
    PROC_FILE("setgroups", proc_show_pid_setgroups),
    PROC_FILE("stat", proc_show_pid_stat),
    PROC_FILE("statm", proc_show_pid_statm),
    PROC_FILE("status", proc_show_pid_status),
    SECRET("syscall", proc_show_pid_syscall),
    {.name = "timerslack_ns",
     .mode = LX_S_IFREG | 0444,
     .show = proc_show_pid_timerslack,
     .flags = PROC_ACCESS | PROC_PROCESS},
    PROC_FILE("uid_map", proc_show_pid_uid_map),
    PROC_FILE("wchan", proc_show_pid_wchan),
};

DEFINE_OPS(proc_node, proc_pid_node) = {
    .name = "PID",
    .mode = LX_S_IFDIR | 0555,
    .children = pid_nodes,
    .child_count = ARRAY_SIZE(pid_nodes),
};
DEFINE_OPS(proc_node, proc_tid_node) = {
    .name = "TID",
    .mode = LX_S_IFDIR | 0555,
    .children = pid_nodes,
    .child_count = ARRAY_SIZE(pid_nodes),
};

static int task_lookup(struct inode *dir, const char *name, struct inode **out)
{
    struct proc_inode *pi = proc_inode(dir);
    int32_t tid;
    int r = proc_parse_id(name, &tid);
    struct task *t = r ? NULL : task_find_in(proc_pid_ns(dir), tid);

    if (!t)
        return -ENOENT;
    tid = t->tid;
    task_put(t);
    /* proc_new_inode checks that the thread is one of the group. */
    return proc_new_inode(dir->sb, &proc_tid_node, pi->tg, tid, true, out);
}

static int task_readdir(struct file *f, struct dir_filler *df, uint64_t *pos)
{
    struct proc_inode *pi = proc_inode(f->inode);
    struct task *t = proc_task(pi);
    int32_t tid;
    char name[12];

    if (!t)
        return -ENOENT;
    task_put(t);
    if (!proc_emit_dots(f, df, pos))
        return 0;
    while ((tid = task_next_in_group(pi->tg, (int32_t)(*pos - FIRST_TID_POS))) != 0) {
        uint64_t next = FIRST_TID_POS + (uint64_t)tid;

        int32_t shown = pid_nr_in(proc_pid_ns(f->inode), tid);

        cv_snprintf(name, sizeof(name), "%d", shown);
        if (shown && !proc_emit(df, name, next, LX_S_IFDIR, &next))
            return 0;
        *pos = shown ? next : next + 1;
    }
    return 0;
}

static int task_getattr(struct inode *inode, struct kstat *out);

DEFINE_OPS(inode_ops, proc_task_dir_ops) = {.lookup = task_lookup, .getattr = task_getattr};
DEFINE_OPS(file_ops, proc_task_dir_file_ops) = {.readdir = task_readdir, .llseek = proc_dir_llseek};

/* One link for each thread, which programs count. */
static int task_getattr(struct inode *inode, struct kstat *out)
{
    struct proc_inode *pi = proc_inode(inode);

    *out = (struct kstat){
        .dev = inode->sb->dev,
        .ino = inode->ino,
        .nlink = 2 + READ_ONCE(pi->tg->task_count),
        .blksize = 1024,
        .mode = inode->mode,
        .uid = inode->uid,
        .gid = inode->gid,
        .atime_ns = inode->atime_ns,
        .mtime_ns = inode->mtime_ns,
        .ctime_ns = inode->ctime_ns,
        .btime_ns = inode->btime_ns,
    };
    return 0;
}

struct thread_group *proc_dir_group_get(const struct file *f)
{
    const struct proc_inode *pi;

    if (!ops_is(f->ops, &proc_dir_file_ops))
        return NULL;
    pi = proc_inode(f->inode);
    return proc_node_of(pi) == &proc_pid_node ? thread_group_get(pi->tg) : NULL;
}
