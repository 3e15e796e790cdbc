/*
 * Talking with the report helper: it asks for memory and files of the crashed program, and sends
 * text. A helper that breaks the rules, or takes too long, is not spoken to again. Runs on the
 * report thread. Locks: those of memory and file reads.
 */
#include "sentry/boot/report/report_int.h"

#include "platform/host/host.h"
#include "platform/patch/helper/arena.h"
#include "sentry/mm/mm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MESSAGES_MAX 200000
#define TEXT_MAX     65536
#define NAME_MARK    "(map "

static bool receive(struct reporter *r, void *to, size_t size)
{
    char *p = to;

    while (size) {
        int64_t n = host_read(r->socket, p, size);

        if (n == -EINTR)
            continue;
        if (n <= 0)
            return false;
        p += n;
        size -= (size_t)n;
    }
    return true;
}

static bool send_all(struct reporter *r, const void *from, size_t size)
{
    const char *p = from;

    while (size) {
        int64_t n = host_write(r->socket, p, size); /* SIGPIPE is blocked */

        if (n == -EINTR)
            continue;
        if (n <= 0)
            return false;
        p += n;
        size -= (size_t)n;
    }
    return true;
}

/* How many bytes could be had. */
static uint64_t fetch(struct reporter *r, const struct report_message *m, uint8_t *buf)
{
    struct task *t = r->stop->self.task;
    struct file *f;
    struct uio uio;
    int64_t n = 0, pos = (int64_t)m->a;

    if (signal_fatal_pending(t))
        return 0; /* killed: the report is to end soon */
    if (m->kind == REPORT_MEMORY) {
        n = mm_read(t->us.mm, buf, m->a, m->b, true);
    } else if (m->map < r->map_count && r->files[m->map] && pos >= 0) {
        f = file_of_mapped(r->files[m->map]);
        if (!f)
            return 0;
        uio_init_kernel(&uio, buf, m->b);
        n = file_read(f, &uio, &pos);
        uio_destroy(&uio);
    }
    return n > 0 ? (uint64_t)n : 0;
}

static bool answer(struct reporter *r, const struct report_message *m)
{
    uint8_t *buf = m->b <= REPORT_READ_MAX ? calloc(1, m->b + 1) : NULL;
    uint64_t have = 0;
    bool ok;

    if (!buf)
        return false;
    have = fetch(r, m, buf);
    ok = send_all(r, &have, sizeof(have)) && send_all(r, buf, m->b);
    free(buf);
    return ok;
}

/* "(map N +0x1)" becomes "(/bin/x+0x1)": what a file is called the helper does not know. */
static void pass_text(struct reporter *r, const char *text, size_t size)
{
    const char *mark = memmem(text, size, NAME_MARK, strlen(NAME_MARK));
    char *end;
    unsigned long map;

    if (!mark) {
        report_text(r, text, size);
        return;
    }
    map = strtoul(mark + strlen(NAME_MARK), &end, 10);
    report_text(r, text, (size_t)(mark - text) + 1);
    if (map < r->map_count)
        report_map_name(r, map);
    end += *end == ' ';
    report_text(r, end, size - (size_t)(end - text));
}

static bool take_text(struct reporter *r, uint64_t size, size_t *left)
{
    char text[REPORT_TEXT_MAX + 1];

    if (size > REPORT_TEXT_MAX || size > *left || !receive(r, text, size))
        return false;
    text[size] = '\0';
    *left -= size;
    pass_text(r, text, size);
    return true;
}

static bool serve(struct reporter *r)
{
    struct report_message m;
    size_t text_left = TEXT_MAX;

    for (int i = 0; i < MESSAGES_MAX && receive(r, &m, sizeof(m)); i++) {
        bool ok = false;

        if (m.kind == REPORT_END)
            return true;
        if (m.kind == REPORT_MEMORY || m.kind == REPORT_FILE)
            ok = answer(r, &m);
        else if (m.kind == REPORT_TEXT)
            ok = take_text(r, m.b, &text_left);
        if (!ok)
            return false;
    }
    return false;
}

void report_ask_helper(struct reporter *r)
{
    const struct cpu_regs *c = &r->stop->self.task->regs;
    struct report_job job = {.regs = {c->rax, c->rdx, c->rcx, c->rbx, c->rsi, c->rdi, c->rbp,
                                      c->rsp, c->r8, c->r9, c->r10, c->r11, c->r12, c->r13, c->r14,
                                      c->r15, c->rip},
                             .map_count = r->map_count};
    int fd;

    if (r->socket >= 0 && send_all(r, &job, sizeof(job)) &&
        send_all(r, r->maps, r->map_count * sizeof(r->maps[0])) && serve(r)) {
        /* What it had in memory is zero for the next. */
        if (host_ftruncate(r->arena, 0) == 0 && host_ftruncate(r->arena, ARENA_SIZE) == 0)
            return;
    }
    fd = __atomic_exchange_n(&r->socket, -1, __ATOMIC_SEQ_CST);
    if (fd >= 0)
        host_close(fd);
    report_printf(r, "\n(the helper that reads code and tables is gone: no backtraces)\n");
}
