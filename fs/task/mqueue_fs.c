/*
 * The filesystem of message queues: names in one directory. Not here: what queues do (mqueue.c).
 * Locks: the root's inode.lock for names, which the VFS takes around its calls, then mqueue_fs.lock
 * for the list of all.
 */
#include "fs/task/mqueue_int.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "sentry/base/cred.h"
#include "sentry/base/string.h"
#include "sentry/kernel/namespace.h"

#define MQUEUE_MAGIC 0x19800202
#define ROOT_INO     1
#define FIRST_POS    2 /* after . and .. */
/* What Linux counts for a message and for a priority, beside the bytes. */
#define MESSAGE_COST  48
#define PRIORITY_COST 48

SLAB_TYPE(mqueue_fs_slab, struct mqueue_fs);
SLAB_TYPE(mqueue_slab, struct mqueue);

DECLARE_OPS(inode_ops, root_inode_ops);
DECLARE_OPS(file_ops, root_file_ops);

static struct mqueue_fs *fs_of(struct inode *inode)
{
    return (struct mqueue_fs *)(void *)inode->sb;
}

/* ---- queues' life ---- */

/* The root goes: nobody comes by a name any more. */
static void drop_names(struct mqueue_fs *fs)
{
    while (!list_empty(&fs->named)) {
        struct mqueue *q = list_first(&fs->named, struct mqueue, node);

        list_del(&q->node);
        inode_put(&q->inode);
    }
}

static void free_inode(struct inode *inode)
{
    struct mqueue *q = (struct mqueue *)(void *)inode;
    struct mqueue_fs *fs = fs_of(inode);

    if (inode->ino == ROOT_INO)
        drop_names(fs);
    mutex_lock(&fs->lock);
    list_del(&q->all_node);
    mutex_unlock(&fs->lock);
    mqueue_drop_contents(q);
    waitq_destroy(&q->waiters);
    kfree(q->name);
    slab_free(&mqueue_slab, q);
}

static struct mqueue *alloc(struct mqueue_fs *fs, uint64_t ino, uint32_t mode)
{
    struct mqueue *q = slab_alloc(&mqueue_slab);
    bool root = ino == ROOT_INO;

    if (!q)
        return NULL;
    inode_init(&q->inode, &fs->sb,
               root ? (const void *)&root_inode_ops : (const void *)&mqueue_inode_ops,
               root ? (const void *)&root_file_ops : (const void *)&mqueue_file_ops, ino, mode);
    list_init(&q->node);
    list_init(&q->all_node);
    list_init(&q->messages);
    mutex_init(&q->lock, RANK_OBJ);
    waitq_init(&q->waiters);
    return q;
}

static int check_attr(const struct lx_mq_attr *attr, bool privileged)
{
    int64_t messages = privileged ? MQUEUE_HARD_MESSAGES : MQUEUE_MESSAGES_MAX,
            size = privileged ? MQUEUE_HARD_SIZE : MQUEUE_SIZE_MAX;

    if (attr->max_messages <= 0 || attr->message_size <= 0)
        return -EINVAL;
    return attr->max_messages > messages || attr->message_size > size ? -EINVAL : 0;
}

static uint64_t cost(const struct lx_mq_attr *attr)
{
    uint64_t n = (uint64_t)attr->max_messages;

    return n * (uint64_t)attr->message_size + n * MESSAGE_COST +
           MIN(n, (uint64_t)MQ_PRIO_MAX) * PRIORITY_COST;
}

/* Counts q's bytes for its owner, unless they are too many. */
static int charge(struct mqueue_fs *fs, struct mqueue *q, uint64_t limit)
{
    uint64_t used = q->charged;
    struct mqueue *other;

    mutex_lock(&fs->lock);
    list_for_each (other, &fs->all, all_node)
        used += other->owner == q->owner ? other->charged : 0;
    if (used <= limit)
        list_add_tail(&fs->all, &q->all_node);
    mutex_unlock(&fs->lock);
    return used <= limit ? 0 : -EMFILE;
}

int mqueue_create_locked(struct mqueue_fs *fs, const char *name, uint32_t mode,
                         const struct cred *cred, const struct lx_mq_attr *attr, uint64_t limit,
                         struct mqueue **out)
{
    const struct lx_mq_attr usual = {.max_messages = MQUEUE_MESSAGES_MAX,
                                     .message_size = MQUEUE_SIZE_MAX};
    bool privileged = cred_capable(cred, LX_CAP_SYS_RESOURCE);
    struct mqueue *q;
    int err;

    attr = attr ? attr : &usual;
    if (fs->count >= MQUEUE_MAX && !privileged)
        return -ENOSPC;
    err = check_attr(attr, privileged);
    if (err)
        return err;
    q = alloc(fs, ++fs->next_ino, LX_S_IFREG | (mode & 07777));
    if (!q)
        return -ENOMEM;
    inode_init_owner(&q->inode, fs->sb.root, q->inode.mode, cred);
    q->inode.size = MQUEUE_FILE_SIZE;
    q->max_messages = attr->max_messages;
    q->message_size = attr->message_size;
    q->owner = cred->uid;
    q->charged = cost(attr);
    q->name = kstrdup(name);
    err = q->name ? charge(fs, q, limit) : -ENOMEM;
    if (err) {
        inode_put(&q->inode);
        return err;
    }
    list_add_tail(&fs->named, &q->node);
    fs->count++;
    inode_touch(fs->sb.root);
    (void)inode_get(&q->inode); /* the name's */
    *out = q;
    return 0;
}

struct mqueue *mqueue_find_locked(struct mqueue_fs *fs, const char *name)
{
    struct mqueue *q;

    list_for_each (q, &fs->named, node) {
        if (strcmp(q->name, name) == 0) {
            (void)inode_get(&q->inode);
            return q;
        }
    }
    return NULL;
}

void mqueue_unname_locked(struct mqueue_fs *fs, struct mqueue *q)
{
    list_del(&q->node);
    fs->count--;
    __atomic_store_n(&q->inode.nlink, 0, __ATOMIC_RELAXED);
    inode_touch(fs->sb.root);
    inode_put(&q->inode);
}

/* ---- the directory ---- */

static int lookup(struct inode *dir, const char *name, struct inode **out)
{
    struct mqueue *q = mqueue_find_locked(fs_of(dir), name);

    if (!q)
        return -ENOENT;
    *out = &q->inode;
    return 0;
}

static int create(struct inode *dir, const char *name, uint32_t mode, uint64_t rdev,
                  const struct cred *cred, struct inode **out)
{
    struct mqueue *q;
    int err;

    if ((mode & LX_S_IFMT) != LX_S_IFREG)
        return -EPERM;
    err = mqueue_create_locked(fs_of(dir), name, mode, cred, NULL, UINT64_MAX, &q);
    if (!err)
        *out = &q->inode;
    return err;
}

static int unlink(struct inode *dir, const char *name, struct inode *victim)
{
    struct mqueue *q = mqueue_find_locked(fs_of(dir), name);

    if (!q)
        return -ENOENT;
    if (&q->inode == victim)
        mqueue_unname_locked(fs_of(dir), q);
    inode_put(&q->inode);
    return &q->inode == victim ? 0 : -ENOENT;
}

static int setattr(struct inode *inode, const struct setattr *attr)
{
    inode_setattr_copy(inode, attr);
    return 0;
}

/* Positions are places in the list: one that is unlinked meanwhile may hide another, as on Linux.
 */
static int readdir(struct file *f, struct dir_filler *df, uint64_t *pos)
{
    struct inode *root = f->inode;
    uint64_t at = FIRST_POS;
    struct mqueue *q;

    if (*pos == 0 && !df->fill(df, ".", 1, ROOT_INO, LX_S_IFDIR >> 12, ++*pos))
        return 0;
    if (*pos == 1 && !df->fill(df, "..", 2, ROOT_INO, LX_S_IFDIR >> 12, ++*pos))
        return 0;
    mutex_lock(&root->lock);
    list_for_each (q, &fs_of(root)->named, node) {
        if (at++ < *pos)
            continue;
        if (!df->fill(df, q->name, strlen(q->name), q->inode.ino, LX_S_IFREG >> 12, *pos + 1))
            break;
        ++*pos;
    }
    mutex_unlock(&root->lock);
    return 0;
}

DEFINE_OPS(inode_ops, root_inode_ops) = {
    .lookup = lookup, .create = create, .unlink = unlink, .setattr = setattr};
DEFINE_OPS(inode_ops, mqueue_inode_ops) = {.setattr = setattr};
DEFINE_OPS(file_ops, root_file_ops) = {.readdir = readdir, .llseek = generic_dir_llseek};

/* ---- the filesystem ---- */

static void free_sb(struct superblock *sb)
{
    slab_free(&mqueue_fs_slab, (struct mqueue_fs *)(void *)sb);
}

static int statfs(struct superblock *sb, struct kstatfs *out)
{
    *out = (struct kstatfs){
        .type = MQUEUE_MAGIC, .bsize = PAGE_SIZE, .frsize = PAGE_SIZE, .namelen = 255};
    return 0;
}

DEFINE_OPS(sb_ops, mqueue_sb_ops) = {
    .type_name = "mqueue", .free_inode = free_inode, .free_sb = free_sb, .statfs = statfs};

static int make(struct superblock **out)
{
    struct mqueue_fs *fs = slab_alloc(&mqueue_fs_slab);
    struct mqueue *root;

    if (!fs)
        return -ENOMEM;
    sb_init(&fs->sb, &mqueue_sb_ops, vfs_alloc_dev());
    fs->sb.flags = SB_NO_DCACHE; /* queues come and go without it */
    fs->next_ino = ROOT_INO;
    mutex_init(&fs->lock, RANK_OBJ2);
    list_init(&fs->named);
    list_init(&fs->all);
    root = alloc(fs, ROOT_INO, LX_S_IFDIR | 01777);
    if (!root) {
        slab_free(&mqueue_fs_slab, fs);
        return -ENOMEM;
    }
    root->inode.nlink = 2;
    fs->sb.root = &root->inode;
    *out = &fs->sb;
    return 0;
}

int mqueue_fs_get(struct ipc_ns *ns, struct superblock **out)
{
    struct superblock *mine, *there = load_acquire(&ns->mqueues);
    int err;

    if (!there) {
        err = make(&mine);
        if (err)
            return err;
        if (__atomic_compare_exchange_n(&ns->mqueues, &there, mine, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE))
            there = mine;
        else
            sb_put(mine);
    }
    sb_get(there);
    *out = there;
    return 0;
}
