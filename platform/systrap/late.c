/*
 * Copies that the stub does when its guest goes on: what a call has for its guest last costs no
 * hand-over of its own then. The kernel says for which calls that will do (platform.h). What is put
 * off stands in the slot, where the guest can change it: it is the guest's own. How much and where
 * to is kept here. No locks.
 */
#include "platform/systrap/copies.h"

#include <errno.h>
#include <string.h>

/* The buffer is free, and the stub will read the slot when the guest goes on. */
static bool possible(const struct platform_ctx *ctx, size_t n)
{
    return n && n <= STUB_BUFFER_SIZE && ctx->ready && !ctx->notify && !ctx->batch.open &&
           !late_pending(ctx);
}

int systrap_copy_out_late(struct platform_ctx *ctx, uint64_t dst, const void *src, size_t n,
                          uint32_t tag)
{
    struct stub_slot *slot = ctx->slot;

    if (!possible(ctx, n) || n > systrap.user_max || dst > systrap.user_max - n)
        return systrap_copy_out(ctx, dst, src, n, NULL);
    ctx->ahead.size = 0;
    ctx->late = (struct late){.size = (uint32_t)n, .tag = tag, .addr = dst};
    if (n <= STUB_LATE_INLINE) {
        memcpy(&ctx->late.word, src, n);
        slot->late_data = ctx->late.word;
    } else if (src != slot->buffer) {
        memcpy(slot->buffer, src, n);
    }
    slot->late_size = (uint32_t)n;
    slot->late_addr = dst;
    return 0;
}

void *systrap_late_room(struct platform_ctx *ctx, size_t n)
{
    if (!possible(ctx, n))
        return NULL;
    ctx->ahead.size = 0;
    return ctx->slot->buffer;
}

/* The last left bytes of what is put off. */
static const char *rest(struct platform_ctx *ctx, uint32_t size, size_t left)
{
    if (size <= STUB_LATE_INLINE)
        return (const char *)&ctx->late.word + size - left;
    return ctx->slot->buffer + size - left;
}

size_t systrap_peek(struct platform_ctx *ctx, void *dst, uint64_t src, size_t n)
{
    uint32_t size = ctx->late.size;
    uint64_t skip = src - ctx->late.addr;

    if (!size)
        return ahead_peek(ctx, dst, src, n);
    if (skip >= size)
        return 0;
    n = MIN(n, size - skip);
    memcpy(dst, rest(ctx, size, size - skip), n);
    return n;
}

static void failure(struct platform_event *event, uint64_t addr, const void *late, size_t size,
                    uint32_t tag)
{
    *event = (struct platform_event){
        .kind = PEV_LATE, .addr = addr, .late = late, .late_size = size, .late_tag = tag};
}

bool late_event(struct platform_ctx *ctx, uint32_t size, struct platform_event *event)
{
    uint64_t left = (uint64_t)READ_ONCE(ctx->slot->result);

    if (left == 0 || left > size)
        return false;
    failure(event, ctx->late.addr + size - left, rest(ctx, size, left), left, ctx->late.tag);
    return true;
}

/* What could not be copied. */
static size_t copy_now(struct platform_ctx *ctx, uint32_t size)
{
    size_t done = 0;

    ctx->late.size = 0; /* so that the copy is not preceded by another */
    if (systrap_copy_out(ctx, ctx->late.addr, rest(ctx, size, size), size, &done))
        return size - done;
    return 0;
}

void late_flush(struct platform_ctx *ctx)
{
    uint32_t size = ctx->late.size;
    size_t left = size ? copy_now(ctx, size) : 0;

    if (left) {
        ctx->late.addr += size - left;
        ctx->late.lost = left;
    }
}

bool systrap_late_end(struct platform_ctx *ctx, struct platform_event *event)
{
    uint32_t size = ctx->late.size;
    size_t left = size ? copy_now(ctx, size) : 0;

    if (left)
        failure(event, ctx->late.addr + size - left, rest(ctx, size, left), left, ctx->late.tag);
    else if (ctx->late.lost)
        failure(event, ctx->late.addr, NULL, ctx->late.lost, ctx->late.tag);
    else
        return true;
    ctx->late.lost = 0;
    return false;
}
