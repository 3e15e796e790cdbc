/*
 * A traced call for a trace viewer (Chrome's, Perfetto): objects of Trace Event Format in an array,
 * each with its comma and newline; who writes the file ends the array. Tracks are tasks; a call is
 * a complete event ("X"), a wake-up a flow from the waker's call to the sleeper's ("s" and "f"),
 * names are metadata ("M"), forks, execs and exits instants ("i"). Times are the host's
 * CLOCK_MONOTONIC. No locks but a task's res_lock, for its name. Not here: the buffers (sink.c),
 * who woke whom (kernel/wake_trace.c).
 */
#include "sentry/base/string.h"
#include "sentry/kernel/wake_trace.h"
#include "sentry/strace/sink.h"
#include "sentry/strace/strace_int.h"
#include "syscalls/syscalls.h"

static void print_us(struct strbuf *out, const char *key, uint64_t ns)
{
    strbuf_puts(out, key);
    strbuf_digits(out, ns / 1000, 1);
    strbuf_putc(out, '.');
    strbuf_digits(out, ns % 1000, 3);
}

/* The start of an event, up to its own members. */
static void begin(struct strbuf *out, char phase, uint64_t at_ns, int32_t pid, int32_t tid)
{
    strbuf_puts(out, "{\"ph\":\"");
    strbuf_putc(out, phase);
    strbuf_puts(out, "\",\"pid\":");
    strbuf_dec(out, pid);
    strbuf_puts(out, ",\"tid\":");
    strbuf_dec(out, tid);
    print_us(out, ",\"ts\":", at_ns);
}

static void print_name(struct strbuf *out, const char *what, const struct task *t, const char *comm)
{
    begin(out, 'M', 0, t->tg->tgid, t->tid);
    strbuf_printf(out, ",\"name\":\"%s\",\"args\":{\"name\":\"", what);
    strace_print_json(out, comm, strlen(comm));
    strbuf_puts(out, "\"}},\n");
}

/* A track's name, when it is new or may have changed. */
static void print_names(struct strbuf *out, struct task *t, bool again)
{
    char comm[sizeof(t->comm)];

    if (t->trace_named && !again)
        return;
    t->trace_named = 1;
    task_comm_get(t, comm);
    if (t->tid == t->tg->tgid)
        print_name(out, "process_name", t, comm);
    print_name(out, "thread_name", t, comm);
}

static void print_instant(struct strbuf *out, const struct task *t, uint64_t at_ns,
                          const char *name, const char *key, long long value)
{
    begin(out, 'i', at_ns, t->tg->tgid, t->tid);
    strbuf_printf(out, ",\"s\":\"t\",\"name\":\"%s\",\"args\":{\"%s\":%lld}},\n", name, key, value);
}

/* Both ends at once: one without the other is no flow. */
static void print_wake(struct strbuf *out, const struct strace_call *c, const struct task *t,
                       const struct wake_note *w, uint64_t end_ns)
{
    bool child = c->nr == NR_WAIT4 || c->nr == NR_WAITID;
    const char *kind = wake_kind_name(child ? WAKE_CHILD : w->kind);
    uint64_t to = MIN(MAX(w->resumed_ns, w->at_ns), end_ns);
    /* No two flows to a task start at one time; a track is a number below 2^15. */
    unsigned long long id = (unsigned long long)w->at_ns << 15 | (unsigned)t->tid;

    begin(out, 's', w->at_ns, w->pid, w->tid);
    strbuf_printf(out, ",\"cat\":\"wake\",\"name\":\"%s\",\"id\":\"0x%llx\"},\n", kind, id);
    begin(out, 'f', MAX(to, c->start_ns), t->tg->tgid, t->tid);
    strbuf_printf(out, ",\"cat\":\"wake\",\"name\":\"%s\",\"id\":\"0x%llx\",\"bp\":\"e\"},\n", kind,
                  id);
}

static void print_slice(struct strbuf *out, const struct strace_call *c, const struct task *t,
                        const struct strace_result *r)
{
    begin(out, 'X', c->start_ns, t->tg->tgid, t->tid);
    print_us(out, ",\"dur\":", r->took_ns);
    strbuf_puts(out, ",\"cat\":\"syscall\",\"name\":\"");
    strace_print_call_name(out, c);
    strbuf_puts(out, "\",\"args\":{\"args\":\"");
    strace_print_json(out, c->text, c->line.size);
    strbuf_puts(out, "\",\"result\":");
    strbuf_dec(out, r->error ? -1 : r->value);
    if (r->error)
        strbuf_printf(out, ",\"errno\":\"%s\"", r->error);
    strbuf_puts(out, "}},\n");
}

void strace_print_events(struct strbuf *out, const struct strace_call *c, struct task *t,
                         const struct strace_result *r)
{
    uint64_t end = c->start_ns + r->took_ns;
    struct wake_note w;
    bool execed = r->value == 0 && !r->error && (c->nr == NR_EXECVE || c->nr == NR_EXECVEAT);

    print_names(out, t, execed || c->nr == NR_PRCTL);
    print_slice(out, c, t, r);
    if (wake_trace_take(t, c->start_ns, end, &w))
        print_wake(out, c, t, &w, end);
    if (r->value > 0 &&
        (c->nr == NR_CLONE || c->nr == NR_FORK || c->nr == NR_VFORK || c->nr == NR_CLONE3))
        print_instant(out, t, end, "fork", "child", r->value);
    if (execed)
        print_instant(out, t, end, "exec", "pid", t->tg->tgid);
}

static uint64_t now_ns(struct kernel *k)
{
    return strace_clock_ns(&load_acquire(&k->trace)->clock);
}

DEFINE_OPS(wake_clock, strace_wake_clock) = {.now_ns = now_ns};

/* From here the slice of the exit begins, in which the parent is woken. */
void strace_task_exit(struct task *t)
{
    if (likely(!READ_ONCE(t->k->wakes)))
        return;
    wake_trace_enter(t);
    t->wake.resumed_ns = now_ns(t->k);
}

void strace_task_exited(struct task *t)
{
    struct strace_sinks *sinks = load_acquire(&t->k->trace);
    uint64_t start = t->wake.resumed_ns, now;
    int32_t status = t->tg->group_exit ? t->tg->group_exit_status : t->exit_code;
    char text[512];
    struct strbuf out;

    if (likely(!READ_ONCE(t->k->wakes) || !sinks))
        return;
    wake_trace_leave(t);
    now = now_ns(t->k);
    strbuf_init_fixed(&out, text, sizeof(text));
    print_names(&out, t, false);
    begin(&out, 'X', start, t->tg->tgid, t->tid);
    print_us(&out, ",\"dur\":", now - start);
    strbuf_puts(&out, ",\"cat\":\"task\",\"name\":\"exiting\"},\n");
    print_instant(&out, t, now, "exit", "status", status);
    for (uint32_t i = 0; i < STRACE_SINKS; i++) {
        struct strace_sink *s = &sinks->list[i];

        if (!READ_ONCE(s->active) || !strace_sink_use(s, 0))
            continue;
        if (s->config.format == STRACE_EVENTS)
            strace_sink_put(s, out.data, out.size);
        strace_sink_unuse(s);
    }
}
