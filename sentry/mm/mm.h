/*
 * Address spaces: the VMA tree is the truth for checks, /proc/PID/maps and accounting; the platform
 * carries out what it says. Source: mmap(2) and family, Documentation/filesystems/proc.rst.
 *
 * struct mm: counted; holders are tasks (one each) and short-lived foreign readers (/proc,
 * process_vm_readv, ptrace). The last put drops the VMAs' files and the platform AS. mm.lock guards
 * everything below it; platform calls are made under it.
 */
#pragma once

#include "sentry/base/lock.h"
#include "sentry/base/ops.h"
#include "sentry/base/rbtree.h"
#include "sentry/base/ref.h"
#include "sentry/mm/usermem.h"

struct strbuf;
struct platform_as;

/*
 * What a VMA may map besides anonymous memory. struct file begins with one (fs/file.h), as do
 * shared anonymous objects (shm.c). mm never looks beyond this.
 */
struct mm_file {
    ops_ref_t ops; /* struct mm_file_ops */
};

struct mm_file_ops {
    void (*get)(struct mm_file *f);
    void (*put)(struct mm_file *f);
    /*
     * The host descriptor and offset to map size bytes at offset. Checks the rights of the open
     * file: -EACCES, -ENODEV, -EPERM (noexec). *out_fd -1 means anonymous memory (/dev/zero).
     * *out_close: the descriptor is a copy for the caller to close.
     */
    int (*map_source)(struct mm_file *f, uint64_t offset, uint64_t size, int prot, bool shared,
                      int *out_fd, uint64_t *out_offset, bool *out_close);
    /* May PROT_WRITE be given to a shared mapping of it later (mprotect)? */
    bool (*may_write_shared)(struct mm_file *f);
    /* For /proc/PID/maps: device, inode number, and the name into sb. */
    void (*describe)(struct mm_file *f, uint64_t *dev, uint64_t *ino, struct strbuf *sb);
    /* An identity that shared futexes may use; the same for every open of one inode. */
    uint64_t (*identity)(struct mm_file *f);
};

enum vma_flags {
    VMA_SHARED = 1,
    VMA_GROWSDOWN = 2,
    VMA_LOCKED = 4,
    VMA_NORESERVE = 8,
    VMA_DONTFORK = 16,
    VMA_WIPEONFORK = 32,
    VMA_DONTDUMP = 64,
    VMA_STACK = 128,   /* [stack] */
    VMA_HEAP = 256,    /* [heap] */
    VMA_SPECIAL = 512, /* the host's vDSO and vvar pages: never remapped or protected by guests */
    VMA_MAY_WRITE = 1024, /* a shared file mapping that may become writable */
    VMA_HUGEPAGE = 2048,  /* MADV_HUGEPAGE, MADV_NOHUGEPAGE: told to the host */
    VMA_NOHUGEPAGE = 4096,
    VMA_WRITTEN = 8192,   /* a private mapping of a file that is or was writable */
};

/* A copy of one VMA for callers outside mm; file is a reference the caller puts. */
struct vma_info {
    uint64_t start, end, offset;
    int prot;
    uint32_t flags;
    struct mm_file *file;
    const char *name; /* "[heap]" ... constant, or NULL */
};

struct mm {
    struct ref ref;
    struct platform_as *as; /* one reference */
    struct mutex lock;
    /* guarded by lock: */
    struct rb_root vmas;
    uint32_t vma_count;
    uint64_t mmap_top; /* top-down allocation starts here */
    uint64_t brk_start, brk, start_code, end_code, start_data, end_data;
    uint64_t start_stack, arg_start, arg_end, env_start, env_end;
    uint64_t total_vm, locked_vm, data_vm, stack_vm, exec_vm, shared_vm; /* pages */
    uint64_t hiwater_rss; /* pages; the most that any look found (mm_note_rss) */
    /* place.c: every hole in [gap_hint, mmap_top) is smaller than gap_hint_size */
    uint64_t gap_hint, gap_hint_size;
    uint64_t stack_limit; /* RLIMIT_STACK as last given: kernel copies may grow the stack too */
    uint64_t auxv[48];    /* pairs, ended by AT_NULL */
    bool lock_future;     /* mlockall(MCL_FUTURE) */
    bool lock_on_fault;   /* ... with MCL_ONFAULT */
    bool dumpable;
    uint32_t dump_filter; /* LX_DUMP_*: /proc/PID/coredump_filter */
    struct mm_file *exe; /* one reference or NULL */
};

/* Limits a call is checked against (RLIMIT_*; UINT64_MAX: unlimited), given by the caller since mm
 * knows no tasks. */
struct mm_limits {
    uint64_t as, data, stack, memlock; /* bytes */
    bool may_lock_any;                 /* CAP_IPC_LOCK */
};

/* Takes over the caller's reference of as; the vDSO's VMAs are entered. NULL when out of memory. */
struct mm *mm_create(struct platform_as *as) MUST_CHECK;
struct mm *mm_get(struct mm *mm);
void mm_put(struct mm *mm);
/*
 * The same, but the last put leaves the platform's address space to the caller: what is returned
 * (NULL: mm lives on) is for platform_as_put. For exits: the host takes a while to empty it, which
 * nobody who waits for the exit needs to see.
 */
struct platform_as *mm_put_but_as(struct mm *mm) MUST_CHECK;
/* Looks at what is in memory now (a call to the host), unless some is known: the most so far, in
 * pages; 0 where the platform can't tell. */
uint64_t mm_note_rss(struct mm *mm, uint64_t known);
/* The child's copy of parent's tree for as_fork's AS (takes over the reference); DONTFORK and
 * WIPEONFORK regions are carried out through child_ctx. Call with parent.lock held from before
 * platform_as_fork. On failure as stays the caller's. */
int mm_fork_locked(struct mm *parent, struct platform_as *as, struct platform_ctx *child_ctx,
                   struct mm **out) MUST_CHECK;

struct mm_map_args {
    uint64_t addr, size, offset; /* addr: hint, or exact when fixed */
    int prot;
    bool shared, fixed, noreplace, growsdown, noreserve, populate, locked, stack, heap;
    bool low32;           /* MAP_32BIT */
    struct mm_file *file; /* NULL: anonymous; the VMA takes its own reference */
};

/* Each checks alignment and ranges, returns Linux's errno, and leaves nothing half done. us is the
 * calling task's. */
int mm_map(const struct uspace *us, const struct mm_limits *lim, const struct mm_map_args *args,
           uint64_t *out_addr) MUST_CHECK;
/* Where mm_map would place size bytes at a multiple of align (a power of two >= PAGE_SIZE).
 * -ENOMEM. */
int mm_find_free(struct mm *mm, uint64_t size, uint64_t align, uint64_t *out) MUST_CHECK;
/* Sets the top of the mmap area (the loader, before anything else is mapped). */
void mm_set_mmap_top(struct mm *mm, uint64_t top);
int mm_unmap(const struct uspace *us, uint64_t addr, uint64_t size) MUST_CHECK;
/* Detaches an object: the first mapping at or above addr that begins as far behind it as it begins
 * in its file, of a file size_of knows (0: not), and what else of that file lies so. noted: told of
 * the file once, under mm->lock. -EINVAL: there is none. */
int mm_unmap_object(const struct uspace *us, uint64_t addr, uint64_t (*size_of)(struct mm_file *f),
                    void (*noted)(struct mm_file *f, void *arg), void *arg) MUST_CHECK;
/* prot may carry LX_PROT_GROWSDOWN. */
int mm_protect(const struct uspace *us, uint64_t addr, uint64_t size, int prot) MUST_CHECK;
int mm_remap(const struct uspace *us, const struct mm_limits *lim, uint64_t old_addr,
             uint64_t old_size, uint64_t new_size, int flags, uint64_t new_addr,
             uint64_t *out_addr) MUST_CHECK;
/* Returns the resulting break: the old one when it could not be changed. */
uint64_t mm_brk(const struct uspace *us, const struct mm_limits *lim, uint64_t new_brk);
int mm_advise(const struct uspace *us, uint64_t addr, uint64_t size, int advice) MUST_CHECK;
int mm_msync(const struct uspace *us, uint64_t addr, uint64_t size, int flags) MUST_CHECK;
int mm_mincore(const struct uspace *us, uint64_t addr, uint64_t size, uaddr_t vec) MUST_CHECK;
int mm_mlock(const struct uspace *us, const struct mm_limits *lim, uint64_t addr, uint64_t size,
             bool on_fault) MUST_CHECK;
int mm_munlock(const struct uspace *us, uint64_t addr, uint64_t size) MUST_CHECK;
int mm_mlockall(const struct uspace *us, const struct mm_limits *lim, int flags) MUST_CHECK;
int mm_munlockall(const struct uspace *us) MUST_CHECK;

/*
 * A fault the platform reported as SEGV_MAPERR: grows a GROWSDOWN mapping when the address is
 * within reach and the limit. 0: resume the guest. -EFAULT: deliver the signal; *code is the
 * si_code by the tree (MAPERR or ACCERR).
 */
int mm_handle_fault(const struct uspace *us, const struct mm_limits *lim, uint64_t addr,
                    int *code) MUST_CHECK;

/* Foreign access: any thread with a reference. Bytes moved (stops at the first unreadable page), or
 * -EIO/-EFAULT. Checked against the tree's protections unless force (ptrace, /proc/PID/mem). */
int64_t mm_read(struct mm *mm, void *dst, uint64_t src, size_t n, bool force) MUST_CHECK;
int64_t mm_write(struct mm *mm, uint64_t dst, const void *src, size_t n, bool force) MUST_CHECK;

/*
 * By us's own thread: writes what the guest itself may not, too, as debuggers do; private memory
 * only, where a page of a file becomes the process's own. Whole, or -EIO with a part written.
 */
int mm_poke(const struct uspace *us, uint64_t addr, const void *src, size_t n) MUST_CHECK;

/* The lowest address guests may map. */
#define MM_MIN_ADDR      65536UL
#define MM_MAX_MAP_COUNT 65530

/* The first VMA that ends above addr: 0 and *out, or -ENOENT. For walking: continue at out->end. */
int mm_vma_at_or_after(struct mm *mm, uint64_t addr, struct vma_info *out) MUST_CHECK;
/* True if every byte of the range is mapped with at least prot. */
bool mm_range_has_prot(struct mm *mm, uint64_t addr, uint64_t size, int prot);

/*
 * A futex's identity. private_: (mm, address). Else a shared mapping gives (object identity,
 * offset) and a private one (mm, address) again. -EFAULT when nothing is mapped, -EINVAL unaligned.
 */
struct futex_key {
    uint64_t object; /* mm pointer or object identity */
    uint64_t offset;
};
int mm_futex_key(const struct uspace *us, uaddr_t addr, bool private_,
                 struct futex_key *out) MUST_CHECK;

/* A shared anonymous object of size bytes over a host memfd; one reference. */
int shm_create(uint64_t size, struct mm_file **out) MUST_CHECK;
