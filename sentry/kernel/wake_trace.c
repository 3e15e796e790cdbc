/*
 * Who woke whom. The kernel has no "current task", so the waker is found by its stack: tasks in
 * traced calls are in a table by address, and the one closest above the waker's frame is it. Takes
 * no locks.
 */
#include "sentry/kernel/wake_trace.h"

#include "platform/platform.h"
#include "sentry/abi/errno.h"
#include "sentry/base/slab.h"

#define STEP_SHIFT   13 /* a slot of the table for so much of stack */
#define SLOTS        4096U
#define FRAME_MARGIN 1024 /* the waker's frame is surely below this one plus it */
/* Further up it is another thread's: calls are entered near the top of a stack. */
#define DEPTH_MAX (KERNEL_STACK_SIZE / 2)

struct wake_trace {
    ops_ref_t clock; /* struct wake_clock */
    struct {
        uint64_t sp; /* 0: free */
        int32_t tid, pid;
    } running[SLOTS];
};

int wake_trace_start(struct kernel *k, const void *clock)
{
    struct wake_trace *made = kmalloc(sizeof(*made));

    if (!made)
        return -ENOMEM;
    made->clock = ops_ref(clock);
    store_release(&k->wakes, made);
    return 0;
}

void wake_trace_free(struct kernel *k)
{
    kfree(k->wakes);
    k->wakes = NULL;
}

static uint64_t now_ns(struct kernel *k)
{
    return OPS_GET(wake_clock, load_acquire(&k->wakes)->clock)->now_ns(k);
}

static uint64_t own_frame(void)
{
    return (uint64_t)(uintptr_t)__builtin_frame_address(0);
}

void wake_trace_enter(struct task *t)
{
    struct wake_trace *w = load_acquire(&t->k->wakes);
    uint64_t sp = own_frame() + FRAME_MARGIN;
    uint32_t slot = (uint32_t)(sp >> STEP_SHIFT) % SLOTS;

    if (!w)
        return;
    t->wake.stack = sp;
    WRITE_ONCE(w->running[slot].tid, t->tid);
    WRITE_ONCE(w->running[slot].pid, t->tg->tgid);
    store_release(&w->running[slot].sp, sp);
}

void wake_trace_leave(struct task *t)
{
    struct wake_trace *w = load_acquire(&t->k->wakes);
    uint32_t slot = (uint32_t)(t->wake.stack >> STEP_SHIFT) % SLOTS;

    if (!w || !t->wake.stack)
        return;
    if (READ_ONCE(w->running[slot].sp) == t->wake.stack)
        store_release(&w->running[slot].sp, 0);
    t->wake.stack = 0;
}

/* The task this thread serves, if that is in a traced call. */
static bool find_waker(const struct wake_trace *w, int32_t *tid, int32_t *pid)
{
    uint64_t here = own_frame();

    for (uint64_t at = here; at <= here + DEPTH_MAX; at += 1UL << STEP_SHIFT) {
        uint32_t slot = (uint32_t)(at >> STEP_SHIFT) % SLOTS;
        uint64_t sp = load_acquire(&w->running[slot].sp);

        if (sp < here || sp - here > DEPTH_MAX)
            continue;
        *tid = READ_ONCE(w->running[slot].tid);
        *pid = READ_ONCE(w->running[slot].pid);
        return true;
    }
    return false;
}

NOINLINE void wake_trace_note_slow(struct task *t, enum wake_kind kind)
{
    struct wake_note *n = &t->wake;
    int32_t tid, pid;

    if (!find_waker(load_acquire(&t->k->wakes), &tid, &pid) || tid == t->tid ||
        __atomic_exchange_n(&n->busy, 1, __ATOMIC_ACQUIRE))
        return;
    n->kind = kind;
    n->tid = tid;
    n->pid = pid;
    n->at_ns = now_ns(t->k);
    store_release(&n->busy, 0);
}

NOINLINE void wake_trace_resumed_slow(struct task *t)
{
    t->wake.resumed_ns = now_ns(t->k);
}

bool wake_trace_take(struct task *t, uint64_t start_ns, uint64_t end_ns, struct wake_note *out)
{
    struct wake_note *n = &t->wake;
    bool any;

    if (__atomic_exchange_n(&n->busy, 1, __ATOMIC_ACQUIRE))
        return false;
    *out = *n;
    any = n->kind != WAKE_NONE && n->at_ns >= start_ns && n->at_ns <= end_ns;
    n->kind = WAKE_NONE;
    store_release(&n->busy, 0);
    return any;
}

const char *wake_kind_name(enum wake_kind kind)
{
    static const char *const names[] = {[WAKE_NONE] = "wake",
                                        [WAKE_IO] = "io",
                                        [WAKE_FUTEX] = "futex",
                                        [WAKE_SIGNAL] = "signal",
                                        [WAKE_CHILD] = "child"};

    return names[kind];
}
