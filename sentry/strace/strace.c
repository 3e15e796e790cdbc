/*
 * A traced call's arguments, printed once whoever wants them: walks the row's kinds. What the call
 * fills is printed after it. The lines made of it are in line.c and events.c, where they go in
 * sink.c, what points to memory in memory.c, structures in structs.c, names of flags in names.c.
 * No locks.
 */
#include "sentry/abi/errno.h"
#include "sentry/abi/fcntl.h"
#include "sentry/abi/types.h"
#include "sentry/base/string.h"
#include "sentry/kernel/wake_trace.h"
#include "sentry/strace/sink.h"
#include "sentry/strace/strace_int.h"
#include "syscalls/syscalls.h"

_Static_assert(STRACE_SINKS == ARRAY_SIZE(((struct strace_call *)0)->generations), "sinks");

struct strace_kind strace_kind_parse(const char *s, const char **out_next)
{
    const char *end = strchr(s, ',');
    size_t size = end ? (size_t)(end - s) : strlen(s);
    const char *colon = memchr(s, ':', size);
    struct strace_kind k = {.word = s, .word_size = size};

    if (colon) {
        k.word_size = (size_t)(colon - s);
        k.rest = colon + 1;
        k.rest_size = size - k.word_size - 1;
    }
    *out_next = end ? end + 1 : "";
    return k;
}

static uint64_t other_arg(const struct strace_call *c, const struct strace_kind *k)
{
    unsigned n = k->rest_size == 1 ? (unsigned)(k->rest[0] - '0') : STRACE_MAX_ARGS;

    return n < STRACE_MAX_ARGS ? c->args[n] : 0;
}

void strace_print_signal(struct strbuf *out, int32_t signo)
{
    const char *name = strace_signal_name(signo);

    if (name)
        strbuf_puts(out, name);
    else if (signo >= 32 && signo <= 64)
        strbuf_printf(out, signo == 32 ? "SIGRTMIN" : "SIGRT_%d", signo - 32);
    else
        strbuf_dec(out, signo);
}

static bool print_number(struct strbuf *out, const struct strace_kind *k, uint64_t v)
{
    if (strace_kind_is(k, "int") || strace_kind_is(k, "fd") || strace_kind_is(k, "pid"))
        strbuf_dec(out, (int32_t)v);
    else if (strace_kind_is(k, "uint"))
        strbuf_dec(out, (uint32_t)v);
    else if (strace_kind_is(k, "long") || strace_kind_is(k, "off"))
        strbuf_dec(out, (int64_t)v);
    else if (strace_kind_is(k, "size"))
        strbuf_digits(out, v, 1);
    else if (strace_kind_is(k, "mode") || strace_kind_is(k, "oct"))
        strbuf_printf(out, "0%o", (uint32_t)v);
    else if (strace_kind_is(k, "dirfd"))
        strbuf_printf(out, (int32_t)v == LX_AT_FDCWD ? "AT_FDCWD" : "%d", (int32_t)v);
    else if (strace_kind_is(k, "signo"))
        strace_print_signal(out, (int32_t)v);
    else if (strace_kind_is(k, "clock"))
        strace_print_set(out, strace_find_set("clockid", 7), v);
    else if (strace_kind_is(k, "raw"))
        strbuf_printf(out, "0x%llx", (unsigned long long)v);
    else
        return false;
    return true;
}

/* What goes to or comes from a netlink socket that is named in the call; else bytes. */
static bool print_netlink(struct strace_call *c, struct task *t, const struct strace_kind *k,
                          uint64_t v, int64_t result)
{
    bool out = strace_kind_is(k, "netout");

    if (!out && !strace_kind_is(k, "netin"))
        return false;
    if (out && result < 0)
        strace_print_address(&c->line, v);
    else if (strace_is_netlink(t, c->args[4], out ? 2 : c->args[5]))
        strace_print_netlink(&c->line, t, v, out ? (uint64_t)result : c->args[2]);
    else
        strace_print_buffer(&c->line, t, v, out ? (uint64_t)result : c->args[2]);
    return true;
}

static void print_arg(struct strace_call *c, struct task *t, const struct strace_kind *k,
                      uint64_t v, int64_t result)
{
    const struct strace_set *set;

    if (strace_kind_is(k, "flags")) {
        set = strace_find_set(k->rest, k->rest_size);
        if (set) {
            strace_print_set(&c->line, set, v);
            return;
        }
    }
    if (strace_kind_is(k, "optname")) {
        if (!strace_print_option(&c->line, c->args[1], v))
            strbuf_dec(&c->line, (int32_t)v);
        return;
    }
    if (print_netlink(c, t, k, v, result))
        return;
    if (print_number(&c->line, k, v) ||
        strace_print_memory(&c->line, t, k, v, other_arg(c, k), result))
        return;
    if (!v && (strace_kind_is(k, "hex") || strace_kind_is(k, "flags")))
        strbuf_putc(&c->line, '0');
    else
        strace_print_address(&c->line, v);
}

/* Prints from where the last call stopped; before the call, up to the first kind that it fills. */
static void print_args(struct strace_call *c, struct task *t, bool after, int64_t result)
{
    while (*c->rest && c->next < STRACE_MAX_ARGS) {
        const char *next;
        struct strace_kind k = strace_kind_parse(c->rest, &next);
        const char *kinds = strace_request_kinds(&k, c->args);

        if (kinds) {
            c->rest = kinds;
            continue;
        }
        if (strace_kind_is(&k, "setopt") || strace_kind_is(&k, "getopt"))
            strace_resolve_option(&k, c->args);
        if (!after && strace_kind_is_out(&k))
            return;
        if (c->next)
            strbuf_puts(&c->line, ", ");
        c->begin[c->next] = (uint16_t)c->line.size;
        print_arg(c, t, &k, c->args[c->next], result);
        c->end[c->next++] = (uint16_t)c->line.size;
        c->rest = next;
    }
}

/* The sinks that want this call. */
static void ask_sinks(struct strace_call *c, struct task *t, uint64_t nr,
                      const struct syscall_row *row, const uint64_t args[6])
{
    struct strace_sinks *sinks = load_acquire(&t->k->trace);

    c->sinks = 0;
    for (uint32_t i = 0; sinks && i < STRACE_SINKS; i++) {
        struct strace_sink *s = &sinks->list[i];

        if (!READ_ONCE(s->active) || !strace_sink_use(s, 0))
            continue;
        c->generations[i] = READ_ONCE(s->generation);
        if (!strace_sink_full(s) && strace_wanted(s->options, t, nr, row, args))
            c->sinks |= 1U << i;
        strace_sink_unuse(s);
    }
}

bool strace_enter(struct strace_call *c, struct task *t, uint64_t nr, const struct syscall_row *row,
                  const uint64_t args[6])
{
    ask_sinks(c, t, nr, row, args);
    if (!c->sinks)
        return false;
    c->row = row;
    c->nr = nr;
    memcpy(c->args, args, sizeof(c->args));
    c->rest = row && row->level != SYSCALL_MISSING ? row->args : "raw,raw,raw";
    c->next = 0;
    c->text[0] = '\0';
    strbuf_init_fixed(&c->line, c->text, sizeof(c->text));
    print_args(c, t, false, 0);
    wake_trace_enter(t);
    c->start_ns = strace_clock_ns(&t->k->trace->clock);
    return true;
}

static void give(struct strace_sink *s, const struct strace_call *c, struct task *t,
                 const struct strace_result *r)
{
    char line[STRACE_LINE_MAX];
    size_t size;

    if (s->options && s->options->failed && !r->error)
        return;
    size = strace_format_line(&s->config, c, t, r, line);
    if (size)
        strace_sink_put(s, line, size);
}

void strace_exit(struct strace_call *c, struct task *t, int64_t result)
{
    struct strace_sinks *sinks = load_acquire(&t->k->trace);
    struct strace_result r = {
        .value = result,
        .error = result < 0 ? strace_errno_name((int)-result) : NULL,
        .took_ns = strace_clock_ns(&sinks->clock) - c->start_ns,
    };

    wake_trace_leave(t);
    print_args(c, t, true, result);
    if (c->line.failed && c->line.size >= 8)
        memcpy(c->text + c->line.size - 3, "...", 3);
    for (uint32_t i = 0; i < STRACE_SINKS; i++) {
        struct strace_sink *s = &sinks->list[i];

        if (!(c->sinks >> i & 1) || !strace_sink_use(s, c->generations[i]))
            continue;
        give(s, c, t, &r);
        strace_sink_unuse(s);
    }
}
