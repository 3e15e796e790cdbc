/* futex(2) and its newer relatives, robust lists: decoding. The work is in sentry/kernel/futex*.c.
 * Takes no locks. */
#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "sentry/abi/time_num.h"
#include "sentry/base/slab.h"
#include "sentry/kernel/futex.h"
#include "sentry/kernel/wait.h"
#include "syscalls/syscalls.h"

#define FUTEX2_SIZE_MASK 3
#define FUTEX2_SIZE_U32  2
#define FUTEX2_PRIVATE   128

/* An absolute (or, when relative, from now) timeout as a deadline; a null pointer: forever. */
static int futex_deadline(struct task *t, uaddr_t p, bool realtime, bool relative, uint64_t *out)
{
    struct lx_timespec ts;
    uint64_t ns;

    *out = PARK_FOREVER;
    if (uaddr_is_null(p))
        return 0;
    if (copy_in_obj(&t->us, &ts, p))
        return -EFAULT;
    if (timespec_to_ns(&ts, &ns))
        return -EINVAL;
    if (relative)
        *out = deadline_after_ns(ns);
    else
        *out = realtime ? deadline_from_realtime_ns(ns) : ns;
    return 0;
}

int64_t sys_futex(struct task *t, const struct syscall_args *a)
{
    uint32_t op = ARG_U32(1), val = ARG_U32(2), val3 = ARG_U32(5);
    int cmd = (int)(op & ~(uint32_t)(LX_FUTEX_PRIVATE_FLAG | LX_FUTEX_CLOCK_REALTIME));
    bool realtime = op & LX_FUTEX_CLOCK_REALTIME;
    struct futex_word w1 = {ARG_PTR(0), op & LX_FUTEX_PRIVATE_FLAG}, w2 = {ARG_PTR(4), w1.private_};
    int count2 = ARG_INT(3);
    uint64_t deadline = PARK_FOREVER;
    int r = 0;

    if (realtime && cmd != LX_FUTEX_WAIT_BITSET && cmd != LX_FUTEX_LOCK_PI2)
        return -ENOSYS;
    if (cmd == LX_FUTEX_WAIT || cmd == LX_FUTEX_WAIT_BITSET || cmd == LX_FUTEX_LOCK_PI ||
        cmd == LX_FUTEX_LOCK_PI2)
        r = futex_deadline(t, ARG_PTR(3), realtime || cmd == LX_FUTEX_LOCK_PI, cmd == LX_FUTEX_WAIT,
                           &deadline);
    if (r)
        return r;
    switch (cmd) {
    case LX_FUTEX_WAIT:
        return futex_wait_restartable(t, w1, val, LX_FUTEX_BITSET_MATCH_ANY, deadline);
    case LX_FUTEX_WAIT_BITSET:
        return futex_wait_restartable(t, w1, val, val3, deadline);
    case LX_FUTEX_WAKE:
        return futex_wake_bitset(t, w1, (int)val, LX_FUTEX_BITSET_MATCH_ANY);
    case LX_FUTEX_WAKE_BITSET:
        return futex_wake_bitset(t, w1, (int)val, val3);
    case LX_FUTEX_REQUEUE:
        return futex_requeue(t, w1, w2, (int)val, count2, NULL);
    case LX_FUTEX_CMP_REQUEUE:
        return futex_requeue(t, w1, w2, (int)val, count2, &val3);
    case LX_FUTEX_WAKE_OP:
        return futex_wake_op(t, w1, w2, (int)val, count2, val3);
    case LX_FUTEX_LOCK_PI:
    case LX_FUTEX_LOCK_PI2:
        return futex_lock_pi(t, w1, false, deadline);
    case LX_FUTEX_TRYLOCK_PI:
        return futex_lock_pi(t, w1, true, PARK_FOREVER);
    case LX_FUTEX_UNLOCK_PI:
        return futex_unlock_pi(t, w1);
    default:
        return -ENOSYS;
    }
}

int64_t sys_set_robust_list(struct task *t, const struct syscall_args *a)
{
    if (ARG_U64(1) != 24) /* struct robust_list_head */
        return -EINVAL;
    t->robust_list = ARG_PTR(0);
    t->robust_list_size = ARG_U64(1);
    return 0;
}

int64_t sys_get_robust_list(struct task *t, const struct syscall_args *a)
{
    int32_t tid = ARG_INT(0);
    struct task *of = tid ? task_find_for(t, tid) : task_get(t);
    uint64_t head, size = 24;
    bool allowed;

    if (!of)
        return -ESRCH;
    allowed = of == t || task_may_access(t, of);
    head = READ_ONCE(of->robust_list.v);
    task_put(of);
    if (!allowed)
        return -EPERM;
    if (copy_out_obj(&t->us, ARG_PTR(2), &size) || copy_out_obj(&t->us, ARG_PTR(1), &head))
        return -EFAULT;
    return 0;
}

/* ---- futex2 ---- */

static int futex2_flags(uint32_t flags, bool *out_private)
{
    if (flags & ~(uint32_t)(FUTEX2_SIZE_MASK | FUTEX2_PRIVATE) ||
        (flags & FUTEX2_SIZE_MASK) != FUTEX2_SIZE_U32)
        return -EINVAL;
    *out_private = flags & FUTEX2_PRIVATE;
    return 0;
}

/* Absolute on clock, which matters only when there is a timeout. */
static int futex2_deadline(struct task *t, uaddr_t timeout, int clock, uint64_t *out)
{
    *out = PARK_FOREVER;
    if (uaddr_is_null(timeout))
        return 0;
    if (clock != LX_CLOCK_REALTIME && clock != LX_CLOCK_MONOTONIC)
        return -EINVAL;
    return futex_deadline(t, timeout, clock == LX_CLOCK_REALTIME, false, out);
}

struct lx_futex_waitv {
    uint64_t val, uaddr;
    uint32_t flags, reserved;
};

static int read_waitv(struct task *t, uaddr_t p, struct futex_multi *out)
{
    struct lx_futex_waitv v;

    if (copy_in_obj(&t->us, &v, p))
        return -EFAULT;
    if (v.reserved || v.val > UINT32_MAX || futex2_flags(v.flags, &out->word.private_))
        return -EINVAL;
    out->word.addr = uaddr(v.uaddr);
    out->val = (uint32_t)v.val;
    return 0;
}

int64_t sys_futex_waitv(struct task *t, const struct syscall_args *a)
{
    uint32_t count = ARG_U32(1);
    struct futex_multi *words;
    uint64_t deadline;
    int64_t r;

    if (ARG_U32(2) || !count || count > LX_FUTEX_WAITV_MAX || uaddr_is_null(ARG_PTR(0)))
        return -EINVAL;
    r = futex2_deadline(t, ARG_PTR(3), ARG_INT(4), &deadline);
    if (r)
        return r;
    words = kmalloc(count * sizeof(*words));
    if (!words)
        return -ENOMEM;
    for (uint32_t i = 0; i < count && !r; i++)
        r = read_waitv(t, uaddr_add(ARG_PTR(0), i * sizeof(struct lx_futex_waitv)), &words[i]);
    if (!r)
        r = futex_wait_multi(t, words, count, deadline);
    kfree(words);
    return r;
}

int64_t sys_futex_wake(struct task *t, const struct syscall_args *a)
{
    struct futex_word w = {.addr = ARG_PTR(0)};

    if (futex2_flags(ARG_U32(3), &w.private_) || ARG_U64(1) > UINT32_MAX || !ARG_U32(1))
        return -EINVAL;
    if (!ARG_INT(2)) {
        struct futex_key key;
        int r = mm_futex_key(&t->us, w.addr, w.private_, &key);

        return r;
    }
    return futex_wake_bitset(t, w, ARG_INT(2), ARG_U32(1));
}

int64_t sys_futex_wait(struct task *t, const struct syscall_args *a)
{
    struct futex_word w = {.addr = ARG_PTR(0)};
    uint64_t deadline;
    int r;

    if (futex2_flags(ARG_U32(3), &w.private_) || ARG_U64(1) > UINT32_MAX ||
        ARG_U64(2) > UINT32_MAX || !ARG_U32(2))
        return -EINVAL;
    r = futex2_deadline(t, ARG_PTR(4), ARG_INT(5), &deadline);
    return r ? r : futex_wait(t, w, ARG_U32(1), ARG_U32(2), deadline);
}

int64_t sys_futex_requeue(struct task *t, const struct syscall_args *a)
{
    struct futex_multi w[2];
    int r = 0;

    if (ARG_U32(1) || uaddr_is_null(ARG_PTR(0)))
        return -EINVAL;
    for (int i = 0; i < 2 && !r; i++)
        r = read_waitv(t, uaddr_add(ARG_PTR(0), (uint64_t)i * sizeof(struct lx_futex_waitv)),
                       &w[i]);
    return r ? r : futex_requeue(t, w[0].word, w[1].word, ARG_INT(2), ARG_INT(3), &w[0].val);
}
