/* What the runs of one unit say, set against each other: rows with a cell for each platform. */
#include "runsc-cli/compat/kinds.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define TAIL_KEPT   4096
#define LINE_SHOWN  400
#define BUG_MESSAGE "kernel bug at "

struct side {
    const struct run *run;
    struct case_list cases;
};

const char *signal_of_status(int status)
{
    static const char *const names[] = {
        [SIGHUP] = "SIGHUP",       [SIGINT] = "SIGINT",   [SIGQUIT] = "SIGQUIT",
        [SIGILL] = "SIGILL",       [SIGTRAP] = "SIGTRAP", [SIGABRT] = "SIGABRT",
        [SIGBUS] = "SIGBUS",       [SIGFPE] = "SIGFPE",   [SIGKILL] = "SIGKILL",
        [SIGUSR1] = "SIGUSR1",     [SIGSEGV] = "SIGSEGV", [SIGUSR2] = "SIGUSR2",
        [SIGPIPE] = "SIGPIPE",     [SIGALRM] = "SIGALRM", [SIGTERM] = "SIGTERM",
        [SIGSTKFLT] = "SIGSTKFLT", [SIGXCPU] = "SIGXCPU", [SIGXFSZ] = "SIGXFSZ",
        [SIGVTALRM] = "SIGVTALRM", [SIGPROF] = "SIGPROF", [SIGIO] = "SIGIO",
        [SIGPWR] = "SIGPWR",       [SIGSYS] = "SIGSYS",
    };
    size_t n = status > 128 ? (size_t)status - 128 : 0;

    if (n < ARRAY_SIZE(names))
        return names[n];
    return n >= 34 && n <= 64 ? "a real-time signal" : NULL;
}

/* A sandbox whose own kernel failed is a crash, whatever status it left. */
static bool kernel_failed(const struct run *r, struct case_list *out)
{
    size_t at = 0, n;
    const char *line, *bug;

    while (text_line(&r->err, &at, &line, &n)) {
        bug = find_bytes(line, n, BUG_MESSAGE);
        if (bug && n > 20 && line[0] == 'E') {
            add_case(out, copy_string(""), OUT_CRASH,
                     format_string("the sandbox's kernel failed: %.*s",
                                   (int)(n - (size_t)(bug - line)), bug));
            return true;
        }
    }
    return false;
}

static void read_side(enum kind kind, const struct unit *u, bool sandbox, struct side *s)
{
    if (s->run->problem)
        add_case(&s->cases, copy_string(""), OUT_FAIL, copy_string(s->run->problem));
    else if (s->run->done && !(sandbox && kernel_failed(s->run, &s->cases)))
        kind_results(kind, u->case_name, s->run, &s->cases);
}

static const struct text *compared_stream(enum kind kind, const struct run *r)
{
    if (kind == KIND_CRITERION || (kind == KIND_LTP && ltp_is(&r->err)))
        return &r->err;
    return &r->out;
}

static bool next_line(enum kind kind, const struct text *t, size_t *at, size_t *number,
                      const char **line, size_t *n)
{
    while (text_line(t, at, line, n)) {
        ++*number;
        if (kind_comparable(kind, *line, n))
            return true;
    }
    return false;
}

static char *shown(bool there, const char *line, size_t n)
{
    return there ? copy_bytes(line, n < LINE_SHOWN ? n : LINE_SHOWN) : NULL;
}

static void first_difference(enum kind kind, const struct run *a, const struct run *b,
                             struct cell *out)
{
    const struct text *s = compared_stream(kind, a), *t = compared_stream(kind, b);
    size_t at_s = 0, at_t = 0, number_s = 0, number_t = 0, n = 0, m = 0;
    const char *x = NULL, *y = NULL;
    bool more_s, more_t;

    do {
        more_s = next_line(kind, s, &at_s, &number_s, &x, &n);
        more_t = next_line(kind, t, &at_t, &number_t, &y, &m);
        if (!more_s && !more_t)
            return;
    } while (more_s && more_t && n == m && memcmp(x, y, n) == 0);
    out->line = more_t ? number_t : number_s;
    out->expected = shown(more_s, x, n);
    out->found = shown(more_t, y, m);
}

/* Whether two results of the same outcome are the same in all that counts. */
static bool same_result(const struct compat *c, enum kind kind, const struct side *a,
                        const struct side *b, const struct case_result *x,
                        const struct case_result *y)
{
    if (x->comparable && y->comparable)
        return strcmp(x->comparable, y->comparable) == 0;
    if (x->outcome == OUT_HANG)
        return true;
    if (x->outcome == OUT_CRASH)
        return a->run->status == b->run->status;
    return kind != KIND_PLAIN || (a->run->status == b->run->status &&
                                  (c->status_only || text_same(&a->run->out, &b->run->out)));
}

static enum verdict verdict_of_outcome(enum outcome o)
{
    static const enum verdict of[OUTCOMES] = {
        [OUT_ABSENT] = VERDICT_FAILED, [OUT_PASS] = VERDICT_PASSED,   [OUT_FAIL] = VERDICT_FAILED,
        [OUT_SKIP] = VERDICT_SKIPPED,  [OUT_CRASH] = VERDICT_CRASHED, [OUT_HANG] = VERDICT_HUNG,
    };

    return of[o];
}

static enum verdict judge(bool native, enum outcome reference, enum outcome ours, bool same)
{
    enum verdict alone = verdict_of_outcome(ours);

    if (!native)
        return ours == OUT_PASS && reference == OUT_PASS && !same ? VERDICT_DIFFERS : alone;
    if (ours == reference && same)
        return alone == VERDICT_PASSED || alone == VERDICT_SKIPPED ? alone : VERDICT_SAME;
    if (ours != reference && (alone == VERDICT_CRASHED || alone == VERDICT_HUNG))
        return alone;
    return VERDICT_DIFFERS;
}

static bool is_well(enum verdict v)
{
    return v == VERDICT_PASSED || v == VERDICT_SAME || v == VERDICT_SKIPPED;
}

static char *why(const struct case_result *ours, const struct case_result *reference, bool same)
{
    const char *before = reference ? outcome_names[reference->outcome] : "absent";

    if (!ours)
        return format_string("not run (%s on the other side)", before);
    if (!same && ours->comparable && reference && reference->comparable)
        return format_string("%s; instead of %s%s%s", ours->comparable, reference->comparable,
                             ours->message ? "\n" : "", ours->message ? ours->message : "");
    if (reference && ours->outcome != reference->outcome)
        return format_string("%s instead of %s%s%s", outcome_names[ours->outcome], before,
                             ours->message ? ": " : "", ours->message ? ours->message : "");
    return ours->message ? copy_string(ours->message) : NULL;
}

struct question {
    const struct compat *c;
    const struct unit *unit;
    enum kind kind;
    struct side *sides;
    size_t reference; /* a side */
};

static void fill_cell(const struct question *q, const char *name, size_t p, struct row *row)
{
    struct cell *cell = &row->cells[p];
    struct side *ours = &q->sides[p + 1], *ref = &q->sides[q->reference];
    bool compared = ours != ref && ref->run->done, same = true;
    const struct case_result *x = find_case(&ours->cases, name),
                             *y = compared ? find_case(&ref->cases, name) : NULL;

    if (!ours->run->done && !ours->run->problem) {
        cell->verdict = VERDICT_SKIPPED;
        cell->outcome = OUT_ABSENT;
        cell->unexpected = !q->c->unable[p]; /* it was broken off */
        cell->message = copy_string(q->c->unable[p] ? q->c->unable[p] : "not run");
        return;
    }
    cell->outcome = x ? x->outcome : OUT_ABSENT;
    if (x && y && x->outcome == y->outcome)
        same = same_result(q->c, q->kind, ref, ours, y, x);
    cell->verdict = compared ? judge(q->reference == COMPAT_NATIVE, y ? y->outcome : OUT_ABSENT,
                                     cell->outcome, same)
                             : verdict_of_outcome(cell->outcome);
    cell->status = ours->run->status;
    cell->us = ours->run->us;
    cell->message = why(x, compared ? y : NULL, same);
    cell->reason =
        known_reason(&q->c->known, q->unit->program->name, row->name, q->c->platforms[p]);
    cell->was_known =
        cell->reason && (cell->verdict == VERDICT_PASSED || cell->verdict == VERDICT_SAME);
    cell->unexpected = !cell->reason && !is_well(cell->verdict);
    if (cell->verdict == VERDICT_PASSED || cell->verdict == VERDICT_SKIPPED)
        return;
    cell->tail = text_tail(compared_stream(q->kind, ours->run), TAIL_KEPT);
    if (!cell->tail.size)
        cell->tail =
            text_tail(q->kind == KIND_CRITERION ? &ours->run->out : &ours->run->err, TAIL_KEPT);
    if (compared && cell->verdict != VERDICT_SAME)
        first_difference(q->kind, ref->run, ours->run, cell);
    if (!cell->message && cell->line)
        cell->message = format_string("its output, from line %zu on", cell->line);
}

/* The names of all sides' cases, each once, in the order of the first that has it. */
static void collect_names(const struct side *sides, size_t count, size_t first,
                          struct name_list *out)
{
    for (size_t i = 0; i < count; i++) {
        const struct case_list *l = &sides[(first + i) % count].cases;

        for (size_t k = 0; k < l->count; k++) {
            bool there = false;

            for (size_t j = 0; j < out->count && !there; j++)
                there = strcmp(out->items[j], l->items[k].name) == 0;
            if (!there)
                add_name(out, copy_string(l->items[k].name));
        }
    }
    if (!out->count)
        add_name(out, copy_string(""));
}

/* TAP and LTP are told by what is written, on whatever side it is. */
static enum kind final_kind(const struct unit *u, const struct run *runs, size_t count)
{
    enum kind kind = u->program->kind;

    for (size_t i = 0; i < count && kind == KIND_PLAIN; i++) {
        if (runs[i].done)
            kind = kind_of_output(&runs[i]);
    }
    return kind;
}

void compare_unit(const struct compat *c, struct unit *u, const struct run *runs)
{
    size_t count = c->platform_count + 1;
    struct side sides[COMPAT_TARGETS] = {0};
    struct name_list names = {0};
    struct question q = {.c = c, .unit = u, .sides = sides};

    q.kind = final_kind(u, runs, count);
    for (size_t i = 0; i < count; i++) {
        sides[i].run = &runs[i];
        read_side(q.kind, u, i != COMPAT_NATIVE, &sides[i]);
    }
    q.reference = c->native ? COMPAT_NATIVE : 1;
    while (!c->native && q.reference < c->platform_count && !runs[q.reference].done)
        q.reference++;
    collect_names(sides, count, q.reference, &names);
    u->rows = alloc_zeroed(names.count * sizeof(*u->rows));
    u->row_count = names.count;
    for (size_t i = 0; i < names.count; i++) {
        struct case_result *native = find_case(&sides[COMPAT_NATIVE].cases, names.items[i]);
        struct row *row = &u->rows[i];

        row->name = copy_string(u->case_name ? u->case_name : names.items[i]);
        row->native = native ? native->outcome : OUT_ABSENT;
        row->native_us = runs[COMPAT_NATIVE].us;
        for (size_t p = 0; p < c->platform_count; p++)
            fill_cell(&q, names.items[i], p, row);
    }
    if (u->program->kind == KIND_PLAIN)
        u->program->kind = q.kind;
    for (size_t i = 0; i < count; i++)
        free_cases(&sides[i].cases);
    free_names(&names);
}

void count_verdicts(const struct compat *c, struct tally *out)
{
    *out = (struct tally){0};
    for (size_t i = 0; i < c->unit_count; i++) {
        if (!c->units[i].row_count)
            out->incomplete++;
        for (size_t k = 0; k < c->units[i].row_count; k++) {
            out->cases++;
            for (size_t p = 0; p < c->platform_count; p++) {
                const struct cell *cell = &c->units[i].rows[k].cells[p];

                out->verdicts[p][cell->verdict]++;
                out->unexpected += cell->unexpected;
                out->known += cell->reason && !cell->was_known && cell->verdict != VERDICT_SKIPPED;
                out->fixed += cell->was_known;
            }
        }
    }
}
