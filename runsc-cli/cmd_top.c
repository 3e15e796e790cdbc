/*
 * runsc top: a container's system calls by rate, its processes by CPU time, and its memory, shown
 * anew every few seconds; in a terminal until q or ^C, which finds it as it was; with -b as plain
 * text. Counts calls while it runs. Names that the guest chose are printed as printable ASCII.
 */
#include "runsc-cli/cli.h"
#include "runsc-cli/control_client.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define PROCESSES_MAX 512
#define CALLS_MAX     512
#define BATCH_ROWS    20

struct top_options {
    int64_t delay, rounds;
    bool batch;
};

#define O(field) offsetof(struct top_options, field)
const struct opt top_opts[] = {
    {"delay", 'd', OPT_INT, O(delay), "SECONDS", "between two looks (default 2)"},
    {"rounds", 'n', OPT_INT, O(rounds), "N", "end after so many looks (default: never; with -b 1)"},
    {"batch", 'b', OPT_FLAG, O(batch), NULL, "plain text, one look behind the other"},
    {0},
};

struct call_row {
    char name[32];
    int64_t count, errors, total_ns, p50_ns, p99_ns, rate; /* rate: since the last look */
};

struct process_row {
    int pid;
    long long cpu_ms, share; /* share: of a core since the last look, in tenths of a percent */
    char name[32];
};

struct look {
    double at;
    struct call_row calls[CALLS_MAX];
    struct process_row processes[PROCESSES_MAX];
    size_t call_count, process_count;
    char memory[2048];
};

struct top {
    struct container *c;
    struct look now, before;
    bool tty;
    int rows, columns;
    sigset_t unblocked; /* signals come while waiting only */
};

static volatile sig_atomic_t stopped;

static void stop(int signo)
{
    stopped = signo;
}

static double seconds(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Printable ASCII only: a name is the guest's. */
static void take_name(char out[32], const char *name)
{
    size_t n = 0;

    for (; *name && n < 31; name++)
        out[n++] = *name < 0x20 || *name > 0x7e ? '?' : *name;
    out[n] = '\0';
}

/* ---- a look ---- */

static void take_calls(struct look *l, json_object *figures)
{
    json_object *calls = json_get(figures, "calls", json_type_array);

    for (size_t i = 0; calls && i < json_length(calls) && i < CALLS_MAX; i++) {
        json_object *o = json_object_array_get_idx(calls, i);
        struct call_row *r = &l->calls[l->call_count++];

        take_name(r->name, json_string_or(o, "name", "?"));
        r->count = json_int(o, "count", 0);
        r->errors = json_int(o, "errors", 0);
        r->total_ns = json_int(o, "total_ns", 0);
        r->p50_ns = json_int(o, "p50_ns", 0);
        r->p99_ns = json_int(o, "p99_ns", 0);
        r->rate = 0;
    }
}

static void take_memory(struct look *l, json_object *figures)
{
    json_object *owners = json_get(figures, "owners", json_type_array);
    size_t used = 0;

    l->memory[0] = '\0';
    for (size_t i = 0; owners && i < json_length(owners); i++) {
        json_object *o = json_object_array_get_idx(owners, i);
        int n =
            snprintf(l->memory + used, sizeof(l->memory) - used, "%s%s %.1fM",
                     i % 3 ? "  "
                     : i   ? "\n"
                           : "",
                     json_string_or(o, "owner", "?"), (double)json_int(o, "bytes", 0) / 1048576);

        if (n < 0 || (size_t)n >= sizeof(l->memory) - used)
            return;
        used += (size_t)n;
    }
}

static void take_processes(struct look *l, const char *text)
{
    while (*text && l->process_count < PROCESSES_MAX) {
        struct process_row *p = &l->processes[l->process_count];
        int at = 0;
        char line[256];
        size_t n = strcspn(text, "\n");

        snprintf(line, sizeof(line), "%.*s", (int)n, text);
        text += n + (text[n] == '\n');
        if (sscanf(line, "%d %*d %*u %*u %lld %*s %n", &p->pid, &p->cpu_ms, &at) < 2 || !at)
            continue;
        p->share = 0;
        take_name(p->name, line + at);
        l->process_count++;
    }
}

static int take_look(struct top *t, struct cli_error *err)
{
    char *figures = NULL, *processes = NULL;
    json_object *o;

    t->before = t->now;
    t->now = (struct look){.at = seconds()};
    if (control_request(t->c, CONTROL_FIGURES, CONTROL_FIGURES_JSON, &figures, err) < 0)
        return -1;
    if (control_request(t->c, CONTROL_PS, 0, &processes, err) < 0) {
        free(figures);
        return -1;
    }
    o = json_tokener_parse(figures);
    if (o) {
        take_calls(&t->now, o);
        take_memory(&t->now, o);
        json_object_put(o);
    }
    take_processes(&t->now, processes);
    free(figures);
    free(processes);
    return o ? 0 : fail(err, 1, "the sandbox's answer is no JSON");
}

static int by_rate(const void *a, const void *b)
{
    const struct call_row *x = a, *y = b;

    if (x->rate != y->rate)
        return x->rate < y->rate ? 1 : -1;
    return x->count < y->count ? 1 : x->count > y->count ? -1 : 0;
}

static int by_share(const void *a, const void *b)
{
    const struct process_row *x = a, *y = b;

    if (x->share != y->share)
        return x->share < y->share ? 1 : -1;
    return x->pid < y->pid ? -1 : x->pid > y->pid;
}

static void compare(struct top *t)
{
    struct look *n = &t->now, *b = &t->before;
    double passed = n->at - b->at;

    for (size_t i = 0; b->at > 0 && passed > 0 && i < n->call_count; i++) {
        int64_t had = 0;

        for (size_t k = 0; k < b->call_count; k++) {
            if (strcmp(b->calls[k].name, n->calls[i].name) == 0)
                had = b->calls[k].count;
        }
        n->calls[i].rate = (int64_t)((double)(n->calls[i].count - had) / passed);
    }
    for (size_t i = 0; b->at > 0 && passed > 0 && i < n->process_count; i++) {
        long long had = 0;

        for (size_t k = 0; k < b->process_count; k++) {
            if (b->processes[k].pid == n->processes[i].pid)
                had = b->processes[k].cpu_ms;
        }
        n->processes[i].share = (long long)((double)(n->processes[i].cpu_ms - had) / passed);
    }
    qsort(n->calls, n->call_count, sizeof(n->calls[0]), by_rate);
    qsort(n->processes, n->process_count, sizeof(n->processes[0]), by_share);
}

/* ---- showing it ---- */

/* One line, cut to the terminal's width. */
static void line(const struct top *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void line(const struct top *t, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (t->tty && t->columns > 0 && t->columns < (int)sizeof(text))
        text[t->columns] = '\0';
    printf("%s%s\n", text, t->tty ? "\033[K" : "");
}

static void show_memory(const struct top *t)
{
    char text[sizeof(t->now.memory)], *rest = text, *part;

    memcpy(text, t->now.memory, sizeof(text));
    while ((part = strsep(&rest, "\n")))
        line(t, "%s", part);
}

static void show(struct top *t)
{
    const struct look *n = &t->now;
    int rows = t->tty ? MAX(t->rows - 9, 4) : 2 * BATCH_ROWS;
    int processes = MIN((int)n->process_count, rows / 3), calls = rows - processes;
    struct winsize size;

    if (t->tty && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) {
        t->rows = size.ws_row;
        t->columns = size.ws_col;
    }
    if (t->tty)
        fputs("\033[H", stdout);
    line(t, "%s: %zu processes", t->c->id, n->process_count);
    show_memory(t);
    line(t, "%6s %6s %10s  %s", "PID", "CPU%", "CPU s", "NAME");
    for (int i = 0; i < processes; i++) {
        const struct process_row *p = &n->processes[i];

        line(t, "%6d %6.1f %10.2f  %s", p->pid, (double)p->share / 10, (double)p->cpu_ms / 1000,
             p->name);
    }
    line(t, "%-20s %10s %12s %10s %12s %12s", "CALL", "PER S", "COUNT", "ERRORS", "P50 us",
         "P99 us");
    for (int i = 0; i < calls && i < (int)n->call_count; i++) {
        const struct call_row *c = &n->calls[i];

        line(t, "%-20s %10lld %12lld %10lld %12.2f %12.2f", c->name, (long long)c->rate,
             (long long)c->count, (long long)c->errors, (double)c->p50_ns / 1e3,
             (double)c->p99_ns / 1e3);
    }
    fputs(t->tty ? "\033[J" : "\n", stdout);
    fflush(stdout);
}

/* ---- the terminal ---- */

static void enter_screen(struct termios *saved)
{
    struct termios raw;

    tcgetattr(STDIN_FILENO, saved);
    raw = *saved;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
    fputs("\033[?1049h\033[?25l\033[2J", stdout);
}

static void leave_screen(const struct termios *saved)
{
    fputs("\033[?25h\033[?1049l", stdout);
    fflush(stdout);
    tcsetattr(STDIN_FILENO, TCSADRAIN, saved);
}

/* True: go on. A stop by ^Z gives the terminal back meanwhile. */
static bool wait_for_next(struct top *t, double delay, struct termios *saved)
{
    double until = seconds() + delay;

    for (;;) {
        struct pollfd p = {.fd = t->tty ? STDIN_FILENO : -1, .events = POLLIN};
        double left = MAX(until - seconds(), 0.0);
        struct timespec ts = {.tv_sec = (time_t)left,
                              .tv_nsec = (long)((left - (double)(time_t)left) * 1e9)};
        char key;
        int r = ppoll(&p, 1, &ts, &t->unblocked);

        if (stopped == SIGTSTP) {
            leave_screen(saved);
            raise(SIGSTOP);
            enter_screen(saved);
            stopped = 0;
            return true;
        }
        if (stopped)
            return false;
        if (r == 0)
            return true;
        if (r > 0 && (read(STDIN_FILENO, &key, 1) != 1 || key == 'q'))
            return false;
    }
}

static void catch_signals(struct top *t)
{
    static const int list[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGTSTP};
    struct sigaction sa = {.sa_handler = stop};
    sigset_t caught;

    sigemptyset(&caught);
    for (size_t i = 0; i < ARRAY_SIZE(list) - !t->tty; i++) {
        sigaction(list[i], &sa, NULL);
        sigaddset(&caught, list[i]);
    }
    sigprocmask(SIG_BLOCK, &caught, &t->unblocked);
}

static int run(struct top *t, const struct top_options *o, struct cli_error *err)
{
    int64_t rounds = o->rounds ? o->rounds : t->tty ? INT64_MAX : 1;
    struct termios saved;
    int r = 0;

    catch_signals(t);
    if (t->tty)
        enter_screen(&saved);
    for (int64_t i = 0; r == 0 && !stopped && i < rounds; i++) {
        r = take_look(t, err);
        if (r == 0) {
            compare(t);
            show(t);
        }
        if (r == 0 && i + 1 < rounds &&
            !wait_for_next(t, (double)(o->delay ? o->delay : 2), &saved))
            break;
    }
    if (t->tty)
        leave_screen(&saved);
    return r;
}

/* ---- which one, and counting ---- */

/* The one that runs, when there is one only; malloc'ed. */
static char *only_one(const struct global_options *global, struct cli_error *err)
{
    char **ids = NULL, *found = NULL;
    size_t count = 0, alive = 0;

    if (container_list(global, &ids, &count, err) < 0)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        struct container c;

        if (container_open(global, ids[i], UNLOCKED, &c, err) < 0)
            continue;
        if (container_alive(&c)) {
            alive++;
            found = ids[i];
        }
        container_close(&c);
    }
    if (alive != 1)
        fail(err, 1,
             alive ? "several containers run: say which (runsc list)" : "no container runs");
    return alive == 1 ? found : NULL;
}

/* Was it off, and has been started? */
static int start_counting(const struct container *c, bool *started, struct cli_error *err)
{
    char *text;

    if (control_request(c, CONTROL_FIGURES, CONTROL_FIGURES_JSON, &text, err) < 0)
        return -1;
    *started = strstr(text, "\"counting\":true") == NULL;
    free(text);
    return *started ? control_request(c, CONTROL_FIGURES, CONTROL_FIGURES_START, NULL, err) : 0;
}

int cmd_top(const struct global_options *global, void *opts, int argc, char **args,
            struct cli_error *err)
{
    static struct top t; /* large, and the only one */
    const struct top_options *o = opts;
    const char *id = argc ? args[0] : only_one(global, err);
    struct cli_error ignored = {.status = 1};
    struct container c;
    bool started = false;
    int r;

    if (!id)
        return -1;
    if (o->delay < 0 || o->rounds < 0)
        return fail(err, 1, "delay and rounds cannot be negative");
    t.tty = !o->batch;
    if (t.tty && (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)))
        return fail(err, 1, "standard input and output are no terminal: use --batch");
    if (container_open(global, id, UNLOCKED, &c, err) < 0)
        return -1;
    t.c = &c;
    r = start_counting(&c, &started, err);
    if (r >= 0)
        r = run(&t, o, err);
    if (started)
        (void)control_request(&c, CONTROL_FIGURES, CONTROL_FIGURES_STOP, NULL, &ignored);
    container_close(&c);
    return r < 0 ? -1 : 0;
}
