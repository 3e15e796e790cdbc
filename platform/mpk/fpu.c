/*
 * The guest's vector state. The kernel uses general registers only, so while it runs on the guest's
 * host thread that state is simply in the processor. No locks.
 */
#include "platform/mpk/mpk.h"

#include "sentry/abi/errno.h"

#define XSAVE_LEGACY  512
#define XSAVE_HEADER  64
#define FCW_DEFAULT   0x37f
#define MXCSR_DEFAULT 0x1f80

/* An image with no component in it: all of them get their initial values. */
static const struct {
    uint16_t fcw;
    uint8_t unused[22];
    uint32_t mxcsr;
    uint8_t rest[XSAVE_LEGACY - 28 + XSAVE_HEADER];
} ALIGNED(64) initial_state = {.fcw = FCW_DEFAULT, .mxcsr = MXCSR_DEFAULT};

int mpk_fpu_save(struct platform_ctx *ctx, void *buf)
{
    if (load_acquire(&ctx->as->dead))
        return -ESRCH;
    if (mpk_ctx_is_here(ctx)) {
        cv_memset(buf, 0, mpk_ro.facts.fpu_size);
        mpk_xsave(buf, mpk_ro.xfeatures);
        return 0;
    }
    ctx->args[0] = PTR(buf);
    return (int)mpk_ctx_command(ctx, COMMAND_FPU_SAVE);
}

/* -EINVAL when the processor refuses it: reserved bits of MXCSR. */
static int load_here(const void *buf)
{
    return mpk_xrstor(buf, mpk_ro.xfeatures) ? -EINVAL : 0;
}

int mpk_fpu_load(struct platform_ctx *ctx, const void *buf)
{
    if (load_acquire(&ctx->as->dead))
        return -ESRCH;
    if (mpk_ctx_is_here(ctx))
        return load_here(buf);
    ctx->args[0] = PTR(buf);
    return (int)mpk_ctx_command(ctx, COMMAND_FPU_LOAD);
}

/* ctx NULL: the calling thread's. */
int mpk_fpu_reset(struct platform_ctx *ctx)
{
    return ctx ? mpk_fpu_load(ctx, &initial_state) : load_here(&initial_state);
}
