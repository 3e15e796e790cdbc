/*
 * The devpts filesystem: ptmx and a node for each pts. Names are looked up each time. Takes
 * tty_state.lock through tty_find.
 */
#include "fs/devpts/devpts.h"

#include "fs/devpts/tty_int.h"
#include "sentry/base/fmt.h"

#define DEVPTS_SUPER_MAGIC 0x1cd1
#define ROOT_INO           1
#define PTMX_INO           2
#define FIRST_PTS_INO      3
#define PTS_MODE           0620
#define PTS_GID            5 /* group tty */
#define PTMX_DEV           0x502UL
#define FIRST_PTS_POS      3 /* after ., .. and ptmx */

SLAB_TYPE(devpts_inode_slab, struct inode);

static void free_inode(struct inode *inode)
{
    slab_free(&devpts_inode_slab, inode);
}

static void free_sb(struct superblock *sb)
{
    kfree(sb);
}

static int devpts_statfs(struct superblock *sb, struct kstatfs *out)
{
    *out = (struct kstatfs){
        .type = DEVPTS_SUPER_MAGIC, .bsize = PAGE_SIZE, .frsize = PAGE_SIZE, .namelen = 255};
    return 0;
}

static void show_options(struct superblock *sb, struct strbuf *out)
{
    strbuf_printf(out, ",gid=%d,mode=%o,ptmxmode=666", PTS_GID, PTS_MODE);
}

DEFINE_OPS(sb_ops, devpts_sb_ops) = {
    .type_name = "devpts",
    .free_inode = free_inode,
    .free_sb = free_sb,
    .statfs = devpts_statfs,
    .show_options = show_options,
};

DECLARE_OPS(inode_ops, devpts_root_ops);
DECLARE_OPS(inode_ops, devpts_node_ops);
DECLARE_OPS(file_ops, devpts_root_file_ops);

static struct inode *new_inode(struct superblock *sb, uint64_t ino, uint32_t mode, uint64_t rdev)
{
    bool root = ino == ROOT_INO;
    struct inode *inode = slab_alloc(&devpts_inode_slab);

    if (!inode)
        return NULL;
    inode_init(inode, sb, root ? (const void *)&devpts_root_ops : &devpts_node_ops,
               &devpts_root_file_ops, ino, mode);
    if (!root)
        inode->file_ops = OPS_NONE;
    inode->nlink = root ? 2 : 1;
    inode->rdev = rdev;
    return inode;
}

static int parse_index(const char *name, uint32_t *out)
{
    uint64_t v;

    if (str_to_u64(name, &v) || v >= PTS_MAX || (name[0] == '0' && name[1]))
        return -ENOENT;
    *out = (uint32_t)v;
    return 0;
}

/* Counted, or NULL. */
static struct tty *find(const struct superblock *sb, uint32_t index)
{
    struct tty *tty = tty_find(arena_root(), index);

    if (tty && tty->cell != (uintptr_t)sb->data) {
        tty_put(tty);
        tty = NULL;
    }
    return tty;
}

static int devpts_lookup(struct inode *dir, const char *name, struct inode **out)
{
    uint32_t index;
    struct tty *tty;
    int r;

    if (strcmp(name, "ptmx") == 0) {
        *out = new_inode(dir->sb, PTMX_INO, LX_S_IFCHR | 0666, PTMX_DEV);
        return *out ? 0 : -ENOMEM;
    }
    r = parse_index(name, &index);
    if (r)
        return r;
    tty = find(dir->sb, index);
    if (!tty)
        return -ENOENT;
    *out = new_inode(dir->sb, FIRST_PTS_INO + index, LX_S_IFCHR | tty->mode, PTS_DEV(index));
    if (*out) {
        (*out)->uid = tty->uid;
        (*out)->gid = tty->gid;
        (*out)->btime_ns = (*out)->ctime_ns = tty->created_ns;
    }
    tty_put(tty);
    return *out ? 0 : -ENOMEM;
}

/* chmod and chown last as long as the terminal: they are kept there. */
static int node_setattr(struct inode *inode, const struct setattr *attr)
{
    struct tty *tty;

    inode_setattr_copy(inode, attr);
    if (inode->ino < FIRST_PTS_INO)
        return 0;
    tty = find(inode->sb, (uint32_t)(inode->ino - FIRST_PTS_INO));
    if (!tty)
        return -EIO;
    WRITE_ONCE(tty->mode, inode->mode & 07777);
    WRITE_ONCE(tty->uid, inode->uid);
    WRITE_ONCE(tty->gid, inode->gid);
    tty_put(tty);
    return 0;
}

static bool emit(struct dir_filler *df, const char *name, uint64_t ino, uint32_t mode,
                 uint64_t *pos)
{
    if (!df->fill(df, name, strlen(name), ino, (mode & LX_S_IFMT) >> 12, *pos + 1))
        return false;
    (*pos)++;
    return true;
}

static int devpts_readdir(struct file *f, struct dir_filler *df, uint64_t *pos)
{
    char name[12];

    if (*pos == 0 && !emit(df, ".", ROOT_INO, LX_S_IFDIR, pos))
        return 0;
    if (*pos == 1 && !emit(df, "..", ROOT_INO, LX_S_IFDIR, pos))
        return 0;
    if (*pos == 2 && !emit(df, "ptmx", PTMX_INO, LX_S_IFCHR, pos))
        return 0;
    while (*pos - FIRST_PTS_POS < PTS_MAX) {
        uint32_t index = (uint32_t)(*pos - FIRST_PTS_POS);
        struct tty *tty = find(f->inode->sb, index);

        if (!tty) {
            (*pos)++;
            continue;
        }
        tty_put(tty);
        cv_snprintf(name, sizeof(name), "%u", index);
        if (!emit(df, name, FIRST_PTS_INO + index, LX_S_IFCHR, pos))
            return 0;
    }
    return 0;
}

static int root_setattr(struct inode *inode, const struct setattr *attr)
{
    inode_setattr_copy(inode, attr);
    return 0;
}

DEFINE_OPS(inode_ops, devpts_root_ops) = {.lookup = devpts_lookup, .setattr = root_setattr};
DEFINE_OPS(inode_ops, devpts_node_ops) = {.setattr = node_setattr};
DEFINE_OPS(file_ops, devpts_root_file_ops) = {
    .readdir = devpts_readdir,
    .llseek = generic_dir_llseek,
};

int devpts_create(struct kernel *k, uint32_t cell, struct superblock **out)
{
    struct superblock *sb;
    int r = tty_setup(k);

    if (r)
        return r;
    sb = kmalloc(sizeof(*sb));
    if (!sb)
        return -ENOMEM;
    sb_init(sb, &devpts_sb_ops, vfs_alloc_dev());
    sb->flags = SB_NO_DCACHE;
    sb->data = (void *)(uintptr_t)cell;
    sb->root = new_inode(sb, ROOT_INO, LX_S_IFDIR | 0755, 0);
    if (!sb->root) {
        kfree(sb);
        return -ENOMEM;
    }
    *out = sb;
    return 0;
}
