/*
 * The name of a core file: kernel.core_pattern's expansion. Not here: opening it (core_stop.c).
 * Takes uts_lock and what task.h's look-ups take. Source: core(5), "Naming of core dump files".
 */
#include "platform/host/host.h"
#include "sentry/abi/sched.h"
#include "sentry/base/fmt.h"
#include "sentry/base/string.h"
#include "sentry/kernel/core.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/namespace.h"
#include "sentry/mm/mm.h"

#define HOST_CLOCK_REALTIME 0
#define NS_PER_S            1000000000UL

/* What a guest chose must not lead elsewhere: no slashes, and not "." or "..". */
static void add_escaped(struct strbuf *sb, const char *text)
{
    if (strcmp(text, ".") == 0 || strcmp(text, "..") == 0) {
        strbuf_puts(sb, text[1] ? "!." : "!");
        return;
    }
    if (!*text)
        strbuf_putc(sb, '!');
    for (; *text; text++)
        strbuf_putc(sb, *text == '/' ? '!' : *text);
}

/* The program's path; last: only what is behind the last slash. */
static void add_exe(struct strbuf *sb, struct mm *mm, bool last)
{
    struct strbuf path;
    uint64_t dev, ino;
    const char *text;

    strbuf_init(&path);
    if (mm->exe)
        OPS_GET(mm_file_ops, mm->exe->ops)->describe(mm->exe, &dev, &ino, &path);
    text = path.data ? path.data : "";
    for (const char *p = text; last && *p; p++) {
        if (*p == '/')
            text = p + 1;
    }
    add_escaped(sb, text);
    strbuf_free(&path);
}

static void add_name_of_host(struct strbuf *sb, const struct task *t)
{
    const struct uts_ns *ns = t->uts_ns;
    char name[sizeof(ns->hostname)];

    mutex_lock(&t->k->uts_lock);
    memcpy(name, ns->hostname, sizeof(name));
    mutex_unlock(&t->k->uts_lock);
    add_escaped(sb, name);
}

static void add_field(const struct core_stop *s, char field, bool *has_pid, struct strbuf *sb)
{
    struct task *t = s->self.task;
    char comm[16];

    switch (field) {
    case '%':
        strbuf_putc(sb, '%');
        break;
    case 'p':
    case 'P': /* in the first pid namespace */
        *has_pid = true;
        strbuf_printf(sb, "%d", field == 'p' ? t->tg->own_tgid : t->tg->tgid);
        break;
    case 'i':
    case 'I':
        strbuf_printf(sb, "%d", field == 'i' ? t->own_tid : t->tid);
        break;
    case 'u':
        strbuf_printf(sb, "%u", t->cred->uid);
        break;
    case 'g':
        strbuf_printf(sb, "%u", t->cred->gid);
        break;
    case 'd':
        strbuf_printf(sb, "%u", t->tg->dumpable);
        break;
    case 's':
        strbuf_printf(sb, "%d", s->signo);
        break;
    case 't':
        strbuf_printf(sb, "%lu", host_clock_ns(HOST_CLOCK_REALTIME) / NS_PER_S);
        break;
    case 'h':
        add_name_of_host(sb, t);
        break;
    case 'e':
        task_comm_get(t, comm);
        add_escaped(sb, comm);
        break;
    case 'f':
        add_exe(sb, t->us.mm, true);
        break;
    case 'E':
        add_exe(sb, t->us.mm, false);
        break;
    case 'c':
        strbuf_printf(sb, "%lu", task_rlimit(t, LX_RLIMIT_CORE));
        break;
    default: /* unknown ones vanish, as on Linux */
        break;
    }
}

void core_name(const struct core_stop *s, const char *pattern, bool uses_pid, struct strbuf *sb)
{
    bool has_pid = false;

    for (; *pattern; pattern++) {
        if (*pattern != '%')
            strbuf_putc(sb, *pattern);
        else if (!*++pattern)
            break; /* a single % at the end is dropped */
        else
            add_field(s, *pattern, &has_pid, sb);
    }
    if (uses_pid && !has_pid)
        strbuf_printf(sb, ".%d", s->self.task->tg->own_tgid);
}
