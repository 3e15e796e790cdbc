/*
 * What the sandbox counted, collected for printing: by boot_stats.c as a table or JSON, by
 * boot_metrics.c for Prometheus. Collecting takes the locks of what it looks at, one at a time;
 * numbers that belong together may be a moment apart.
 */
#pragma once

#include "sentry/boot/boot_int.h"
#include "syscalls/stats.h"
#include "syscalls/syscalls.h"

#include <stdio.h>

typedef unsigned long long number; /* for %llu */

struct counted {
    const char *name;
    struct call_count c;
};

/* Whose memory it is. The last is what the arena's pages hold beyond the others of the kernel. */
enum owner {
    OWNER_GUEST_PRIVATE, /* resident, not shared: anonymous memory, and copies of file pages */
    OWNER_GUEST_SHARED,  /* resident pages of files and shared memory, for each process */
    OWNER_FILES,         /* contents of mounted tmpfs and overlays */
    OWNER_TASKS,
    OWNER_SPACES,
    OWNER_NAMES,
    OWNER_PIPES,
    OWNER_NETWORK,
    OWNER_UNTYPED,
    OWNER_PAGES,
    OWNER_COUNT
};
extern const char *const figures_owners[OWNER_COUNT];

struct figures {
    bool counting;         /* calls, now */
    bool counted, entered; /* calls, their entries: are there any figures? */
    struct counted calls[SYSCALL_MAX + 1]; /* those that came, most time first */
    size_t call_count;
    uint64_t patched, trapped;
    uint64_t owned[OWNER_COUNT]; /* bytes */
};

/* calloc'ed; NULL: out of memory. */
struct figures *figures_collect(struct boot *b) MUST_CHECK;
void figures_metrics(const struct figures *f, FILE *out);
