/*
 * Shared anonymous memory: a counted object over a host memfd, mapped by VMAs of every process that
 * inherits it. The last put closes the memfd. No locks: immutable but for its count.
 */
#include "platform/host/host.h"
#include "sentry/base/fmt.h"
#include "sentry/mm/mm_int.h"

struct shm {
    struct mm_file mapped; /* first */
    struct ref ref;
    int32_t fd;
    uint64_t size;
};

SLAB_TYPE(shm_slab, struct shm);

#define HOST_MFD_CLOEXEC 1

static void shm_get(struct mm_file *f)
{
    ref_get(&((struct shm *)f)->ref);
}

static void shm_put(struct mm_file *f)
{
    struct shm *s = (struct shm *)f;

    if (!ref_put(&s->ref))
        return;
    host_close(s->fd);
    slab_free(&shm_slab, s);
}

static int shm_map_source(struct mm_file *f, uint64_t offset, uint64_t size, int prot, bool shared,
                          int *out_fd, uint64_t *out_offset, bool *out_close)
{
    struct shm *s = (struct shm *)f;

    *out_fd = s->fd;
    *out_offset = offset;
    *out_close = false;
    return 0;
}

static bool shm_may_write(struct mm_file *f)
{
    return true;
}

static void shm_describe(struct mm_file *f, uint64_t *dev, uint64_t *ino, struct strbuf *sb)
{
    struct shm *s = (struct shm *)f;
    struct host_stat st;

    *dev = 1;
    *ino = host_fstat(s->fd, &st) == 0 ? st.ino : 1;
    strbuf_puts(sb, "/dev/zero (deleted)");
}

static uint64_t shm_identity(struct mm_file *f)
{
    return (uint64_t)f;
}

DEFINE_OPS(mm_file_ops, shm_ops) = {
    .get = shm_get,
    .put = shm_put,
    .map_source = shm_map_source,
    .may_write_shared = shm_may_write,
    .describe = shm_describe,
    .identity = shm_identity,
};

int shm_create(uint64_t size, struct mm_file **out)
{
    struct shm *s;
    int64_t fd, ret;

    if (size > INT64_MAX)
        return -ENOMEM;
    fd = host_memfd_create("shm", HOST_MFD_CLOEXEC);
    if (fd < 0)
        return fd == -EMFILE || fd == -ENFILE ? -ENFILE : -ENOMEM;
    ret = host_ftruncate((int)fd, (int64_t)size);
    s = ret < 0 ? NULL : slab_alloc(&shm_slab);
    if (!s) {
        host_close((int)fd);
        return -ENOMEM;
    }
    s->mapped.ops = ops_ref(&shm_ops);
    ref_init(&s->ref);
    s->fd = (int32_t)fd;
    s->size = size;
    *out = &s->mapped;
    return 0;
}
