/* Between the fake platform's files. */
#pragma once

#include <pthread.h>

#include "platform/fake/fake.h"
#include "platform/platform_impl.h"

#define FAKE_BUCKETS 4096

/* A host file, shared by the pages mapped from it. */
struct fake_file {
    unsigned refs;
    int fd;
};

/* 4096 bytes, shared by the address spaces a MAP_SHARED page was forked into. */
struct fake_bytes {
    unsigned refs;
    bool host_mapped; /* a mapping of a shared file page; else malloc */
    unsigned char *data;
};

struct fake_page {
    struct fake_page *next;
    uint64_t addr;
    int prot;
    bool shared;
    struct fake_bytes *bytes; /* NULL until touched */
    struct fake_file *file;   /* NULL: anonymous */
    uint64_t offset;
};

struct platform_as {
    pthread_mutex_t lock; /* guards the pages */
    struct fake_page *buckets[FAKE_BUCKETS];
    uint64_t page_count;
    unsigned refs, contexts; /* under fake_lock; freed when both are 0 */
    bool dead;
};

struct fake_event {
    struct fake_event *next;
    struct platform_event event;
    uint64_t nr, args[6];
    fake_result_fn done;
    void *arg;
};

struct platform_ctx {
    struct platform_as *as;
    struct fake_event *first, *last; /* the script, under fake_lock */
    struct fake_event *current;      /* a system call not resumed yet */
    bool running, interrupted, started;
    struct cpu_regs last_regs;
    unsigned char fpu[FAKE_FPU_SIZE];
    void (*entry)(void *arg);
    void *entry_arg;
};

/*
 * Guards contexts and reference counts; fake_changed is signalled for every push, interrupt and
 * death.
 */
extern pthread_mutex_t fake_lock;
extern pthread_cond_t fake_changed;

/* -errno when a test asked for a failure here. */
int fake_injected(void);
void *fake_calloc(size_t size);

/* ---- fake_mem.c ---- */
struct fake_page *fake_find(struct platform_as *as, uint64_t addr);
void fake_pages_free(struct platform_as *as);
int fake_pages_copy(struct platform_as *to, struct platform_as *from);
int fake_map(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot, uint32_t flags,
             int fd, uint64_t offset);
int fake_unmap(struct platform_ctx *ctx, uint64_t addr, uint64_t size);
int fake_protect(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot);
int fake_remap(struct platform_ctx *ctx, uint64_t old_addr, uint64_t old_size, uint64_t new_addr,
               uint64_t new_size, bool dontunmap);
int fake_advise(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int advice);
int fake_msync(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int flags);
int fake_mincore(struct platform_ctx *ctx, uint64_t addr, uint64_t size, uint8_t *vec);

/* ---- fake_copy.c ---- */
int fake_touch(struct fake_page *page);

int fake_copy_in(struct platform_ctx *ctx, void *dst, uint64_t src, size_t n, size_t *done);
int fake_copy_out(struct platform_ctx *ctx, uint64_t dst, const void *src, size_t n, size_t *done);
int fake_cas32(struct platform_ctx *ctx, uint64_t addr, uint32_t expected, uint32_t desired,
               uint32_t *old);
int fake_load32(struct platform_ctx *ctx, uint64_t addr, uint32_t *out);
int fake_as_read(struct platform_as *as, void *dst, uint64_t src, size_t n, size_t *done);
int fake_as_write(struct platform_as *as, uint64_t dst, const void *src, size_t n, size_t *done);
uint64_t fake_as_rss(struct platform_as *as, uint64_t *shared_pages);
