/*
 * tmpfs: directories. Entries are in two trees, by hashed name for lookups and by cookie for
 * listing; a cookie grows with each entry made, so a listing neither repeats nor skips what stays.
 * The caller holds the directories' locks; readdir takes its own. A victim's link count changes
 * atomically, for callers that don't hold its lock.
 */
#include "fs/tmpfs/tmpfs_int.h"
#include "sentry/abi/errno.h"
#include "sentry/base/cred.h"
#include "sentry/base/hash.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"

static int compare(const struct tmpfs_entry *e, uint64_t hash, const char *name, uint32_t size)
{
    if (e->hash != hash)
        return hash < e->hash ? -1 : 1;
    if (e->name_size != size)
        return size < e->name_size ? -1 : 1;
    return memcmp(name, e->name, size);
}

static struct tmpfs_entry *find(const struct tmpfs_inode *dir, const char *name)
{
    uint32_t size = (uint32_t)strlen(name);
    uint64_t hash = hash_bytes(name, size, dir->inode.ino);
    struct rb_node *n = dir->names.node;

    while (n) {
        struct tmpfs_entry *e = rb_entry(n, struct tmpfs_entry, by_name);
        int order = compare(e, hash, name, size);

        if (order == 0)
            return e;
        n = order < 0 ? n->left : n->right;
    }
    return NULL;
}

static struct tmpfs_entry *alloc_entry(const struct tmpfs_inode *dir, const char *name)
{
    size_t size = strlen(name);
    struct tmpfs_entry *e = kmalloc(sizeof(*e) + size + 1);

    if (!e)
        return NULL;
    memcpy(e->name, name, size);
    e->name_size = (uint32_t)size;
    e->hash = hash_bytes(name, size, dir->inode.ino);
    list_init(&e->drain);
    return e;
}

static void insert(struct tmpfs_inode *dir, struct tmpfs_entry *e)
{
    struct rb_node **link = &dir->names.node, *parent = NULL;

    while (*link) {
        parent = *link;
        link = compare(rb_entry(parent, struct tmpfs_entry, by_name), e->hash, e->name,
                       e->name_size) < 0
                   ? &parent->left
                   : &parent->right;
    }
    rb_insert(&dir->names, &e->by_name, parent, link);
    e->cookie = dir->next_cookie++;
    link = &dir->cookies.node;
    parent = NULL;
    while (*link) { /* always the highest */
        parent = *link;
        link = &parent->right;
    }
    rb_insert(&dir->cookies, &e->by_cookie, parent, link);
    dir->inode.size += TMPFS_DIRENT_SIZE;
}

static void detach(struct tmpfs_inode *dir, struct tmpfs_entry *e)
{
    rb_erase(&dir->names, &e->by_name);
    rb_erase(&dir->cookies, &e->by_cookie);
    dir->inode.size -= TMPFS_DIRENT_SIZE;
}

static void link_count(struct inode *inode, int change)
{
    __atomic_fetch_add(&inode->nlink, (uint32_t)change, __ATOMIC_RELAXED);
}

static int lookup(struct inode *dir, const char *name, struct inode **out)
{
    struct tmpfs_entry *e = find(tmpfs_inode(dir), name);

    if (!e)
        return -ENOENT;
    *out = inode_get(e->inode);
    return 0;
}

/* Names a new inode: the entry takes one reference, the caller gets the other. On failure the inode
 * is put. */
static int add_new(struct inode *dir, const char *name, struct inode *inode, struct inode **out)
{
    struct tmpfs_entry *e = alloc_entry(tmpfs_inode(dir), name);

    if (!e) {
        inode_put(inode);
        return -ENOMEM;
    }
    e->inode = inode_get(inode);
    insert(tmpfs_inode(dir), e);
    inode_touch(dir);
    *out = inode;
    return 0;
}

static int create(struct inode *dir, const char *name, uint32_t mode, uint64_t rdev,
                  const struct cred *cred, struct inode **out)
{
    struct inode *inode;
    int err = tmpfs_new_inode(tmpfs_of(dir), dir, mode, cred, &inode);

    if (err < 0)
        return err;
    inode->rdev = rdev;
    return add_new(dir, name, inode, out);
}

static int make_dir(struct inode *dir, const char *name, uint32_t mode, const struct cred *cred,
                    struct inode **out)
{
    struct inode *inode;
    int err = tmpfs_new_inode(tmpfs_of(dir), dir, mode, cred, &inode);

    if (err == 0)
        err = add_new(dir, name, inode, out);
    if (err == 0)
        link_count(dir, 1);
    return err;
}

static int make_symlink(struct inode *dir, const char *name, const char *target,
                        const struct cred *cred, struct inode **out)
{
    struct inode *inode;
    int err = tmpfs_new_inode(tmpfs_of(dir), dir, LX_S_IFLNK | 0777, cred, &inode);

    if (err < 0)
        return err;
    tmpfs_inode(inode)->target = kstrdup(target);
    if (!tmpfs_inode(inode)->target) {
        inode_put(inode);
        return -ENOMEM;
    }
    inode->size = strlen(target);
    return add_new(dir, name, inode, out);
}

static int make_tmpfile(struct inode *dir, uint32_t mode, const struct cred *cred,
                        struct inode **out)
{
    int err = tmpfs_new_inode(tmpfs_of(dir), dir, mode, cred, out);

    if (err == 0)
        (*out)->nlink = 0;
    return err;
}

static int make_link(struct inode *dir, const char *name, struct inode *target)
{
    struct inode *same;
    int err = add_new(dir, name, inode_get(target), &same);

    if (err < 0)
        return err;
    inode_put(same); /* the entry keeps its own */
    link_count(target, 1);
    WRITE_ONCE(target->ctime_ns, dir->ctime_ns);
    return 0;
}

/* Takes the entry away, and its reference, which is never the last: the VFS holds another. */
static void drop_entry(struct inode *dir, struct tmpfs_entry *e)
{
    detach(tmpfs_inode(dir), e);
    inode_put(e->inode);
    kfree(e);
}

static int unlink(struct inode *dir, const char *name, struct inode *victim)
{
    struct tmpfs_entry *e = find(tmpfs_inode(dir), name);

    if (!e || e->inode != victim)
        return -ENOENT;
    inode_touch(dir);
    link_count(victim, -1);
    WRITE_ONCE(victim->ctime_ns, dir->ctime_ns);
    drop_entry(dir, e);
    return 0;
}

static int remove_dir(struct inode *dir, const char *name, struct inode *victim)
{
    struct tmpfs_entry *e = find(tmpfs_inode(dir), name);

    if (!e || e->inode != victim)
        return -ENOENT;
    if (tmpfs_inode(victim)->names.node)
        return -ENOTEMPTY;
    inode_touch(dir);
    victim->nlink = 0;
    WRITE_ONCE(victim->ctime_ns, dir->ctime_ns);
    link_count(dir, -1);
    drop_entry(dir, e);
    return 0;
}

/* A directory has moved: its ".." and both parents' counts. */
static void reparent(struct inode *moved, struct inode *old_dir, struct inode *new_dir)
{
    if (!mode_is_dir(moved->mode) || old_dir == new_dir)
        return;
    link_count(old_dir, -1);
    link_count(new_dir, 1);
    tmpfs_inode(moved)->parent_ino = new_dir->ino;
}

static int exchange(struct inode *old_dir, struct tmpfs_entry *old, struct inode *new_dir,
                    struct tmpfs_entry *new)
{
    struct inode *moved = old->inode, *other = new->inode;

    old->inode = other;
    new->inode = moved;
    reparent(moved, old_dir, new_dir);
    reparent(other, new_dir, old_dir);
    inode_touch(old_dir);
    inode_touch(new_dir);
    WRITE_ONCE(moved->ctime_ns, new_dir->ctime_ns);
    WRITE_ONCE(other->ctime_ns, new_dir->ctime_ns);
    return 0;
}

/* The name's old inode is gone from it. */
static void replaced_away(struct inode *dir, struct inode *replaced)
{
    if (mode_is_dir(replaced->mode)) {
        replaced->nlink = 0;
        link_count(dir, -1);
    } else {
        link_count(replaced, -1);
    }
    WRITE_ONCE(replaced->ctime_ns, vfs_now_ns());
}

static int rename(struct inode *old_dir, const char *old_name, struct inode *moved,
                  struct inode *new_dir, const char *new_name, struct inode *replaced,
                  uint32_t flags)
{
    struct tmpfs_inode *to = tmpfs_inode(new_dir);
    struct tmpfs_entry *old = find(tmpfs_inode(old_dir), old_name), *new = find(to, new_name);
    struct inode *whiteout = NULL;
    int err = 0;

    if (!old || old->inode != moved || (new ? new->inode : NULL) != replaced)
        return -ENOENT;
    if (flags & LX_RENAME_EXCHANGE)
        return new ? exchange(old_dir, old, new_dir, new) : -ENOENT;
    if (replaced && mode_is_dir(replaced->mode) && tmpfs_inode(replaced)->names.node)
        return -ENOTEMPTY;
    if (flags & LX_RENAME_WHITEOUT) {
        const struct cred owner = {.fsuid = moved->uid, .fsgid = moved->gid};

        err = tmpfs_new_inode(tmpfs_of(old_dir), NULL, LX_S_IFCHR, &owner, &whiteout);
    }
    if (err < 0)
        return err;
    if (!new) {
        new = alloc_entry(to, new_name);
        if (!new) {
            inode_put(whiteout);
            return -ENOMEM;
        }
        insert(to, new);
    } else {
        replaced_away(new_dir, replaced);
        inode_put(replaced); /* the entry's; the VFS holds another */
    }
    new->inode = inode_get(moved);
    reparent(moved, old_dir, new_dir);
    if (whiteout) {
        inode_put(old->inode);
        old->inode = whiteout;
    } else {
        drop_entry(old_dir, old);
    }
    inode_touch(old_dir);
    inode_touch(new_dir);
    WRITE_ONCE(moved->ctime_ns, new_dir->ctime_ns);
    return 0;
}

static int64_t readlink(struct inode *inode, char *buf, size_t size)
{
    size_t n = MIN(size, (size_t)inode->size);

    memcpy(buf, tmpfs_inode(inode)->target, n);
    return (int64_t)n;
}

/* The first entry with a cookie of at least from. */
static struct tmpfs_entry *first_from(struct tmpfs_inode *dir, uint64_t from)
{
    struct rb_node *n = dir->cookies.node;
    struct tmpfs_entry *best = NULL;

    while (n) {
        struct tmpfs_entry *e = rb_entry(n, struct tmpfs_entry, by_cookie);

        if (e->cookie >= from) {
            best = e;
            n = n->left;
        } else {
            n = n->right;
        }
    }
    return best;
}

static bool fill_dots(struct tmpfs_inode *dir, struct dir_filler *df, uint64_t *pos)
{
    if (*pos == 0) {
        if (!df->fill(df, ".", 1, dir->inode.ino, LX_S_IFDIR >> 12, 1))
            return false;
        *pos = 1;
    }
    if (*pos == 1) {
        if (!df->fill(df, "..", 2, dir->parent_ino, LX_S_IFDIR >> 12, 2))
            return false;
        *pos = 2;
    }
    return true;
}

/* pos is the cookie of the last entry given. */
static int readdir(struct file *f, struct dir_filler *df, uint64_t *pos)
{
    struct tmpfs_inode *dir = tmpfs_inode(f->inode);
    struct tmpfs_entry *e;

    mutex_lock(&dir->inode.lock);
    if (fill_dots(dir, df, pos)) {
        e = first_from(dir, *pos + 1);
        while (e) {
            struct rb_node *next = rb_next(&e->by_cookie);

            if (!df->fill(df, e->name, e->name_size, e->inode->ino, S_TYPE(e->inode->mode) >> 12,
                          e->cookie))
                break;
            *pos = e->cookie;
            e = next ? rb_entry(next, struct tmpfs_entry, by_cookie) : NULL;
        }
    }
    mutex_unlock(&dir->inode.lock);
    return 0;
}

static int dir_fsync(struct file *f, bool data_only)
{
    return 0;
}

void tmpfs_free_entries(struct tmpfs *fs, struct tmpfs_inode *dir)
{
    bool mine;

    mutex_lock(&fs->drain_lock);
    while (dir->cookies.node) {
        struct tmpfs_entry *e = rb_entry(dir->cookies.node, struct tmpfs_entry, by_cookie);

        rb_erase(&dir->cookies, &e->by_cookie);
        list_add_tail(&fs->drain, &e->drain);
    }
    /* Directories found on the way only add to the list: the outermost call empties it, so depth
     * costs no stack. */
    mine = !fs->draining;
    fs->draining = true;
    while (mine && !list_empty(&fs->drain)) {
        struct tmpfs_entry *e = list_first(&fs->drain, struct tmpfs_entry, drain);

        list_del(&e->drain);
        mutex_unlock(&fs->drain_lock);
        inode_put(e->inode);
        kfree(e);
        mutex_lock(&fs->drain_lock);
    }
    if (mine)
        fs->draining = false;
    mutex_unlock(&fs->drain_lock);
}

DEFINE_OPS(inode_ops, tmpfs_dir_inode_ops) = {
    .lookup = lookup,
    .create = create,
    .mkdir = make_dir,
    .symlink = make_symlink,
    .link = make_link,
    .unlink = unlink,
    .rmdir = remove_dir,
    .rename = rename,
    .tmpfile = make_tmpfile,
    .setattr = tmpfs_setattr,
    TMPFS_XATTR_OPS,
};

DEFINE_OPS(inode_ops, tmpfs_link_inode_ops) = {
    .readlink = readlink,
    .setattr = tmpfs_setattr,
    TMPFS_XATTR_OPS,
};

DEFINE_OPS(inode_ops, tmpfs_node_inode_ops) = {
    .setattr = tmpfs_setattr,
    TMPFS_XATTR_OPS,
};

DEFINE_OPS(file_ops, tmpfs_dir_file_ops) = {
    .llseek = generic_dir_llseek,
    .readdir = readdir,
    .fsync = dir_fsync,
};
