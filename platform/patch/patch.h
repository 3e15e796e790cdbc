/*
 * Call-site patching. The syscall instructions of an executable segment of a file are decided once
 * in a sandbox's life; the result is an image: a sealed memfd that holds, at the segment's own
 * offsets, the pages that differ. A platform maps an image's runs over the file's pages (private,
 * read and execute) when it maps the segment, or later when calls from it trap. A process needs no
 * more than that: images know no address but the platform's entry, and hold every jump they need in
 * padding of their own.
 *
 * What a patched site does: it arrives at the entry with every register and flag as at the syscall
 * instruction, but rcx, which holds the address after that instruction, and r11, which holds the
 * entry's. The platform shows the kernel a call whose rip and rcx are that address, and goes on
 * there. A jump to the site's syscall instruction works as ever. Nothing is pushed: below rsp all
 * is the guest's.
 *
 * Mapping an image is safe while other threads run in the range: a site's change covers one whole
 * instruction, so that every address where a thread can be stopped, or jump to, still holds one
 * that does the same; and the host replaces pages at once for all threads.
 *
 * How a platform plugs in: patch_start with its entry before it locks itself in; patch_lookup for
 * each private executable file mapping that guests cannot write; patch_trapped for each trapped
 * call from one; patch_is_ready and the runs to map its image. It must put the file's own pages
 * back before the guest makes any of the range writable, unmaps a part of it or moves it.
 *
 * The table lives in shared memory given by the platform and refers to itself by offsets: lookup,
 * counting and image access (table.c) are freestanding and work in any process that has it mapped
 * and shares the sentry's descriptors. The rest (worker.c, build.c) is hosted. Locks: a spin word
 * around new entries.
 */
#pragma once

#include "sentry/base/compiler.h"

#define PATCH_FILES_MAX  256
#define PATCH_RUNS_MAX   8
#define PATCH_TABLE_SIZE (8UL << 20) /* sparse */

/* A segment of a file, by what the host says of the file. */
struct patch_key {
    uint64_t dev, ino, size;
    int64_t mtime_ns, ctime_ns;
    uint64_t offset, length;
};

enum patch_state {
    PATCH_COUNTING, /* its calls trap */
    PATCH_WANTED,   /* the worker is to look at it */
    PATCH_READY,    /* image is valid, for ever */
    PATCH_LEFT,     /* it stays as it is */
};

/* Page aligned, in the segment and in the memfd. */
struct patch_run {
    uint32_t offset, size;
};

/* The code that a piece replaces: for a thread found in one. Sorted by piece. */
struct patch_piece {
    uint32_t piece, size;
    uint32_t back;  /* the guest is, in effect, at this offset of its own code */
    uint32_t moved; /* ... while in the first so many bytes, executing moved instructions */
};

struct patch_file {
    struct patch_key key;
    uint32_t state;
    uint32_t traps;
    uint32_t refs; /* mappings; without one, an entry that has no image keeps no descriptor */
    int32_t fd;    /* the file, for the original bytes; -1 when it stays as it is */
    int32_t image; /* memfd */
    uint32_t run_count;
    struct patch_run run[PATCH_RUNS_MAX];
    uint32_t sites, refused;         /* syscall instructions patched, and found but left */
    uint32_t pieces_at, piece_count; /* in the table */
};

struct patch_stats {
    uint64_t by_patch, by_trap; /* calls */
    uint32_t files, sites;      /* images and sites in them */
};

struct patch_table;

/* memory: PATCH_TABLE_SIZE zeroed bytes, shared by all that use the table. */
struct patch_table *patch_table_init(void *memory);

/*
 * The entry for a mapping of fd at [offset, offset + length), with a reference for it; NULL when
 * the table is full or the file is not one to patch. fd is copied if needed.
 */
struct patch_file *patch_lookup(struct patch_table *t, int fd, uint64_t offset, uint64_t length);
void patch_get(struct patch_table *t, struct patch_file *f);
void patch_put(struct patch_table *t, struct patch_file *f);
/* A call from it trapped. The caller has a reference. */
void patch_trapped(struct patch_table *t, struct patch_file *f);
static inline bool patch_is_ready(const struct patch_file *f)
{
    return __atomic_load_n(&f->state, __ATOMIC_ACQUIRE) == PATCH_READY;
}
/* The image holds all of the segment. */
static inline bool patch_is_whole(const struct patch_file *f)
{
    return f->run_count == 1 && f->run[0].size == f->key.length;
}
/*
 * A thread stopped at offset at of the segment: *back is the place in the file's own code where it
 * would be without patching; PATCH_BACK_RCX: two before what its rcx says. False when at is no
 * piece's.
 */
#define PATCH_BACK_RCX UINT32_MAX
bool patch_back(const struct patch_table *t, const struct patch_file *f, uint32_t at,
                uint32_t *back);
/* One call from the site before offset at of f, for those who want to know where calls come from.
 */
void patch_count_site(struct patch_table *t, struct patch_file *f, uint32_t at, bool patched);
struct patch_site_count {
    uint32_t file, at; /* its index; offset after the syscall. at 0: an unused entry */
    uint64_t by_patch, by_trap;
};
#define PATCH_SITE_COUNTS 4096
const struct patch_site_count *patch_site_counts(const struct patch_table *t);

void patch_totals(const struct patch_table *t, struct patch_stats *out);
/* Sees each entry; false ends the walk. */
struct patch_file *patch_file_at(struct patch_table *t, uint32_t index);

/* ---- hosted ---- */

/*
 * Starts the helper process and the worker thread. entry: where sites go. Once, before the caller's
 * own lock-in; -errno when the host can't: then nothing is ever patched.
 */
int patch_start(struct patch_table *t, uint64_t entry) MUST_CHECK;
void patch_stop(void);
/* What is known of calls, to the log; t may be NULL. */
void patch_print(struct patch_table *t, uint64_t by_patch, uint64_t by_trap);

/* ---- between table.c and worker.c ---- */
/*
 * Trapped calls before a segment is looked at: a trap costs 1 to 2 us more than a patched call,
 * looking at a libc 15 ms of some core. Short sandboxes end before it would pay, and what a program
 * does in its first milliseconds is what it waits for most often.
 */
#define PATCH_THRESHOLD(length) (150 + (length) / 4096)
/* Waits for work; NULL when there is none and t was stopped. */
struct patch_file *patch_next_job(struct patch_table *t);
void patch_table_stop(struct patch_table *t);
/* Room for count pieces; NULL: none. */
struct patch_piece *patch_pieces(struct patch_table *t, uint32_t count, uint32_t *out_at);
