/*
 * A traced call as a line of text or a JSON object. Events of a trace viewer are events.c. No locks
 * but a task's res_lock, for its name.
 */
#include "sentry/base/arena.h"
#include "sentry/base/log.h"
#include "sentry/base/string.h"
#include "sentry/strace/sink.h"
#include "sentry/strace/strace_int.h"
#include "syscalls/syscalls.h"

#define NS_PER_S         1000000000ULL
#define TIME_OF_DAY_AT   11 /* in log_time's text */
#define TIME_OF_DAY_SIZE 15

void strace_print_call_name(struct strbuf *out, const struct strace_call *c)
{
    if (c->row)
        strbuf_puts(out, c->row->name);
    else
        strbuf_printf(out, "syscall#%llu", (unsigned long long)c->nr);
}

/* exit(2) and exit_group(2): what they return nobody sees. */
static bool never_returns(const struct strace_call *c)
{
    return c->row && (c->nr == NR_EXIT || c->nr == NR_EXIT_GROUP);
}

static void print_result(struct strbuf *out, const struct strace_call *c,
                         const struct strace_result *r)
{
    strbuf_puts(out, ") = ");
    if (r->error) {
        strbuf_puts(out, "-1 ");
        strbuf_puts(out, r->error);
    } else if (r->value > 0xffffffffLL || c->nr == NR_BRK) {
        strace_print_address(out, (uint64_t)r->value);
    } else {
        strbuf_dec(out, r->value);
    }
}

static void print_text(struct strbuf *out, const struct strace_call *c, const struct task *t,
                       const struct strace_result *r)
{
    const char *margin = "[    ";

    strbuf_puts(out, &margin[(t->tid > 9) + (t->tid > 99) + (t->tid > 999) + (t->tid > 9999)]);
    strbuf_dec(out, t->tid);
    strbuf_puts(out, "] ");
    strace_print_call_name(out, c);
    strbuf_putc(out, '(');
    strbuf_add(out, c->text, c->line.size);
    if (never_returns(c))
        strbuf_puts(out, ") = ?");
    else
        print_result(out, c, r);
    strbuf_puts(out, " <");
    strbuf_digits(out, r->took_ns / NS_PER_S, 1);
    strbuf_putc(out, '.');
    strbuf_digits(out, r->took_ns % NS_PER_S / 1000, 6);
    strbuf_putc(out, '>');
}

/* With the log's own start, or only the time of day. */
static size_t text_line(const struct strace_sink_config *to, const struct strace_call *c,
                        struct task *t, const struct strace_result *r, char *line)
{
    uint64_t now = strace_clock_real(&t->k->trace->clock, c->start_ns + r->took_ns);
    char text[STRACE_TEXT_MAX + 160], time[LOG_TIME_MAX];
    struct strbuf out;

    if (to->logged && ro_globals.log_json) {
        strbuf_init_fixed(&out, text, sizeof(text));
        print_text(&out, c, t, r);
        return log_format(LOG_INFO, text, line, STRACE_LINE_MAX);
    }
    strbuf_init_fixed(&out, line, STRACE_LINE_MAX);
    if (to->logged) {
        log_prefix(&out, LOG_INFO, now);
    } else {
        log_time(now, time);
        strbuf_add(&out, time + TIME_OF_DAY_AT, TIME_OF_DAY_SIZE);
        strbuf_putc(&out, ' ');
    }
    print_text(&out, c, t, r);
    strbuf_putc(&out, '\n');
    return out.size;
}

static void print_json_args(struct strbuf *out, const struct strace_call *c)
{
    for (int i = 0; i < c->next; i++) {
        strbuf_puts(out, i ? "\",\"" : "\"");
        strace_print_json(out, c->text + c->begin[i], c->end[i] - c->begin[i]);
    }
    strbuf_puts(out, c->next ? "\"]" : "]");
}

static void print_json(struct strbuf *out, const struct strace_call *c, struct task *t,
                       const struct strace_result *r)
{
    char time[LOG_TIME_MAX], comm[sizeof(t->comm)];

    log_time(strace_clock_real(&t->k->trace->clock, c->start_ns + r->took_ns), time);
    task_comm_get(t, comm);
    strbuf_printf(out, "{\"time\":\"%s\",\"pid\":%d,\"tid\":%d,\"comm\":\"", time, t->tg->tgid,
                  t->tid);
    strace_print_json(out, comm, strlen(comm));
    strbuf_puts(out, "\",\"name\":\"");
    strace_print_call_name(out, c);
    strbuf_printf(out, "\",\"number\":%llu,\"args\":[", (unsigned long long)c->nr);
    print_json_args(out, c);
    strbuf_printf(out, ",\"result\":%lld", (long long)(r->error ? -1 : r->value));
    if (r->error)
        strbuf_printf(out, ",\"errno\":\"%s\"", r->error);
    strbuf_puts(out, ",\"duration_ns\":");
    strbuf_dec(out, (int64_t)r->took_ns);
    strbuf_puts(out, "}\n");
}

size_t strace_format_line(const struct strace_sink_config *to, const struct strace_call *c,
                          struct task *t, const struct strace_result *r, char *line)
{
    struct strbuf out;

    if (to->format == STRACE_TEXT)
        return text_line(to, c, t, r, line);
    strbuf_init_fixed(&out, line, STRACE_LINE_MAX);
    if (to->format == STRACE_JSON)
        print_json(&out, c, t, r);
    else
        strace_print_events(&out, c, t, r);
    return out.failed ? 0 : out.size;
}
