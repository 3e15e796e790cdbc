/*
 * hostfs: everything that changes the host's tree. The VFS holds the directories' locks and has
 * checked permissions.
 */
#include "fs/hostfs/hostfs_int.h"
#include "sentry/base/cred.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"

#define NO_FOLLOW LX_AT_SYMLINK_NOFOLLOW

/*
 * After a host call made name: gives it its owner and returns its inode. A failure undoes the
 * creation.
 */
static int adopt(struct hostfs_inode *dir, int fd, const char *name, const struct cred *cred,
                 int undo_flags, struct inode **out)
{
    struct host_stat st;
    uint32_t gid = dir->inode.mode & LX_S_ISGID ? dir->inode.gid : cred->fsgid;
    int r = (int)host_fchownat(fd, name, cred->fsuid, gid, NO_FOLLOW);

    if (r == 0 || r == -EPERM) /* unprivileged sentries create as themselves */
        r = (int)host_statat(fd, name, &st);
    if (r == 0)
        r = hostfs_inode_for(dir, name, &st, out);
    if (r < 0)
        host_unlinkat(fd, name, undo_flags);
    return r;
}

static void refresh_dir(struct inode *dir)
{
    struct hostfs_inode *hd = hostfs_inode(dir);
    struct host_stat st;
    int fd = hostfs_dir_pin(hd);

    if (fd < 0)
        return;
    if (host_statat(fd, "", &st) == 0)
        hostfs_refresh(hd, &st);
    hostfs_dir_unpin(hd);
}

int hostfs_create_node(struct inode *dir, const char *name, uint32_t mode, uint64_t rdev,
                       const struct cred *cred, struct inode **out)
{
    struct hostfs_inode *hd = hostfs_inode(dir);
    uint32_t type = mode & LX_S_IFMT;
    int64_t r, fd = hostfs_dir_pin(hd);

    if (fd < 0)
        return (int)fd;
    if (type == LX_S_IFREG) {
        r = host_open_beneath((int)fd, name, LX_O_CREAT | LX_O_EXCL | LX_O_WRONLY, mode & 07777);
        if (r >= 0)
            r = host_close((int)r);
    } else if (type == LX_S_IFIFO || type == LX_S_IFSOCK) {
        r = host_mknodat((int)fd, name, mode, 0);
    } else {
        r = -EPERM; /* no device nodes on the host's own filesystems */
    }
    if (r >= 0)
        r = adopt(hd, (int)fd, name, cred, 0, out);
    hostfs_dir_unpin(hd);
    if (r >= 0)
        refresh_dir(dir);
    return (int)r;
}

int hostfs_mkdir(struct inode *dir, const char *name, uint32_t mode, const struct cred *cred,
                 struct inode **out)
{
    struct hostfs_inode *hd = hostfs_inode(dir);
    int fd = hostfs_dir_pin(hd);
    int r;

    if (fd < 0)
        return fd;
    r = (int)host_mkdirat(fd, name, mode & 07777);
    if (r == 0)
        r = adopt(hd, fd, name, cred, LX_AT_REMOVEDIR, out);
    hostfs_dir_unpin(hd);
    if (r == 0)
        refresh_dir(dir);
    return r;
}

int hostfs_symlink(struct inode *dir, const char *name, const char *target, const struct cred *cred,
                   struct inode **out)
{
    struct hostfs_inode *hd = hostfs_inode(dir);
    int fd = hostfs_dir_pin(hd);
    int r;

    if (fd < 0)
        return fd;
    r = (int)host_symlinkat(target, fd, name);
    if (r == 0)
        r = adopt(hd, fd, name, cred, 0, out);
    hostfs_dir_unpin(hd);
    if (r == 0)
        refresh_dir(dir);
    return r;
}

int hostfs_link(struct inode *dir, const char *name, struct inode *target)
{
    struct hostfs_inode *hd = hostfs_inode(dir), *parent;
    struct host_stat st;
    char *old_name;
    int old_fd, fd = hostfs_dir_pin(hd);
    int r;

    if (fd < 0)
        return fd;
    r = hostfs_locate(hostfs_inode(target), &parent, &old_fd, &old_name);
    if (r == 0) {
        r = (int)host_linkat(old_fd, old_name, fd, name, 0);
        if (r == 0 && host_statat(fd, name, &st) == 0)
            hostfs_refresh(hostfs_inode(target), &st);
        hostfs_dir_unpin(parent);
        kfree(old_name);
    }
    hostfs_dir_unpin(hd);
    if (r == 0)
        refresh_dir(dir);
    return r;
}

static int remove_name(struct inode *dir, const char *name, struct inode *victim, int flags)
{
    struct hostfs_inode *hd = hostfs_inode(dir);
    int fd = hostfs_dir_pin(hd);
    int r;

    if (fd < 0)
        return fd;
    r = (int)host_unlinkat(fd, name, flags);
    hostfs_dir_unpin(hd);
    if (r < 0)
        return r;
    if (flags & LX_AT_REMOVEDIR)
        victim->nlink = 0;
    else if (victim->nlink > 0)
        victim->nlink--;
    if (victim->nlink == 0)
        hostfs_handle_forget(hostfs_inode(victim));
    refresh_dir(dir);
    return 0;
}

int hostfs_unlink(struct inode *dir, const char *name, struct inode *victim)
{
    return remove_name(dir, name, victim, 0);
}

int hostfs_rmdir(struct inode *dir, const char *name, struct inode *victim)
{
    return remove_name(dir, name, victim, LX_AT_REMOVEDIR);
}

int hostfs_rename(struct inode *old_dir, const char *old_name, struct inode *moved,
                  struct inode *new_dir, const char *new_name, struct inode *replaced,
                  uint32_t flags)
{
    struct hostfs_inode *od = hostfs_inode(old_dir), *nd = hostfs_inode(new_dir);
    int old_fd = hostfs_dir_pin(od), new_fd;
    int r;

    if (old_fd < 0)
        return old_fd;
    new_fd = hostfs_dir_pin(nd);
    if (new_fd < 0) {
        hostfs_dir_unpin(od);
        return new_fd;
    }
    r = (int)host_renameat2(old_fd, old_name, new_fd, new_name, flags);
    hostfs_dir_unpin(nd);
    hostfs_dir_unpin(od);
    if (r < 0)
        return r;
    hostfs_set_name(hostfs_inode(moved), nd, new_name);
    if (replaced && (flags & LX_RENAME_EXCHANGE))
        hostfs_set_name(hostfs_inode(replaced), od, old_name);
    else if (replaced && replaced->nlink > 0)
        replaced->nlink--;
    if (replaced && replaced->nlink == 0)
        hostfs_handle_forget(hostfs_inode(replaced));
    refresh_dir(old_dir);
    refresh_dir(new_dir);
    return 0;
}

static int set_contents(struct inode *inode, const struct setattr *attr)
{
    bool size = attr->valid & ATTR_SIZE;
    int64_t r, fd = hostfs_open_host(hostfs_inode(inode), size ? LX_O_WRONLY : LX_O_RDONLY);

    if (fd < 0)
        return (int)fd;
    r = size ? host_ftruncate((int)fd, (int64_t)attr->size) : 0;
    if (r == 0 && (attr->valid & ATTR_MODE))
        r = host_fchmod((int)fd, attr->mode & 07777);
    host_close((int)fd);
    return (int)r;
}

static int set_named(struct inode *inode, const struct setattr *attr, int fd, const char *name)
{
    int64_t times[4] = {0, 0x3ffffffe, 0, 0x3ffffffe}; /* UTIME_OMIT */
    int64_t r = 0;

    if (attr->valid & (ATTR_UID | ATTR_GID))
        r = host_fchownat(fd, name, attr->valid & ATTR_UID ? attr->uid : (uint32_t)-1,
                          attr->valid & ATTR_GID ? attr->gid : (uint32_t)-1, NO_FOLLOW);
    if (r == 0 && (attr->valid & (ATTR_ATIME | ATTR_MTIME))) {
        if (attr->valid & ATTR_ATIME) {
            times[0] = attr->atime_ns / 1000000000;
            times[1] = attr->atime_ns % 1000000000;
        }
        if (attr->valid & ATTR_MTIME) {
            times[2] = attr->mtime_ns / 1000000000;
            times[3] = attr->mtime_ns % 1000000000;
        }
        r = host_utimensat(fd, name, times, NO_FOLLOW);
    }
    return (int)r;
}

int hostfs_setattr(struct inode *inode, const struct setattr *attr)
{
    struct hostfs_inode *parent;
    struct host_stat st;
    char *name;
    int fd, r = 0;

    if (!hostfs_inode(inode)->parent)
        return -EPERM; /* the donated directory itself belongs to the host */
    r = hostfs_locate(hostfs_inode(inode), &parent, &fd, &name);
    if (r < 0)
        return r;
    r = set_named(inode, attr, fd, name);
    if (r == 0 && (attr->valid & (ATTR_SIZE | ATTR_MODE)))
        r = set_contents(inode, attr);
    if (host_statat(fd, name, &st) == 0)
        hostfs_refresh(hostfs_inode(inode), &st);
    hostfs_dir_unpin(parent);
    kfree(name);
    return r;
}
