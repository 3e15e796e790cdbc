/* The slots of platform_ops that reach guest memory and vector state, and what they are made of. */
#pragma once

#include "sentry/base/compiler.h"

struct platform_as;
struct platform_ctx;

/* memory.c */
/* By a thread of ctx's process. */
int64_t mpk_host_call(struct platform_ctx *ctx, uint64_t nr, uint64_t a, uint64_t b, uint64_t c,
                      uint64_t d, uint64_t e, uint64_t f);
int mpk_map(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot, uint32_t flags,
            int fd, uint64_t offset);
int mpk_unmap(struct platform_ctx *ctx, uint64_t addr, uint64_t size);
int mpk_protect(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot);
int mpk_remap(struct platform_ctx *ctx, uint64_t old_addr, uint64_t old_size, uint64_t new_addr,
              uint64_t new_size, bool dontunmap);
int mpk_advise(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int advice);
int mpk_msync(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int flags);
int mpk_mincore(struct platform_ctx *ctx, uint64_t addr, uint64_t size, uint8_t *vec);

/* copy.c */
int mpk_copy_in(struct platform_ctx *ctx, void *dst, uint64_t src, size_t n, size_t *done);
int mpk_copy_out(struct platform_ctx *ctx, uint64_t dst, const void *src, size_t n, size_t *done);
void *mpk_window(struct platform_ctx *ctx, uint64_t addr, size_t n);
int mpk_cas32(struct platform_ctx *ctx, uint64_t addr, uint32_t expected, uint32_t desired,
              uint32_t *old);
int mpk_load32(struct platform_ctx *ctx, uint64_t addr, uint32_t *out);
int mpk_as_read(struct platform_as *as, void *dst, uint64_t src, size_t n, size_t *done);
int mpk_as_write(struct platform_as *as, uint64_t dst, const void *src, size_t n, size_t *done);
uint64_t mpk_as_rss(struct platform_as *as, uint64_t *shared_pages);

/* fpu.c */
int mpk_fpu_save(struct platform_ctx *ctx, void *buf);
int mpk_fpu_load(struct platform_ctx *ctx, const void *buf);
int mpk_fpu_reset(struct platform_ctx *ctx);
