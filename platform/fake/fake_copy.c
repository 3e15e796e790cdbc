/*
 * The fake platform's memory access: page by page, with the protections the host would apply. Lock:
 * platform_as.lock.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/fake/fake_int.h"

/* Gives the page its bytes: -EFAULT beyond the end of its file. */
int fake_touch(struct fake_page *page)
{
    struct fake_bytes *b;
    struct stat st;

    if (page->bytes)
        return 0;
    if (page->file && (fstat(page->file->fd, &st) != 0 ||
                       page->offset >= PAGE_ALIGN_UP((uint64_t)st.st_size)))
        return -EFAULT;
    b = fake_calloc(sizeof(*b));
    b->refs = 1;
    if (page->file && page->shared) {
        /* A file opened read-only can only be mapped so. */
        void *p = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, page->file->fd,
                       (off_t)page->offset);

        if (p == MAP_FAILED)
            p = mmap(NULL, PAGE_SIZE, PROT_READ, MAP_SHARED, page->file->fd, (off_t)page->offset);
        if (p == MAP_FAILED) {
            free(b);
            return -EFAULT;
        }
        b->data = p;
        b->host_mapped = true;
    } else {
        b->data = fake_calloc(PAGE_SIZE);
        if (page->file && pread(page->file->fd, b->data, PAGE_SIZE, (off_t)page->offset) < 0) {
            free(b->data);
            free(b);
            return -EFAULT;
        }
    }
    page->bytes = b;
    return 0;
}

/*
 * need: PROT_ bits, 0 for none. The bytes at addr and how many follow in the page; NULL: a fault.
 */
static unsigned char *access_page(struct platform_as *as, uint64_t addr, int need, size_t *room)
{
    struct fake_page *p = fake_find(as, addr);

    if (!p || (p->prot & need) != need || fake_touch(p) != 0)
        return NULL;
    *room = PAGE_SIZE - addr % PAGE_SIZE;
    return p->bytes->data + addr % PAGE_SIZE;
}

static int copy(struct platform_as *as, uint64_t addr, void *in, const void *out, size_t n,
                int need, size_t *done)
{
    size_t copied = 0, room;
    unsigned char *p;

    pthread_mutex_lock(&as->lock);
    while (copied < n && (p = access_page(as, addr + copied, need, &room))) {
        size_t piece = MIN(room, n - copied);

        if (in)
            memcpy((char *)in + copied, p, piece);
        else
            memcpy(p, (const char *)out + copied, piece);
        copied += piece;
    }
    pthread_mutex_unlock(&as->lock);
    if (done)
        *done = copied;
    return copied == n ? 0 : -EFAULT;
}

int fake_copy_in(struct platform_ctx *ctx, void *dst, uint64_t src, size_t n, size_t *done)
{
    return copy(ctx->as, src, dst, NULL, n, PROT_READ, done);
}

int fake_copy_out(struct platform_ctx *ctx, uint64_t dst, const void *src, size_t n, size_t *done)
{
    return copy(ctx->as, dst, NULL, src, n, PROT_WRITE, done);
}

int fake_as_read(struct platform_as *as, void *dst, uint64_t src, size_t n, size_t *done)
{
    return copy(as, src, dst, NULL, n, 0, done);
}

int fake_as_write(struct platform_as *as, uint64_t dst, const void *src, size_t n, size_t *done)
{
    return copy(as, dst, NULL, src, n, 0, done);
}

/*
 * Atomic against other threads of the fake, and, the page being truly shared, against other address
 * spaces.
 */
int fake_cas32(struct platform_ctx *ctx, uint64_t addr, uint32_t expected, uint32_t desired,
               uint32_t *old)
{
    unsigned char *p;
    size_t room;
    int err = -EFAULT;

    if (addr % 4 != 0)
        return -EFAULT;
    pthread_mutex_lock(&ctx->as->lock);
    p = access_page(ctx->as, addr, PROT_READ | PROT_WRITE, &room);
    if (p) {
        __atomic_compare_exchange_n((uint32_t *)p, &expected, desired, false, __ATOMIC_SEQ_CST,
                                    __ATOMIC_SEQ_CST);
        *old = expected;
        err = 0;
    }
    pthread_mutex_unlock(&ctx->as->lock);
    return err;
}

int fake_load32(struct platform_ctx *ctx, uint64_t addr, uint32_t *out)
{
    unsigned char *p;
    size_t room;
    int err = -EFAULT;

    if (addr % 4 != 0)
        return -EFAULT;
    pthread_mutex_lock(&ctx->as->lock);
    p = access_page(ctx->as, addr, PROT_READ, &room);
    if (p) {
        *out = __atomic_load_n((uint32_t *)p, __ATOMIC_SEQ_CST);
        err = 0;
    }
    pthread_mutex_unlock(&ctx->as->lock);
    return err;
}

uint64_t fake_as_rss(struct platform_as *as, uint64_t *shared_pages)
{
    uint64_t all = 0, shared = 0;

    pthread_mutex_lock(&as->lock);
    for (unsigned i = 0; i < FAKE_BUCKETS; i++) {
        for (struct fake_page *p = as->buckets[i]; p; p = p->next) {
            all += p->bytes != NULL;
            shared += p->bytes && p->shared;
        }
    }
    pthread_mutex_unlock(&as->lock);
    if (shared_pages)
        *shared_pages = shared;
    return all;
}
