/*
 * Address spaces and contexts: making them by clone calls in a guest process, counting, killing.
 * Locks: zygote lock (one clone of the zygote at a time), descriptor lock (memory.c), inside it.
 */
#include "platform/ptrace/ptrace.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>

#define THREAD_FLAGS                                                                               \
    (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)
/* The child is the tracer thread's, as the zygote is: its end is seen once, there. */
#define PROCESS_FLAGS (CLONE_PARENT | SIGCHLD)

static pthread_mutex_t zygote_lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- objects ---- */

/* One reference, and one hold more for the process itself. */
struct platform_as *pt_as_new(pid_t pid)
{
    struct platform_as *as = calloc(1, sizeof(*as));

    if (!as)
        return NULL;
    atomic_store(&as->refs, 1);
    atomic_store(&as->holds, 2);
    pthread_rwlock_init(&as->life, NULL);
    as->pid = pid;
    return as;
}

void pt_as_hold(struct platform_as *as)
{
    atomic_fetch_add(&as->holds, 1);
}

void pt_as_release(struct platform_as *as)
{
    if (atomic_fetch_sub(&as->holds, 1) != 1)
        return;
    pthread_rwlock_destroy(&as->life);
    free(as);
}

void ptrace_as_get(struct platform_as *as)
{
    atomic_fetch_add(&as->refs, 1);
    pt_as_hold(as);
}

void ptrace_as_put(struct platform_as *as)
{
    if (atomic_fetch_sub(&as->refs, 1) == 1) {
        struct request r = {.kind = REQ_KILL, .as = as};

        (void)tracer_do(&r);
    }
    pt_as_release(as);
}

struct platform_ctx *pt_ctx_new(struct platform_as *as, struct tracee *tracee, pid_t tid)
{
    struct platform_ctx *ctx = calloc(1, sizeof(*ctx));

    if (!ctx)
        return NULL;
    ctx->as = as;
    ctx->tracee = tracee;
    ctx->tid = tid;
    pt_as_hold(as);
    return ctx;
}

void pt_ctx_free(struct platform_ctx *ctx)
{
    struct platform_as *as = ctx->as;

    if (ctx->tracee) {
        struct request r = {.kind = REQ_END, .tracee = ctx->tracee};

        r.regs.cs = ptrace_globals.cs;
        r.regs.ss = ptrace_globals.ss;
        r.regs.eflags = 0x202;
        (void)tracer_do(&r);
    }
    free(ctx);
    pt_as_release(as);
}

/* ---- making them ---- */

/* Has parent's thread clone itself; the new thread's number. */
static int clone_thread(struct platform_ctx *parent, uint64_t flags, pid_t *out_tid)
{
    struct request r = {0};
    int64_t result;
    int err;

    r.regs.rax = SYS_clone;
    r.regs.rdi = flags;
    r.regs.r12 = (unsigned long)parent->tid; /* the child's too: see first_stop */
    err = pt_stub_run(parent, STUB_SYSCALL, &r);
    if (err)
        return err;
    result = (int64_t)r.regs.rax;
    if (r.stop != STOP_STUB)
        return -EIO;
    if (result < 0)
        return result == -ENOMEM ? -ENOMEM : -EAGAIN;
    if (!r.born)
        return -EAGAIN;
    *out_tid = r.born;
    return 0;
}

int pt_ctx_adopt(struct platform_ctx *ctx)
{
    struct request r = {.kind = REQ_ADOPT, .as = ctx->as, .born = ctx->tid};
    int err = tracer_do(&r);

    /* Set even if the thread died at its start: it was adopted then. */
    ctx->tracee = r.tracee;
    return err;
}

int ptrace_ctx_clone(struct platform_ctx *ctx, struct platform_ctx **out)
{
    struct platform_ctx *new = pt_ctx_new(ctx->as, NULL, 0);
    int err;

    if (!new)
        return -ENOMEM;
    err = clone_thread(ctx, THREAD_FLAGS, &new->tid);
    if (!err)
        err = pt_ctx_adopt(new);
    if (err) {
        pt_ctx_free(new);
        return err;
    }
    *out = new;
    return 0;
}

int ptrace_as_fork(struct platform_ctx *ctx, struct platform_as **out_as,
                   struct platform_ctx **out_ctx)
{
    struct platform_as *as = pt_as_new(0);
    struct platform_ctx *new = as ? pt_ctx_new(as, NULL, 0) : NULL;
    int err = -ENOMEM;

    if (new) {
        pt_fd_lock();
        err = clone_thread(ctx, PROCESS_FLAGS, &new->tid);
        pt_fd_unlock();
        as->pid = new->tid;
        if (!err)
            err = pt_ctx_adopt(new);
    }
    if (!err) {
        *out_as = as;
        *out_ctx = new;
        return 0;
    }
    if (new && !new->tracee)
        pt_as_release(as); /* there is no process */
    if (new)
        pt_ctx_free(new);
    else if (as)
        pt_as_release(as);
    if (as)
        pt_as_release(as);
    return err;
}

int ptrace_as_create(struct platform_as **out_as, struct platform_ctx **out_ctx)
{
    int err;

    pthread_mutex_lock(&zygote_lock);
    err = ptrace_as_fork(ptrace_globals.zygote, out_as, out_ctx);
    pthread_mutex_unlock(&zygote_lock);
    return err == -ENOMEM ? err : err ? -EAGAIN : 0;
}

int ptrace_exec(struct platform_ctx **ctx, struct platform_as **out_as)
{
    struct platform_ctx *fresh;
    int err = ptrace_as_create(out_as, &fresh);

    if (err)
        return err;
    pt_ctx_free(*ctx);
    *ctx = fresh;
    return 0;
}
