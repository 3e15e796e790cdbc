/*
 * hostfs: host descriptors of regular files. One for reading stays with its inode after the last
 * close, so that opening the file again costs no host call. Takes an inode's lock, then hostfs.lock
 * (to find what to close it goes the other way round, by trying only).
 */
#include "fs/hostfs/hostfs_int.h"
#include "sentry/base/slab.h"

SLAB_TYPE(hostfs_handle_slab, struct hostfs_handle);

void hostfs_handle_put(struct hostfs_handle *h)
{
    if (!h || !ref_put(&h->ref))
        return;
    (void)host_close(h->fd);
    slab_free(&hostfs_handle_slab, h);
}

/* hi, off the list, no longer keeps its handle: the reference, for the caller. Both locks held. */
static struct hostfs_handle *drop_locked(struct hostfs *fs, struct hostfs_inode *hi)
{
    struct hostfs_handle *h = hi->handle;

    if (h) {
        hi->handle = NULL;
        list_del(&hi->lru);
        fs->kept_count--;
    }
    return h;
}

void hostfs_handle_forget(struct hostfs_inode *hi)
{
    struct hostfs *fs = hostfs_of(&hi->inode);
    struct hostfs_handle *h;

    mutex_lock(&fs->lock);
    h = drop_locked(fs, hi);
    mutex_unlock(&fs->lock);
    hostfs_handle_put(h);
}

/* One that was not used of late, or is not in use just now. With fs->lock held. */
static struct hostfs_handle *choose_locked(struct hostfs *fs)
{
    uint32_t looks = 2 * fs->kept_count;

    while (looks-- > 0) {
        struct hostfs_inode *hi = list_first(&fs->kept_files, struct hostfs_inode, lru);

        if (!hi->handle_used && mutex_trylock(&hi->inode.lock)) {
            struct hostfs_handle *h = drop_locked(fs, hi);

            mutex_unlock(&hi->inode.lock);
            return h;
        }
        WRITE_ONCE(hi->handle_used, false);
        list_del(&hi->lru);
        list_add_tail(&fs->kept_files, &hi->lru);
    }
    return NULL;
}

void hostfs_forget_handles(struct hostfs *fs)
{
    struct hostfs_handle *h;

    do {
        mutex_lock(&fs->lock);
        h = choose_locked(fs);
        mutex_unlock(&fs->lock);
        hostfs_handle_put(h);
    } while (h);
}

/* A volume's files are closed with their last user: a deleted one would go on taking space. */
static bool keeps(const struct hostfs_inode *hi)
{
    const struct hostfs *fs = hostfs_of(&hi->inode);

    return fs->keep_files && !fs->fresh && fs->cache != HOSTFS_SHARED && hi->inode.nlink > 0 &&
           hi->inode.size <= HOSTFS_KEEP_SIZE;
}

static void keep(struct hostfs_inode *hi, struct hostfs_handle *h)
{
    struct hostfs *fs = hostfs_of(&hi->inode);
    struct hostfs_handle *old = NULL;

    mutex_lock(&hi->inode.lock);
    if (!hi->handle) {
        mutex_lock(&fs->lock);
        if (fs->kept_count >= fs->keep_files)
            old = choose_locked(fs);
        ref_get(&h->ref);
        hi->handle = h;
        list_add_tail(&fs->kept_files, &hi->lru);
        fs->kept_count++;
        mutex_unlock(&fs->lock);
    }
    mutex_unlock(&hi->inode.lock);
    hostfs_handle_put(old);
}

static int64_t open_for(struct hostfs_inode *hi, bool for_writing)
{
    int64_t fd = hostfs_open_host(hi, for_writing ? LX_O_RDWR : LX_O_RDONLY);

    if (fd == -EACCES && for_writing)
        fd = hostfs_open_host(hi, LX_O_WRONLY);
    return fd;
}

static int open_new(struct hostfs_inode *hi, bool for_writing, struct hostfs_handle **out)
{
    struct hostfs *fs = hostfs_of(&hi->inode);
    struct hostfs_handle *h = slab_alloc(&hostfs_handle_slab);
    struct host_stat st;
    int64_t fd;

    if (!h)
        return -ENOMEM;
    fd = open_for(hi, for_writing);
    if (fd == -EMFILE || fd == -ENFILE) {
        hostfs_forget_handles(fs);
        fd = open_for(hi, for_writing);
    }
    if (fd < 0) {
        slab_free(&hostfs_handle_slab, h);
        return (int)fd;
    }
    if (fs->fresh && host_fstat((int)fd, &st) == 0)
        hostfs_refresh(hi, &st);
    ref_init(&h->ref);
    h->fd = (int32_t)fd;
    *out = h;
    return 0;
}

int hostfs_handle_get(struct hostfs_inode *hi, bool for_writing, struct hostfs_handle **out)
{
    struct hostfs_handle *h = NULL;
    int err;

    if (!for_writing && READ_ONCE(hi->handle)) {
        mutex_lock(&hi->inode.lock);
        h = hi->handle;
        if (h) {
            ref_get(&h->ref);
            WRITE_ONCE(hi->handle_used, true);
        }
        mutex_unlock(&hi->inode.lock);
    }
    if (h) {
        *out = h;
        return 0;
    }
    err = open_new(hi, for_writing, out);
    if (err == 0 && !for_writing && keeps(hi))
        keep(hi, *out);
    return err;
}
