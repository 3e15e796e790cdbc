/*
 * Debugging, the task's own side: stopping, serving the debugger, and what debugging means for
 * clone, execve and exit. Not here: what debuggers call (debug_control.c). Locks: sig_lock, the
 * tracer's; see debug.h. Source: ptrace(2).
 */
#include "sentry/kernel/debug.h"

#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"
#include "sentry/kernel/debug_int.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/wait.h"
#include "sentry/mm/mm.h"

#define TRAP_TRACE_CODE 2

bool debug_traced(const struct task *t)
{
    const struct task_debug *d = load_acquire(&t->debug);

    return d && READ_ONCE(d->tracer);
}

bool debug_stop_wanted_locked(const struct task *t)
{
    const struct task_debug *d = t->debug;

    return d && d->tracer && (d->stop_wanted || d->exec_event);
}

/* ---- stopping ---- */

static void save_vectors(struct task *t, struct task_debug *d)
{
    d->fpu_changed = false;
    d->fpu = NULL;
    if (!d->fpu_memory)
        d->fpu_memory = kmalloc(platform_facts()->fpu_size + 64);
    if (!d->fpu_memory)
        return;
    d->fpu = (uint8_t *)(((uintptr_t)d->fpu_memory + 63) & ~63UL);
    if (platform_fpu_save(t->us.ctx, d->fpu) < 0)
        d->fpu = NULL;
}

/* The breakpoint instruction at rip - 1 was ours: the program never knew of it. */
static bool hit_break(struct task *t, struct debug_tracer *tr)
{
    struct debug_break *b;
    bool hit;

    mutex_lock(&tr->lock);
    b = debug_break_find_locked(tr, t->regs.rip - 1);
    hit = b != NULL;
    mutex_unlock(&tr->lock);
    if (hit)
        t->regs.rip--;
    return hit;
}

/* Why it stops; sig_lock held. */
static void describe_locked(struct task *t, struct task_debug *d, const struct lx_siginfo *info)
{
    struct debug_stop *s = &d->stop;

    *s = (struct debug_stop){.event = DEBUG_ASKED};
    if (info) {
        s->event = DEBUG_SIGNAL;
        s->info = *info;
        s->signo = info->signo;
        if (info->signo == LX_SIGTRAP && hit_break(t, d->tracer))
            s->event = DEBUG_BREAK;
        else if (info->signo == LX_SIGTRAP && d->stepping)
            s->event = DEBUG_STEP;
    } else if (d->exec_event) {
        s->event = DEBUG_EXEC;
        s->signo = s->info.signo = LX_SIGTRAP;
    }
    if (d->stepping)
        t->regs.rflags &= ~EFLAGS_TF;
    d->stepping = d->stop_wanted = d->exec_event = false;
}

static void serve(struct task *t, struct task_debug *d)
{
    struct debug_request *q;

    mutex_lock(&t->tg->sig_lock);
    q = d->request;
    mutex_unlock(&t->tg->sig_lock);
    if (!q)
        return;
    q->result = mm_poke(&t->us, q->addr, q->data, q->size);
    mutex_lock(&t->tg->sig_lock);
    d->request = NULL;
    mutex_unlock(&t->tg->sig_lock);
    store_release(&q->done, 1);
    (void)host_futex_wake(&q->done, 1);
}

static int64_t try_next(void *arg)
{
    const struct task *t = arg;

    return READ_ONCE(t->debug->stopped) && !READ_ONCE(t->debug->request) ? -EAGAIN : 0;
}

static void wait_for_debugger(struct task *t, struct task_debug *d)
{
    do {
        if (task_wait_killable(t, NULL, 0, try_next, t) < 0)
            break;
        serve(t, d);
    } while (READ_ONCE(d->stopped));
    serve(t, d); /* whoever asks gets an answer */
}

static int leave_stop(struct task *t, struct task_debug *d)
{
    struct debug_request *q;
    bool changed;
    int signo;

    mutex_lock(&t->tg->sig_lock);
    WRITE_ONCE(d->stopped, false);
    q = d->request;
    d->request = NULL;
    signo = d->resume_signo;
    changed = d->fpu_changed;
    signal_recalc_locked(t);
    mutex_unlock(&t->tg->sig_lock);
    if (q) {
        q->result = -ESRCH;
        store_release(&q->done, 1);
        (void)host_futex_wake(&q->done, 1);
    }
    if (changed && d->fpu && platform_fpu_load(t->us.ctx, d->fpu) < 0)
        thread_group_exit_request(t->tg, LX_SIGKILL); /* its process is gone */
    return signo;
}

int debug_stop(struct task *t, const struct lx_siginfo *info, uint64_t orig_rax)
{
    struct task_debug *d = t->debug;
    struct thread_group *tg = t->tg;

    if (platform_registers(t->us.ctx, &t->regs) < 0)
        return info ? info->signo : 0;
    t->regs.full = 1;
    save_vectors(t, d);
    mutex_lock(&tg->sig_lock);
    if (!d->tracer || signal_fatal_pending(t)) {
        mutex_unlock(&tg->sig_lock);
        return info ? info->signo : 0;
    }
    describe_locked(t, d, info);
    d->resume_signo = 0;
    d->orig_rax = orig_rax;
    WRITE_ONCE(d->stopped, true);
    signal_recalc_locked(t);
    __atomic_fetch_add(&d->tracer->stops, 1, __ATOMIC_RELEASE);
    unpark(d->tracer->parker);
    mutex_unlock(&tg->sig_lock);
    wait_for_debugger(t, d);
    return leave_stop(t, d);
}

void debug_syscall_done(struct task *t)
{
    struct lx_siginfo info = {.signo = LX_SIGTRAP, .code = TRAP_TRACE_CODE, .addr = t->regs.rip};

    if (READ_ONCE(t->debug->stepping))
        signal_force(t, &info);
}

bool debug_step_into_handler(struct task *t)
{
    struct task_debug *d = t->debug;

    if (!d || !READ_ONCE(d->stepping))
        return false;
    t->regs.rflags &= ~EFLAGS_TF;
    return true;
}

/* ---- clone, execve, exit ---- */

struct task_debug *debug_alloc(struct task *t)
{
    struct task_debug *d = load_acquire(&t->debug), *none = NULL;

    if (d)
        return d;
    d = kmalloc(sizeof(*d));
    if (d && !__atomic_compare_exchange_n(&t->debug, &none, d, false, __ATOMIC_ACQ_REL,
                                          __ATOMIC_ACQUIRE)) {
        kfree(d);
        d = none;
    }
    return d;
}

int debug_clone(struct task *t, struct task *child, bool thread)
{
    struct debug_tracer *tr = NULL;
    struct task_debug *d;

    if (likely(!load_acquire(&t->debug)))
        return 0;
    mutex_lock(&t->tg->sig_lock);
    if (t->debug->tracer) {
        tr = t->debug->tracer;
        ref_get(&tr->ref);
    }
    mutex_unlock(&t->tg->sig_lock);
    if (!tr)
        return 0;
    d = debug_alloc(child);
    if (!d) {
        debug_tracer_put(tr);
        return -ENOMEM;
    }
    if (thread)
        d->tracer = tr;
    else
        d->unbreak = tr;
    return 0;
}

bool debug_link_locked(struct task *child)
{
    const struct task *leader = child->tg->leader;
    const struct debug_tracer *theirs = leader->debug ? leader->debug->tracer : NULL;
    struct task_debug *d = child->debug;

    if (theirs != (d ? d->tracer : NULL))
        return false;
    if (theirs && load_acquire(&theirs->halting))
        d->stop_wanted = true;
    return true;
}

void debug_begin(struct task *t)
{
    struct task_debug *d = t->debug;
    struct debug_tracer *tr = d ? d->unbreak : NULL;
    struct debug_break *b;

    if (likely(!tr))
        return;
    d->unbreak = NULL;
    /* Shared memory is the tracer's process's own: its breakpoints stay. */
    if (READ_ONCE(t->us.mm->ref.count) == 1) {
        mutex_lock(&tr->lock);
        list_for_each (b, &tr->breaks, node)
            (void)!mm_poke(&t->us, b->addr, &b->original, 1);
        mutex_unlock(&tr->lock);
    }
    debug_tracer_put(tr);
}

void debug_exec(struct task *t)
{
    struct task_debug *d = t->debug;

    if (likely(!d))
        return;
    mutex_lock(&t->tg->sig_lock);
    if (d->tracer) {
        debug_break_forget(d->tracer);
        d->exec_event = true;
        d->stepping = false;
        signal_recalc_locked(t);
    }
    mutex_unlock(&t->tg->sig_lock);
}

void debug_group_exited(struct thread_group *tg)
{
    struct task_debug *d = tg->leader ? tg->leader->debug : NULL;

    if (likely(!d))
        return;
    mutex_lock(&tg->sig_lock);
    if (d->tracer)
        unpark(d->tracer->parker);
    mutex_unlock(&tg->sig_lock);
}

void debug_free(struct task *t)
{
    struct task_debug *d = t->debug;

    if (likely(!d))
        return;
    if (d->tracer)
        debug_tracer_put(d->tracer);
    if (d->unbreak)
        debug_tracer_put(d->unbreak);
    kfree(d->fpu_memory);
    kfree(d);
}
