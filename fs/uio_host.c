/*
 * uio <-> host descriptor. See uio_host.h. Small transfers bounce through the stack, larger ones
 * through pooled buffers.
 */
#include "fs/uio_host.h"

#include "fs/vfs_int.h"
#include "platform/host/host.h"
#include "sentry/abi/errno.h"

#define STACK_BOUNCE 1024
#define NO_OFFSET    (-1)

static int64_t host_in(int fd, void *buf, size_t n, int64_t offset)
{
    return offset < 0 ? host_read(fd, buf, n) : host_pread(fd, buf, n, offset);
}

static int64_t host_out(int fd, const void *buf, size_t n, int64_t offset)
{
    return offset < 0 ? host_write(fd, buf, n) : host_pwrite(fd, buf, n, offset);
}

/* The contiguous kernel memory at the cursor. */
static char *kernel_chunk(const struct uio *uio, uint64_t *size)
{
    uint32_t i = uio->index;
    uint64_t offset = uio->offset;

    while (i < uio->count && offset >= uio->segments[i].size) {
        i++;
        offset = 0;
    }
    *size = i < uio->count ? uio->segments[i].size - offset : 0;
    return i < uio->count ? (char *)(uintptr_t)(uio->segments[i].base + offset) : NULL;
}

static int64_t step_direct(struct uio *uio, int fd, uint64_t n, int64_t offset, bool in)
{
    uint64_t size;
    char *at = kernel_chunk(uio, &size);
    int64_t done;

    if (size > n)
        size = n;
    done = in ? host_in(fd, at, size, offset) : host_out(fd, at, size, offset);
    if (done > 0)
        uio_advance(uio, (uint64_t)done);
    return done;
}

static int64_t step_in(struct uio *uio, int fd, void *buf, uint64_t n, int64_t offset)
{
    int64_t got = host_in(fd, buf, n, offset);

    return got <= 0 ? got : uio_put(uio, buf, (size_t)got);
}

static int64_t step_out(struct uio *uio, int fd, void *buf, uint64_t n, int64_t offset)
{
    int64_t have = uio_take(uio, buf, n), done;

    if (have <= 0)
        return have;
    done = host_out(fd, buf, (size_t)have, offset);
    uio_revert(uio, (uint64_t)(have - (done > 0 ? done : 0)));
    return done;
}

/* Chunk by chunk until a short one. */
static int64_t transfer(struct uio *uio, int fd, uint64_t n, int64_t offset, bool in)
{
    char small[STACK_BOUNCE];
    char *buf = small;
    uint64_t room = sizeof(small), total = 0;

    n = MIN(n, uio->left);
    if (uio->us && n > sizeof(small)) {
        buf = bounce_get();
        room = BOUNCE_SIZE;
        if (!buf)
            return -ENOMEM;
    }
    while (total < n) {
        uint64_t want = uio->us ? MIN(n - total, room) : n - total;
        int64_t at = offset < 0 ? NO_OFFSET : offset + (int64_t)total, done;

        if (!uio->us)
            done = step_direct(uio, fd, want, at, in);
        else
            done = in ? step_in(uio, fd, buf, want, at) : step_out(uio, fd, buf, want, at);
        if (done < 0 && total == 0)
            total = (uint64_t)done;
        if (done <= 0)
            break;
        total += (uint64_t)done;
        if (uio->us ? (uint64_t)done < want : false)
            break;
    }
    if (buf != small)
        bounce_put(buf);
    return (int64_t)total;
}

int64_t uio_host_pread(struct uio *uio, int fd, uint64_t n, int64_t offset)
{
    return transfer(uio, fd, n, offset, true);
}

int64_t uio_host_pwrite(struct uio *uio, int fd, uint64_t n, int64_t offset)
{
    return transfer(uio, fd, n, offset, false);
}

int64_t uio_host_read(struct uio *uio, int fd, uint64_t n)
{
    return transfer(uio, fd, n, NO_OFFSET, true);
}

int64_t uio_host_write(struct uio *uio, int fd, uint64_t n)
{
    return transfer(uio, fd, n, NO_OFFSET, false);
}
