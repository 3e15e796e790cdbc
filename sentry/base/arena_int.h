/*
 * For base only: the arena's header, which lies at its start. The byte-a-page table and the pages
 * follow it.
 */
#pragma once

#include "sentry/base/arena.h"
#include "sentry/base/list.h"
#include "sentry/base/lock.h"

#define ARENA_MAGIC 0x616e657261766300UL
#define PAGE_ORDERS 13 /* blocks of 1 page to 16 MiB */
#define SLAB_TYPES_MAX 1024
#define HELD_THREADS_MAX 256
#define HELD_LOCKS_MAX 14

/*
 * A page's byte in arena.page_info. Only the first page of a block has it, but all pages of a slab.
 * 0: inside a block, or never used.
 */
enum {
    PAGE_ORDER_MASK = 0x0f,
    PAGE_IN_SLAB = 0x10,
    PAGE_ALLOCATED = 0x20,
    PAGE_CLEAN = 0x40, /* free block: zero but for its list node */
    PAGE_FREE = 0x80,
    PAGE_KEPT = PAGE_FREE | PAGE_ALLOCATED, /* on arena.kept */
};

/* So many blocks of each order below KEPT_ORDERS stay whole when freed, to be taken first. */
#define KEPT_ORDERS 4
#define KEPT_MAX    32

struct kept_blocks {
    struct list blocks; /* last freed first: that one is still in the processor's cache */
    uint32_t count;
};

/* The mutable half of a slab_type. */
struct slab_state {
    struct mutex lock;
    struct list partial; /* struct slab with a free object; empty ones too */
    uint64_t live;       /* changed under lock */
    uint32_t empty;      /* slabs on partial without a live object */
};

/* The locks one host thread holds; debug builds only. */
struct held_locks {
    uint32_t tid; /* 0: free */
    uint32_t count;
    struct mutex *locks[HELD_LOCKS_MAX];
};

struct arena {
    uint64_t magic;
    uint64_t size;
    void *root;
    struct mutex page_lock; /* guards the page_ and free fields, kept and page_info */
    uint64_t page_base;     /* address that page_info[0] is for: the arena's start */
    uint64_t page_fresh;    /* address of the first page never handed out */
    uint64_t page_end;
    uint64_t pages_used;
    struct list free[PAGE_ORDERS];
    struct kept_blocks kept[KEPT_ORDERS];
    uint8_t *page_info;
    struct slab_state slabs[SLAB_TYPES_MAX];
    struct held_locks held[HELD_THREADS_MAX];
};

/* The info byte of the page p lies in; NULL when p is not among the arena's pages. */
static inline uint8_t *arena_page_info(const void *p)
{
    struct arena *a = ro_globals.arena;
    uint64_t addr = (uintptr_t)p;

    if (addr < a->page_base || addr >= a->page_end)
        return NULL;
    return &a->page_info[(addr - a->page_base) >> PAGE_SHIFT];
}

void slab_init_all(struct arena *a);
void pages_init(struct arena *a);

/* Address sanitizer: free memory of the arena is out of bounds. Nothing in other builds. */
#if defined(__SANITIZE_ADDRESS__)
void __asan_poison_memory_region(void const volatile *addr, size_t size);
void __asan_unpoison_memory_region(void const volatile *addr, size_t size);
#define arena_poison(p, size) __asan_poison_memory_region((p), (size))
#define arena_unpoison(p, size) __asan_unpoison_memory_region((p), (size))
#else
#define arena_poison(p, size) ((void)(p), (void)(size))
#define arena_unpoison(p, size) ((void)(p), (void)(size))
#endif
