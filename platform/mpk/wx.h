/*
 * No page of a guest is writable and executable at once, and none is executable before it has been
 * scanned. What the guest asked for and what the host is told differ for ranges that the guest
 * wants to execute: these are kept here, per address space, with what is known of their content.
 *
 * Protected by wx.lock, which every mapping call takes: nobody else changes the host's mappings in
 * the guest's range. Unranked: taken inside any of the kernel's locks, outside state.lock. Inside
 * it wx.calls_lock and as.lock, of which neither is taken inside the other.
 */
#pragma once

#include "sentry/base/compiler.h"
#include "sentry/base/list.h"
#include "sentry/base/lock.h"
#include "sentry/base/rbtree.h"

struct platform_as;
struct platform_ctx;
struct platform_event;
struct cpu_regs;
struct mpk_text;
struct patch_file;

enum wx_state {
    WX_SHARED, /* others can change it: never executable */
    WX_RAW,    /* a file's pages may show through: copied before it is executable */
    WX_OPEN,   /* private; not executable on the host, writable if the guest wants that */
    WX_CLEAN,  /* private, not writable on the host, scanned: executable if the guest wants that */
    WX_HELD,   /* the same, but with unsafe bytes in every page: not executable */
};

/* Ranges do not overlap. Two that touch and are both clean have no unsafe bytes across the border.
 */
struct wx_range {
    struct rb_node node;
    uint64_t start, end;
    uint8_t prot; /* the guest's PROT_ */
    uint8_t state;
};

/*
 * An instruction in a clean page whose bytes, or some of them with the next one's, are unsafe: an
 * int3 stands at its beginning and what it does is done by the kernel.
 */
struct wx_site {
    struct list node;
    uint64_t addr;
    uint8_t size;
    uint8_t bytes[15]; /* as they were */
};

struct wx {
    struct mutex lock;
    struct rb_root ranges;
    struct list sites;
    struct list calls; /* struct wx_calls; changed under calls_lock too */
    struct mutex calls_lock;
    uint32_t calls_round; /* counts the times that pieces went */
    uint32_t refused;     /* log lines about what was not made executable */
    /* This page stays writable, or executable, until then; the word is to sleep on. */
    uint64_t hold_page, hold_until;
    bool hold_write;
    uint32_t hold_word;
};

/* The rules, for memory.c; each does the host's calls too. Arguments as platform_map and so on. */
int wx_map(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot, uint64_t host_flags,
           int fd, uint64_t offset) MUST_CHECK;
int wx_unmap(struct platform_ctx *ctx, uint64_t addr, uint64_t size) MUST_CHECK;
int wx_protect(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot) MUST_CHECK;
int wx_remap(struct platform_ctx *ctx, uint64_t old_addr, uint64_t old_size, uint64_t new_addr,
             uint64_t new_size, uint64_t host_flags) MUST_CHECK;
int wx_advise(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int advice) MUST_CHECK;

/* The host's vDSO code in a fresh address space: clean from the start. */
int wx_add_clean(struct platform_as *as, uint64_t start, uint64_t end) MUST_CHECK;
/* A copy for a forked process; from's lock is held until the host process exists. */
int wx_copy_locked(struct wx *to, const struct wx *from) MUST_CHECK;
void wx_free(struct wx *wx);

#define TEXT_HELD_MAX 64

/* ---- wx_tree.c: the ranges; wx.lock is held ---- */
/* The first that ends above addr. */
struct wx_range *wx_find(const struct wx *wx, uint64_t addr);
struct wx_range *wx_next(const struct wx_range *r);
struct wx_range *wx_prev(const struct wx_range *r);
bool wx_overlaps(const struct wx *wx, uint64_t start, uint64_t end);
/* No range crosses start or end afterwards. */
int wx_carve(struct wx *wx, uint64_t start, uint64_t end) MUST_CHECK;
/* After wx_carve. */
void wx_remove(struct wx *wx, uint64_t start, uint64_t end);
/* Takes new, whose place must be free. */
void wx_insert(struct wx *wx, struct wx_range *new);
struct wx_range *wx_range_new(uint64_t start, uint64_t end, int prot, enum wx_state state);
void wx_range_free(struct wx_range *r);
/* Equal neighbours in and around it become one. */
void wx_merge(struct wx *wx, uint64_t start, uint64_t end);
/* What the host is told for a range. */
int wx_host_prot(int prot, enum wx_state state);

/* ---- wx_clean.c: becoming executable; wx.lock is held ---- */
/* Most pages that are made clean at once. */
#define WX_CHUNK_PAGES 64
/* Pages with unsafe bytes, as numbers from the first of a range; ascending. */
struct wx_unsafe {
    uint32_t count;
    uint32_t pages[TEXT_HELD_MAX + 2];
};
/*
 * [start, end), at most WX_CHUNK_PAGES and part of one raw or open range, becomes clean and held
 * ranges. On ctx's own thread. -EFAULT: cannot be read.
 */
int wx_clean(struct platform_ctx *ctx, uint64_t start, uint64_t end) MUST_CHECK;
/* The held page at addr: makes its unsafe instructions traps if that is all there is to it. */
bool wx_fix_page(struct platform_ctx *ctx, uint64_t addr) MUST_CHECK;
/*
 * Enters [start, end) as clean, and its unsafe pages as held. The tree has nothing there; on the
 * host it can be read at most.
 */
int wx_publish(struct platform_ctx *ctx, uint64_t start, uint64_t end, int prot,
               const struct wx_unsafe *unsafe) MUST_CHECK;
/* Adds the first and last page if unsafe bytes lie across a border to a clean neighbour. */
void wx_check_borders(struct platform_ctx *ctx, uint64_t start, uint64_t end,
                      struct wx_unsafe *unsafe);
/* A clean range ends at start or begins at end. */
bool wx_touches_clean(const struct wx *wx, uint64_t start, uint64_t end);

/* ---- wx_sites.c; wx.lock is held ---- */
/* Writes the trap for size bytes of code at addr into a page that can be written just now. */
int wx_site_add(struct platform_ctx *ctx, uint64_t addr, uint32_t size, uint64_t hit) MUST_CHECK;
/* Puts the bytes back; the pages can be written. */
void wx_sites_undo(struct wx *wx, uint64_t start, uint64_t end);
/* The pages are gone. */
void wx_sites_forget(struct wx *wx, uint64_t start, uint64_t end);
bool wx_site_find(struct wx *wx, uint64_t addr, struct wx_site *out) MUST_CHECK;
int wx_sites_copy(struct wx *to, const struct wx *from) MUST_CHECK;

/* ---- wx_fault.c; on ctx's own thread ---- */
/* A fault that was ours, not the guest's: true, to be tried again. */
bool wx_fault(struct platform_ctx *ctx, struct cpu_regs *regs, const struct platform_event *event);
/*
 * The kernel could not write to addr. How much of src it could now, up to the page's end; nothing
 * if the page is not one that is unwritable because of us now and then.
 */
size_t wx_copy_out(struct platform_ctx *ctx, uint64_t addr, const void *src, size_t n) MUST_CHECK;
/* The same for mpk_cas32: 0 or -EFAULT. */
int wx_cas(struct platform_ctx *ctx, uint64_t addr, uint32_t expected, uint32_t desired,
           uint32_t *old) MUST_CHECK;

/* wx.c */
/* The guest's own bytes come back; the range is not executable afterwards, and to be protected. */
int wx_undo_sites(struct platform_ctx *ctx, uint64_t start, uint64_t end) MUST_CHECK;
/* Our copy of a file's code in the place of what is there; the tree has nothing there. */
int wx_map_text(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot, uint64_t flags,
                const struct mpk_text *text) MUST_CHECK;
int wx_host_protect(struct platform_ctx *ctx, uint64_t start, uint64_t end, int prot) MUST_CHECK;
void wx_say_refused(struct wx *wx, uint64_t addr, const char *why);

/* ---- text.c: copies of files' code, shared by all processes of the sandbox ---- */
/*
 * A memory file that holds fd's [offset, offset + size) as it is to be executed, with the image of
 * patched if it is not NULL; a reference, to be
 * put. -errno: cannot be read, or is of a kind that cannot be made safe.
 */
int mpk_text_get(int fd, uint64_t offset, uint64_t size, const struct patch_file *patched,
                 struct mpk_text **out) MUST_CHECK;
void mpk_text_put(struct mpk_text *text);
int mpk_text_fd(const struct mpk_text *text);
/* The pages with unsafe bytes. */
void mpk_text_held(const struct mpk_text *text, struct wx_unsafe *out);

/* ---- calls.c: patched call sites. wx.lock is held, but for the functions that are mpk_ ---- */
/* A file's code that is mapped whole: its calls may be patched. */
struct wx_calls {
    struct list node;
    uint64_t start, end;
    struct patch_file *file;
    uint8_t prot;
    bool applied;
};
/* fd at [offset, offset + size) was mapped; file as patch_lookup found it, its reference is taken.
 */
void wx_calls_add(struct wx *wx, uint64_t start, uint64_t end, int prot, struct patch_file *file,
                  bool applied);
/* [start, end) goes: pieces of mappings that stay get their own bytes back. */
int wx_calls_release(struct platform_ctx *ctx, uint64_t start, uint64_t end) MUST_CHECK;
/* It stays, and may be changed. */
int wx_calls_restore(struct platform_ctx *ctx, uint64_t start, uint64_t end) MUST_CHECK;
/* Its protection changes. */
int wx_calls_protect(struct platform_ctx *ctx, uint64_t start, uint64_t end, int prot) MUST_CHECK;
int wx_calls_copy(struct wx *to, const struct wx *from) MUST_CHECK;
void wx_calls_free(struct wx *wx);
/* A call before rip trapped. */
void mpk_calls_trapped(struct platform_ctx *ctx, uint64_t rip);
/* Adds ctx's counts of calls to the sandbox's. */
void mpk_calls_count(struct platform_ctx *ctx);
/* For the counts by site: a call whose instruction is before rip. */
void mpk_calls_note(struct platform_ctx *ctx, uint64_t rip, bool patched);
/* The guest was stopped in code that is ours: back to where it would be in its own. */
void mpk_calls_fixup(struct platform_ctx *ctx, struct cpu_regs *regs);
/* The files' own bytes in n bytes that were read at addr. */
void mpk_calls_read_back(struct platform_as *as, void *dst, uint64_t addr, size_t n);

/* ---- emulate.c ---- */
/* regs may be those of an instruction done elsewhere for the guest: then as if it were in place. */
void mpk_settle(struct platform_ctx *ctx, struct cpu_regs *regs, struct platform_event *event);
/* The instruction at regs->rip was made a trap by us: true, done in its stead. */
bool mpk_emulate(struct platform_ctx *ctx, struct cpu_regs *regs, struct platform_event *event);
/*
 * The instruction at regs->rip has to write to page, which is writable now. If it lies there
 * itself it is done elsewhere, as the page is not executable; false: it cannot be.
 */
bool mpk_step_aside(struct platform_ctx *ctx, struct cpu_regs *regs, uint64_t page) MUST_CHECK;
