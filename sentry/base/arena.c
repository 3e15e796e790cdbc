/*
 * The arena's set-up and the sealing of what is read-only after boot. The page allocator is
 * pages.c, typed objects are slab.c. Called before there are threads: takes no locks.
 */
#include "sentry/base/arena.h"

#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/base/arena_int.h"
#include "sentry/base/sections.h"

/* Host values; guests never see these. */
enum {
    HOST_PROT_NONE = 0,
    HOST_PROT_READ = 1,
    HOST_PROT_WRITE = 2,
    HOST_MAP_SHARED = 0x01,
    HOST_MAP_PRIVATE = 0x02,
    HOST_MAP_FIXED = 0x10,
    HOST_MAP_ANONYMOUS = 0x20,
    HOST_MAP_NORESERVE = 0x4000,
    HOST_MAP_FIXED_NOREPLACE = 0x100000,
    HOST_MFD_CLOEXEC = 1,
    HOST_MFD_ALLOW_SEALING = 2,
    HOST_F_ADD_SEALS = 1033,
    HOST_F_SEAL_SEAL_SHRINK_GROW = 1 | 2 | 4,
};

#define ARENA_ALIGN (2UL << 20)

struct ro_globals ro_globals __attribute__((section("cv_ro"))) = {.arena_fd = -1, .log_fd = -1};

/* The section's whole pages; linked by kernel.ld it has no others. */
static int seal(const char *start, const char *stop)
{
    uintptr_t from = PAGE_ALIGN_UP((uintptr_t)start), to = PAGE_ALIGN_DOWN((uintptr_t)stop);

    if (from >= to)
        return 0;
    return (int)host_mprotect((void *)from, to - from, HOST_PROT_READ);
}

int ro_globals_seal(void)
{
    int err = seal(__start_cv_ops, __stop_cv_ops);

    if (!err)
        err = seal(__start_cv_slabs, __stop_cv_slabs);
    if (!err)
        err = seal(__start_cv_ro, __stop_cv_ro);
    return err;
}

/* A sealed memfd of size bytes, or -errno. */
static int64_t make_memfd(uint64_t size)
{
    int64_t fd = host_memfd_create("cvisor-arena", HOST_MFD_CLOEXEC | HOST_MFD_ALLOW_SEALING);
    int64_t err;

    if (fd < 0)
        return fd;
    err = host_ftruncate((int)fd, (int64_t)size);
    if (err >= 0)
        err = host_fcntl((int)fd, HOST_F_ADD_SEALS, HOST_F_SEAL_SEAL_SHRINK_GROW);
    if (err < 0) {
        host_close((int)fd);
        return err;
    }
    return fd;
}

/* Finds room of size bytes aligned to ARENA_ALIGN: a larger reservation, trimmed. */
static int64_t reserve_aligned(uint64_t size)
{
    int64_t start = host_mmap(NULL, size + ARENA_ALIGN, HOST_PROT_NONE,
                              HOST_MAP_PRIVATE | HOST_MAP_ANONYMOUS | HOST_MAP_NORESERVE, -1, 0);
    uint64_t base, head;

    if (start < 0)
        return start;
    base = ((uint64_t)start + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1);
    head = base - (uint64_t)start;
    if (head > 0)
        (void)host_munmap((void *)start, head);
    (void)host_munmap((void *)(base + size), ARENA_ALIGN - head);
    return (int64_t)base;
}

int arena_init(uint64_t addr, uint64_t size)
{
    int fixed = HOST_MAP_FIXED_NOREPLACE;
    int64_t fd, at;
    struct arena *a;

    if (size == 0 || size % ARENA_ALIGN != 0 || addr % ARENA_ALIGN != 0)
        return -EINVAL;
    fd = make_memfd(size);
    if (fd < 0)
        return (int)fd;
    if (addr == 0) {
        at = reserve_aligned(size);
        if (at < 0) {
            host_close((int)fd);
            return (int)at;
        }
        addr = (uint64_t)at;
        fixed = HOST_MAP_FIXED;
    }
    at = host_mmap((void *)addr, size, HOST_PROT_READ | HOST_PROT_WRITE,
                   HOST_MAP_SHARED | HOST_MAP_NORESERVE | fixed, (int)fd, 0);
    if (at < 0) {
        host_close((int)fd);
        return (int)at;
    }
    a = (struct arena *)at;
    a->magic = ARENA_MAGIC;
    a->size = size;
    ro_globals.arena = a;
    ro_globals.arena_size = size;
    ro_globals.arena_fd = (int32_t)fd;
    pages_init(a);
    slab_init_all(a);
    return 0;
}

void arena_destroy(void)
{
    struct arena *a = ro_globals.arena;

    if (!a)
        return;
    arena_unpoison(a, a->page_fresh - a->page_base);
    (void)host_munmap(a, ro_globals.arena_size);
    (void)host_close(ro_globals.arena_fd);
    ro_globals.arena = NULL;
    ro_globals.arena_size = 0;
    ro_globals.arena_fd = -1;
}

void arena_set_root(void *root)
{
    ro_globals.arena->root = root;
}

void *arena_root(void)
{
    return ro_globals.arena->root;
}

bool arena_contains(const void *p)
{
    return (uintptr_t)p - (uintptr_t)ro_globals.arena < ro_globals.arena_size;
}
