/*
 * Batches: mappings and copies of a context that its stub does at one command, with the descriptors
 * they need in one message. Steps are written into the slot's buffer as they come; batch_flush
 * hands them over, at the batch's end, when there is no more room, or before any other command.
 * What the stub says of them is as much worth as what it says of single ones. Takes as.fd_lock.
 */
#include "platform/systrap/systrap.h"

#include <errno.h>
#include <string.h>

#define ZERO_LEAST 64 /* shorter ones are not looked at */

static bool all_zero(const char *p, size_t n)
{
    return n >= ZERO_LEAST && p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

static bool is_error(int64_t r)
{
    return r < 0 && r >= -4095;
}

/* How many steps were done, and what the next one gave: an error, or nothing that makes sense. */
static int outcome(struct platform_ctx *ctx, int64_t done, unsigned count)
{
    int64_t result = (int64_t)READ_ONCE(ctx->slot->arg[3]);

    if (done == count)
        return 0;
    if (is_error(done))
        return (int)done;
    return is_error(result) ? (int)result : -EFAULT;
}

static int hand_over(struct platform_ctx *ctx, unsigned count)
{
    struct platform_as *as = ctx->as;
    struct batch *b = &ctx->batch;
    int64_t done = 0;
    int err = channel_ready(ctx); /* a new process looks at its socket once before it is */

    if (err)
        return err;
    if (b->fd_count) {
        pthread_mutex_lock(&as->fd_lock);
        err = as_send_fds(as, b->fds, b->fd_count);
    }
    ctx->slot->arg[0] = (uint64_t)as->stub_socket;
    ctx->slot->arg[1] = b->fd_count;
    ctx->slot->arg[2] = count;
    if (!err)
        err = channel_command(ctx, STUB_BATCH, &done);
    if (b->fd_count)
        pthread_mutex_unlock(&as->fd_lock);
    return err ? err : outcome(ctx, done, count);
}

int batch_flush(struct platform_ctx *ctx)
{
    struct batch *b = &ctx->batch;
    unsigned count = b->count;

    if (count) {
        b->count = 0; /* so that the command is not preceded by another flush */
        b->err = hand_over(ctx, count);
        b->fd_count = 0;
        b->data = STUB_BUFFER_SIZE;
    }
    return b->err;
}

/* Room for another step with size bytes of data; NULL: there never is, or an error, in b->err. */
static struct stub_step *next_step(struct platform_ctx *ctx, size_t size)
{
    struct batch *b = &ctx->batch;
    struct stub_step *steps = (struct stub_step *)ctx->slot->buffer;

    if (sizeof(*steps) + size > STUB_BUFFER_SIZE)
        return NULL;
    if ((b->count + 1) * sizeof(*steps) + size > b->data && batch_flush(ctx))
        return NULL;
    if (b->err)
        return NULL;
    b->data -= (uint32_t)size;
    return &steps[b->count++];
}

/* The place of fd among those to be sent; -1: no room. */
static int place_of(struct batch *b, int fd)
{
    for (unsigned i = 0; i < b->fd_count; i++) {
        if (b->fds[i] == fd)
            return (int)i;
    }
    if (b->fd_count == STUB_BATCH_FDS)
        return -1;
    b->fds[b->fd_count] = fd;
    return (int)b->fd_count++;
}

int batch_call(struct platform_ctx *ctx, uint64_t nr, const uint64_t args[6], int fd, int64_t want)
{
    struct batch *b = &ctx->batch;
    struct stub_step *s = next_step(ctx, 0);
    int place = -1;

    if (!s)
        return b->err;
    if (fd >= 0) {
        place = place_of(b, fd);
        if (place < 0) {
            b->count--;
            if (batch_flush(ctx))
                return b->err;
            return batch_call(ctx, nr, args, fd, want);
        }
    }
    *s = (struct stub_step){.kind = STUB_STEP_CALL, .fd = place, .nr = nr, .want = want};
    memcpy(s->arg, args, sizeof(s->arg));
    return 0;
}

bool batch_copy_out(struct platform_ctx *ctx, uint64_t dst, const void *src, size_t n, int *out_err)
{
    struct batch *b = &ctx->batch;
    bool zero = all_zero(src, n);
    struct stub_step *s = next_step(ctx, zero ? 0 : n);

    *out_err = b->err;
    if (!s)
        return b->err != 0;
    *s = (struct stub_step){.kind = zero ? STUB_STEP_CLEAR : STUB_STEP_COPY, .fd = -1};
    s->arg[0] = dst;
    s->arg[1] = n;
    s->arg[2] = b->data;
    if (!zero)
        memcpy(ctx->slot->buffer + b->data, src, n);
    return true;
}

void systrap_batch_begin(struct platform_ctx *ctx)
{
    ctx->batch = (struct batch){.open = true, .data = STUB_BUFFER_SIZE};
}

int systrap_batch_end(struct platform_ctx *ctx)
{
    int err = batch_flush(ctx);

    ctx->batch = (struct batch){0};
    return err;
}
