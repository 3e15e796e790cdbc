/*
 * --crash-report: what is told of a guest program that a fault or abort() killed: signal,
 * registers, backtrace, code, mappings, last events. The kernel hands a crash over with all its
 * tasks stopped (kernel/core.h); a thread of boot's makes the report, with a helper process for
 * what must parse the guest's bytes. Locks: those of look-ups, one at a time.
 */
#include "sentry/boot/report/report_int.h"

#include "platform/patch/start.h"
#include "sentry/base/fmt.h"
#include "sentry/base/log.h"
#include "sentry/base/slab.h"
#include "sentry/boot/records.h"
#include "sentry/mm/mm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define ANSWER_SECONDS 10
#define REPORTS_MAX    64 /* a sandbox: guests may crash as often as they like */
#define LAST_EVENTS    24
#define MAPS_SHOWN     400

extern const char report_helper[], report_helper_end[];

/* ---- text ---- */

static void put_line(struct reporter *r)
{
    r->line[r->line_size] = '\0';
    if (r->out_fd < 0) {
        log_error("%s", r->line);
    } else {
        r->line[r->line_size] = '\n';
        (void)!write(r->out_fd, r->line, r->line_size + 1);
    }
    r->line_size = 0;
}

void report_name(struct reporter *r, const char *text, size_t size)
{
    for (size_t i = 0; i < size && r->line_size + 8 < sizeof(r->line); i++) {
        char c = text[i];

        if (c >= 0x20 && c <= 0x7e && c != '\\')
            r->line[r->line_size++] = c;
        else
            r->line_size +=
                (size_t)cv_snprintf(r->line + r->line_size, 5, "\\x%02x", (unsigned char)c);
    }
}

void report_text(struct reporter *r, const char *text, size_t size)
{
    while (size) {
        const char *end = memchr(text, '\n', size);
        size_t n = end ? (size_t)(end - text) : size;

        report_name(r, text, n);
        if (end)
            put_line(r);
        n += end != NULL;
        text += n;
        size -= n;
    }
}

void report_printf(struct reporter *r, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    cv_vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    report_text(r, text, strlen(text));
}

static void say_event(void *arg, const char *line)
{
    report_text(arg, line, strlen(line));
}

/* ---- parts ---- */

static const char *signal_name(int signo)
{
    switch (signo) {
    case LX_SIGSEGV:
        return "SIGSEGV";
    case LX_SIGABRT:
        return "SIGABRT";
    case LX_SIGILL:
        return "SIGILL";
    case LX_SIGBUS:
        return "SIGBUS";
    case LX_SIGFPE:
        return "SIGFPE";
    default:
        return "signal";
    }
}

static void report_head(struct reporter *r)
{
    const struct core_stop *s = r->stop;
    struct task *t = s->self.task;
    struct core_thread *th;
    unsigned threads = 0;
    char comm[16];

    task_comm_get(t, comm);
    list_for_each (th, &s->threads, node)
        threads++;
    report_printf(r, "crash: process %d ", t->tg->tgid);
    report_text(r, "(", 1);
    report_name(r, comm, strnlen(comm, sizeof(comm)));
    report_printf(r, "), thread %d of %u: %s (%d), code %d", t->tid, threads, signal_name(s->signo),
                  s->signo, s->info.code);
    if (s->info.code > 0)
        report_printf(r, ", address 0x%lx", s->info.addr);
    else
        report_printf(r, ", sent by process %d", s->info.pid);
    report_text(r, "\n", 1);
}

static void report_registers(struct reporter *r)
{
    struct lx_user_regs u;

    core_user_regs(&r->stop->self, &u);
    report_printf(r, "registers:\n  rip %016lx  rsp %016lx  rflags %08lx\n", u.rip, u.rsp,
                  u.rflags);
    report_printf(r, "  rax %016lx  rbx %016lx  rcx %016lx  rdx %016lx\n", u.rax, u.rbx, u.rcx,
                  u.rdx);
    report_printf(r, "  rsi %016lx  rdi %016lx  rbp %016lx  r8  %016lx\n", u.rsi, u.rdi, u.rbp,
                  u.r8);
    report_printf(r, "  r9  %016lx  r10 %016lx  r11 %016lx  r12 %016lx\n", u.r9, u.r10, u.r11,
                  u.r12);
    report_printf(r, "  r13 %016lx  r14 %016lx  r15 %016lx\n", u.r13, u.r14, u.r15);
    report_printf(r, "  fs_base %016lx  gs_base %016lx  orig_rax %ld\n", u.fs_base, u.gs_base,
                  (int64_t)u.orig_rax);
}

void report_map_name(struct reporter *r, size_t map)
{
    struct strbuf name;
    uint64_t dev, ino;

    if (!r->files[map]) {
        const char *text = r->names[map] ? r->names[map] : "anonymous";

        report_text(r, text, strlen(text));
        return;
    }
    strbuf_init(&name);
    OPS_GET(mm_file_ops, r->files[map]->ops)->describe(r->files[map], &dev, &ino, &name);
    report_name(r, name.data ? name.data : "", MIN(name.size, 300UL));
    strbuf_free(&name);
}

static void report_mappings(struct reporter *r)
{
    report_printf(r, "mappings:\n");
    for (size_t i = 0; i < r->map_count && i < MAPS_SHOWN; i++) {
        const struct report_map *m = &r->maps[i];

        report_printf(r, "  %012lx-%012lx %c%c%c %08lx ", m->start, m->end, m->prot & 1 ? 'r' : '-',
                      m->prot & 2 ? 'w' : '-', m->prot & 4 ? 'x' : '-', m->offset);
        report_map_name(r, i);
        report_text(r, "\n", 1);
    }
    if (r->map_count > MAPS_SHOWN)
        report_printf(r, "  and %lu more\n", r->map_count - MAPS_SHOWN);
}

static uint32_t file_number(const struct reporter *r, const struct mm_file *f, size_t n)
{
    for (size_t i = n; f && i-- > 0;) {
        if (r->files[i] == f)
            return r->maps[i].file;
    }
    return f ? (uint32_t)n : REPORT_NO_FILE;
}

static void list_mappings(struct reporter *r)
{
    struct mm *mm = r->stop->self.task->us.mm;
    struct vma_info v;
    uint64_t at = 0;
    size_t n = 0;

    while (n < REPORT_MAPS && mm_vma_at_or_after(mm, at, &v) == 0) {
        /* The vDSO is a file of its own: it begins like one. */
        r->maps[n] = (struct report_map){.start = v.start,
                                         .end = v.end,
                                         .offset = v.file ? v.offset : 0,
                                         .prot = (uint32_t)v.prot,
                                         .file = file_number(r, v.file, n)};
        r->files[n] = v.file;
        r->names[n++] = v.name;
        at = v.end;
    }
    r->map_count = n;
}

static void make_report(struct reporter *r)
{
    list_mappings(r);
    report_head(r);
    report_registers(r);
    report_ask_helper(r);
    report_mappings(r);
    report_printf(r, "last events:\n");
    records_say(r->k->recorder, LAST_EVENTS, r->stop->self.task->tid, say_event, r);
    report_printf(r, "end of crash report\n");
    for (size_t i = 0; i < r->map_count; i++) {
        if (r->files[i])
            OPS_GET(mm_file_ops, r->files[i]->ops)->put(r->files[i]);
    }
}

/* ---- the thread ---- */

static void report_thread(void *arg)
{
    struct reporter *r = arg;

    for (;;) {
        r->stop = core_report_next(r->kernel);
        r->made++;
        if (r->made <= REPORTS_MAX)
            make_report(r);
        else if (r->made == REPORTS_MAX + 1)
            log_error("--crash-report: %d reports were made: no more", REPORTS_MAX);
        core_report_done(r->kernel);
    }
}

/* By the end of its socket. Crashes are over, unless the sandbox was told to end in one. */
void report_finish(struct boot *b)
{
    struct reporter *r = b->reporter;
    int fd = r ? __atomic_exchange_n(&r->socket, -1, __ATOMIC_SEQ_CST) : -1;

    if (fd >= 0)
        close(fd);
}

int report_start(struct boot *b)
{
    struct timeval limit = {.tv_sec = ANSWER_SECONDS};
    struct reporter *r;
    int64_t pid;
    int err;

    if (!b->config->crash_report)
        return 0;
    r = calloc(1, sizeof(*r));
    if (!r)
        return -ENOMEM;
    r->k = b->kernel;
    b->reporter = r;
    r->socket = -1;
    r->out_fd = b->config->report_fd;
    err = helper_start(report_helper, report_helper_end, &pid, &r->arena, &r->socket);
    if (err == 0)
        err = core_reporter_create(b->kernel, &r->kernel);
    if (err)
        return err;
    (void)setsockopt(r->socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    (void)setsockopt(r->socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    return boot_start_thread(report_thread, r);
}
