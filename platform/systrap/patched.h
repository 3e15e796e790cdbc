/*
 * Patched text in address spaces (patched.c). "Locked": the caller holds as.patch_lock, by
 * patched_lock, over this and the host's change of the range.
 */
#pragma once

#include "platform/systrap/systrap.h"

struct patch_stats;
/* Can this host do it at all? */
bool patched_possible(void);
int patched_init(uint64_t entry) MUST_CHECK;
void patched_shutdown(void);
void patched_lock(struct platform_as *as);
void patched_unlock(struct platform_as *as);
struct patch_file;
/*
 * Locked, before a private executable mapping that is not writable: the segment, or NULL. When its
 * image is all of it, *fd and *offset become the image's.
 */
struct patch_file *patched_file(struct platform_as *as, int *fd, uint64_t *offset, uint64_t size);
/* It was not made after all. file may be NULL. */
void patched_unmapped(struct patch_file *file);
/* The address space ends. */
void patched_free(struct platform_as *as);
/* Locked: such a mapping was made, of file or its image. */
void patched_mapped(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot,
                    struct patch_file *file, bool image);
/* Locked: the guest is about to replace or unmap the range. */
int patched_release(struct platform_ctx *ctx, uint64_t addr, uint64_t size) MUST_CHECK;
/* Locked: or to move it: the file's own pages are in it afterwards. */
int patched_put_back(struct platform_ctx *ctx, uint64_t addr, uint64_t size) MUST_CHECK;
/* Locked: or to give it prot. */
int patched_protect(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot) MUST_CHECK;
/* Locked from: a fork's new AS has the same. */
int patched_fork(struct platform_as *from, struct platform_as *to) MUST_CHECK;
/* A call trapped at the instruction before rip. By the owner, between switches. */
void patched_trap(struct platform_ctx *ctx, uint64_t rip);
/* For the counts by site: a call whose instruction is before rip. */
void patched_note(struct platform_ctx *ctx, uint64_t rip, bool patched);
/* The guest was stopped elsewhere than at a call: out of a piece, to the code it stands for. */
void patched_fixup(struct platform_ctx *ctx, struct cpu_regs *regs);
/* The file's own bytes in n bytes that were read at addr. */
void patched_read_back(struct platform_as *as, void *dst, uint64_t addr, size_t n);
/* Adds a context's counters to the sandbox's. */
void patched_count(struct platform_ctx *ctx);
void patched_stats(struct patch_stats *out);
/* The counts in words, to the log: totals, and the sites most calls trapped at. */
void patched_print(void);
