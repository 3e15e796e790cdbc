/*
 * sysfs instances, inodes, directories, and files that are text made on each read. Not here: what
 * they say. An inode's number follows from its node, so names may be cached. Takes no locks.
 */
#include "fs/file.h"
#include "fs/inode.h"
#include "fs/sysfs/sysfs_int.h"
#include "fs/vfs.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/mount.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"

#define ROOT_INO  1
#define CPU_BITS  16 /* of an inode's number */
#define NAME_SIZE 32
#define DOTS      2 /* positions of . and .. in a listing */

struct sysfs_inode {
    struct inode inode; /* first */
    ops_ref_t node;     /* struct sysfs_node */
    uint32_t cpu;
};

SLAB_TYPE(sysfs_inode_slab, struct sysfs_inode);

DECLARE_OPS(inode_ops, sysfs_inode_ops);
DECLARE_OPS(file_ops, sysfs_dir_ops);
DECLARE_OPS(file_ops, sysfs_text_ops);

static struct sysfs_inode *sysfs_inode(struct inode *inode)
{
    return (struct sysfs_inode *)(void *)inode;
}

static const struct sysfs_node *node_of(const struct sysfs_inode *si)
{
    return OPS_GET(sysfs_node, si->node);
}

static bool is_dir(const struct sysfs_node *node)
{
    return (node->mode & LX_S_IFMT) == LX_S_IFDIR;
}

static void free_inode(struct inode *inode)
{
    slab_free(&sysfs_inode_slab, sysfs_inode(inode));
}

static void free_sb(struct superblock *sb)
{
    kfree(sb);
}

static int sysfs_statfs(struct superblock *sb, struct kstatfs *out)
{
    *out = (struct kstatfs){
        .type = LX_SYSFS_MAGIC, .bsize = PAGE_SIZE, .frsize = PAGE_SIZE, .namelen = VFS_NAME_MAX};
    return 0;
}

DEFINE_OPS(sb_ops, sysfs_sb_ops) = {
    .type_name = "sysfs",
    .free_inode = free_inode,
    .free_sb = free_sb,
    .statfs = sysfs_statfs,
};

static uint64_t ino_of(const struct sysfs_node *node, uint32_t cpu)
{
    if (node == &sysfs_root_node)
        return ROOT_INO;
    return (uint64_t)ops_ref(node).offset << CPU_BITS | cpu;
}

static uint32_t link_count(const struct sysfs_node *node)
{
    uint32_t n = is_dir(node) ? 2 : 1;

    for (uint32_t i = 0; i < node->child_count; i++)
        n += is_dir(&node->children[i]);
    return node->each_cpu ? n + sysfs_cpu_count() : n;
}

static int new_inode(struct superblock *sb, const struct sysfs_node *node, uint32_t cpu,
                     struct inode **out)
{
    struct sysfs_inode *si = slab_alloc(&sysfs_inode_slab);

    if (!si)
        return -ENOMEM;
    inode_init(&si->inode, sb, &sysfs_inode_ops, is_dir(node) ? &sysfs_dir_ops : &sysfs_text_ops,
               ino_of(node, cpu), node->mode);
    si->inode.nlink = link_count(node);
    si->inode.size = is_dir(node) ? 0 : SYSFS_TEXT_MAX;
    si->node = ops_ref(node);
    si->cpu = cpu;
    *out = &si->inode;
    return 0;
}

int sysfs_create(struct superblock **out)
{
    struct superblock *sb = kmalloc(sizeof(*sb));
    int r;

    if (!sb)
        return -ENOMEM;
    sb_init(sb, &sysfs_sb_ops, vfs_alloc_dev());
    r = new_inode(sb, &sysfs_root_node, 0, &sb->root);
    if (r) {
        kfree(sb);
        return r;
    }
    *out = sb;
    return 0;
}

/* ---- directories ---- */

static bool is_there(const struct sysfs_node *node, uint32_t cpu)
{
    return cpu != 0 || !node->not_cpu0;
}

/* The number after prefix, as entries are named; -ENOENT. */
static int parse_cpu(const char *name, const char *prefix, uint32_t *out)
{
    size_t n = strlen(prefix);
    uint64_t v;

    if (strncmp(name, prefix, n) != 0 || name[n] < '0' || name[n] > '9' ||
        (name[n] == '0' && name[n + 1]))
        return -ENOENT;
    if (str_to_u64(name + n, &v) || v >= sysfs_cpu_count())
        return -ENOENT;
    *out = (uint32_t)v;
    return 0;
}

static int sysfs_lookup(struct inode *dir, const char *name, struct inode **out)
{
    const struct sysfs_inode *si = sysfs_inode(dir);
    const struct sysfs_node *node = node_of(si);
    uint32_t cpu;

    for (uint32_t i = 0; i < node->child_count; i++) {
        const struct sysfs_node *child = &node->children[i];

        if (strcmp(child->name, name) == 0 && is_there(child, si->cpu))
            return new_inode(dir->sb, child, si->cpu, out);
    }
    if (node->each_cpu && parse_cpu(name, node->each_cpu->name, &cpu) == 0)
        return new_inode(dir->sb, node->each_cpu, cpu, out);
    return -ENOENT;
}

static bool emit(struct dir_filler *df, const char *name, uint64_t ino, uint32_t mode,
                 uint64_t *pos)
{
    if (!df->fill(df, name, strlen(name), ino, (mode & LX_S_IFMT) >> 12, *pos + 1))
        return false;
    (*pos)++;
    return true;
}

/* Positions: ., .., the children, a CPU each. */
static int dir_readdir(struct file *f, struct dir_filler *df, uint64_t *pos)
{
    const struct sysfs_inode *si = sysfs_inode(f->inode);
    const struct sysfs_node *node = node_of(si);
    uint64_t first_cpu = DOTS + node->child_count, end = first_cpu;
    char name[NAME_SIZE];

    if (*pos == 0 && !emit(df, ".", f->inode->ino, LX_S_IFDIR, pos))
        return 0;
    if (*pos == 1 && !emit(df, "..", f->path.dentry->parent->inode->ino, LX_S_IFDIR, pos))
        return 0;
    if (node->each_cpu)
        end += sysfs_cpu_count();
    while (*pos < end) {
        const struct sysfs_node *e;

        if (*pos >= first_cpu) {
            uint32_t cpu = (uint32_t)(*pos - first_cpu);

            e = node->each_cpu;
            cv_snprintf(name, sizeof(name), "%s%u", e->name, cpu);
            if (!emit(df, name, ino_of(e, cpu), e->mode, pos))
                return 0;
            continue;
        }
        e = &node->children[*pos - DOTS];
        if (!is_there(e, si->cpu))
            (*pos)++;
        else if (!emit(df, e->name, ino_of(e, si->cpu), e->mode, pos))
            return 0;
    }
    return 0;
}

DEFINE_OPS(file_ops, sysfs_dir_ops) = {.readdir = dir_readdir, .llseek = generic_dir_llseek};

/* ---- files ---- */

/* Nothing can be stored, whoever asks: root passes the mode bits. */
static int sysfs_open(struct inode *inode, struct file *f)
{
    return f->mode & FMODE_WRITE ? -EACCES : 0;
}

static int64_t text_read(struct file *f, struct uio *uio, int64_t *pos)
{
    const struct sysfs_inode *si = sysfs_inode(f->inode);
    struct strbuf sb;
    int64_t n;

    strbuf_init(&sb);
    n = node_of(si)->show(si->cpu, &sb);
    if (n == 0 && sb.failed)
        n = -ENOMEM;
    if (n == 0 && *pos >= 0 && (uint64_t)*pos < sb.size)
        n = uio_put_last(uio, sb.data + *pos, MIN(sb.size - (uint64_t)*pos, uio->left));
    if (n > 0)
        *pos += n;
    strbuf_free(&sb);
    return n;
}

/* A size without blocks, as on Linux. */
static int sysfs_getattr(struct inode *inode, struct kstat *out)
{
    *out = (struct kstat){
        .dev = inode->sb->dev,
        .ino = inode->ino,
        .nlink = inode->nlink,
        .size = inode->size,
        .mode = inode->mode,
        .uid = inode->uid,
        .gid = inode->gid,
        .blksize = PAGE_SIZE,
        .atime_ns = READ_ONCE(inode->atime_ns),
        .mtime_ns = inode->mtime_ns,
        .ctime_ns = inode->ctime_ns,
        .btime_ns = inode->btime_ns,
    };
    return 0;
}

static int refuse_setattr(struct inode *inode, const struct setattr *attr)
{
    return attr->valid & ATTR_SIZE && !(attr->valid & (ATTR_MODE | ATTR_UID | ATTR_GID)) ? 0
                                                                                         : -EPERM;
}

DEFINE_OPS(file_ops, sysfs_text_ops) = {.read = text_read, .llseek = generic_file_llseek};
DEFINE_OPS(inode_ops, sysfs_inode_ops) = {
    .lookup = sysfs_lookup,
    .open = sysfs_open,
    .getattr = sysfs_getattr,
    .setattr = refuse_setattr,
};
