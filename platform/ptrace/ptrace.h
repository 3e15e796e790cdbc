/*
 * Private to the ptrace platform. One tracer thread owns every guest thread (a tracee): it alone
 * makes ptrace and wait calls. Kernel threads send it requests and sleep until they are answered.
 *
 * struct tracee belongs to the tracer thread. It lives until its thread is gone and no context
 * points to it. struct platform_as: refs counts the kernel's references, at 0 the process is
 * killed; holds counts these, the contexts and the process itself, at 0 it is freed. life guards
 * the pid against reuse: held for reading while it is used outside the tracer thread, for writing
 * while the process is reaped. struct platform_ctx is its owner's; interrupt and in_guest are
 * shared with who interrupts.
 *
 * Locks, outermost first: zygote lock (space.c), descriptor lock (memory.c), as.life, mailbox lock
 * (tracer.c).
 */
#pragma once

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/types.h>
#include <sys/user.h>
#undef PAGE_SHIFT /* the kernel has its own */
#undef PAGE_SIZE
#undef PAGE_MASK

#include "platform/host/host.h"
#include "platform/platform_impl.h"
#include "platform/ptrace/stub.h"
#include "platform/remote/process.h"

struct platform_as {
    atomic_uint refs, holds;
    pthread_rwlock_t life;
    pid_t pid;
    bool reaped; /* guarded by life */
};

struct platform_ctx {
    struct platform_as *as;
    struct tracee *tracee;
    pid_t tid;
    atomic_uint interrupt; /* a request not yet answered */
    atomic_uint in_guest;  /* the owner is in run: a request needs a kick */
};

enum request_kind {
    REQ_GUEST,   /* run guest code from regs until a stop */
    REQ_STUB,    /* run the stub from regs until its int3 or a fault */
    REQ_ADOPT,   /* wait for the new thread born; tracee is set, as becomes its address space */
    REQ_KICK,    /* ctx was interrupted */
    REQ_KILL,    /* kill as's process */
    REQ_END,     /* the context of tracee is gone */
    REQ_FPU_GET, /* FPU state into fpu */
    REQ_FPU_SET,
    REQ_SHUTDOWN,
};

enum stop_kind { STOP_SYSCALL, STOP_SYSCALL32, STOP_FAULT, STOP_INTERRUPTED, STOP_STUB };

/* On the requester's stack; result is 0 or -errno (-ESRCH: the guest process is gone). */
struct request {
    struct request *next;
    enum request_kind kind;
    struct tracee *tracee;
    struct platform_ctx *ctx;
    struct platform_as *as;
    struct user_regs_struct regs; /* in and out */
    enum stop_kind stop;
    siginfo_t info; /* of STOP_FAULT */
    pid_t born;     /* out of REQ_STUB: the thread that was cloned; in of REQ_ADOPT */
    void *fpu;
    int result;
    uint32_t done; /* futex word */
};

/* What init found out; constant afterwards. */
struct ptrace_globals {
    uint64_t keep_start, keep_end; /* vvar and vDSO */
    uint64_t fpu_features;
    uint32_t fpu_size;    /* of the state as the kernel sees it */
    uint32_t regset_size; /* of the host's NT_X86_XSTATE */
    unsigned long cs, ss;
    int socket[2]; /* the sentry's end, and the end that guest processes have */
    int proc;      /* /proc of our pid namespace, or -1 */
    struct platform_ctx *zygote;
    uint64_t calls; /* so far */
};
extern struct ptrace_globals ptrace_globals;

#define REMOTE_PROCESS(as)                                                                         \
    ((struct remote_process){(as)->pid, &(as)->reaped, &(as)->life, ptrace_globals.proc})

/* tracer.c: the thread and its mailbox */
int tracer_start(void);
/* Sends r and waits for the answer; r->result. */
int tracer_do(struct request *r);
/* On the tracer thread: the answer. */
void tracer_answer(struct request *r, int result);
void tracer_stop(void);

/* tracee.c: on the tracer thread only */
void tracee_request(struct request *r);
/* Takes one wait event; false when there is none. */
bool tracee_wait_event(void);
/* A thread that has been cloned and will be adopted. */
void tracee_add(pid_t tid);
void tracee_kill_all(void);
bool tracee_any(void);

/* zygote.c: on the tracer thread */
int pt_zygote_spawn(void);

/* space.c */
struct platform_as *pt_as_new(pid_t pid);
void pt_as_hold(struct platform_as *as);
void pt_as_release(struct platform_as *as);
struct platform_ctx *pt_ctx_new(struct platform_as *as, struct tracee *tracee, pid_t tid);
void pt_ctx_free(struct platform_ctx *ctx);
/* Takes ctx->tid, a thread just cloned, as ctx's tracee once it has stopped. */
int pt_ctx_adopt(struct platform_ctx *ctx);
int ptrace_as_create(struct platform_as **out_as, struct platform_ctx **out_ctx);
int ptrace_exec(struct platform_ctx **ctx, struct platform_as **out_as);
int ptrace_as_fork(struct platform_ctx *ctx, struct platform_as **out_as,
                   struct platform_ctx **out_ctx);
void ptrace_as_get(struct platform_as *as);
void ptrace_as_put(struct platform_as *as);
int ptrace_ctx_clone(struct platform_ctx *ctx, struct platform_ctx **out);

/* context.c */
/* A call in the guest's process, by number: its result, or -ESRCH. */
int64_t pt_stub_call(struct platform_ctx *ctx, uint64_t nr, const uint64_t args[6]) MUST_CHECK;
/* Runs the stub's code at entry with r->regs; 0 with r filled, or -ESRCH. */
int pt_stub_run(struct platform_ctx *ctx, uint64_t entry, struct request *r) MUST_CHECK;
void ptrace_run(struct platform_ctx *ctx, struct cpu_regs *regs, struct platform_event *event);
void ptrace_interrupt(struct platform_ctx *ctx);
int ptrace_fpu_save(struct platform_ctx *ctx, void *buf);
int ptrace_fpu_load(struct platform_ctx *ctx, const void *buf);
int ptrace_fpu_reset(struct platform_ctx *ctx);

/* account.c */
uint64_t ptrace_as_rss(struct platform_as *as, uint64_t *shared_pages);
void ptrace_ctx_cpu_time(struct platform_ctx *ctx, uint64_t *user_ns, uint64_t *system_ns);
int ptrace_ctx_set_affinity(struct platform_ctx *ctx, const uint64_t *mask, size_t words);
unsigned ptrace_ctx_cpu(struct platform_ctx *ctx);
int32_t ptrace_ctx_host_thread(const struct platform_ctx *ctx);

/* memory.c */
/* Held while a descriptor is on its way, and by fork: a child must not get a copy of it. */
void pt_fd_lock(void);
void pt_fd_unlock(void);
int ptrace_map(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot, uint32_t flags,
               int fd, uint64_t offset);
int ptrace_unmap(struct platform_ctx *ctx, uint64_t addr, uint64_t size);
int ptrace_protect(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot);
int ptrace_remap(struct platform_ctx *ctx, uint64_t old_addr, uint64_t old_size, uint64_t new_addr,
                 uint64_t new_size, bool dontunmap);
int ptrace_advise(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int advice);
int ptrace_msync(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int flags);
int ptrace_mincore(struct platform_ctx *ctx, uint64_t addr, uint64_t size, uint8_t *vec);

/* copy.c */
int ptrace_copy_in(struct platform_ctx *ctx, void *dst, uint64_t src, size_t n, size_t *done);
int ptrace_copy_out(struct platform_ctx *ctx, uint64_t dst, const void *src, size_t n,
                    size_t *done);
int ptrace_cas32(struct platform_ctx *ctx, uint64_t addr, uint32_t expected, uint32_t desired,
                 uint32_t *old);
int ptrace_load32(struct platform_ctx *ctx, uint64_t addr, uint32_t *out);
int ptrace_as_read(struct platform_as *as, void *dst, uint64_t src, size_t n, size_t *done);
int ptrace_as_write(struct platform_as *as, uint64_t dst, const void *src, size_t n, size_t *done);

/* fault.c */
/* What the kernel is told of a fault signal; regs are the guest's at it. */
void pt_fault_describe(struct platform_ctx *ctx, const struct cpu_regs *regs, const siginfo_t *info,
                       struct platform_event *event);
