/*
 * The fake platform's address spaces: a hash of pages by address, filled when touched. Lock:
 * platform_as.lock, and no two at once but in fake_pages_copy, whose target nobody else knows yet.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "platform/fake/fake_int.h"

static struct fake_page **bucket_of(struct platform_as *as, uint64_t addr)
{
    return &as->buckets[(addr >> PAGE_SHIFT) % FAKE_BUCKETS];
}

struct fake_page *fake_find(struct platform_as *as, uint64_t addr)
{
    struct fake_page *p = *bucket_of(as, addr & PAGE_MASK);

    while (p && p->addr != (addr & PAGE_MASK))
        p = p->next;
    return p;
}

/* Shared bytes are counted across address spaces, so by atomics. */
static void bytes_put(struct fake_bytes *b)
{
    if (!b || __atomic_sub_fetch(&b->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    if (b->host_mapped)
        munmap(b->data, PAGE_SIZE);
    else
        free(b->data);
    free(b);
}

static void file_put(struct fake_file *f)
{
    if (!f || __atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    close(f->fd);
    free(f);
}

static void page_free_fake(struct fake_page *p)
{
    bytes_put(p->bytes);
    file_put(p->file);
    free(p);
}

static struct fake_page *detach(struct platform_as *as, uint64_t addr)
{
    struct fake_page **link = bucket_of(as, addr), *p;

    while (*link && (*link)->addr != addr)
        link = &(*link)->next;
    p = *link;
    if (p) {
        *link = p->next;
        as->page_count--;
    }
    return p;
}

static void attach(struct platform_as *as, struct fake_page *p, uint64_t addr)
{
    struct fake_page **bucket = bucket_of(as, addr);

    p->addr = addr;
    p->next = *bucket;
    *bucket = p;
    as->page_count++;
}

static void remove_range(struct platform_as *as, uint64_t addr, uint64_t size)
{
    struct fake_page *p;

    for (uint64_t at = addr; at < addr + size; at += PAGE_SIZE) {
        p = detach(as, at);
        if (p)
            page_free_fake(p);
    }
}

static struct fake_page *add_page(struct platform_as *as, uint64_t addr, int prot, bool shared,
                                  struct fake_file *file, uint64_t offset)
{
    struct fake_page *p = fake_calloc(sizeof(*p));

    p->prot = prot;
    p->shared = shared;
    p->file = file;
    p->offset = offset;
    if (file)
        __atomic_add_fetch(&file->refs, 1, __ATOMIC_RELAXED);
    attach(as, p, addr);
    return p;
}

void fake_pages_free(struct platform_as *as)
{
    for (unsigned i = 0; i < FAKE_BUCKETS; i++) {
        while (as->buckets[i]) {
            struct fake_page *p = as->buckets[i];

            as->buckets[i] = p->next;
            page_free_fake(p);
        }
    }
    as->page_count = 0;
}

int fake_pages_copy(struct platform_as *to, struct platform_as *from)
{
    pthread_mutex_lock(&from->lock);
    for (unsigned i = 0; i < FAKE_BUCKETS; i++) {
        for (struct fake_page *p = from->buckets[i]; p; p = p->next) {
            struct fake_page *copy;

            if (p->shared && !p->bytes)
                (void)fake_touch(p); /* fails beyond the end of a file: then both stay untouched */
            copy = add_page(to, p->addr, p->prot, p->shared, p->file, p->offset);
            if (p->bytes && p->shared) {
                copy->bytes = p->bytes;
                __atomic_add_fetch(&p->bytes->refs, 1, __ATOMIC_RELAXED);
            } else if (p->bytes && fake_touch(copy) == 0) {
                memcpy(copy->bytes->data, p->bytes->data, PAGE_SIZE);
            }
        }
    }
    pthread_mutex_unlock(&from->lock);
    return 0;
}

int fake_map(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot, uint32_t flags,
             int fd, uint64_t offset)
{
    struct fake_file *file = NULL;
    int err = fake_injected();

    if (err)
        return err;
    if (fd >= 0) {
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

        if (copy < 0)
            return -errno;
        file = fake_calloc(sizeof(*file));
        file->refs = 1;
        file->fd = copy;
    }
    pthread_mutex_lock(&ctx->as->lock);
    remove_range(ctx->as, addr, size);
    for (uint64_t at = 0; at < size; at += PAGE_SIZE)
        add_page(ctx->as, addr + at, prot, flags & PLATFORM_MAP_SHARED, file, offset + at);
    pthread_mutex_unlock(&ctx->as->lock);
    file_put(file);
    return 0;
}

int fake_unmap(struct platform_ctx *ctx, uint64_t addr, uint64_t size)
{
    pthread_mutex_lock(&ctx->as->lock);
    remove_range(ctx->as, addr, size);
    pthread_mutex_unlock(&ctx->as->lock);
    return 0;
}

/* As the host: the pages before a hole are done, then -ENOMEM. */
int fake_protect(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot)
{
    int err = fake_injected();

    pthread_mutex_lock(&ctx->as->lock);
    for (uint64_t at = addr; !err && at < addr + size; at += PAGE_SIZE) {
        struct fake_page *p = fake_find(ctx->as, at);

        if (p)
            p->prot = prot;
        else
            err = -ENOMEM;
    }
    pthread_mutex_unlock(&ctx->as->lock);
    return err;
}

/* Pages past what was moved: more of the same mapping. */
static void extend(struct platform_as *as, const struct fake_page *last, uint64_t addr,
                   uint64_t size)
{
    for (uint64_t at = 0; at < size; at += PAGE_SIZE)
        add_page(as, addr + at, last->prot, last->shared, last->file,
                 last->offset + PAGE_SIZE + at);
}

static int remap_locked(struct platform_as *as, uint64_t old_addr, uint64_t old_size,
                        uint64_t new_addr, uint64_t new_size, bool dontunmap)
{
    uint64_t kept = MIN(old_size, new_size);
    struct fake_page *p, *last;

    for (uint64_t at = 0; at < old_size; at += PAGE_SIZE) {
        if (!fake_find(as, old_addr + at))
            return -EFAULT;
    }
    if (old_size == 0 || new_size == 0)
        return -EINVAL;
    if (new_size < old_size)
        remove_range(as, old_addr + new_size, old_size - new_size);
    if (new_addr != old_addr) {
        remove_range(as, new_addr, new_size);
        for (uint64_t at = 0; at < kept; at += PAGE_SIZE) {
            p = detach(as, old_addr + at);
            attach(as, p, new_addr + at);
            if (dontunmap)
                add_page(as, old_addr + at, p->prot, p->shared, p->file, p->offset);
        }
    }
    if (new_size > old_size) {
        last = fake_find(as, new_addr + old_size - PAGE_SIZE);
        remove_range(as, new_addr + old_size, new_size - old_size);
        extend(as, last, new_addr + old_size, new_size - old_size);
    }
    return 0;
}

int fake_remap(struct platform_ctx *ctx, uint64_t old_addr, uint64_t old_size, uint64_t new_addr,
               uint64_t new_size, bool dontunmap)
{
    int err = fake_injected();

    if (err)
        return err;
    pthread_mutex_lock(&ctx->as->lock);
    err = remap_locked(ctx->as, old_addr, old_size, new_addr, new_size, dontunmap);
    pthread_mutex_unlock(&ctx->as->lock);
    return err;
}

int fake_advise(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int advice)
{
    int err = 0;

    pthread_mutex_lock(&ctx->as->lock);
    for (uint64_t at = addr; at < addr + size; at += PAGE_SIZE) {
        struct fake_page *p = fake_find(ctx->as, at);

        if (!p) {
            err = -ENOMEM;
        } else if (advice == MADV_DONTNEED && !(p->shared && !p->file)) {
            bytes_put(p->bytes);
            p->bytes = NULL;
        }
    }
    pthread_mutex_unlock(&ctx->as->lock);
    return err;
}

int fake_msync(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int flags)
{
    /* shared pages are the file's own: only holes matter */
    return fake_advise(ctx, addr, size, MADV_NORMAL);
}

int fake_mincore(struct platform_ctx *ctx, uint64_t addr, uint64_t size, uint8_t *vec)
{
    int err = 0;

    pthread_mutex_lock(&ctx->as->lock);
    for (uint64_t i = 0; !err && i < size >> PAGE_SHIFT; i++) {
        struct fake_page *p = fake_find(ctx->as, addr + (i << PAGE_SHIFT));

        if (p)
            vec[i] = p->bytes != NULL;
        else
            err = -ENOMEM;
    }
    pthread_mutex_unlock(&ctx->as->lock);
    return err;
}

int fake_page_prot(struct platform_as *as, uint64_t addr)
{
    struct fake_page *p;
    int prot;

    pthread_mutex_lock(&as->lock);
    p = fake_find(as, addr);
    prot = p ? p->prot : -1;
    pthread_mutex_unlock(&as->lock);
    return prot;
}

uint64_t fake_page_count(struct platform_as *as)
{
    uint64_t count;

    pthread_mutex_lock(&as->lock);
    count = as->page_count;
    pthread_mutex_unlock(&as->lock);
    return count;
}
