/*
 * Kernel threads: host threads of the sentry, each on a stack of KERNEL_STACK_SIZE bytes aligned to
 * its size. A thread whose task ended is kept for the next one (a few at most), which saves making
 * and joining it. Lock: pool lock.
 */
#include "platform/remote/kthread.h"

#include "platform/host/host.h"
#include "platform/platform.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>
#include <sys/mman.h>

#define SPARE_MAX 8

struct kthread {
    struct kthread *next; /* on the spare or the dying list */
    void (*entry)(void *arg);
    void *arg;
    uint32_t wake; /* 1: entry and arg are set */
    void *stack;
    pthread_t thread;
    jmp_buf top;
};

static struct {
    pthread_mutex_t lock;
    struct kthread *spare, *dying;
    unsigned count;
} pool = {PTHREAD_MUTEX_INITIALIZER, NULL, NULL, 0};

static __thread struct kthread *self;

static void work(struct kthread *me)
{
    while (!__atomic_load_n(&me->wake, __ATOMIC_ACQUIRE))
        host_futex_wait(&me->wake, 0, UINT64_MAX);
    me->wake = 0;
    me->entry(me->arg);
    BUG();
}

static void *kthread_main(void *arg)
{
    self = arg;
    (void)setjmp(self->top);
    work(self);
    return NULL;
}

/* Joins those that are past using their stacks, or nearly. */
static void bury(struct kthread *dying)
{
    while (dying) {
        struct kthread *next = dying->next;

        pthread_join(dying->thread, NULL);
        munmap(dying->stack, KERNEL_STACK_SIZE);
        free(dying);
        dying = next;
    }
}

NORETURN void remote_kthread_exit(void)
{
    struct kthread *me = self, *dying = NULL;
    bool keep;

    if (!me) /* a context driven from a thread not made here */
        pthread_exit(NULL);
    pthread_mutex_lock(&pool.lock);
    keep = pool.count < SPARE_MAX;
    if (keep) {
        me->next = pool.spare;
        pool.spare = me;
        pool.count++;
    } else {
        dying = pool.dying;
        me->next = NULL;
        pool.dying = me;
    }
    pthread_mutex_unlock(&pool.lock);
    if (keep)
        longjmp(me->top, 1);
    bury(dying);
    pthread_exit(NULL);
}

void remote_kthread_settle(void)
{
    struct kthread *dying;

    pthread_mutex_lock(&pool.lock);
    dying = pool.dying;
    pool.dying = NULL;
    pthread_mutex_unlock(&pool.lock);
    bury(dying);
}

static struct kthread *take_spare(void)
{
    struct kthread *k;

    pthread_mutex_lock(&pool.lock);
    k = pool.spare;
    if (k) {
        pool.spare = k->next;
        pool.count--;
    }
    pthread_mutex_unlock(&pool.lock);
    return k;
}

/* Aligned to its size, by mapping twice as much and trimming. */
static void *map_stack(void)
{
    uint64_t base, size = KERNEL_STACK_SIZE;
    char *p = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED)
        return NULL;
    base = ((uint64_t)p + size - 1) & ~(size - 1);
    if (base != (uint64_t)p)
        munmap(p, base - (uint64_t)p);
    if (base != (uint64_t)p + size)
        munmap((char *)base + size, (uint64_t)p + size - base);
    return (void *)base;
}

static struct kthread *make(void)
{
    struct kthread *k = calloc(1, sizeof(*k));
    pthread_attr_t attr;
    int err;

    if (!k)
        return NULL;
    k->stack = map_stack();
    if (!k->stack) {
        free(k);
        return NULL;
    }
    pthread_attr_init(&attr);
    pthread_attr_setstack(&attr, k->stack, KERNEL_STACK_SIZE);
    err = pthread_create(&k->thread, &attr, kthread_main, k);
    pthread_attr_destroy(&attr);
    if (err) {
        munmap(k->stack, KERNEL_STACK_SIZE);
        free(k);
        return NULL;
    }
    return k;
}

struct kthread *remote_kthread_take(void)
{
    struct kthread *k = take_spare();

    return k ? k : make();
}

static void give_work(struct kthread *k, void (*entry)(void *arg), void *arg)
{
    k->entry = entry;
    k->arg = arg;
    __atomic_store_n(&k->wake, 1, __ATOMIC_SEQ_CST);
}

void remote_kthread_run(struct kthread *k, void (*entry)(void *arg), void *arg)
{
    give_work(k, entry, arg);
    host_futex_wake(&k->wake, 1);
}

void remote_kthread_run_at(struct kthread *k, uint32_t *word, void (*entry)(void *arg), void *arg)
{
    give_work(k, entry, arg);
    /* One that is not there to be moved is awake. */
    if (host_futex_move(&k->wake, 1, word) < 0)
        host_futex_wake(&k->wake, 1);
}

int remote_kthread_start(void (*entry)(void *arg), void *arg)
{
    struct kthread *k = remote_kthread_take();

    if (!k)
        return -EAGAIN;
    remote_kthread_run(k, entry, arg);
    return 0;
}
