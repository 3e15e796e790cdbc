/*
 * Host calls that take a name, always relative to a donated directory, and what they say about
 * files.
 */
#include <asm/fcntl.h>
#include <asm/stat.h>
#include <asm/statfs.h>
#include <linux/openat2.h>

#include "platform/host/raw.h"

#define HOST_AT_SYMLINK_NOFOLLOW 0x100
#define HOST_AT_EMPTY_PATH 0x1000

int64_t host_open_beneath(int dirfd, const char *path, int flags, uint32_t mode)
{
    struct open_how how;

    how.flags = (uint64_t)(uint32_t)(flags | O_CLOEXEC);
    how.mode = mode; /* the host refuses one without O_CREAT */
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    return raw4(__NR_openat2, INT(dirfd), PTR(path), PTR(&how), sizeof(how));
}

static int64_t time_ns(uint64_t sec, uint64_t nsec)
{
    return (int64_t)sec * 1000000000 + (int64_t)nsec;
}

static void convert_stat(const struct stat *raw, struct host_stat *out)
{
    out->dev = raw->st_dev;
    out->ino = raw->st_ino;
    out->nlink = raw->st_nlink;
    out->size = (uint64_t)raw->st_size;
    out->blocks = (uint64_t)raw->st_blocks;
    out->rdev = raw->st_rdev;
    out->mode = raw->st_mode;
    out->uid = raw->st_uid;
    out->gid = raw->st_gid;
    out->blksize = (uint32_t)raw->st_blksize;
    out->atime_ns = time_ns(raw->st_atime, raw->st_atime_nsec);
    out->mtime_ns = time_ns(raw->st_mtime, raw->st_mtime_nsec);
    out->ctime_ns = time_ns(raw->st_ctime, raw->st_ctime_nsec);
}

int64_t host_statat(int dirfd, const char *name, struct host_stat *out)
{
    struct stat raw;
    int64_t err = raw4(__NR_newfstatat, INT(dirfd), PTR(name), PTR(&raw),
                       HOST_AT_SYMLINK_NOFOLLOW | HOST_AT_EMPTY_PATH);

    if (err == 0)
        convert_stat(&raw, out);
    return err;
}

int64_t host_fstat(int fd, struct host_stat *out)
{
    struct stat raw;
    int64_t err = raw4(__NR_newfstatat, INT(fd), PTR(""), PTR(&raw), HOST_AT_EMPTY_PATH);

    if (err == 0)
        convert_stat(&raw, out);
    return err;
}

int64_t host_readlinkat(int dirfd, const char *name, char *buf, size_t size)
{
    return raw4(__NR_readlinkat, INT(dirfd), PTR(name), PTR(buf), size);
}

int64_t host_getdents(int fd, void *buf, size_t size)
{
    return raw3(__NR_getdents64, INT(fd), PTR(buf), size);
}

int64_t host_mkdirat(int dirfd, const char *name, uint32_t mode)
{
    return raw3(__NR_mkdirat, INT(dirfd), PTR(name), mode);
}

int64_t host_mknodat(int dirfd, const char *name, uint32_t mode, uint64_t dev)
{
    return raw4(__NR_mknodat, INT(dirfd), PTR(name), mode, dev);
}

int64_t host_unlinkat(int dirfd, const char *name, int flags)
{
    return raw3(__NR_unlinkat, INT(dirfd), PTR(name), INT(flags));
}

int64_t host_linkat(int olddir, const char *old, int newdir, const char *new, int flags)
{
    return raw6(__NR_linkat, INT(olddir), PTR(old), INT(newdir), PTR(new), INT(flags), 0);
}

int64_t host_symlinkat(const char *target, int dirfd, const char *name)
{
    return raw3(__NR_symlinkat, PTR(target), INT(dirfd), PTR(name));
}

int64_t host_renameat2(int olddir, const char *old, int newdir, const char *new, uint32_t flags)
{
    return raw6(__NR_renameat2, INT(olddir), PTR(old), INT(newdir), PTR(new), flags, 0);
}

int64_t host_fchmod(int fd, uint32_t mode)
{
    return raw3(__NR_fchmod, INT(fd), mode, 0);
}

int64_t host_fchownat(int dirfd, const char *name, uint32_t uid, uint32_t gid, int flags)
{
    return raw6(__NR_fchownat, INT(dirfd), PTR(name), uid, gid, INT(flags), 0);
}

int64_t host_utimensat(int dirfd, const char *name, const int64_t times[4], int flags)
{
    return raw4(__NR_utimensat, INT(dirfd), PTR(name), PTR(times), INT(flags));
}

int64_t host_fstatfs(int fd, struct host_statfs *out)
{
    struct statfs raw;
    int64_t err = raw3(__NR_fstatfs, INT(fd), PTR(&raw), 0);

    if (err != 0)
        return err;
    out->type = (uint64_t)raw.f_type;
    out->bsize = (uint64_t)raw.f_bsize;
    out->blocks = (uint64_t)raw.f_blocks;
    out->bfree = (uint64_t)raw.f_bfree;
    out->bavail = (uint64_t)raw.f_bavail;
    out->files = (uint64_t)raw.f_files;
    out->ffree = (uint64_t)raw.f_ffree;
    out->namelen = (uint64_t)raw.f_namelen;
    out->frsize = (uint64_t)raw.f_frsize;
    return 0;
}
