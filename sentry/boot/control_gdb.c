/*
 * A debugger's requests (runsc gdbserver): attaching to a process of the guest, its threads,
 * registers, memory and breakpoints. The protocol that gdb speaks is not known here: that is the
 * CLI's. Runs on the control thread. Locks: those of kernel/debug.h and of look-ups.
 */
#include "sentry/boot/control_session.h"

#include "platform/host/host.h"
#include "sentry/base/fmt.h"
#include "sentry/mm/mm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HALT_WAIT_NS  1000000000ULL
#define HALT_LOOK_NS  500000
#define NS_PER_S      1000000000ULL
#define THREADS_SHOWN (CONTROL_GDB_DATA_MAX / sizeof(struct control_thread))

/* Its next thread above *tid, counted; NULL: no more. */
static struct task *next_task(struct control_session *d, int32_t *tid)
{
    while ((*tid = task_next_in_group(d->tg, *tid + 1)) != 0) {
        struct task *t = task_find(d->boot->kernel, *tid);

        if (t && t->tg == d->tg && !READ_ONCE(t->exiting))
            return t;
        if (t)
            task_put(t);
    }
    return NULL;
}

static struct task *find_task(struct control_session *d, int32_t tid)
{
    struct task *t = tid > 0 ? task_find(d->boot->kernel, tid) : NULL;

    if (t && t->tg == d->tg)
        return t;
    if (t)
        task_put(t);
    return NULL;
}

/* Any stopped one, through which memory is written. */
static struct task *stopped_task(struct control_session *d)
{
    int32_t tid = 0;
    struct task *t;

    while ((t = next_task(d, &tid))) {
        if (debug_is_stopped(d->tracer, t, NULL))
            return t;
        task_put(t);
    }
    return NULL;
}

/* ---- stopping and resuming ---- */

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static bool all_stopped(struct control_session *d)
{
    bool all = true;
    int32_t tid = 0;
    struct task *t;

    while (all && (t = next_task(d, &tid))) {
        all = debug_is_stopped(d->tracer, t, NULL);
        task_put(t);
    }
    return all;
}

static void halt(struct control_session *d)
{
    uint64_t give_up = now_ns() + HALT_WAIT_NS;
    uint32_t never = 0;
    int32_t tid = 0;
    struct task *t;

    __atomic_store_n(&d->tracer->halting, 1, __ATOMIC_SEQ_CST);
    while ((t = next_task(d, &tid))) {
        debug_interrupt(d->tracer, t);
        task_put(t);
    }
    while (!all_stopped(d) && !load_acquire(&d->tg->exited) && now_ns() < give_up)
        (void)host_futex_wait(&never, 0, now_ns() + HALT_LOOK_NS);
    d->running = false;
}

static int list_threads(struct control_session *d, struct session_reply *out)
{
    struct control_thread *row = (struct control_thread *)(void *)out->data;
    int32_t tid = 0;
    size_t n = 0;
    struct task *t;

    halt(d);
    while (n < THREADS_SHOWN && (t = next_task(d, &tid))) {
        struct debug_stop stop = {0};

        memset(&row[n], 0, sizeof(row[n]));
        row[n].tid = tid;
        row[n].stopped = debug_is_stopped(d->tracer, t, &stop);
        row[n].event = stop.event;
        row[n].signo = stop.signo;
        task_comm_get(t, row[n].name);
        memcpy(row[n].siginfo, &stop.info, sizeof(row[n].siginfo));
        n++;
        task_put(t);
    }
    out->size = (uint32_t)(n * sizeof(*row));
    return 0;
}

static const struct control_resume *order_for(const struct control_resume *orders, size_t count,
                                              int32_t tid)
{
    for (size_t i = 0; i < count; i++) {
        if (orders[i].tid == tid || orders[i].tid == -1)
            return &orders[i];
    }
    return NULL;
}

static int run(struct control_session *d, const uint8_t *data, size_t size)
{
    struct control_resume orders[256];
    size_t count = size / sizeof(orders[0]);
    int32_t tid = 0;
    struct task *t;

    if (count == 0 || count > ARRAY_SIZE(orders))
        return -EINVAL;
    memcpy(orders, data, count * sizeof(orders[0]));
    d->running = true;
    d->stops_seen = load_acquire(&d->tracer->stops);
    /* New threads run when all do; one that is stepped alone makes none that run. */
    __atomic_store_n(&d->tracer->halting, orders[count - 1].tid != -1, __ATOMIC_SEQ_CST);
    while ((t = next_task(d, &tid))) {
        const struct control_resume *o = order_for(orders, count, tid);
        int signo = o && o->signo >= 0 && o->signo <= LX_NSIG ? o->signo : 0;

        if (o)
            (void)!debug_resume(d->tracer, t, o->step, signo);
        task_put(t);
    }
    return 0;
}

/* ---- registers and memory ---- */

static int get_regs(struct control_session *d, int32_t tid, struct session_reply *out)
{
    uint32_t fpu_size = platform_facts()->fpu_size;
    struct task *t = find_task(d, tid);
    struct lx_user_regs regs;
    int r = -ESRCH;

    if (!t || sizeof(regs) + fpu_size > CONTROL_GDB_DATA_MAX)
        goto out;
    r = debug_get_regs(d->tracer, t, &regs, out->data + sizeof(regs));
    if (r == 0) {
        memcpy(out->data, &regs, sizeof(regs));
        out->size = (uint32_t)sizeof(regs) + fpu_size;
    }
out:
    if (t)
        task_put(t);
    return r;
}

static int set_regs(struct control_session *d, int32_t tid, const uint8_t *data, size_t size)
{
    struct task *t = find_task(d, tid);
    struct lx_user_regs regs;
    int r = -EINVAL;

    if (!t)
        return -ESRCH;
    if (size == sizeof(regs) + platform_facts()->fpu_size) {
        memcpy(&regs, data, sizeof(regs));
        r = debug_set_regs(d->tracer, t, &regs, data + sizeof(regs));
    }
    task_put(t);
    return r;
}

static struct mm *mm_of(struct control_session *d)
{
    struct task *t = stopped_task(d);
    struct mm *mm = t ? task_mm_get(t) : NULL;

    if (t)
        task_put(t);
    return mm;
}

static int read_memory(struct control_session *d, const struct control_gdb *q,
                       struct session_reply *out)
{
    struct mm *mm = mm_of(d);
    int64_t n = -ESRCH;

    if (mm && q->size <= CONTROL_GDB_DATA_MAX)
        n = debug_peek(d->tracer, mm, out->data, q->addr, q->size);
    if (mm)
        mm_put(mm);
    if (n > 0)
        out->size = (uint32_t)n;
    return n < 0 ? (int)n : 0;
}

static int change_memory(struct control_session *d, uint32_t op, const struct control_gdb *q,
                         const uint8_t *data, size_t size)
{
    struct task *t = stopped_task(d);
    int r;

    if (!t)
        return -ESRCH;
    if (op == CONTROL_GDB_WRITE)
        r = debug_poke(d->tracer, t, q->addr, data, (uint32_t)size);
    else if (op == CONTROL_GDB_BREAK)
        r = debug_break_set(d->tracer, t, q->addr);
    else
        r = debug_break_clear(d->tracer, t, q->addr);
    task_put(t);
    return r;
}

/* What the program is: its auxiliary vector, or its path. */
static int describe(struct control_session *d, uint32_t op, struct session_reply *out)
{
    struct mm *mm = mm_of(d);
    struct strbuf path;
    uint64_t dev, ino;

    if (!mm)
        return -ESRCH;
    if (op == CONTROL_GDB_AUXV) {
        memcpy(out->data, mm->auxv, sizeof(mm->auxv));
        out->size = sizeof(mm->auxv);
    } else if (mm->exe) {
        strbuf_init_fixed(&path, (char *)out->data, CONTROL_GDB_DATA_MAX);
        OPS_GET(mm_file_ops, mm->exe->ops)->describe(mm->exe, &dev, &ino, &path);
        out->size = (uint32_t)path.size;
    }
    mm_put(mm);
    return 0;
}

/* ---- the connection ---- */

static void detach_all(struct control_session *d)
{
    int32_t tid = 0;
    struct task *t;

    while ((t = next_task(d, &tid))) {
        debug_detach(d->tracer, t, 0);
        task_put(t);
    }
}

void control_gdb_end(struct control_session *d)
{
    struct task *t;

    halt(d);
    t = stopped_task(d);
    if (t) {
        debug_break_clear_all(d->tracer, t);
        task_put(t);
    }
    __atomic_store_n(&d->tracer->halting, 0, __ATOMIC_SEQ_CST);
    detach_all(d);
    detach_all(d); /* threads made meanwhile: they had their tracer from others */
    session_close_all(d);
    debug_tracer_put(d->tracer);
    thread_group_put(d->tg);
    free(d);
}

static int attach_all(struct control_session *d)
{
    int32_t tid = 0;
    int err = 0, one;
    struct task *t;

    while (!err && (t = next_task(d, &tid))) {
        one = debug_attach(d->tracer, t);
        if (one == -EPERM && READ_ONCE(t->debug->tracer) == d->tracer)
            one = 0; /* made by one that was attached to already */
        err = one == -ESRCH ? 0 : one;
        task_put(t);
    }
    return err;
}

static int attach(struct control *s, struct control_conn *c, int32_t pid)
{
    struct thread_group *tg = thread_group_find(s->boot->kernel, pid);
    struct control_session *d;
    int err;

    if (!tg || load_acquire(&tg->exited)) {
        if (tg)
            thread_group_put(tg);
        return -ESRCH;
    }
    d = calloc(1, sizeof(*d));
    if (d)
        d->tracer = debug_tracer_create(&s->boot->kernel->boot_parker);
    if (!d || !d->tracer) {
        free(d);
        thread_group_put(tg);
        return -ENOMEM;
    }
    d->boot = s->boot;
    d->tg = tg;
    err = attach_all(d);
    if (err) {
        control_gdb_end(d);
        return err;
    }
    c->debug = d;
    halt(d);
    return pid;
}

static int serve(struct control_session *d, uint32_t op, struct control_gdb *q, const uint8_t *data,
                 size_t size, struct session_reply *out)
{
    switch (op) {
    case CONTROL_GDB_HALT:
        return list_threads(d, out);
    case CONTROL_GDB_GET_REGS:
        return get_regs(d, q->tid, out);
    case CONTROL_GDB_SET_REGS:
        return set_regs(d, q->tid, data, size);
    case CONTROL_GDB_READ:
        return read_memory(d, q, out);
    case CONTROL_GDB_WRITE:
    case CONTROL_GDB_BREAK:
    case CONTROL_GDB_UNBREAK:
        return change_memory(d, op, q, data, size);
    case CONTROL_GDB_RUN:
        return run(d, data, size);
    case CONTROL_GDB_KILL:
        return signal_send_outside(d->tg, LX_SIGKILL);
    case CONTROL_GDB_AUXV:
    case CONTROL_GDB_EXE:
        return describe(d, op, out);
    case CONTROL_GDB_OPEN: /* the payload ends with a NUL */
        return session_open(d, (const char *)data);
    case CONTROL_GDB_PREAD:
        return session_pread(d, q, out);
    case CONTROL_GDB_CLOSE:
        return session_close(d, q->tid);
    default:
        return -ENOSYS;
    }
}

int control_do_gdb(struct control *s, struct control_conn *c)
{
    struct session_reply out = {0};
    const uint8_t *data = c->payload + sizeof(struct control_gdb);
    struct control_gdb q;
    int r;

    if (c->head.size < sizeof(q) || c->head.size > sizeof(q) + CONTROL_GDB_DATA_MAX)
        return -1;
    memcpy(&q, c->payload, sizeof(q));
    out.data = malloc(CONTROL_GDB_DATA_MAX);
    if (!out.data)
        return -1;
    if (c->head.arg == CONTROL_GDB_ATTACH)
        out.result = c->debug ? -EBUSY : attach(s, c, q.tid);
    else
        out.result = c->debug
                         ? serve(c->debug, c->head.arg, &q, data, c->head.size - sizeof(q), &out)
                         : -ESRCH;
    r = control_reply(c, CONTROL_REPLY, out.result, (const char *)out.data, out.size);
    free(out.data);
    if (r == 0 && c->debug)
        control_gdb_check(c);
    return r;
}

void control_gdb_check(struct control_conn *c)
{
    struct control_session *d = c->debug;

    if (load_acquire(&d->tg->exited)) {
        if (!d->exit_told)
            (void)!control_reply(c, CONTROL_EXITED, d->tg->exit_status, "", 0);
        d->exit_told = true;
        return;
    }
    if (!d->running || load_acquire(&d->tracer->stops) == d->stops_seen)
        return;
    d->running = false;
    (void)!control_reply(c, CONTROL_EVENT, 0, "", 0);
}
