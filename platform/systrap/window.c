/*
 * Where the sentry maps the slots of address spaces. Unmapping memory that was touched interrupts
 * every core on which a thread of the sentry runs; so the windows lie side by side in groups, and
 * those given back are unmapped several at once. Lock: the group lock, a leaf.
 */
#define _GNU_SOURCE
#include "platform/systrap/window.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "platform/systrap/systrap.h"

#define GROUP_WINDOWS 16
#define UNMAP_AT      8 /* so many of a group wait to be unmapped at most */
#define WINDOW_SIZE   ((uint64_t)ZONE_SHARED_SIZE)

struct window_group {
    uint64_t base;
    unsigned next; /* windows from here on were never used; each is used once */
    unsigned live;
    uint32_t given; /* bits of windows given back and still mapped */
};

static struct {
    pthread_mutex_t lock;
    struct window_group *current;
} groups = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool failed(int64_t r)
{
    return r < 0 && r >= -4095;
}

static struct window_group *new_group(void)
{
    struct window_group *g = calloc(1, sizeof(*g));
    int64_t p;

    if (!g)
        return NULL;
    p = host_mmap(NULL, GROUP_WINDOWS * WINDOW_SIZE, PROT_NONE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (failed(p)) {
        free(g);
        return NULL;
    }
    g->base = (uint64_t)p;
    return g;
}

/* Their memory goes, their place in the group stays taken. */
static void unmap_given(struct window_group *g)
{
    while (g->given) {
        unsigned first = (unsigned)__builtin_ctz(g->given);
        unsigned count = (unsigned)__builtin_ctz(~(g->given >> first));
        int64_t p =
            host_mmap((void *)(g->base + first * WINDOW_SIZE), count * WINDOW_SIZE, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);

        if (failed(p)) /* they stay until the group goes */
            return;
        g->given &= ~(((1U << count) - 1) << first);
    }
}

static void drop_if_done(struct window_group *g)
{
    if (g->live || g == groups.current)
        return;
    host_munmap((void *)g->base, GROUP_WINDOWS * WINDOW_SIZE);
    free(g);
}

int window_map(int fd, struct window *out)
{
    struct window_group *g, *old = NULL;
    int64_t p = -ENOMEM;

    pthread_mutex_lock(&groups.lock);
    if (!groups.current || groups.current->next == GROUP_WINDOWS) {
        old = groups.current;
        g = new_group();
        if (g)
            groups.current = g;
        if (g && old)
            drop_if_done(old);
    }
    g = groups.current;
    if (g && g->next < GROUP_WINDOWS) {
        p = host_mmap((void *)(g->base + g->next * WINDOW_SIZE), WINDOW_SIZE,
                      PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
    }
    if (!failed(p)) {
        *out = (struct window){.at = (void *)p, .group = g, .index = g->next++};
        g->live++;
    }
    pthread_mutex_unlock(&groups.lock);
    return failed(p) ? (int)p : 0;
}

void window_unmap(const struct window *w)
{
    struct window_group *g = w->group;

    pthread_mutex_lock(&groups.lock);
    g->live--;
    g->given |= 1U << w->index;
    if (__builtin_popcount(g->given) >= UNMAP_AT)
        unmap_given(g);
    drop_if_done(g);
    pthread_mutex_unlock(&groups.lock);
}
