/*
 * The only doors to guest memory. A uaddr_t can't be dereferenced or added to by mistake. Read once
 * into a local, check the local, use the local. All of these may be slow (a hand-over to another
 * process): never under a lock ranked at or after MM except where said.
 */
#pragma once

#include "sentry/base/compiler.h"

struct mm;
struct platform_ctx;

typedef struct {
    uint64_t v;
} uaddr_t;

static inline uaddr_t uaddr(uint64_t v)
{
    return (uaddr_t){v};
}

static inline uaddr_t uaddr_add(uaddr_t a, uint64_t delta)
{
    return (uaddr_t){a.v + delta};
}

static inline bool uaddr_is_null(uaddr_t a)
{
    return a.v == 0;
}

/* Whose memory, reached how. Embedded in struct task (task->us); for another task's memory use
 * mm_read/mm_write. */
struct uspace {
    struct mm *mm;
    struct platform_ctx *ctx;
};

/* 0 or -EFAULT; on failure dst may be partly written. n == 0 always succeeds. */
int copy_in(const struct uspace *us, void *dst, uaddr_t src, size_t n) MUST_CHECK;
int copy_out(const struct uspace *us, uaddr_t dst, const void *src, size_t n) MUST_CHECK;
int clear_out(const struct uspace *us, uaddr_t dst, size_t n) MUST_CHECK;

struct platform_event;

/*
 * copy_out of the last thing a call has for its guest, where nobody but the guest can see before it
 * goes on that the call is done: it may be put off until then. Failing, now or then, makes the
 * call's result -EFAULT. After it the call touches no guest memory.
 */
int copy_out_last(const struct uspace *us, uaddr_t dst, const void *src, size_t n) MUST_CHECK;
/* What was put off fails as ev (PEV_LATE) says: it is tried once more, letting a stack grow. What
 * the call's result is then. */
int64_t late_failed(const struct uspace *us, const struct platform_event *ev, int64_t result);
/* Nothing is put off any more. The call's result. */
int64_t late_end(const struct uspace *us, int64_t result) MUST_CHECK;

/* A NUL-terminated string into dst[size]: its length; -EFAULT; -ENAMETOOLONG when size bytes held
 * no NUL. */
int64_t copy_in_str(const struct uspace *us, char *dst, uaddr_t src, size_t size) MUST_CHECK;

/* As copy_in and copy_in_str, to show what a call was given or has given: what the platform has at
 * hand is left there for the call. */
int peek_in(const struct uspace *us, void *dst, uaddr_t src, size_t n) MUST_CHECK;
int64_t peek_in_str(const struct uspace *us, char *dst, uaddr_t src, size_t size) MUST_CHECK;

/*
 * Extensible structs (clone3, openat2 ...): copies MIN(usize, ksize), zero-fills the rest of dst;
 * -E2BIG when the guest's extra bytes are not all zero.
 */
int copy_in_sized(const struct uspace *us, void *dst, size_t ksize, uaddr_t src,
                  size_t usize) MUST_CHECK;

int uatomic_load32(const struct uspace *us, uaddr_t addr, uint32_t *out) MUST_CHECK;
/* *old is what was there; stored desired if it equalled expected. addr must be 4-aligned: -EINVAL.
 */
int uatomic_cas32(const struct uspace *us, uaddr_t addr, uint32_t expected, uint32_t desired,
                  uint32_t *old) MUST_CHECK;

#define copy_out_last_obj(us, dst, obj) copy_out_last((us), (dst), (obj), sizeof(*(obj)))
#define copy_in_obj(us, obj, src)       copy_in((us), (obj), (src), sizeof(*(obj)))
#define peek_in_obj(us, obj, src)       peek_in((us), (obj), (src), sizeof(*(obj)))
#define copy_out_obj(us, dst, obj)      copy_out((us), (dst), (obj), sizeof(*(obj)))

/*
 * uio: a cursor over scattered memory, the guest's or the kernel's, for reads and writes. uio_read
 * fills it (data goes to the owner of the uio), uio_write drains it.
 */
struct uio_segment {
    uint64_t base; /* guest address, or kernel pointer when us is NULL */
    uint64_t size;
};

#define UIO_MAXIOV    1024
#define UIO_MAX_BYTES 0x7ffff000UL

/* May the copy of the last bytes that are put be put off, as copy_out_last does? */
enum uio_late {
    UIO_AT_ONCE,
    UIO_LATE_SURE, /* where it can't well fail: the caller goes on as if it had been done */
    UIO_LATE,
};

struct uio {
    const struct uspace *us; /* NULL: kernel memory */
    struct uio_segment *segments;
    uint32_t count;
    uint32_t index;  /* current segment */
    uint64_t offset; /* within it */
    uint64_t left;   /* bytes from the cursor to the end */
    uint8_t late;    /* enum uio_late */
    struct uio_segment inline_segments[8];
};

/* One guest buffer; size capped at UIO_MAX_BYTES as Linux does. -EFAULT when the range leaves user
 * space. */
int uio_init_user(struct uio *uio, const struct uspace *us, uaddr_t base, uint64_t size) MUST_CHECK;
/* A guest iovec array: -EINVAL (count > 1024, a negative length), -EFAULT, -ENOMEM. */
int uio_init_iovec(struct uio *uio, const struct uspace *us, uaddr_t iov,
                   uint64_t count) MUST_CHECK;
void uio_init_kernel(struct uio *uio, void *base, size_t size);
void uio_destroy(struct uio *uio);

/* Kernel buffer -> uio / uio -> kernel buffer: bytes moved (short only at the uio's end or after a
 * fault past the first byte), or -EFAULT when nothing could be moved. Advance the cursor by what
 * was moved. */
int64_t uio_put(struct uio *uio, const void *src, size_t n) MUST_CHECK;
int64_t uio_take(struct uio *uio, void *dst, size_t n) MUST_CHECK;
/* uio_put of the last bytes there are for it: with uio.late their copy may be put off. */
int64_t uio_put_last(struct uio *uio, const void *src, size_t n) MUST_CHECK;
/* A buffer for the next n bytes, from which uio_put_last, as the next thing done, is cheap. The
 * guest may change it meanwhile. NULL: there is none. */
void *uio_late_room(struct uio *uio, size_t n) MUST_CHECK;
int64_t uio_put_zero(struct uio *uio, size_t n) MUST_CHECK;
void uio_advance(struct uio *uio, uint64_t n);
/*
 * The contiguous memory at the cursor, at most n bytes of it, for a host call to fill or drain; the
 * cursor stays. NULL where a buffer must go between. On -EFAULT of the host call use a buffer: it
 * knows more of what the guest may touch.
 */
void *uio_window(struct uio *uio, uint64_t n, uint64_t *out_size) MUST_CHECK;
/* Back to an earlier position: n bytes. */
void uio_revert(struct uio *uio, uint64_t n);
