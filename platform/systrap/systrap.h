/*
 * Private to the sentry side of systrap: address spaces, contexts, the channel to a stub.
 *
 * struct platform_as: one host process. holds counts the kernel's references, its contexts and the
 * live process itself; refs the kernel's alone: at refs 0 the process is killed, at holds 0 the
 * object is freed. life guards the pid: held for reading while the pid is used, for writing while
 * the process is reaped. lock guards the slots. struct platform_ctx: one host thread of it, owned
 * by one kernel thread; only interrupt and in_guest are shared.
 *
 * Locks, outermost first: as.patch_lock, fork lock (process.c), as.fd_lock, as.life, table lock
 * (process.c), as.lock.
 */
#pragma once

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "platform/host/host.h"
#include "platform/platform_impl.h"
#include "platform/remote/process.h"
#include "platform/systrap/policy.h"
#include "platform/systrap/protocol.h"
#include "platform/systrap/window.h"

struct platform_as {
    atomic_uint refs, holds;
    pthread_rwlock_t life;
    pid_t pid;
    bool reaped;
    atomic_bool dead;
    atomic_bool threaded;     /* it has had a second thread */
    struct platform_as *next; /* process table */

    pthread_mutex_t fd_lock; /* one descriptor message at a time */
    int socket;              /* the sentry's end */
    int64_t stub_socket;     /* the stub's number of its end */

    unsigned first; /* its first thread's slot */

    pthread_mutex_t lock;
    struct stub_slot *slots;
    struct window window;              /* of slots */
    uint64_t used[ZONE_SLOTS / 64];    /* slots that belong to a context */
    uint64_t stacked[ZONE_SLOTS / 64]; /* slots whose stack was mapped once */

    pthread_mutex_t patch_lock;
    struct patched_maps *patched; /* patched.c; NULL: none yet */
};

#define CPU_MASK 0xfff /* the core's number in what rdtscp says */

/* batch.c: what has been put off */
struct batch {
    bool open;
    int err; /* the first; the rest is not done */
    unsigned count, fd_count;
    uint32_t data; /* where the data in the slot's buffer begins */
    int fds[STUB_BATCH_FDS];
};

/* late.c: what the stub is to copy when the guest goes on; size 0: nothing */
struct late {
    uint32_t size, tag;
    uint64_t addr;
    uint64_t word; /* the bytes, up to STUB_LATE_INLINE */
    size_t lost;   /* was to be copied at addr, when something else came between, and could not */
    uint32_t sent; /* bytes put off that a detached guest was resumed with */
};

/* ahead.c: what the stub read before the call came; size 0: nothing, or it was used */
struct ahead {
    uint32_t size;
    uint64_t addr;
};

struct platform_ctx {
    struct platform_as *as;
    struct stub_slot *slot;
    unsigned index;
    pid_t tid;        /* as the stub says it */
    bool ready;       /* the stub's first report has been taken */
    bool exact;       /* the next resume restores every register */
    bool bases_known; /* fs_base and gs_base are what the stub has */
    uint64_t fs_base, gs_base;
    struct cpu_regs told; /* the registers as of the last event, ... */
    bool told_valid;      /* ... which the stub still has */

    bool detached; /* resumed without its owner (detach.c): its event is still to be taken */
    atomic_uint interrupt; /* a request not yet answered */
    atomic_uint in_guest;  /* the owner is in switch: a request needs a kick */

    uint64_t by_patch, by_trap; /* calls not yet counted in */
    struct notify_ctx *notify;  /* NULL: its calls trap */

    struct batch batch;
    struct late late;
    struct ahead ahead;
    unsigned held; /* its thread was made by one held on a core, and is so for as many calls */
    struct wait_policy wait;
    bool owned; /* it has run: */
    pthread_t owner;
    uint64_t owner_start_ns; /* CPU time of the owner when it took this context over */
};

/* What init found out; constant afterwards. */
struct systrap_globals {
    uint64_t zone;     /* where the stub zone is in every guest process */
    uint64_t user_max; /* guest addresses end here */
    struct platform_facts facts;
    uint64_t xfeatures;
    uint32_t fpu_size;
    uint64_t ticks_per_us;
    unsigned cores;
    bool patch_stats;         /* count calls by site, print them at the end */
    bool patching;            /* call sites are patched; settled when the layout is found */
    bool notify;              /* calls come as seccomp notifications (platform/notify) */
    int proc;                 /* /proc, for counters of guest processes; -1: none */
    uint64_t cpus[CPU_WORDS]; /* the cores the sentry was given */
};
extern struct systrap_globals systrap;

#define REMOTE_PROCESS(as)                                                                         \
    ((struct remote_process){(as)->pid, &(as)->reaped, &(as)->life, systrap.proc})

/* A signal that does not queue: many kicks are one frame on a stub's stack. */
#define KICK_SIGNAL SIGURG

static inline bool slot_bit(const uint64_t *map, unsigned i)
{
    return map[i / 64] >> (i % 64) & 1;
}
static inline void slot_bit_set(uint64_t *map, unsigned i)
{
    map[i / 64] |= 1UL << (i % 64);
}
static inline void slot_bit_clear(uint64_t *map, unsigned i)
{
    map[i / 64] &= ~(1UL << (i % 64));
}

/* process.c */
int process_init(void);
void process_shutdown(void);
/* A copy of parent's process with one context; the fork lock is taken inside. */
int process_fork(struct platform_ctx *parent, struct platform_as **out_as,
                 struct platform_ctx **out_ctx);
/* From the pool, or made now. */
int process_fresh(struct platform_as **out_as, struct platform_ctx **out_ctx);
void process_kill(struct platform_as *as);
/* The same for one that nobody uses any more, by a thread that is done, too. */
void process_end(struct platform_as *as);
/* space.c */
void as_hold(struct platform_as *as);
void as_release(struct platform_as *as);
/* fds: the memfd and the stub's end of the socket, for the new process; the caller closes them. */
int as_alloc(struct platform_as **out, int fds[2]);
/* Sends count descriptors to the stub of as. The caller holds fd_lock until the stub took them. */
int as_send_fds(struct platform_as *as, const int *fds, unsigned count);
/* The same as as_alloc, ready made when there is one. */
int kit_take(struct platform_as **out, int fds[2]);
bool kits_low(void);
int kits_fill(void);
void kits_drop(void);

/* zygote.c: makes the first guest process, from which all others are forked. Its pid; the rest
 * through as. */
pid_t zygote_spawn(int memfd, int socket);
int zygote_find_layout(void);
/* Where patched call sites go, once the layout is final. */
uint64_t zygote_call_entry(void);
/* The socket's number in the zygote. */
#define ZYGOTE_SOCKET 3

/* filter.c */
struct sock_filter;
#define FILTER_MAX 160
/* Writes the stubs' seccomp program for a call gate at gate_ip; returns its length. */
unsigned filter_build(struct sock_filter *out, uint64_t gate_ip);

/* context.c */
struct platform_ctx *ctx_alloc(struct platform_as *as, unsigned index);
void ctx_drop(struct platform_ctx *ctx); /* frees it; its stub's thread is not told */
/* Tells the stub's thread to end, without waiting for it, and frees ctx. */
void ctx_free(struct platform_ctx *ctx);
/* new's thread was cloned from that of from: the cores it may use. */
void context_inherit(struct platform_ctx *new, const struct platform_ctx *from);
/* fresh goes on for old in another process: what is known of how it waits, and its cores. */
void context_succeed(struct platform_ctx *fresh, struct platform_ctx *old);
/* No longer held where its maker is. */
void context_loosen(struct platform_ctx *ctx);
int systrap_ctx_clone(struct platform_ctx *ctx, struct platform_ctx **out);
void systrap_interrupt(struct platform_ctx *ctx);
/* The stub's thread reports soon. */
void context_kick(struct platform_ctx *ctx);
int context_set_affinity(struct platform_ctx *ctx, const uint64_t *mask, size_t words) MUST_CHECK;
/* Its guest is scheduled as SCHED_BATCH: it does not preempt when it is woken. */
void context_set_batch(struct platform_ctx *ctx, bool batch);
int systrap_ctx_set_affinity(struct platform_ctx *ctx, const uint64_t *mask, size_t words);
unsigned systrap_ctx_cpu(struct platform_ctx *ctx);
int32_t systrap_ctx_host_thread(const struct platform_ctx *ctx);
int systrap_fpu_save(struct platform_ctx *ctx, void *buf);
int systrap_fpu_load(struct platform_ctx *ctx, const void *buf);
int systrap_fpu_reset(struct platform_ctx *ctx);
/* account.c */
uint64_t systrap_as_rss(struct platform_as *as, uint64_t *shared_pages);
void systrap_ctx_cpu_time(struct platform_ctx *ctx, uint64_t *user_ns, uint64_t *system_ns);
/* The calling thread runs ctx from now on. */
void account_owner(struct platform_ctx *ctx);

/* place.c: which contexts share cores; index -1 is no entry */
int place_enter(void);
void place_leave(int index);
void place_running(int index, bool running, uint32_t cpu, uint64_t now);
/* share: thousandths of a core it takes; blocking: its calls mostly sleep. */
void place_share(int index, unsigned share, bool blocking);
/* May a context that takes turns with others of cpu's join them there? */
bool place_suits(int index, uint32_t cpu, uint64_t now);
/* The core of allowed that suits it best; current when no other is clearly better. */
uint32_t place_choose(int index, bool blocking, const uint64_t *allowed, uint32_t current,
                      uint64_t now);

/* channel.c */
/* Has the stub of ctx do command; its result into *out. -ESRCH when the stub is gone. */
int channel_command(struct platform_ctx *ctx, uint32_t command, int64_t *out) MUST_CHECK;
/* A host call in the guest's process: its result, or -ESRCH. slow: it may take long for good
 * reasons. */
int64_t channel_call(struct platform_ctx *ctx, uint64_t nr, const uint64_t args[6],
                     bool slow) MUST_CHECK;
/* mmap there, args as for mmap but the descriptor: the next one that comes in on the stub's socket.
 */
int64_t channel_map_fd(struct platform_ctx *ctx, int64_t socket, const uint64_t args[6],
                       bool slow) MUST_CHECK;
/* Runs the guest, by one of the RESUME commands, until the stub reports an event: in the slot.
 * -ESRCH when it is gone. The stub is ready. */
int channel_resume(struct platform_ctx *ctx, uint32_t command) MUST_CHECK;
void channel_send_exit(struct platform_ctx *ctx); /* and does not wait */
/* True when a command would be picked up at once: the stub spins, on another core. */
bool channel_awake(struct platform_ctx *ctx);
/* Waits for the first report of a new stub thread. */
int channel_ready(struct platform_ctx *ctx) MUST_CHECK;
/* Where its thread still waits for a call's answer: makes it serve instead (platform/notify). */
int channel_enter(struct platform_ctx *ctx) MUST_CHECK;
/* Wakes all that wait for stubs of as; it is dead. */
void channel_wake_dead(struct platform_as *as);

/* memory.c */
/* Private file pages at addr in ctx's AS; the caller holds patch_lock. */
int memory_map_text(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot, int fd,
                    uint64_t offset) MUST_CHECK;

/* batch.c; where ctx->batch.open */
void systrap_batch_begin(struct platform_ctx *ctx);
int systrap_batch_end(struct platform_ctx *ctx);
/* Does what was put off; the batch's error, if there has been one. */
int batch_flush(struct platform_ctx *ctx) MUST_CHECK;
/* A host call that is to give want; fd >= 0: for mmap, open until the flush. */
int batch_call(struct platform_ctx *ctx, uint64_t nr, const uint64_t args[6], int fd,
               int64_t want) MUST_CHECK;
/* False: it is too large to be put off. */
bool batch_copy_out(struct platform_ctx *ctx, uint64_t dst, const void *src, size_t n,
                    int *out_err);
