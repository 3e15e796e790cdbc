/*
 * What the stub read of the guest's memory before its call came (stub/ahead.c): given to the first
 * that asks for it in that call. It is as believable as the memory it was read from, and read from
 * the slot once. Nothing else is done with the context before: what is put into the slot's buffer,
 * or may change the guest's memory, makes it void. No locks.
 */
#include "platform/systrap/copies.h"

#include <string.h>

void ahead_came(struct platform_ctx *ctx)
{
    uint32_t size = READ_ONCE(ctx->slot->ahead_size);

    ctx->ahead.size = size <= STUB_BUFFER_SIZE ? size : 0;
    ctx->ahead.addr = READ_ONCE(ctx->slot->ahead_addr);
}

static void look(const struct platform_ctx *ctx, void *dst, size_t n)
{
    const struct stub_slot *slot = ctx->slot;

    if (n) /* dst may be NULL else */
        memcpy(dst, ctx->ahead.size <= STUB_AHEAD ? slot->ahead : slot->buffer, n);
}

bool ahead_take(struct platform_ctx *ctx, void *dst, uint64_t src, size_t n)
{
    if (ctx->ahead.addr != src || ctx->ahead.size < n)
        return false;
    look(ctx, dst, n);
    ctx->ahead.size = 0;
    return true;
}

size_t ahead_peek(const struct platform_ctx *ctx, void *dst, uint64_t src, size_t n)
{
    size_t size = MIN(n, (size_t)ctx->ahead.size);

    if (ctx->ahead.addr != src || src >= systrap.user_max || size > systrap.user_max - src)
        return 0;
    look(ctx, dst, size);
    return size;
}

size_t systrap_copy_ahead(struct platform_ctx *ctx, void *dst, uint64_t src, size_t n)
{
    size_t size = ahead_peek(ctx, dst, src, n);

    if (!n || size)
        ctx->ahead.size = 0;
    return size;
}
