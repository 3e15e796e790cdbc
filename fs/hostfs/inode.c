/*
 * hostfs: looking up names, directory descriptors, attributes, links. Takes hostfs.lock; host calls
 * are made outside it.
 */
#include "fs/hostfs/hostfs_int.h"
#include "sentry/abi/mount.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"

/* Host flag values are the guest's: both are x86-64 Linux. */
#define DIR_FLAGS (LX_O_PATH | LX_O_DIRECTORY | LX_O_NOFOLLOW)
#define DIR_READ  (LX_O_RDONLY | LX_O_DIRECTORY | LX_O_NOFOLLOW)

void hostfs_dir_forget(struct hostfs *fs, struct hostfs_inode *dir)
{
    if (dir->fd < 0)
        return;
    if (!list_empty(&dir->lru)) {
        list_del(&dir->lru);
        fs->open_dir_count--;
    }
    host_close(dir->fd);
    dir->fd = -1;
}

static void evict_one_locked(struct hostfs *fs)
{
    struct hostfs_inode *old;

    list_for_each(old, &fs->open_dirs, lru) {
        if (old->pins == 0) {
            hostfs_dir_forget(fs, old);
            return;
        }
    }
}

/* With the lock held: dir->fd is open, pin it. */
static int pin_locked(struct hostfs *fs, struct hostfs_inode *dir)
{
    inode_get(&dir->inode);
    dir->pins++;
    if (!list_empty(&dir->lru)) {
        list_del(&dir->lru);
        list_add_tail(&fs->open_dirs, &dir->lru);
    }
    return dir->fd;
}

static int publish_fd(struct hostfs *fs, struct hostfs_inode *dir, int fd, bool path_only)
{
    mutex_lock(&fs->lock);
    if (dir->fd >= 0) { /* another thread opened it meanwhile */
        host_close(fd);
    } else {
        dir->fd = fd;
        dir->path_only = path_only;
        list_add_tail(&fs->open_dirs, &dir->lru);
        if (++fs->open_dir_count > HOSTFS_MAX_DIRS)
            evict_one_locked(fs);
    }
    fd = pin_locked(fs, dir);
    mutex_unlock(&fs->lock);
    return fd;
}

/*
 * Depth is that of the directory tree: closed ancestors are opened from the nearest open one down.
 */
int hostfs_dir_pin(struct hostfs_inode *dir)
{
    struct hostfs *fs = hostfs_of(&dir->inode);
    struct hostfs_inode *parent;
    bool path_only = false;
    char *name;
    int fd, parent_fd;

    mutex_lock(&fs->lock);
    fd = dir->fd >= 0 ? pin_locked(fs, dir) : -1;
    mutex_unlock(&fs->lock);
    if (fd >= 0)
        return fd;
    fd = hostfs_locate(dir, &parent, &parent_fd, &name);
    if (fd < 0)
        return fd;
    fd = (int)host_open_beneath(parent_fd, name, DIR_READ, 0);
    if (fd == -EACCES || fd == -EPERM) {
        path_only = true;
        fd = (int)host_open_beneath(parent_fd, name, DIR_FLAGS, 0);
    }
    hostfs_dir_unpin(parent);
    kfree(name);
    return fd < 0 ? fd : publish_fd(fs, dir, fd, path_only);
}

void hostfs_dir_unpin(struct hostfs_inode *dir)
{
    struct hostfs *fs = hostfs_of(&dir->inode);

    mutex_lock(&fs->lock);
    BUG_ON(dir->pins == 0);
    dir->pins--;
    mutex_unlock(&fs->lock);
    inode_put(&dir->inode);
}

int hostfs_locate(struct hostfs_inode *hi, struct hostfs_inode **out_parent, int *out_fd,
                  char **out_name)
{
    struct hostfs *fs = hostfs_of(&hi->inode);
    struct hostfs_inode *parent;
    char *name;
    int fd;

    mutex_lock(&fs->lock);
    parent = hi->parent;
    name = parent ? kstrdup(hi->name) : NULL;
    if (name)
        inode_get(&parent->inode); /* for the time without the lock */
    mutex_unlock(&fs->lock);
    if (!name)
        return parent ? -ENOMEM : -EINVAL;
    fd = hostfs_dir_pin(parent);
    inode_put(&parent->inode);
    if (fd < 0) {
        kfree(name);
        return fd;
    }
    *out_parent = parent;
    *out_fd = fd;
    *out_name = name;
    return 0;
}

/*
 * Filesystems that are windows into the host kernel: nothing of them may be seen, wherever they
 * are mounted, since a guest's root can
 * unmount what the sandbox puts over them.
 */
static bool is_interface_type(uint64_t type)
{
    static const uint64_t types[] = {
        LX_PROC_SUPER_MAGIC, LX_SYSFS_MAGIC,   LX_CGROUP_SUPER_MAGIC, LX_CGROUP2_SUPER_MAGIC,
        LX_DEBUGFS_MAGIC,    LX_TRACEFS_MAGIC, LX_SECURITYFS_MAGIC,   LX_SELINUX_MAGIC,
        LX_BPF_FS_MAGIC,     LX_EFIVARFS_MAGIC, LX_PSTOREFS_MAGIC,    LX_NSFS_MAGIC,
        LX_DEVPTS_SUPER_MAGIC,
    };

    for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
        if (type == types[i])
            return true;
    }
    return false;
}

bool hostfs_is_interface(const struct hostfs_inode *dir, int fd, const char *name,
                         const struct host_stat *st)
{
    struct host_statfs sfs;
    int64_t r, opened;

    if ((st->mode & LX_S_IFMT) != LX_S_IFDIR || st->dev == dir->host_dev)
        return false;
    opened = host_open_beneath(fd, name, DIR_FLAGS, 0);
    if (opened < 0)
        return true;
    r = host_fstatfs((int)opened, &sfs);
    host_close((int)opened);
    return r < 0 || is_interface_type(sfs.type);
}

static int hostfs_lookup(struct inode *dir, const char *name, struct inode **out)
{
    struct hostfs_inode *hd = hostfs_inode(dir);
    struct host_stat st;
    bool sealed = false;
    int fd, r;

    if (hd->sealed)
        return -ENOENT;
    fd = hostfs_dir_pin(hd);
    if (fd < 0)
        return fd;
    r = (int)host_statat(fd, name, &st);
    if (r == 0)
        sealed = hostfs_is_interface(hd, fd, name, &st);
    hostfs_dir_unpin(hd);
    if (r == 0)
        r = hostfs_inode_for(hd, name, &st, out);
    if (r == 0 && sealed)
        hostfs_inode(*out)->sealed = true;
    return r;
}

static bool hostfs_revalidate(struct inode *dir, const char *name, struct inode *cached)
{
    struct hostfs_inode *hd = hostfs_inode(dir);
    struct host_stat st;
    int fd = hostfs_dir_pin(hd);
    int r;

    if (fd < 0)
        return false;
    r = (int)host_statat(fd, name, &st);
    hostfs_dir_unpin(hd);
    if (!cached)
        return r == -ENOENT;
    if (r < 0 || st.ino != cached->ino || st.dev != hostfs_inode(cached)->host_dev ||
        ((st.mode ^ cached->mode) & LX_S_IFMT) != 0)
        return false;
    hostfs_refresh(hostfs_inode(cached), &st);
    hostfs_set_name(hostfs_inode(cached), hd, name);
    return true;
}

/* Remembers what the whole of a symlink is. A failure costs a host call next time. */
static void keep_target(struct hostfs_inode *hi, int64_t ctime_ns, const char *text, size_t size)
{
    struct hostfs_target *t, *none = NULL;

    if (READ_ONCE(hi->target) || hostfs_of(&hi->inode)->cache == HOSTFS_SHARED)
        return;
    t = kmalloc(sizeof(*t) + size);
    if (!t)
        return;
    t->ctime_ns = ctime_ns;
    t->size = (uint32_t)size;
    memcpy(t->text, text, size);
    if (!__atomic_compare_exchange_n(&hi->target, &none, t, false, __ATOMIC_RELEASE,
                                     __ATOMIC_RELAXED))
        kfree(t);
}

static int64_t hostfs_readlink(struct inode *inode, char *buf, size_t size)
{
    struct hostfs_inode *hi = hostfs_inode(inode), *parent;
    const struct hostfs_target *known = load_acquire(&hi->target);
    int64_t r, ctime_ns = READ_ONCE(inode->ctime_ns);
    char *name;
    int fd;

    if (known && known->ctime_ns == ctime_ns) {
        r = (int64_t)MIN((size_t)known->size, size);
        memcpy(buf, known->text, (size_t)r);
        return r;
    }
    r = hostfs_locate(hi, &parent, &fd, &name);
    if (r < 0)
        return r;
    r = host_readlinkat(fd, name, buf, size);
    hostfs_dir_unpin(parent);
    kfree(name);
    if (r >= 0 && (size_t)r < size)
        keep_target(hi, ctime_ns, buf, (size_t)r);
    return r;
}

bool hostfs_trusts(const struct hostfs_inode *hi)
{
    const struct hostfs *fs = hostfs_of(&hi->inode);

    if (fs->fresh || fs->cache == HOSTFS_SHARED)
        return false;
    return fs->cache == HOSTFS_EXCLUSIVE || vfs_is_recent(READ_ONCE(hi->seen));
}

/* By name; what was seen last stands where the name is another file's or nobody's now. */
static void refresh_by_name(struct hostfs_inode *hi)
{
    struct hostfs_inode *parent;
    struct host_stat st;
    char *name;
    int fd, r = hostfs_locate(hi, &parent, &fd, &name);

    if (r < 0)
        return;
    r = (int)host_statat(fd, name, &st);
    hostfs_dir_unpin(parent);
    kfree(name);
    if (r == 0 && st.ino == hi->inode.ino && st.dev == hi->host_dev)
        hostfs_refresh(hi, &st);
    else
        WRITE_ONCE(hi->seen, vfs_tick()); /* not to be asked again at once */
}

static int hostfs_getattr(struct inode *inode, struct kstat *out)
{
    struct hostfs_inode *hi = hostfs_inode(inode);
    const struct hostfs *fs = hostfs_of(inode);

    if (fs->fresh || (fs->cache == HOSTFS_TIMED && hi->parent && !hostfs_trusts(hi)))
        refresh_by_name(hi);
    *out = (struct kstat){
        .dev = hi->host_dev,
        .ino = inode->ino,
        .nlink = inode->nlink,
        .size = inode->size,
        .blocks = hi->blocks,
        .rdev = inode->rdev,
        .mode = inode->mode,
        .uid = inode->uid,
        .gid = inode->gid,
        .blksize = hi->blksize,
        .atime_ns = inode->atime_ns,
        .mtime_ns = inode->mtime_ns,
        .ctime_ns = inode->ctime_ns,
        .btime_ns = inode->ctime_ns,
    };
    return 0;
}

int64_t hostfs_open_host(struct hostfs_inode *hi, int flags)
{
    struct hostfs_inode *parent;
    char *name;
    int fd;
    int64_t r;

    r = hostfs_locate(hi, &parent, &fd, &name);
    if (r < 0)
        return r;
    r = host_open_beneath(fd, name, flags | LX_O_NOFOLLOW | LX_O_NONBLOCK | LX_O_NOCTTY, 0);
    hostfs_dir_unpin(parent);
    kfree(name);
    return r;
}

DEFINE_OPS(inode_ops, hostfs_inode_ops) = {
    .lookup = hostfs_lookup,
    .revalidate = hostfs_revalidate,
    .create = hostfs_create_node,
    .mkdir = hostfs_mkdir,
    .symlink = hostfs_symlink,
    .link = hostfs_link,
    .unlink = hostfs_unlink,
    .rmdir = hostfs_rmdir,
    .rename = hostfs_rename,
    .readlink = hostfs_readlink,
    .getattr = hostfs_getattr,
    .setattr = hostfs_setattr,
    .open = hostfs_file_open,
};
