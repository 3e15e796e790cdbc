/* Host calls on open descriptors: data, sizes, ioctls, readiness. Names are in filenames.c. */
#include <linux/fcntl.h>

#include "platform/host/raw.h"

int64_t host_close(int fd)
{
    return raw3(__NR_close, INT(fd), 0, 0);
}

int64_t host_read(int fd, void *buf, size_t n)
{
    return raw3(__NR_read, INT(fd), PTR(buf), n);
}

int64_t host_write(int fd, const void *buf, size_t n)
{
    return raw3(__NR_write, INT(fd), PTR(buf), n);
}

int64_t host_writev(int fd, const struct host_iovec *iov, uint32_t count)
{
    return raw3(__NR_writev, INT(fd), PTR(iov), count);
}

int64_t host_pread(int fd, void *buf, size_t n, int64_t offset)
{
    return raw4(__NR_pread64, INT(fd), PTR(buf), n, INT(offset));
}

int64_t host_pwrite(int fd, const void *buf, size_t n, int64_t offset)
{
    return raw4(__NR_pwrite64, INT(fd), PTR(buf), n, INT(offset));
}

int64_t host_lseek(int fd, int64_t offset, int whence)
{
    return raw3(__NR_lseek, INT(fd), INT(offset), INT(whence));
}

int64_t host_ftruncate(int fd, int64_t size)
{
    return raw3(__NR_ftruncate, INT(fd), INT(size), 0);
}

int64_t host_fallocate(int fd, int mode, int64_t offset, int64_t size)
{
    return raw4(__NR_fallocate, INT(fd), INT(mode), INT(offset), INT(size));
}

int64_t host_fsync(int fd, bool data_only)
{
    return raw3(data_only ? __NR_fdatasync : __NR_fsync, INT(fd), 0, 0);
}

int64_t host_memfd_create(const char *name, uint32_t flags)
{
    return raw3(__NR_memfd_create, PTR(name), flags, 0);
}

int64_t host_fcntl(int fd, int cmd, uint64_t arg)
{
    return raw3(__NR_fcntl, INT(fd), INT(cmd), arg);
}

/*
 * Not F_SEAL_WRITE: that waits for references to the pages, such as the host's own compaction
 * takes, and gives up with EBUSY after 0.15 s. They could be somebody's who writes; here nobody is.
 */
int64_t host_memfd_seal(int fd)
{
    return host_fcntl(fd, F_ADD_SEALS,
                      F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE);
}

int64_t host_ioctl(int fd, uint64_t request, void *arg)
{
    return raw3(__NR_ioctl, INT(fd), request, PTR(arg));
}

int64_t host_copy_file_range(int in, int64_t *in_off, int out, int64_t *out_off, size_t n)
{
    return raw6(__NR_copy_file_range, INT(in), PTR(in_off), INT(out), PTR(out_off), n, 0);
}

int64_t host_poll(struct host_pollfd *fds, uint32_t count, int timeout_ms)
{
    return raw3(__NR_poll, PTR(fds), count, INT(timeout_ms));
}
