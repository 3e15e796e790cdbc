/*
 * The tree is tables of struct proc_node in the read-only section cv_ops; an inode is a node and,
 * beneath /proc/PID, a process or thread. Inodes hold the thread group (not the task): each use
 * looks the task up again and fails with ESRCH once it is reaped.
 */
#pragma once

#include "fs/file.h"
#include "fs/inode.h"
#include "fs/proc/proc.h"
#include "fs/vfs.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/fcntl.h"
#include "sentry/base/fmt.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"
#include "sentry/kernel/kernel.h"

struct namespaces;
struct proc_entry;
struct proc_node;

/* What a table's function is given. task is held for the call; NULL outside /proc/PID. */
struct proc_entry {
    struct kernel *k;
    const struct pid_ns *ns; /* whose numbers are shown */
    struct task *task;
    bool thread;         /* /proc/PID/task/TID: this thread's numbers only */
    int32_t fd;          /* fdinfo/N */
    bool may_access;     /* the opener may look into the task as a tracer may */
    struct task *reader; /* who reads or writes now; NULL: the kernel */
    const struct proc_node *node;
};

enum proc_flags {
    PROC_ACCESS = 1,  /* opening needs tracer's rights: -EACCES */
    PROC_PROCESS = 2, /* not in /proc/PID/task/TID */
    PROC_THREAD = 4,  /* only there */
};

struct proc_node {
    const char *name;
    uint32_t mode; /* with type */
    uint32_t flags;
    /* Files: the whole text. 0 or -errno. */
    int (*show)(const struct proc_entry *e, struct strbuf *sb);
    /* One write(2), NUL-terminated, of at most PROC_WRITE_MAX bytes. 0 or -errno. NULL: -EINVAL (or
     * EACCES by mode). */
    int (*store)(const struct proc_entry *e, char *text, size_t size);
    /* Symlinks with constant text. */
    const char *target;
    /* Plain directories. */
    const struct proc_node *children;
    uint32_t child_count;
    /* Special inodes; NULL: by type. */
    const struct inode_ops *inode_ops;
    const struct file_ops *file_ops;
} ALIGNED(16);

#define PROC_NODES(name) DEFINE_OPS(proc_node, name[])
#define PROC_DIR(n, list)                                                                          \
    {                                                                                              \
        .name = n, .mode = LX_S_IFDIR | 0555, .children = list, .child_count = ARRAY_SIZE(list)    \
    }
#define PROC_FILE(n, fn)                                                                           \
    {                                                                                              \
        .name = n, .mode = LX_S_IFREG | 0444, .show = fn                                           \
    }
#define PROC_RW(n, fn, st)                                                                         \
    {                                                                                              \
        .name = n, .mode = LX_S_IFREG | 0644, .show = fn, .store = st                              \
    }
#define PROC_LINK(n, to)                                                                           \
    {                                                                                              \
        .name = n, .mode = LX_S_IFLNK | 0777, .target = to                                         \
    }
#define PROC_WRITE_MAX 4096

struct proc_inode {
    struct inode inode;      /* first */
    ops_ref_t node;          /* struct proc_node */
    struct thread_group *tg; /* one reference, or NULL */
    int32_t tid;             /* in the first pid namespace */
    bool thread;
    int32_t fd;            /* fd/N, fdinfo/N */
    struct file *anon;     /* the target of an fd link without a path: one reference */
    struct namespaces *ns; /* an open file of ns/: owned, with one reference in it */
};

static inline struct proc_inode *proc_inode(struct inode *inode)
{
    return (struct proc_inode *)(void *)inode;
}
static inline const struct proc_node *proc_node_of(const struct proc_inode *pi)
{
    return OPS_GET(proc_node, pi->node);
}
struct pid_ns *proc_pid_ns(const struct inode *inode);
static inline struct kernel *proc_kernel(const struct inode *inode)
{
    return proc_pid_ns(inode)->k;
}

/* The inode's task, counted; NULL: reaped, ESRCH. */
struct task *proc_task(const struct proc_inode *pi) MUST_CHECK;
/* An inode of node in sb; tg (NULL outside /proc/PID) gets its own reference; owned by the task's
 * user. */
int proc_new_inode(struct superblock *sb, const struct proc_node *node, struct thread_group *tg,
                   int32_t tid, bool thread, struct inode **out) MUST_CHECK;
/* The same for what is beneath dir, which gives the task. */
int proc_new_child(struct inode *dir, const struct proc_node *node, struct inode **out) MUST_CHECK;

/* A path to an inode that no directory holds (reference taken over, also on failure), for magic
 * links. -ENOMEM. */
int proc_nameless_path(struct inode *inode, const char *name, struct path *out) MUST_CHECK;
/* Is the node there in a thread's directory, or a process's? */
static inline bool proc_node_hidden(const struct proc_node *node, bool thread)
{
    return node->flags & (thread ? PROC_PROCESS : PROC_THREAD);
}

/* Directory listing: . and .., then each; false: the buffer is full. *pos counts entries. */
bool proc_emit_dots(struct file *f, struct dir_filler *df, uint64_t *pos);
bool proc_emit(struct dir_filler *df, const char *name, uint64_t ino, uint32_t mode, uint64_t *pos);
/* Static children from *pos - base on. */
bool proc_emit_nodes(struct dir_filler *df, const struct proc_node *nodes, uint32_t count,
                     bool thread, uint64_t base, uint64_t *pos);
int64_t proc_dir_llseek(struct file *f, int64_t offset, int whence);
/* Decimal without leading zeros, as entries are named; -ENOENT. */
int proc_parse_id(const char *name, int32_t *out) MUST_CHECK;
/* A number as settings take it: decimal, 0x or 0 before it; blanks around it. -EINVAL. */
int proc_parse_number(const char *text, uint64_t *out) MUST_CHECK;
/* May ctx's task look into it? The kernel itself may. */
bool proc_may_access(const struct vfs_ctx *ctx, struct task *task);

DECLARE_OPS(inode_ops, proc_dir_inode_ops);
DECLARE_OPS(inode_ops, proc_file_inode_ops);
DECLARE_OPS(inode_ops, proc_link_inode_ops);
DECLARE_OPS(file_ops, proc_dir_file_ops);
DECLARE_OPS(file_ops, proc_text_ops);

/* ---- tables ---- */
extern const struct proc_node proc_root_node, proc_pid_node, proc_tid_node;
extern const struct proc_node proc_sys_node; /* sys.c */
extern const struct proc_node proc_sysvipc_node;
DECLARE_OPS(inode_ops, proc_root_inode_ops);
DECLARE_OPS(file_ops, proc_root_file_ops);
/* pid_fd.c, pid_links.c, pid_mem.c */
DECLARE_OPS(inode_ops, proc_fd_dir_ops);
DECLARE_OPS(file_ops, proc_fd_dir_file_ops);
DECLARE_OPS(inode_ops, proc_fdinfo_dir_ops);
DECLARE_OPS(inode_ops, proc_task_dir_ops);
DECLARE_OPS(file_ops, proc_task_dir_file_ops);
DECLARE_OPS(inode_ops, proc_exe_ops);
DECLARE_OPS(inode_ops, proc_cwd_ops);
DECLARE_OPS(inode_ops, proc_root_link_ops);
DECLARE_OPS(inode_ops, proc_ns_ops);
DECLARE_OPS(inode_ops, proc_mem_inode_ops);
DECLARE_OPS(file_ops, proc_mem_ops);
DECLARE_OPS(inode_ops, proc_self_ops);
DECLARE_OPS(inode_ops, proc_thread_self_ops);

#define PROC_SHOW(name) int name(const struct proc_entry *e, struct strbuf *sb)
/* system.c, cpuinfo.c */
PROC_SHOW(proc_show_meminfo);
PROC_SHOW(proc_show_stat);
PROC_SHOW(proc_show_uptime);
PROC_SHOW(proc_show_loadavg);
PROC_SHOW(proc_show_version);
PROC_SHOW(proc_show_filesystems);
PROC_SHOW(proc_show_cmdline);
PROC_SHOW(proc_show_devices);
PROC_SHOW(proc_show_swaps);
PROC_SHOW(proc_show_partitions);
PROC_SHOW(proc_show_vmstat);
PROC_SHOW(proc_show_cgroups);
PROC_SHOW(proc_show_cpuinfo);
/* pid_stat.c, pid_status.c, pid_text.c, pid_maps.c, mounts.c */
PROC_SHOW(proc_show_pid_stat);
PROC_SHOW(proc_show_pid_statm);
PROC_SHOW(proc_show_pid_status);
PROC_SHOW(proc_show_pid_cmdline);
PROC_SHOW(proc_show_pid_environ);
PROC_SHOW(proc_show_pid_auxv);
PROC_SHOW(proc_show_pid_comm);
PROC_SHOW(proc_show_pid_limits);
PROC_SHOW(proc_show_pid_cgroup);
PROC_SHOW(proc_show_pid_oom_score);
PROC_SHOW(proc_show_pid_oom_score_adj);
PROC_SHOW(proc_show_pid_oom_adj);
PROC_SHOW(proc_show_pid_personality);
PROC_SHOW(proc_show_pid_wchan);
PROC_SHOW(proc_show_pid_uid_map);
PROC_SHOW(proc_show_pid_gid_map);
PROC_SHOW(proc_show_pid_setgroups);
PROC_SHOW(proc_show_pid_loginuid);
PROC_SHOW(proc_show_pid_sessionid);
PROC_SHOW(proc_show_pid_syscall);
PROC_SHOW(proc_show_pid_children);
PROC_SHOW(proc_show_pid_coredump_filter);
PROC_SHOW(proc_show_pid_timerslack);
PROC_SHOW(proc_show_pid_maps);
PROC_SHOW(proc_show_pid_mounts);
PROC_SHOW(proc_show_pid_mountinfo);
PROC_SHOW(proc_show_pid_mountstats);
PROC_SHOW(proc_show_pid_fdinfo);
int proc_store_pid_comm(const struct proc_entry *e, char *text, size_t size);
int proc_store_pid_coredump_filter(const struct proc_entry *e, char *text, size_t size);
int proc_store_pid_oom_score_adj(const struct proc_entry *e, char *text, size_t size);
