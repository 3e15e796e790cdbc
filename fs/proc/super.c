/*
 * procfs instances and inodes, and what all its directories share: look-up in tables, listing. Not
 * here: what the entries say. Takes tasks_lock through task.h; inodes are never cached by name
 * (SB_NO_DCACHE).
 */
#include "fs/mount.h"
#include "fs/proc/proc_int.h"
#include "fs/vfs_int.h"
#include "sentry/kernel/namespace.h"

#define PROC_SUPER_MAGIC 0x9fa0
#define PROC_ROOT_INO    1

struct proc_sb {
    struct superblock sb; /* first */
    uint64_t next_ino;
};

SLAB_TYPE(proc_inode_slab, struct proc_inode);

struct pid_ns *proc_pid_ns(const struct inode *inode)
{
    return inode->sb->data;
}

static void free_inode(struct inode *inode)
{
    struct proc_inode *pi = proc_inode(inode);

    if (pi->tg)
        thread_group_put(pi->tg);
    if (pi->anon) {
        inode->fifo = NULL;
        file_put(pi->anon);
    }
    if (pi->ns)
        namespaces_put(pi->ns);
    kfree(pi->ns);
    slab_free(&proc_inode_slab, pi);
}

static void free_sb(struct superblock *sb)
{
    pid_ns_put(sb->data);
    kfree(sb);
}

static int proc_statfs(struct superblock *sb, struct kstatfs *out)
{
    *out = (struct kstatfs){
        .type = PROC_SUPER_MAGIC, .bsize = PAGE_SIZE, .frsize = PAGE_SIZE, .namelen = VFS_NAME_MAX};
    return 0;
}

DEFINE_OPS(sb_ops, proc_sb_ops) = {
    .type_name = "proc",
    .free_inode = free_inode,
    .free_sb = free_sb,
    .statfs = proc_statfs,
};

struct task *proc_task(const struct proc_inode *pi)
{
    struct task *t;

    if (!pi->tg)
        return NULL;
    t = task_find(proc_kernel(&pi->inode), pi->tid);
    if (t && t->tg != pi->tg) {
        task_put(t); /* the number is another's now */
        return NULL;
    }
    return t;
}

static const void *inode_ops_for(const struct proc_node *node)
{
    if (node->inode_ops)
        return node->inode_ops;
    if ((node->mode & LX_S_IFMT) == LX_S_IFDIR)
        return &proc_dir_inode_ops;
    return (node->mode & LX_S_IFMT) == LX_S_IFLNK ? &proc_link_inode_ops : &proc_file_inode_ops;
}

static const void *file_ops_for(const struct proc_node *node)
{
    if (node->file_ops)
        return node->file_ops;
    return (node->mode & LX_S_IFMT) == LX_S_IFDIR ? &proc_dir_file_ops : &proc_text_ops;
}

/* The user whose process it is, root for one that may not be dumped (but its directory, as on
 * Linux). */
static void set_owner(struct inode *inode, struct task *t, bool top)
{
    const struct cred *cred = task_cred_get(t);

    if (!cred)
        return;
    if (top || READ_ONCE(t->tg->dumpable) == 1) {
        inode->uid = cred->euid;
        inode->gid = cred->egid;
    }
    cred_put(cred);
}

int proc_new_inode(struct superblock *sb, const struct proc_node *node, struct thread_group *tg,
                   int32_t tid, bool thread, struct inode **out)
{
    struct proc_sb *psb = (struct proc_sb *)(void *)sb;
    struct proc_inode *pi = slab_alloc(&proc_inode_slab);
    uint64_t ino = __atomic_add_fetch(&psb->next_ino, 1, __ATOMIC_RELAXED);
    struct task *t;

    if (!pi)
        return -ENOMEM;
    inode_init(&pi->inode, sb, inode_ops_for(node), file_ops_for(node), ino, node->mode);
    pi->inode.nlink = (node->mode & LX_S_IFMT) == LX_S_IFDIR ? 2 : 1;
    pi->node = ops_ref(node);
    pi->tid = tid;
    pi->thread = thread;
    if (tg) {
        pi->tg = thread_group_get(tg);
        t = proc_task(pi);
        if (!t) {
            inode_put(&pi->inode);
            return -ENOENT;
        }
        set_owner(&pi->inode, t, node == &proc_pid_node || node == &proc_tid_node);
        task_put(t);
    }
    *out = &pi->inode;
    return 0;
}

int proc_new_child(struct inode *dir, const struct proc_node *node, struct inode **out)
{
    struct proc_inode *pi = proc_inode(dir);

    return proc_new_inode(dir->sb, node, pi->tg, pi->tid, pi->thread, out);
}

int procfs_create(struct pid_ns *ns, struct superblock **out)
{
    struct proc_sb *psb = kmalloc(sizeof(*psb));
    int r;

    if (!psb)
        return -ENOMEM;
    sb_init(&psb->sb, &proc_sb_ops, vfs_alloc_dev());
    psb->sb.flags = SB_NO_DCACHE;
    psb->sb.data = pid_ns_get(ns);
    psb->next_ino = PROC_ROOT_INO - 1;
    r = proc_new_inode(&psb->sb, &proc_root_node, NULL, 0, false, &psb->sb.root);
    if (r) {
        pid_ns_put(ns);
        kfree(psb);
        return r;
    }
    *out = &psb->sb;
    return 0;
}

int proc_nameless_path(struct inode *inode, const char *name, struct path *out)
{
    int r;

    out->dentry = dentry_alloc_unlinked(name, inode);
    if (!out->dentry) {
        inode_put(inode);
        return -ENOMEM;
    }
    r = mount_create_detached(inode->sb, "none", 0, &out->mount);
    if (r)
        dentry_put(out->dentry);
    return r;
}

/* ---- directories ---- */

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n';
}

int proc_parse_number(const char *text, uint64_t *out)
{
    uint64_t value = 0;
    int base = 10, digits = 0;

    while (is_blank(*text))
        text++;
    if (text[0] == '0' && text[1]) {
        base = (text[1] | 0x20) == 'x' ? 16 : 8;
        text += base == 16 ? 2 : 0;
    }
    for (; digit_of(*text) < base; text++, digits++) {
        if (__builtin_mul_overflow(value, (uint64_t)base, &value) ||
            __builtin_add_overflow(value, (uint64_t)digit_of(*text), &value))
            return -EINVAL;
    }
    while (is_blank(*text))
        text++;
    if (!digits || *text)
        return -EINVAL;
    *out = value;
    return 0;
}

int proc_parse_id(const char *name, int32_t *out)
{
    uint64_t v;

    if (str_to_u64(name, &v) || v > INT32_MAX || (name[0] == '0' && name[1]))
        return -ENOENT;
    *out = (int32_t)v;
    return 0;
}

bool proc_may_access(const struct vfs_ctx *ctx, struct task *task)
{
    return !ctx || !ctx->task || task_may_access(ctx->task, task);
}

static int dir_lookup(struct inode *dir, const char *name, struct inode **out)
{
    const struct proc_node *node = proc_node_of(proc_inode(dir));

    for (uint32_t i = 0; i < node->child_count; i++) {
        const struct proc_node *child = &node->children[i];

        if (strcmp(child->name, name) == 0 && !proc_node_hidden(child, proc_inode(dir)->thread))
            return proc_new_child(dir, child, out);
    }
    return -ENOENT;
}

bool proc_emit(struct dir_filler *df, const char *name, uint64_t ino, uint32_t mode, uint64_t *pos)
{
    if (!df->fill(df, name, strlen(name), ino, (mode & LX_S_IFMT) >> 12, *pos + 1))
        return false;
    (*pos)++;
    return true;
}

bool proc_emit_dots(struct file *f, struct dir_filler *df, uint64_t *pos)
{
    if (*pos == 0 && !proc_emit(df, ".", f->inode->ino, LX_S_IFDIR, pos))
        return false;
    return *pos != 1 || proc_emit(df, "..", PROC_ROOT_INO, LX_S_IFDIR, pos);
}

/* Entries have no inode until they are looked up; any number but 0 will do. */
bool proc_emit_nodes(struct dir_filler *df, const struct proc_node *nodes, uint32_t count,
                     bool thread, uint64_t base, uint64_t *pos)
{
    while (*pos - base < count) {
        const struct proc_node *node = &nodes[*pos - base];

        if (proc_node_hidden(node, thread))
            (*pos)++;
        else if (!proc_emit(df, node->name, PROC_ROOT_INO + 1 + *pos, node->mode, pos))
            return false;
    }
    return true;
}

static int dir_readdir(struct file *f, struct dir_filler *df, uint64_t *pos)
{
    struct proc_inode *pi = proc_inode(f->inode);
    const struct proc_node *node = proc_node_of(pi);

    if (proc_emit_dots(f, df, pos))
        (void)proc_emit_nodes(df, node->children, node->child_count, pi->thread, 2, pos);
    return 0;
}

int64_t proc_dir_llseek(struct file *f, int64_t offset, int whence)
{
    if (whence == LX_SEEK_CUR)
        offset += f->pos;
    else if (whence != LX_SEEK_SET)
        return -EINVAL;
    if (offset < 0)
        return -EINVAL;
    f->pos = offset;
    return offset;
}

DEFINE_OPS(inode_ops, proc_dir_inode_ops) = {.lookup = dir_lookup};
DEFINE_OPS(file_ops, proc_dir_file_ops) = {.readdir = dir_readdir, .llseek = proc_dir_llseek};

static int64_t link_readlink(struct inode *inode, char *buf, size_t size)
{
    const char *target = proc_node_of(proc_inode(inode))->target;
    size_t n = MIN(strlen(target), size);

    memcpy(buf, target, n);
    return (int64_t)n;
}

DEFINE_OPS(inode_ops, proc_link_inode_ops) = {.readlink = link_readlink};
