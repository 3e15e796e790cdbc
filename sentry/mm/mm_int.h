/*
 * Private to sentry/mm: the VMA and the tree's primitives. Everything here needs mm->lock held
 * unless said otherwise. A change of the tree is made in three steps: check and allocate (struct
 * vma_spares), tell the platform, commit to the tree; only the first two can fail.
 */
#pragma once

#include "platform/platform.h"
#include "sentry/abi/core.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/mman.h"
#include "sentry/base/checked.h"
#include "sentry/base/list.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"
#include "sentry/mm/mm.h"

/*
 * [start, end) mapped one way. offset: of start in the file; for private anonymous memory the
 * address it was first mapped at (so that it merges only where the host's own VMAs do).
 */
struct vma {
    struct rb_node node;
    struct list dead; /* on a dead list once out of the tree */
    uint64_t start, end, offset;
    int prot;
    uint32_t flags;
    struct mm_file *file; /* one reference, or NULL */
};

#define MM_PROT_BITS (LX_PROT_READ | LX_PROT_WRITE | LX_PROT_EXEC)
#define MM_STACK_GAP (256 * PAGE_SIZE)

/* Nodes allocated before the platform is told, so that committing can't fail. */
struct vma_spares {
    struct vma *node[3];
};
int vma_spares_get(struct vma_spares *s, unsigned count) MUST_CHECK;
struct vma *vma_spare_take(struct vma_spares *s);
void vma_spares_put(struct vma_spares *s);

struct vma *vma_alloc(void) MUST_CHECK;
/* Puts files and frees; without mm->lock (a file's release may take any lock). */
void vma_free_dead(struct list *dead);

static inline struct mm_file *mm_file_get(struct mm_file *f)
{
    if (f)
        OPS_GET(mm_file_ops, f->ops)->get(f);
    return f;
}

static inline void mm_file_put(struct mm_file *f)
{
    if (f)
        OPS_GET(mm_file_ops, f->ops)->put(f);
}

/* The first VMA that ends above addr, or NULL. */
struct vma *vma_find(const struct mm *mm, uint64_t addr);
/* The VMA holding addr, or NULL. */
struct vma *vma_at(const struct mm *mm, uint64_t addr);
/* The last VMA that starts below addr, or NULL. */
struct vma *vma_before(const struct mm *mm, uint64_t addr);
struct vma *vma_next(const struct vma *v);
struct vma *vma_prev(const struct vma *v);
bool vma_overlaps(const struct mm *mm, uint64_t start, uint64_t end);
bool vma_overlaps_special(const struct mm *mm, uint64_t start, uint64_t end);

/* Where a mapping below must end: the guard gap of a stack counts. */
uint64_t vma_start_gap(const struct vma *v);

void vma_insert(struct mm *mm, struct vma *v);
/* Out of the tree and onto dead. */
void vma_remove(struct mm *mm, struct vma *v, struct list *dead);
/* [start, at) stays in v, the spare becomes [at, end). */
struct vma *vma_split(struct mm *mm, struct vma *v, uint64_t at, struct vma_spares *spares);
/* Splits at both ends of the range where needed: two spares. Returns the first VMA inside. */
struct vma *vma_isolate(struct mm *mm, uint64_t start, uint64_t end, struct vma_spares *spares);
/* Joins neighbours that are alike, everywhere touching [start, end]. */
void vma_merge_range(struct mm *mm, uint64_t start, uint64_t end, struct list *dead);
/* Removes [start, end): one spare. */
void vma_clear_range(struct mm *mm, uint64_t start, uint64_t end, struct vma_spares *spares,
                     struct list *dead);
/* Changes prot and flags with the accounting. */
void vma_change(struct mm *mm, struct vma *v, int prot, uint32_t flags);
void vma_set_end(struct mm *mm, struct vma *v, uint64_t end);
void vma_set_start(struct mm *mm, struct vma *v, uint64_t start);

/* Bytes of [start, end) that are mapped (locked_only: and locked). */
uint64_t vma_mapped_bytes(const struct mm *mm, uint64_t start, uint64_t end, bool locked_only);

/* How many splits unmapping or changing [start, end) makes; for the map count limit. */
unsigned vma_splits_needed(const struct mm *mm, uint64_t start, uint64_t end);

/* place.c */
int mm_place_locked(struct mm *mm, const struct mm_map_args *args, uint64_t size,
                    uint64_t *out) MUST_CHECK;
int mm_find_free_locked(struct mm *mm, uint64_t size, uint64_t align, uint64_t *out) MUST_CHECK;
/* A hole was made around [start, end). */
void mm_gap_freed(struct mm *mm, uint64_t start, uint64_t end);

/* limits.c */
/* May the address space grow by bytes of this kind? */
bool mm_may_expand(const struct mm *mm, const struct mm_limits *lim, int prot, uint32_t flags,
                   uint64_t bytes);
bool mm_may_lock(const struct mm *mm, const struct mm_limits *lim, uint64_t bytes);

/* Unmaps what is mapped there; dead is freed by the caller after unlocking. Range already checked.
 */
int mm_unmap_locked(const struct uspace *us, uint64_t start, uint64_t end,
                    struct list *dead) MUST_CHECK;
/* Grows the stack VMA above addr down to it: 0, -ENOMEM or -EFAULT (not in reach of one). */
int mm_grow_stack_locked(const struct uspace *us, const struct mm_limits *lim,
                         uint64_t addr) MUST_CHECK;
/* For copies that hit an unmapped page; takes mm->lock itself without waiting for long. True: try
 * again. */
bool mm_grow_for_copy(const struct uspace *us, uint64_t addr);
/* Brings in the pages of a locked or populated range; failures are told. */
int mm_populate_locked(const struct uspace *us, uint64_t start, uint64_t end) MUST_CHECK;

/* usermem.c: bytes moved before the first bad page. No lock needed. */
size_t mm_copy_in_some(const struct uspace *us, void *dst, uint64_t addr, size_t n);
size_t mm_copy_out_some(const struct uspace *us, uint64_t addr, const void *src, size_t n);
/* May be put off; sure: only where that can't well fail. */
size_t mm_copy_out_late_some(const struct uspace *us, uint64_t addr, const void *src, size_t n,
                             bool sure);
size_t mm_clear_late_some(const struct uspace *us, uint64_t addr, size_t n, bool sure);
size_t mm_clear_some(const struct uspace *us, uint64_t addr, size_t n);

/* page-rounds size and checks [addr, addr+size) against the user range: -EINVAL. */
int mm_check_range(uint64_t addr, uint64_t size, uint64_t *out_end) MUST_CHECK;

static inline uint64_t vma_pages(const struct vma *v)
{
    return (v->end - v->start) >> PAGE_SHIFT;
}
