/*
 * Copies between the kernel's memory and a guest's: platform.h's calls as systrap does them, and
 * what of it the rest of the sentry side needs. No locks but as.life, for reading.
 */
#pragma once

#include "platform/systrap/systrap.h"

/* copy.c */
int systrap_copy_in(struct platform_ctx *ctx, void *dst, uint64_t src, size_t n, size_t *done);
int systrap_copy_out(struct platform_ctx *ctx, uint64_t dst, const void *src, size_t n,
                     size_t *done);
int systrap_cas32(struct platform_ctx *ctx, uint64_t addr, uint32_t expected, uint32_t desired,
                  uint32_t *old);
int systrap_load32(struct platform_ctx *ctx, uint64_t addr, uint32_t *out);
int systrap_as_read(struct platform_as *as, void *dst, uint64_t src, size_t n, size_t *done);
int systrap_as_write(struct platform_as *as, uint64_t dst, const void *src, size_t n, size_t *done);
/* It lies in the guest's range. */
bool copy_allowed(uint64_t addr, size_t n);

/* ahead.c; void after any command to the stub */
size_t systrap_copy_ahead(struct platform_ctx *ctx, void *dst, uint64_t src, size_t n);
void ahead_came(struct platform_ctx *ctx); /* a call by a patched site */
/* True: the n bytes at src, in the guest's range, are in dst. */
bool ahead_take(struct platform_ctx *ctx, void *dst, uint64_t src, size_t n) MUST_CHECK;

/* Those of the n bytes at src that are known ahead, without using them up. */
size_t ahead_peek(const struct platform_ctx *ctx, void *dst, uint64_t src, size_t n);

/* late.c */
size_t systrap_peek(struct platform_ctx *ctx, void *dst, uint64_t src, size_t n);
int systrap_copy_out_late(struct platform_ctx *ctx, uint64_t dst, const void *src, size_t n,
                          uint32_t tag);
void *systrap_late_room(struct platform_ctx *ctx, size_t n);
bool systrap_late_end(struct platform_ctx *ctx, struct platform_event *event);
/* Copies what was put off, before something else is done with ctx; a failure shows at the next
 * switch or late_end. */
void late_flush(struct platform_ctx *ctx);
/* For STUB_EV_LATE, from a resume with size bytes put off: the event of it, or false: the stub
 * lies. */
bool late_event(struct platform_ctx *ctx, uint32_t size, struct platform_event *event) MUST_CHECK;

/* Something is put off. */
static inline bool late_pending(const struct platform_ctx *ctx)
{
    return ctx->late.size || ctx->late.lost;
}
