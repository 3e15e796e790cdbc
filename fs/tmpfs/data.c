/*
 * tmpfs: where a regular file's bytes are (inline or in a host memfd), their size and what they are
 * charged. The callers hold the inode's lock but where said.
 */
#include "fs/tmpfs/tmpfs_int.h"
#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"

#define HOST_MFD_CLOEXEC       1
#define HOST_MFD_ALLOW_SEALING 2

static uint64_t pages_of(uint64_t size)
{
    return size / PAGE_SIZE + (size % PAGE_SIZE != 0);
}

/* Out of descriptors or host memory is out of space to the guest. */
static int host_error(int64_t err)
{
    return err == -EMFILE || err == -ENFILE || err == -ENOMEM ? -ENOSPC : (int)err;
}

static int set_charge(struct tmpfs_inode *ti, uint64_t pages)
{
    int err = pages > ti->charged ? tmpfs_charge(tmpfs_of(&ti->inode), pages - ti->charged) : 0;

    if (err < 0)
        return err;
    if (pages < ti->charged)
        tmpfs_uncharge(tmpfs_of(&ti->inode), ti->charged - pages);
    ti->charged = pages;
    return 0;
}

int tmpfs_grow_small(struct tmpfs_inode *ti, uint64_t size)
{
    uint32_t capacity = MAX(ti->small_capacity, 64U);
    char *grown;
    int err;

    if (size <= ti->small_capacity)
        return 0;
    while (capacity < size)
        capacity *= 2;
    err = set_charge(ti, pages_of(capacity));
    if (err < 0)
        return err;
    grown = kmalloc(capacity); /* zeroed */
    if (!grown)
        return -ENOSPC;
    if (ti->small)
        memcpy(grown, ti->small, ti->small_capacity);
    kfree(ti->small);
    ti->small = grown;
    ti->small_capacity = capacity;
    return 0;
}

static int fill_memfd(const struct tmpfs_inode *ti, int fd)
{
    uint64_t size = ti->inode.size;
    int64_t r = ti->small ? 0 : host_ftruncate(fd, (int64_t)size);

    for (uint64_t done = 0; r >= 0 && ti->small && done < size; done += (uint64_t)r) {
        r = host_pwrite(fd, ti->small + done, size - done, (int64_t)done);
        if (r == 0)
            r = -ENOSPC;
    }
    return r < 0 ? host_error(r) : 0;
}

int tmpfs_to_host(struct tmpfs_inode *ti)
{
    int64_t fd;
    int err;

    if (ti->host_fd >= 0)
        return 0;
    fd = host_memfd_create("tmpfs", HOST_MFD_CLOEXEC | HOST_MFD_ALLOW_SEALING);
    if (fd < 0)
        return host_error(fd);
    err = fill_memfd(ti, (int)fd);
    if (err < 0) {
        (void)host_close((int)fd);
        return err;
    }
    kfree(ti->small);
    ti->small = NULL;
    ti->small_capacity = 0;
    ti->dense = true;
    tmpfs_uncharge(tmpfs_of(&ti->inode), ti->charged - MIN(ti->charged, pages_of(ti->inode.size)));
    ti->charged = MIN(ti->charged, pages_of(ti->inode.size));
    store_release(&ti->host_fd, (int32_t)fd);
    return 0;
}

uint32_t tmpfs_small_pages(uint64_t offset, uint64_t n)
{
    uint32_t first = (uint32_t)(offset / PAGE_SIZE), end = (uint32_t)pages_of(offset + n);

    return n ? (1U << end) - (1U << first) : 0;
}

uint64_t tmpfs_pages_used(struct tmpfs_inode *ti)
{
    uint32_t bits = READ_ONCE(ti->small_pages), count = 0;
    struct host_stat st;

    if (tmpfs_host_fd(ti) >= 0) {
        if (READ_ONCE(ti->dense))
            return pages_of(READ_ONCE(ti->inode.size));
        return host_fstat(ti->host_fd, &st) == 0 ? st.blocks / 8 : 0;
    }
    for (; bits; bits &= bits - 1)
        count++;
    return count;
}

void tmpfs_recharge(struct tmpfs_inode *ti, uint64_t reserved)
{
    uint64_t pages = pages_of(ti->inode.size);
    struct host_stat st;

    if (!ti->dense) {
        if (host_fstat(ti->host_fd, &st) < 0) {
            tmpfs_uncharge(tmpfs_of(&ti->inode), reserved);
            return;
        }
        /* Pages the guest touched through mappings show up here: counted, even above the limit. */
        pages = st.blocks / 8;
    }
    __atomic_fetch_add(&tmpfs_of(&ti->inode)->used_pages, pages - ti->charged - reserved,
                       __ATOMIC_RELAXED);
    ti->charged = pages;
}

/* How many pages of the range the host file lacks. */
static uint64_t missing_pages(struct tmpfs_inode *ti, uint64_t offset, uint64_t n)
{
    uint64_t at = PAGE_ALIGN_DOWN(offset), end = PAGE_ALIGN_UP(offset + n),
             missing = (end - at) / PAGE_SIZE;

    while (at < end) {
        int64_t data = host_lseek(ti->host_fd, (int64_t)at, LX_SEEK_DATA), hole;

        if (data < 0 || (uint64_t)data >= end)
            break;
        hole = host_lseek(ti->host_fd, data, LX_SEEK_HOLE);
        if (hole < 0)
            break;
        at = MIN((uint64_t)hole, end);
        missing -= (PAGE_ALIGN_UP(at) - PAGE_ALIGN_DOWN((uint64_t)data)) / PAGE_SIZE;
        at = PAGE_ALIGN_UP(at);
    }
    return missing;
}

/* The bytes of the range that n would be if it ended after so many of its pages. */
static uint64_t first_pages(uint64_t offset, uint64_t n, uint64_t pages)
{
    return MIN(n, pages * PAGE_SIZE - offset % PAGE_SIZE);
}

int tmpfs_reserve(struct tmpfs_inode *ti, uint64_t offset, uint64_t *n, uint64_t *out_pages)
{
    struct tmpfs *fs = tmpfs_of(&ti->inode);
    uint64_t used, room, low = 0,
                         high = (PAGE_ALIGN_UP(offset + *n) - PAGE_ALIGN_DOWN(offset)) / PAGE_SIZE;

    if (READ_ONCE(ti->dense)) {
        uint64_t has = pages_of(READ_ONCE(ti->inode.size)), end = pages_of(offset + *n);

        *out_pages = end > has ? end - has : 0;
        if (tmpfs_charge(fs, *out_pages) == 0)
            return 0;
    }
    *out_pages = high;
    if (tmpfs_charge(fs, high) == 0)
        return 0;
    /* Nearly full: count exactly, and write as far as the space goes. */
    used = READ_ONCE(fs->used_pages);
    room = fs->max_pages > used ? fs->max_pages - used : 0;
    while (low < high) {
        uint64_t middle = low + (high - low + 1) / 2;

        if (missing_pages(ti, offset, first_pages(offset, *n, middle)) <= room)
            low = middle;
        else
            high = middle - 1;
    }
    if (low == 0)
        return -ENOSPC;
    *n = first_pages(offset, *n, low);
    *out_pages = missing_pages(ti, offset, *n);
    return tmpfs_charge(fs, *out_pages);
}

static int resize_small(struct tmpfs_inode *ti, uint64_t size)
{
    int err = 0;

    if (size > ti->inode.size) {
        err = tmpfs_grow_small(ti, size);
    } else if (ti->small) {
        memset(ti->small + size, 0, ti->inode.size - size);
        ti->small_pages &= tmpfs_small_pages(0, size);
    }
    if (err == 0 && size == 0) {
        kfree(ti->small);
        ti->small = NULL;
        ti->small_capacity = 0;
        err = set_charge(ti, 0);
    }
    return err;
}

int tmpfs_resize(struct tmpfs_inode *ti, uint64_t size)
{
    int err = 0;

    if (ti->host_fd < 0 && size <= TMPFS_INLINE) {
        err = resize_small(ti, size);
    } else {
        bool shrinks = size < ti->inode.size;

        err = tmpfs_to_host(ti);
        if (err == 0)
            err = host_error(host_ftruncate(ti->host_fd, (int64_t)size));
        if (err < 0)
            return err;
        ti->inode.size = size;
        if (shrinks)
            tmpfs_recharge(ti, 0);
        else
            ti->dense = false;
    }
    if (err < 0)
        return err;
    ti->inode.size = size;
    ti->truncations++;
    return 0;
}

void tmpfs_free_data(struct tmpfs_inode *ti)
{
    if (ti->host_fd >= 0)
        (void)host_close(ti->host_fd);
    kfree(ti->small);
    tmpfs_uncharge(tmpfs_of(&ti->inode), pages_of(ti->charged * PAGE_SIZE));
}

static int fill_small(struct tmpfs_inode *ti, int host_fd, uint64_t offset, uint64_t size)
{
    uint64_t done = 0;
    int err = tmpfs_grow_small(ti, size);

    while (err == 0 && done < size) {
        int64_t r = host_pread(host_fd, ti->small + done, size - done, (int64_t)(offset + done));

        if (r < 0)
            err = (int)r;
        if (r <= 0)
            break;
        done += (uint64_t)r;
    }
    ti->small_pages |= tmpfs_small_pages(0, size);
    return err;
}

static int fill_large(struct tmpfs_inode *ti, int host_fd, uint64_t offset, uint64_t size)
{
    char *buf = bounce_get();
    uint64_t done = 0;
    int err = buf ? tmpfs_to_host(ti) : -ENOMEM;

    while (err == 0 && done < size) {
        int64_t got = host_pread(host_fd, buf, MIN(size - done, BOUNCE_SIZE),
                                 (int64_t)(offset + done)),
                put;

        if (got <= 0) {
            err = (int)got;
            break;
        }
        put = host_pwrite(ti->host_fd, buf, (size_t)got, (int64_t)done);
        if (put != got)
            err = put < 0 ? host_error(put) : -ENOSPC;
        done += (uint64_t)got;
    }
    bounce_put(buf);
    if (err == 0 && done < size) {
        ti->dense = false;
        err = host_error(host_ftruncate(ti->host_fd, (int64_t)size));
    }
    if (err == 0)
        ti->inode.size = size;
    if (ti->host_fd >= 0)
        tmpfs_recharge(ti, 0);
    return err;
}

int tmpfs_fill_from_host(struct inode *inode, int host_fd, uint64_t offset, uint64_t size)
{
    struct tmpfs_inode *ti = tmpfs_inode(inode);
    uint64_t pages = pages_of(size);
    int err = tmpfs_charge(tmpfs_of(inode), pages);

    if (err < 0)
        return err;
    tmpfs_uncharge(tmpfs_of(inode), pages); /* charged below as it is */
    if (size <= TMPFS_INLINE)
        err = fill_small(ti, host_fd, offset, size);
    else
        err = fill_large(ti, host_fd, offset, size);
    if (err == 0)
        inode->size = size;
    return err;
}
