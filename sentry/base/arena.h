/*
 * The arena: one region of shared memory (a sealed memfd, sparse) that holds all mutable kernel
 * state, mapped at one address. This header: its set-up and its page allocator. Typed objects come
 * from slab.h.
 *
 * ro_globals is the one thing outside it the kernel reads: written once by boot, then made
 * read-only.
 */
#pragma once

#include "sentry/base/compiler.h"

struct arena;
struct vfs_state;

struct ro_globals {
    struct arena *arena;
    uint64_t arena_size; /* bytes reserved */
    int32_t arena_fd;    /* host descriptor of the memfd */
    int32_t log_fd;      /* -1: nowhere */
    int32_t log_level;   /* enum log_level */
    int32_t log_json;    /* 0 text, 1 JSON lines */
    int32_t trap_on_bug; /* 1: bug() raises SIGILL, for boot's crash report */
    uint64_t hash_seed;  /* random, for hash tables keyed by guest data */
    struct vfs_state *vfs; /* in the arena; set by vfs_init, before the seal */
    /* host_vdso_clock()'s result, callable wherever the kernel runs; 0: none */
    uint64_t vdso_clock;
    uint32_t cpu_count; /* CPUs the sandbox may use, as of its start; 0: ask the host */
} ALIGNED(4096); /* whole pages, so that sealing it seals nothing else */

extern struct ro_globals ro_globals; /* in its own page-aligned section cv_ro */

/*
 * Makes cv_ops and cv_ro read-only; called once boot has filled ro_globals. Negative errno on
 * failure.
 */
int ro_globals_seal(void) MUST_CHECK;

/*
 * Creates the memfd, maps size bytes (a multiple of 2 MiB) at addr (0: anywhere) and fills
 * ro_globals.arena*. Everything in it reads as zero. Returns 0 or -errno.
 */
int arena_init(uint64_t addr, uint64_t size) MUST_CHECK;
/* Unmaps and closes; for tests' teardown. */
void arena_destroy(void);
/* One pointer for the kernel's root object; survives snapshots. */
void arena_set_root(void *root);
void *arena_root(void);

/*
 * 2^order contiguous zeroed pages, aligned to their size; NULL when the arena is full. Takes the
 * page lock. page_free takes the same order; the memory goes back to the host when a run of 2^4
 * pages or more is freed.
 */
void *page_alloc(unsigned order) MUST_CHECK;
/* The same with what the pages held last left in them: for whoever writes all that is ever read. */
void *page_alloc_raw(unsigned order) MUST_CHECK;
void page_free(void *p, unsigned order);
uint64_t arena_pages_used(void);
bool arena_contains(const void *p);
