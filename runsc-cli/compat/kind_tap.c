/*
 * TAP, versions 12 to 14: a plan, and lines "ok 3 - words # SKIP why". Subtests (indented), YAML
 * blocks and pragmas are passed over: their sum is the line below them.
 */
#include "runsc-cli/compat/kinds.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_PLAN 1000000

struct tap_line {
    bool ok, skip, expected_failure; /* expected_failure: # TO-DO of TAP */
    long number;                     /* or 0 */
    const char *words, *why;
    size_t words_length, why_length;
};

/* The number at *s, moved on; -1: there is none, or it is too big. */
static long number_at(const char **s, const char *end)
{
    const char *p = *s;
    long n = 0;

    while (p < end && *p >= '0' && *p <= '9' && n <= MAX_PLAN)
        n = n * 10 + (*p++ - '0');
    if (p == *s || n > MAX_PLAN)
        return -1;
    *s = p;
    return n;
}

/* "1..N", "1..0 # SKIP why": N, or -1. */
static long plan_of(const char *line, size_t n)
{
    const char *at = line + 3, *end = line + n;
    long count;

    if (!line_starts(line, n, "1.."))
        return -1;
    count = number_at(&at, end);
    return at == end || *at == ' ' || *at == '\r' ? count : -1;
}

static void blanks(const char **s, const char **end)
{
    while (*s < *end && (**s == ' ' || **s == '\t'))
        (*s)++;
    while (*end > *s && ((*end)[-1] == ' ' || (*end)[-1] == '\r' || (*end)[-1] == '\t'))
        (*end)--;
}

/* The first " #" that no backslash stands before. */
static const char *directive(const char *s, const char *end)
{
    for (; s < end; s++) {
        if (*s == '\\')
            s++;
        else if (*s == '#')
            return s;
    }
    return end;
}

static bool parse_line(const char *line, size_t n, struct tap_line *out)
{
    const char *at = line, *end = line + n, *mark;
    long number;

    *out = (struct tap_line){.ok = line_starts(line, n, "ok")};
    at += out->ok ? 2 : 6;
    if ((!out->ok && !line_starts(line, n, "not ok")) || (at < end && *at != ' ' && *at != '\r'))
        return false;
    blanks(&at, &end);
    number = number_at(&at, end);
    out->number = number > 0 ? number : 0;
    mark = directive(at, end);
    if (mark < end) {
        const char *why = mark + 1, *stop = end;

        blanks(&why, &stop);
        out->skip = stop - why >= 4 && strncasecmp(why, "skip", 4) == 0;
        out->expected_failure = stop - why >= 4 && strncasecmp(why,
                                                               "to"
                                                               "do",
                                                               4) == 0;
        out->why = why;
        out->why_length = (size_t)(stop - why);
        end = out->skip || out->expected_failure ? mark : end;
    }
    blanks(&at, &end);
    if (at < end && *at == '-')
        at++;
    blanks(&at, &end);
    out->words = at;
    out->words_length = (size_t)(end - at);
    return true;
}

bool tap_is(const struct text *t)
{
    size_t at = 0, n, results = 0;
    bool plan = false, version = false;
    struct tap_line l;
    const char *line;

    while (text_line(t, &at, &line, &n)) {
        version |= line_starts(line, n, "TAP version ");
        plan |= plan_of(line, n) >= 0;
        results += parse_line(line, n, &l);
    }
    return version || (plan && results > 0) || (plan && plan_of(t->data, t->size) == 0);
}

static void add_result(struct case_list *out, long number, const struct tap_line *l)
{
    enum outcome o = l->skip ? OUT_SKIP : l->ok || l->expected_failure ? OUT_PASS : OUT_FAIL;
    char *name = l->words_length ? format_string("%ld %.*s", number, (int)l->words_length, l->words)
                                 : format_string("%ld", number);

    add_case(out, name, o, l->why ? copy_bytes(l->why, l->why_length) : NULL);
}

void tap_results(const struct run *r, struct case_list *out)
{
    size_t at = 0, n, first = out->count;
    long plan = -1, number = 0, failed = 0;
    char *bailed = NULL;
    struct tap_line l;
    const char *line;

    while (!bailed && text_line(&r->out, &at, &line, &n)) {
        if (line_starts(line, n, "Bail out!")) {
            bailed = copy_bytes(line, n);
        } else if (plan < 0 && plan_of(line, n) >= 0) {
            plan = plan_of(line, n);
        } else if (parse_line(line, n, &l) && number < MAX_PLAN) {
            number = l.number ? l.number : number + 1;
            failed += !l.ok && !l.skip && !l.expected_failure;
            add_result(out, number, &l);
        }
    }
    if (bailed)
        add_case(out, copy_string(""), OUT_FAIL, bailed);
    else if (r->hung || signal_of_status(r->status))
        return; /* that is said besides */
    else if (plan == 0 && out->count == first)
        add_case(out, copy_string(""), OUT_SKIP, NULL);
    else if (plan >= 0 && (size_t)plan != out->count - first)
        add_case(out, copy_string(""), OUT_FAIL,
                 format_string("a plan of %ld, but %zu results", plan, out->count - first));
    else if (plan < 0)
        add_case(out, copy_string(""), OUT_FAIL, copy_string("there is no plan"));
    else if (r->status != 0 && !failed)
        add_case(out, copy_string(""), OUT_FAIL, format_string("exit status %d", r->status));
}
