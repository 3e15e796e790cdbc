/*
 * The listener: one thread receives all notifications and passes each on to the context whose
 * thread made the call, by the turn word of its slot. One descriptor serves all guest processes:
 * they are forked from one that has the filter. A thread id is believed as far as the host confirms
 * it: notifications carry the host's word for it, contexts are enrolled under an id that is a
 * thread of their own process, before that thread runs guest code. What threads call that are
 * nobody's (a hostile guest made them) is never answered. Lock: the table lock.
 */
#define _GNU_SOURCE
#include "platform/notify/notify.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <x86intrin.h>

#define BUCKETS   1024
#define ROOM_SIZE 256 /* room for what later hosts add */

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS      SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

static struct {
    pthread_mutex_t lock;
    struct notify_ctx *bucket[BUCKETS];
    int fd;
} listener = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

/* ---- the table ---- */

static struct notify_ctx **find_locked(pid_t tid)
{
    struct notify_ctx **p = &listener.bucket[(unsigned)tid % BUCKETS];

    while (*p && (*p)->tid != tid)
        p = &(*p)->next;
    return p;
}

static void remove_locked(struct notify_ctx *n)
{
    struct notify_ctx **p;

    if (!n->tid)
        return;
    p = find_locked(n->tid);
    BUG_ON(*p != n);
    *p = n->next;
    n->tid = 0;
}

/* The table lock is held; a first thread's id is that of a child that has not been reaped. */
static int enrol_locked(struct platform_ctx *ctx)
{
    struct notify_ctx *n = ctx->notify, *old = *find_locked(ctx->tid);

    /* Another process's thread had the id before and has ended; two of one process is a lie. */
    if (old && old->ctx->as == ctx->as)
        return -ESRCH;
    if (old)
        remove_locked(old);
    n->tid = ctx->tid;
    n->next = listener.bucket[(unsigned)n->tid % BUCKETS];
    listener.bucket[(unsigned)n->tid % BUCKETS] = n;
    return 0;
}

int notify_enrol(struct platform_ctx *ctx)
{
    struct platform_as *as = ctx->as;
    int64_t r = -ESRCH;

    if (!ctx->notify)
        return 0;
    pthread_rwlock_rdlock(&as->life);
    if (!as->reaped)
        r = host_syscall(SYS_tgkill, (uint64_t)as->pid, (uint64_t)ctx->tid, 0, 0, 0, 0);
    if (!r) {
        pthread_mutex_lock(&listener.lock);
        r = enrol_locked(ctx);
        pthread_mutex_unlock(&listener.lock);
    }
    pthread_rwlock_unlock(&as->life);
    return (int)r;
}

void notify_forget(struct notify_ctx *n)
{
    if (!n)
        return;
    pthread_mutex_lock(&listener.lock);
    remove_locked(n);
    pthread_mutex_unlock(&listener.lock);
    free(n);
}

/* ---- receiving ---- */

/* As the stub's thread would post an event, which sleeps in the host now. */
static void post(struct stub_slot *slot)
{
    uint32_t cpu, old;

    slot->event_tsc = __rdtscp(&cpu);
    slot->cpu = cpu & CPU_MASK; /* most often: the host wakes us where the call was made */
    old = __atomic_exchange_n(&slot->turn, TURN_SENTRY, __ATOMIC_SEQ_CST);
    if (old & TURN_ASLEEP)
        host_futex_wake(&slot->turn, 1);
    if (old & TURN_DETACHED) {
        __atomic_store_n(&slot->notice, 1, __ATOMIC_SEQ_CST);
        host_futex_wake(&slot->notice, 1);
    }
}

static void tell(const struct seccomp_notif *notif)
{
    struct notify_ctx *n;

    pthread_mutex_lock(&listener.lock);
    n = *find_locked((pid_t)notif->pid);
    if (n && !atomic_load_explicit(&n->told, memory_order_acquire)) {
        n->call = (struct notify_call){
            .id = notif->id, .ip = notif->data.instruction_pointer, .nr = notif->data.nr};
        for (int i = 0; i < 6; i++)
            n->call.arg[i] = notif->data.args[i];
        atomic_store_explicit(&n->told, 1, memory_order_release);
        post(n->ctx->slot);
    }
    pthread_mutex_unlock(&listener.lock);
}

static void *listener_main(void *arg)
{
    union {
        struct seccomp_notif notif;
        char room[ROOM_SIZE];
    } in;
    uint64_t fd = (uint64_t)(uintptr_t)arg;

    for (;;) {
        int64_t r;

        memset(&in, 0, sizeof(in)); /* the host insists */
        r = host_syscall(SYS_ioctl, fd, SECCOMP_IOCTL_NOTIF_RECV, (uint64_t)&in, 0, 0, 0);
        if (r == 0)
            tell(&in.notif);
        BUG_ON(r == -EINVAL || r == -EFAULT);
        if (r && r != -EINTR && r != -ENOENT) /* ENOENT: the thread that called has been killed */
            return NULL;                      /* all processes are gone */
    }
}

int notify_send(uint64_t id, uint64_t result)
{
    union {
        struct seccomp_notif_resp resp;
        char room[ROOM_SIZE];
    } out = {.resp = {.id = id, .val = (int64_t)result}};

    if (host_syscall(SYS_ioctl, (uint64_t)listener.fd, SECCOMP_IOCTL_NOTIF_SEND, (uint64_t)&out, 0,
                     0, 0))
        return -ESRCH;
    return 0;
}

/* ---- starting ---- */

int notify_sizes(void)
{
    struct seccomp_notif_sizes sizes;
    int64_t r = host_syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, (uint64_t)&sizes, 0, 0, 0);

    if (r)
        return (int)r;
    return sizes.seccomp_notif > ROOM_SIZE || sizes.seccomp_notif_resp > ROOM_SIZE ? -ENOTSUP : 0;
}

static int fetch(struct platform_ctx *zygote)
{
    const uint64_t close_it[6] = {NOTIFY_LISTENER};
    int64_t pidfd, fd, r;

    pidfd = host_syscall(SYS_pidfd_open, (uint64_t)zygote->as->pid, 0, 0, 0, 0, 0);
    if (pidfd < 0)
        return (int)pidfd;
    fd = host_syscall(SYS_pidfd_getfd, (uint64_t)pidfd, NOTIFY_LISTENER, 0, 0, 0, 0);
    host_close((int)pidfd);
    if (fd < 0)
        return (int)fd;
    /* No guest process ever has it. */
    r = channel_call(zygote, SYS_close, close_it, false);
    if (r) {
        host_close((int)fd);
        return r < 0 && r >= -4095 ? (int)r : -EIO;
    }
    return (int)fd;
}

int notify_start(struct platform_ctx *zygote)
{
    pthread_t thread;
    int fd = fetch(zygote);

    if (fd < 0)
        return fd;
    /* Linux 6.6; without it the host chooses the cores of who is woken by itself. */
    host_syscall(SYS_ioctl, (uint64_t)fd, SECCOMP_IOCTL_NOTIF_SET_FLAGS,
                 SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP, 0, 0, 0);
    listener.fd = fd;
    if (pthread_create(&thread, NULL, listener_main, (void *)(uintptr_t)fd)) {
        notify_stop();
        return -EAGAIN;
    }
    /* It ends with the last guest process, on some hosts with ours. */
    pthread_detach(thread);
    return 0;
}

void notify_stop(void)
{
    if (listener.fd >= 0)
        host_close(listener.fd);
    listener.fd = -1;
}
