/*
 * Who writes what is traced: a thread for each sink, to the log (--strace), a file (--trace-out) or
 * the socket of `runsc trace`. A reader who is slow holds up its own thread only; what finds no
 * room meanwhile is left out, and that is said. Locks: none but the sinks' own.
 */
#include "platform/host/host.h"
#include "sentry/base/arena.h"
#include "sentry/base/log.h"
#include "sentry/boot/boot_int.h"
#include "sentry/kernel/wake_trace.h"
#include "sentry/strace/sink.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TRACE_SESSIONS   STRACE_SINKS
#define FINISH_FILE_MS   2000
#define FINISH_READER_MS 80 /* the sandbox's end must not wait for a reader */

enum { SESSION_FREE, SESSION_RUNS, SESSION_CLOSES };

struct trace_session {
    struct boot *boot;
    struct strace_sink *sink;
    int fd;
    bool reader; /* fd is a socket of the session's own */
    uint32_t state;
};

static struct trace_session *claim(struct boot *b)
{
    if (!b->traces)
        b->traces = calloc(TRACE_SESSIONS, sizeof(*b->traces));
    for (int i = 0; b->traces && i < TRACE_SESSIONS; i++) {
        if (load_acquire(&b->traces[i].state) == SESSION_FREE)
            return &b->traces[i];
    }
    return NULL;
}

/* False: nobody takes it. A socket's writes time out, so that the session's end is seen. */
static bool write_all(struct trace_session *s, const void *data, size_t size)
{
    const char *p = data;

    while (size > 0) {
        ssize_t n = s->reader ? boot_send(s->fd, p, size) : write(s->fd, p, size);

        if (n < 0 && (errno == EINTR ||
                      (errno == EAGAIN && s->reader && load_acquire(&s->state) == SESSION_RUNS)))
            continue;
        if (n <= 0)
            return false;
        p += n;
        size -= (size_t)n;
    }
    return true;
}

static bool write_dropped(struct trace_session *s, uint64_t lines)
{
    char text[96];
    int n = snprintf(text, sizeof(text),
                     s->sink->config.format == STRACE_JSON ? "{\"dropped\":%llu}\n"
                                                           : "--- %llu calls dropped ---\n",
                     (unsigned long long)lines);

    return write_all(s, text, (size_t)n);
}

/* The array's last element, which has no comma behind it, and the array's end. */
static void end_events(struct trace_session *s)
{
    bool cut = strace_sink_full(s->sink);
    unsigned long long now = strace_clock_ns(&s->boot->kernel->trace->clock);
    char text[160];
    int n = snprintf(text, sizeof(text),
                     "{\"ph\":\"i\",\"pid\":1,\"tid\":1,\"ts\":%llu.%03llu,\"s\":\"g\","
                     "\"name\":\"%s\"}\n]\n",
                     now / 1000, now % 1000, cut ? "trace limit reached" : "trace ends");

    (void)write_all(s, text, (size_t)n);
}

/* What is there now: true when there was something, false also when nobody takes it any more. */
static bool write_some(struct trace_session *s)
{
    const uint8_t *data;
    uint64_t dropped;
    uint32_t size = strace_sink_take(s->sink, &data, &dropped);

    if (!size && !dropped)
        return false;
    if ((size && !write_all(s, data, size)) || (dropped && !write_dropped(s, dropped))) {
        if (!s->reader)
            log_error("the trace can no longer be written");
        strace_sink_stop(s->boot->kernel, s->sink);
    }
    return true;
}

static void writer(void *arg)
{
    struct trace_session *s = arg;

    for (;;) {
        bool closes = load_acquire(&s->state) == SESSION_CLOSES;

        if (closes)
            strace_sink_stop(s->boot->kernel, s->sink);
        while (write_some(s))
            continue;
        if (closes)
            break;
        strace_sink_wait(s->sink);
    }
    if (s->sink->config.format == STRACE_EVENTS)
        end_events(s);
    strace_sink_free(s->sink);
    if (s->reader)
        close(s->fd);
    store_release(&s->state, SESSION_FREE);
}

/* The session's number, or -errno. */
static int prepare(struct boot *b, struct strace_options *o,
                   const struct strace_sink_config *config, int fd, bool reader)
{
    struct trace_session *s = claim(b);
    int r;

    if (!s) {
        strace_options_free(o);
        return -EBUSY;
    }
    *s = (struct trace_session){.boot = b, .fd = fd, .reader = reader};
    r = strace_sink_start(b->kernel, o, config, &s->sink);
    return r < 0 ? r : (int)(s - b->traces);
}

int boot_trace_go(struct boot *b, int session)
{
    struct trace_session *s = &b->traces[session];
    int r;

    store_release(&s->state, SESSION_RUNS);
    r = boot_start_thread(writer, s);
    if (r == 0)
        return 0;
    strace_sink_stop(b->kernel, s->sink);
    strace_sink_free(s->sink);
    if (s->reader)
        close(s->fd);
    store_release(&s->state, SESSION_FREE);
    return r;
}

static int start_events(struct boot *b)
{
    const struct strace_sink_config config = {
        .format = STRACE_EVENTS, .waits = true, .limit = b->config->trace_limit};
    int r = write(b->config->trace_fd, "[\n", 2) == 2 ? 0 : -errno, session = 0;

    if (r == 0)
        session = r = prepare(b, NULL, &config, b->config->trace_fd, false);
    if (r >= 0)
        r = wake_trace_start(b->kernel, &strace_wake_clock);
    if (r >= 0)
        r = boot_trace_go(b, session);
    return r < 0 ? boot_fail(b->config, 1, "--trace-out: %s", boot_error(r)) : 0;
}

int boot_trace_start(struct boot *b)
{
    const struct boot_trace *t = &b->config->trace;
    struct strace_choice choice = {
        .failed = t->failed, .calls = t->calls, .pids = t->pids, .paths = t->paths};
    const struct strace_sink_config config = {.format = t->json ? STRACE_JSON : STRACE_TEXT,
                                              .waits = true,
                                              .logged = true,
                                              .direct = b->config->debug,
                                              .fd = b->config->log_fd};
    struct strace_options *o;
    const char *what;
    int r = b->config->trace_fd >= 0 ? start_events(b) : 0;

    if (r || !b->config->strace || b->config->log_fd < 0)
        return r;
    r = strace_options_create(&choice, &o, &what);
    if (r < 0)
        return boot_fail(b->config, 1, "invalid --strace-%s: %s", what, boot_error(r));
    r = prepare(b, o, &config, b->config->log_fd, false);
    if (r >= 0)
        r = boot_trace_go(b, r);
    return r < 0 ? boot_fail(b->config, 1, "--strace: %s", boot_error(r)) : 0;
}

int boot_trace_attach(struct boot *b, const struct strace_choice *choice, bool json, int fd,
                      const char **what)
{
    const struct strace_sink_config config = {.format = json ? STRACE_JSON : STRACE_TEXT};
    struct strace_options *o;
    int r = strace_options_create(choice, &o, what);

    if (r == 0) {
        *what = "attachments";
        r = prepare(b, o, &config, fd, true);
    }
    if (r < 0)
        close(fd);
    return r;
}

/* It may have ended meanwhile, at the sandbox's end only. */
void boot_trace_detach(struct boot *b, int session)
{
    struct trace_session *s = &b->traces[session];
    uint32_t runs = SESSION_RUNS;

    if (__atomic_compare_exchange_n(&s->state, &runs, SESSION_CLOSES, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_RELAXED))
        strace_sink_wake(s->sink);
}

static bool any_left(const struct boot *b, bool readers)
{
    for (int i = 0; i < TRACE_SESSIONS; i++) {
        if (load_acquire(&b->traces[i].state) != SESSION_FREE && b->traces[i].reader == readers)
            return true;
    }
    return false;
}

void boot_trace_finish(struct boot *b)
{
    for (int i = 0; b->traces && i < TRACE_SESSIONS; i++)
        boot_trace_detach(b, i);
    for (int n = 0; b->traces && n < FINISH_FILE_MS; n++) {
        if (!any_left(b, false) && (n >= FINISH_READER_MS || !any_left(b, true)))
            return;
        (void)poll(NULL, 0, 1);
    }
}
