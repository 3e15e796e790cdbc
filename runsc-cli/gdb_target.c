/* The debugged process, as the sandbox tells of it: threads, registers, running and stopping. */
#include "runsc-cli/gdb.h"

#include "sentry/base/debug_event.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#define GONE_MS 2000

int gdb_call(struct gdb *g, enum control_gdb_op op, const struct control_gdb *q, const void *data,
             size_t size, void *out, size_t room, size_t *out_size)
{
    int r = control_gdb(g->control_fd, op, q, data, size, out, room, out_size, &g->news);

    if (r == -EPIPE)
        g->closed = true;
    return r;
}

struct control_thread *gdb_thread(struct gdb *g, int32_t tid)
{
    for (size_t i = 0; i < g->thread_count; i++) {
        if (g->threads[i].tid == tid)
            return &g->threads[i];
    }
    return NULL;
}

bool gdb_has_break(const struct gdb *g, uint64_t addr)
{
    for (size_t i = 0; i < g->break_count; i++) {
        if (g->breaks[i] == addr)
            return true;
    }
    return false;
}

/* Asked to, or at a breakpoint that is not there any more: nothing to tell. */
static bool is_news(struct gdb *g, const struct control_thread *t)
{
    if (!t->stopped || t->event == DEBUG_ASKED)
        return false;
    if (t->event != DEBUG_BREAK)
        return true;
    return gdb_load_regs(g, t->tid) < 0 || gdb_has_break(g, g->regs.user.rip);
}

int gdb_halt(struct gdb *g)
{
    struct control_gdb q = {0};
    size_t size = 0;
    int r;

    g->regs_tid = 0;
    r = gdb_call(g, CONTROL_GDB_HALT, &q, NULL, 0, g->threads, sizeof(g->threads), &size);
    g->thread_count = r < 0 ? 0 : size / sizeof(g->threads[0]);
    for (size_t i = 0; i < g->thread_count; i++)
        g->threads[i].name[sizeof(g->threads[i].name) - 1] = '\0';
    return r;
}

int gdb_store_regs(struct gdb *g)
{
    struct control_gdb q = {.tid = g->regs_tid};
    char none[8];
    int r;

    if (!g->regs_tid || !g->regs_changed)
        return 0;
    g->regs_changed = false;
    r = gdb_call(g, CONTROL_GDB_SET_REGS, &q, &g->regs, sizeof(g->regs.user) + g->xsave_size, none,
                 sizeof(none), NULL);
    if (r < 0)
        g->regs_tid = 0; /* what we have is not what it has */
    return r;
}

int gdb_load_regs(struct gdb *g, int32_t tid)
{
    struct control_gdb q = {.tid = tid};
    size_t size = 0;
    int r;

    if (g->regs_tid == tid)
        return 0;
    r = gdb_store_regs(g);
    if (r < 0)
        return r;
    g->regs_tid = 0;
    r = gdb_call(g, CONTROL_GDB_GET_REGS, &q, NULL, 0, &g->regs, sizeof(g->regs), &size);
    if (r < 0)
        return r;
    if (size < sizeof(g->regs.user) + LX_FXSAVE_SIZE + 64)
        return -EPROTO;
    g->xsave_size = size - sizeof(g->regs.user);
    g->regs_tid = tid;
    return 0;
}

static bool ordered(const struct control_resume *orders, size_t count, int32_t tid)
{
    for (size_t i = 0; i < count; i++) {
        if (orders[i].tid == tid || orders[i].tid == -1)
            return true;
    }
    return false;
}

bool gdb_run(struct gdb *g, const struct control_resume *orders, size_t count)
{
    struct control_gdb q = {0};
    char none[8];

    /* Several may have stopped at once: each is told before it goes on. */
    for (size_t i = 0; i < g->thread_count; i++) {
        if (g->told[i] || !ordered(orders, count, g->threads[i].tid))
            continue;
        g->told[i] = true;
        if (is_news(g, &g->threads[i])) {
            g->current = g->threads[i].tid;
            return false;
        }
    }
    if (gdb_store_regs(g) < 0)
        return false;
    g->regs_tid = 0;
    if (gdb_call(g, CONTROL_GDB_RUN, &q, orders, count * sizeof(*orders), none, sizeof(none),
                 NULL) < 0)
        return false;
    g->running = true;
    return true;
}

/* The stop to tell of: one that happened, if any did; else the thread gdb knows. */
static void choose(struct gdb *g)
{
    size_t chosen = g->thread_count;

    for (size_t i = 0; i < g->thread_count; i++) {
        if (!g->threads[i].stopped)
            continue;
        if (chosen == g->thread_count || g->threads[i].tid == g->current)
            chosen = i;
    }
    for (size_t i = 0; i < g->thread_count; i++) {
        g->told[i] = g->threads[i].event == DEBUG_ASKED;
        if (!g->told[i] && g->threads[chosen].event == DEBUG_ASKED)
            chosen = i;
    }
    if (chosen < g->thread_count) {
        g->current = g->threads[chosen].tid;
        g->told[chosen] = true;
    }
}

/* The sandbox may be gone before it has told: it ends with its first process. */
static void put_exit(struct gdb *g)
{
    struct control_status last = {0};
    int status = g->news.status;

    if (!g->news.exited && container_wait_gone(g->container, GONE_MS) &&
        strcmp(container_status(g->container, &last), "stopped") == 0)
        status = last.state == CONTROL_STOPPED && g->pid == 1 ? last.status : SIGKILL;

    if (status & 0x7f)
        gdb_put(g, "X%02x", gdb_signal_from_linux(status & 0x7f));
    else
        gdb_put(g, "W%02x", status >> 8 & 0xff);
}

void gdb_put_stop(struct gdb *g)
{
    struct control_thread *t;
    int signo;

    g->running = false;
    if (!g->news.exited && gdb_halt(g) == 0)
        choose(g);
    g->news.stopped = false;
    t = gdb_thread(g, g->current);
    if (g->news.exited || g->closed) {
        put_exit(g);
        return;
    }
    signo = t && t->signo ? t->signo : g->interrupted ? SIGINT : 0;
    g->interrupted = false;
    gdb_put(g, "T%02xthread:%x;", (unsigned)gdb_signal_from_linux(signo), (unsigned)g->current);
    if (t && t->event == DEBUG_BREAK)
        gdb_put(g, "swbreak:;");
    if (t && t->event == DEBUG_EXEC) {
        struct control_gdb q = {0};
        char path[4096];
        size_t size = 0;

        g->break_count = 0;
        if (gdb_call(g, CONTROL_GDB_EXE, &q, NULL, 0, path, sizeof(path), &size) == 0) {
            gdb_put(g, "exec:");
            gdb_put_hex(g, path, size);
            gdb_put(g, ";");
        }
    }
}
