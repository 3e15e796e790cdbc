/*
 * Operation tables by offset. Objects in the arena never hold code pointers: they hold a 32-bit
 * ops_ref, the offset of a const table inside the read-only section cv_ops. Define every table with
 * DEFINE_OPS and fetch it with OPS_GET; both a forged offset and a null one end the sandbox.
 *
 *     DEFINE_OPS(file_ops, pipe_read_ops) = { .read = pipe_read };
 *     f->ops = ops_ref(&pipe_read_ops);
 *     OPS_GET(file_ops, f->ops)->read(f, ...);
 */
#pragma once

#include "sentry/base/compiler.h"

typedef struct {
    uint32_t offset; /* 0: none */
} ops_ref_t;

#define DEFINE_OPS(type, name)                                                                     \
    const struct type name __attribute__((section("cv_ops"), aligned(16), used))
#define DECLARE_OPS(type, name) extern const struct type name

ops_ref_t ops_ref(const void *table);
/* Checks the offset against the section; BUG on 0 or out of range. */
const void *ops_deref(ops_ref_t ref);

#define OPS_GET(type, ref) ((const struct type *)ops_deref(ref))
#define OPS_NONE ((ops_ref_t){0})

static inline bool ops_is(ops_ref_t ref, const void *table)
{
    return ref.offset != 0 && ref.offset == ops_ref(table).offset;
}
