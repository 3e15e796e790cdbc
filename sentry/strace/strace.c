/*
 * One line for each traced call: walks the row's argument kinds. What the call fills is printed
 * after it. Memory is in memory.c, structures in structs.c, names of flags in names.c. No locks but
 * tasks_lock, for a task's name.
 */
#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/fcntl.h"
#include "sentry/abi/types.h"
#include "sentry/base/log.h"
#include "sentry/base/string.h"
#include "sentry/strace/strace_int.h"
#include "syscalls/syscalls.h"

#define CLOCK_REALTIME_ID  0
#define CLOCK_MONOTONIC_ID 1
#define JSON_MAX           (2 * STRACE_TEXT_MAX + 1024) /* every character escaped, and the rest */

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

static void print_signal(struct strbuf *out, int32_t signo)
{
    const char *name = strace_signal_name(signo);

    if (name)
        strbuf_puts(out, name);
    else
        strbuf_printf(out, "%d", signo);
}

static bool print_number(struct strbuf *out, const struct strace_kind *k, uint64_t v)
{
    if (strace_kind_is(k, "int") || strace_kind_is(k, "fd") || strace_kind_is(k, "pid"))
        strbuf_printf(out, "%d", (int32_t)v);
    else if (strace_kind_is(k, "uint"))
        strbuf_printf(out, "%u", (uint32_t)v);
    else if (strace_kind_is(k, "long") || strace_kind_is(k, "off"))
        strbuf_printf(out, "%lld", (long long)v);
    else if (strace_kind_is(k, "size"))
        strbuf_printf(out, "%llu", (unsigned long long)v);
    else if (strace_kind_is(k, "mode") || strace_kind_is(k, "oct"))
        strbuf_printf(out, "0%o", (uint32_t)v);
    else if (strace_kind_is(k, "dirfd"))
        strbuf_printf(out, (int32_t)v == LX_AT_FDCWD ? "AT_FDCWD" : "%d", (int32_t)v);
    else if (strace_kind_is(k, "signo"))
        print_signal(out, (int32_t)v);
    else if (strace_kind_is(k, "clock"))
        strace_print_set(out, strace_find_set("clockid", 7), v);
    else if (strace_kind_is(k, "raw"))
        strbuf_printf(out, "0x%llx", (unsigned long long)v);
    else
        return false;
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

bool strace_enter(struct strace_call *c, struct task *t, uint64_t nr, const struct syscall_row *row,
                  const uint64_t args[6])
{
    if (!strace_wanted(t->k->trace, t, nr, row, args))
        return false;
    c->row = row;
    c->nr = nr;
    memcpy(c->args, args, sizeof(c->args));
    c->rest = row && row->level != SYSCALL_MISSING ? row->args : "raw,raw,raw";
    c->next = 0;
    c->text[0] = '\0';
    strbuf_init_fixed(&c->line, c->text, sizeof(c->text));
    print_args(c, t, false, 0);
    c->start_ns = host_clock_ns(CLOCK_MONOTONIC_ID);
    return true;
}

static void print_name(struct strbuf *out, const struct strace_call *c)
{
    if (c->row)
        strbuf_puts(out, c->row->name);
    else
        strbuf_printf(out, "syscall#%llu", (unsigned long long)c->nr);
}

static void write_text(const struct strace_call *c, const struct task *t, int64_t result,
                       uint64_t took_ns)
{
    const char *error = result < 0 ? strace_errno_name((int)-result) : NULL;
    char text[STRACE_TEXT_MAX + 160];
    struct strbuf out;

    strbuf_init_fixed(&out, text, sizeof(text));
    strbuf_printf(&out, "[%5d] ", t->tid);
    print_name(&out, c);
    strbuf_putc(&out, '(');
    strbuf_add(&out, c->text, c->line.size);
    if (error)
        strbuf_printf(&out, ") = -1 %s", error);
    else if (result > 0xffffffffLL)
        strbuf_printf(&out, ") = 0x%llx", (unsigned long long)result);
    else
        strbuf_printf(&out, ") = %lld", (long long)result);
    strbuf_printf(&out, " <%llu.%06llu>", (unsigned long long)(took_ns / 1000000000),
                  (unsigned long long)(took_ns % 1000000000 / 1000));
    log_text(LOG_INFO, text);
}

static void add_json_args(struct strbuf *out, const struct strace_call *c)
{
    for (int i = 0; i < c->next; i++) {
        strbuf_puts(out, i ? "\",\"" : "\"");
        strace_print_json(out, c->text + c->begin[i], c->end[i] - c->begin[i]);
    }
    strbuf_puts(out, c->next ? "\"]" : "]");
}

static void write_json(const struct strace_call *c, struct task *t, int64_t result,
                       uint64_t took_ns)
{
    const char *error = result < 0 ? strace_errno_name((int)-result) : NULL;
    char line[JSON_MAX], time[LOG_TIME_MAX], comm[sizeof(t->comm)];
    struct strbuf out;

    log_time(host_clock_ns(CLOCK_REALTIME_ID), time);
    task_comm_get(t, comm);
    strbuf_init_fixed(&out, line, sizeof(line));
    strbuf_printf(&out, "{\"time\":\"%s\",\"pid\":%d,\"tid\":%d,\"comm\":\"", time, t->tg->tgid,
                  t->tid);
    strace_print_json(&out, comm, strlen(comm));
    strbuf_puts(&out, "\",\"name\":\"");
    print_name(&out, c);
    strbuf_printf(&out, "\",\"number\":%llu,\"args\":[", (unsigned long long)c->nr);
    add_json_args(&out, c);
    strbuf_printf(&out, ",\"result\":%lld", (long long)(error ? -1 : result));
    if (error)
        strbuf_printf(&out, ",\"errno\":\"%s\"", error);
    strbuf_printf(&out, ",\"duration_ns\":%llu}\n", (unsigned long long)took_ns);
    if (!out.failed)
        log_raw(LOG_INFO, line, out.size);
}

void strace_exit(struct strace_call *c, struct task *t, int64_t result)
{
    const struct strace_options *o = t->k->trace;
    uint64_t took = host_clock_ns(CLOCK_MONOTONIC_ID) - c->start_ns;

    if (o && o->failed && (result >= 0 || !strace_errno_name((int)-result)))
        return;
    print_args(c, t, true, result);
    if (c->line.failed && c->line.size >= 8)
        memcpy(c->text + c->line.size - 3, "...", 3);
    if (o && o->json)
        write_json(c, t, result, took);
    else
        write_text(c, t, result, took);
}
