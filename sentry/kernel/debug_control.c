/*
 * Debugging, the debugger's side: attaching, resuming, registers, memory, breakpoints. Runs on the
 * debugger's thread, which need not be a task's. Locks: sig_lock, the tracer's; see debug.h.
 */
#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"
#include "sentry/kernel/debug_int.h"
#include "sentry/kernel/kernel.h"
#include "sentry/mm/mm.h"

#define INT3         0xcc
#define XSAVE_HEADER 512
#define MXCSR_OFFSET 24
#define MXCSR_VALID  0xffffU
#define USER_CS      0x33
#define USER_SS      0x2b
#define POKE_MAX     65536U
/* CF PF AF ZF SF TF DF OF NT RF AC ID: what debuggers may change. */
#define EFLAGS_CHANGEABLE 0x254dd5UL

SLAB_TYPE(debug_tracer_slab, struct debug_tracer);
SLAB_TYPE(debug_break_slab, struct debug_break);

struct debug_tracer *debug_tracer_create(struct parker *parker)
{
    struct debug_tracer *tr = slab_alloc(&debug_tracer_slab);

    if (!tr)
        return NULL;
    ref_init(&tr->ref);
    tr->parker = parker;
    mutex_init(&tr->lock, RANK_CRED);
    list_init(&tr->breaks);
    return tr;
}

void debug_tracer_put(struct debug_tracer *tr)
{
    if (!ref_put(&tr->ref))
        return;
    debug_break_forget(tr);
    slab_free(&debug_tracer_slab, tr);
}

int debug_attach(struct debug_tracer *tr, struct task *t)
{
    struct task_debug *d = debug_alloc(t);
    int err = 0;

    if (!d)
        return -ENOMEM;
    mutex_lock(&t->tg->sig_lock);
    if (d->tracer) {
        err = -EPERM;
    } else if (t->exiting && t != t->tg->leader) {
        err = -ESRCH;
    } else {
        ref_get(&tr->ref);
        WRITE_ONCE(d->tracer, tr);
        d->stop_wanted = d->stepping = d->exec_event = false;
    }
    mutex_unlock(&t->tg->sig_lock);
    return err;
}

void debug_detach(struct debug_tracer *tr, struct task *t, int signo)
{
    struct task_debug *d = load_acquire(&t->debug);
    bool ours;

    if (!d)
        return;
    mutex_lock(&t->tg->sig_lock);
    ours = d->tracer == tr;
    if (ours) {
        WRITE_ONCE(d->tracer, NULL);
        d->resume_signo = signo;
        d->stop_wanted = d->stepping = d->exec_event = false;
        WRITE_ONCE(d->stopped, false);
        signal_recalc_locked(t);
        unpark(&t->parker);
    }
    mutex_unlock(&t->tg->sig_lock);
    if (ours)
        debug_tracer_put(tr);
}

void debug_interrupt(struct debug_tracer *tr, struct task *t)
{
    struct task_debug *d = load_acquire(&t->debug);

    if (!d)
        return;
    mutex_lock(&t->tg->sig_lock);
    if (d->tracer == tr && !d->stopped && !t->exiting) {
        d->stop_wanted = true;
        signal_wake_locked(t);
    }
    mutex_unlock(&t->tg->sig_lock);
}

bool debug_is_stopped(struct debug_tracer *tr, struct task *t, struct debug_stop *out)
{
    struct task_debug *d = load_acquire(&t->debug);
    bool stopped;

    if (!d)
        return false;
    mutex_lock(&t->tg->sig_lock);
    stopped = d->tracer == tr && d->stopped;
    if (stopped && out)
        *out = d->stop;
    mutex_unlock(&t->tg->sig_lock);
    return stopped;
}

/* Its sig_lock held when it is, and only then. */
static struct task_debug *lock_stopped(struct debug_tracer *tr, struct task *t)
{
    struct task_debug *d = load_acquire(&t->debug);

    if (!d)
        return NULL;
    mutex_lock(&t->tg->sig_lock);
    if (d->tracer == tr && d->stopped)
        return d;
    mutex_unlock(&t->tg->sig_lock);
    return NULL;
}

int debug_resume(struct debug_tracer *tr, struct task *t, bool step, int signo)
{
    struct task_debug *d = lock_stopped(tr, t);

    if (!d)
        return -ESRCH;
    d->resume_signo = signo;
    d->stepping = step;
    if (step)
        t->regs.rflags |= EFLAGS_TF;
    WRITE_ONCE(d->stopped, false);
    unpark(&t->parker);
    mutex_unlock(&t->tg->sig_lock);
    return 0;
}

/* ---- registers ---- */

int debug_get_regs(struct debug_tracer *tr, struct task *t, struct lx_user_regs *regs, uint8_t *fpu)
{
    const struct platform_facts *facts = platform_facts();
    struct task_debug *d = lock_stopped(tr, t);
    struct core_thread th = {.task = t};

    if (!d)
        return -ESRCH;
    th.orig_rax = d->orig_rax;
    core_user_regs(&th, regs);
    if (fpu && d->fpu) {
        memcpy(fpu, d->fpu, facts->fpu_size);
        memcpy(fpu + LX_XSAVE_XCR0_WORD, &facts->fpu_features, sizeof(facts->fpu_features));
    } else if (fpu) {
        memset(fpu, 0, facts->fpu_size);
    }
    mutex_unlock(&t->tg->sig_lock);
    return 0;
}

static bool fpu_valid(const uint8_t *fpu)
{
    uint64_t header[8];
    uint32_t mxcsr;

    memcpy(header, fpu + XSAVE_HEADER, sizeof(header));
    memcpy(&mxcsr, fpu + MXCSR_OFFSET, sizeof(mxcsr));
    for (int i = 1; i < 8; i++) {
        if (header[i])
            return false;
    }
    return !(header[0] & ~platform_facts()->fpu_features) && !(mxcsr & ~MXCSR_VALID);
}

static bool regs_valid(const struct lx_user_regs *r)
{
    uint64_t max = platform_facts()->user_max;

    return r->fs_base < max && r->gs_base < max && (!r->cs || (r->cs | 3) == USER_CS) &&
           (!r->ss || (r->ss | 3) == USER_SS);
}

static void set_general_locked(struct task *t, struct task_debug *d, const struct lx_user_regs *r)
{
    struct cpu_regs *c = &t->regs;

    c->r15 = r->r15, c->r14 = r->r14, c->r13 = r->r13, c->r12 = r->r12;
    c->rbp = r->rbp, c->rbx = r->rbx, c->r11 = r->r11, c->r10 = r->r10;
    c->r9 = r->r9, c->r8 = r->r8, c->rax = r->rax, c->rcx = r->rcx;
    c->rdx = r->rdx, c->rsi = r->rsi, c->rdi = r->rdi, c->rip = r->rip, c->rsp = r->rsp;
    c->rflags = (c->rflags & ~EFLAGS_CHANGEABLE) | (r->rflags & EFLAGS_CHANGEABLE);
    c->fs_base = r->fs_base;
    c->gs_base = r->gs_base;
    d->orig_rax = r->orig_rax;
    if ((int64_t)r->orig_rax < 0)
        t->syscall_restartable = false; /* nothing is restarted any more: as on Linux */
}

int debug_set_regs(struct debug_tracer *tr, struct task *t, const struct lx_user_regs *regs,
                   const uint8_t *fpu)
{
    struct task_debug *d;

    if ((regs && !regs_valid(regs)) || (fpu && !fpu_valid(fpu)))
        return -EINVAL;
    d = lock_stopped(tr, t);
    if (!d)
        return -ESRCH;
    if (regs)
        set_general_locked(t, d, regs);
    if (fpu && d->fpu) {
        memcpy(d->fpu, fpu, platform_facts()->fpu_size);
        d->fpu_changed = true;
    }
    mutex_unlock(&t->tg->sig_lock);
    return 0;
}

/* ---- memory ---- */

int debug_poke(struct debug_tracer *tr, struct task *t, uint64_t addr, const void *data,
               uint32_t size)
{
    struct debug_request *q = size <= POKE_MAX ? kmalloc(sizeof(*q) + size) : NULL;
    struct task_debug *d;
    int r;

    if (!q)
        return -ENOMEM;
    q->addr = addr;
    q->size = size;
    memcpy(q->data, data, size);
    d = lock_stopped(tr, t);
    if (!d || d->request) {
        if (d)
            mutex_unlock(&t->tg->sig_lock);
        kfree(q);
        return -ESRCH;
    }
    WRITE_ONCE(d->request, q);
    unpark(&t->parker);
    mutex_unlock(&t->tg->sig_lock);
    while (!load_acquire(&q->done))
        (void)host_futex_wait(&q->done, 0, PARK_FOREVER);
    r = q->result;
    kfree(q);
    return r;
}

int64_t debug_peek(struct debug_tracer *tr, struct mm *mm, void *dst, uint64_t addr, size_t size)
{
    int64_t n = mm_read(mm, dst, addr, size, true);
    struct debug_break *b;

    if (n <= 0)
        return n;
    mutex_lock(&tr->lock);
    list_for_each (b, &tr->breaks, node) {
        if (b->addr >= addr && b->addr - addr < (uint64_t)n)
            ((uint8_t *)dst)[b->addr - addr] = b->original;
    }
    mutex_unlock(&tr->lock);
    return n;
}

/* ---- breakpoints ---- */

struct debug_break *debug_break_find_locked(struct debug_tracer *tr, uint64_t addr)
{
    struct debug_break *b;

    list_for_each (b, &tr->breaks, node) {
        if (b->addr == addr)
            return b;
    }
    return NULL;
}

void debug_break_forget(struct debug_tracer *tr)
{
    struct debug_break *b, *tmp;

    mutex_lock(&tr->lock);
    list_for_each_safe (b, tmp, &tr->breaks, node) {
        list_del(&b->node);
        slab_free(&debug_break_slab, b);
    }
    mutex_unlock(&tr->lock);
}

static bool has_break(struct debug_tracer *tr, uint64_t addr, uint8_t *original)
{
    struct debug_break *b;

    mutex_lock(&tr->lock);
    b = debug_break_find_locked(tr, addr);
    if (b)
        *original = b->original;
    mutex_unlock(&tr->lock);
    return b != NULL;
}

int debug_break_set(struct debug_tracer *tr, struct task *t, uint64_t addr)
{
    struct mm *mm = task_mm_get(t);
    uint8_t int3 = INT3, original;
    struct debug_break *b;
    int err = -EIO;

    if (!mm)
        return -ESRCH;
    if (has_break(tr, addr, &original)) {
        mm_put(mm);
        return 0;
    }
    b = slab_alloc(&debug_break_slab);
    if (b && mm_read(mm, &b->original, addr, 1, true) == 1) {
        b->addr = addr;
        list_init(&b->node);
        err = debug_poke(tr, t, addr, &int3, 1);
    }
    mm_put(mm);
    if (err) {
        if (b)
            slab_free(&debug_break_slab, b);
        return b ? err : -ENOMEM;
    }
    mutex_lock(&tr->lock);
    list_add_tail(&tr->breaks, &b->node);
    mutex_unlock(&tr->lock);
    return 0;
}

int debug_break_clear(struct debug_tracer *tr, struct task *t, uint64_t addr)
{
    struct debug_break *b;
    uint8_t original;

    if (!has_break(tr, addr, &original))
        return 0;
    (void)!debug_poke(tr, t, addr, &original, 1); /* where it is unmapped by now, so is the rest */
    mutex_lock(&tr->lock);
    b = debug_break_find_locked(tr, addr);
    if (b) {
        list_del(&b->node);
        slab_free(&debug_break_slab, b);
    }
    mutex_unlock(&tr->lock);
    return 0;
}

void debug_break_clear_all(struct debug_tracer *tr, struct task *t)
{
    for (;;) {
        uint64_t addr = 0;
        bool any;

        mutex_lock(&tr->lock);
        any = !list_empty(&tr->breaks);
        if (any)
            addr = list_first(&tr->breaks, struct debug_break, node)->addr;
        mutex_unlock(&tr->lock);
        if (!any || debug_break_clear(tr, t, addr) < 0)
            return;
    }
}
