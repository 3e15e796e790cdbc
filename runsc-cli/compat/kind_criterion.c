/* Criterion: the list of cases, and the output of a run of one of them. */
#include "runsc-cli/compat/kinds.h"

#include <stdlib.h>
#include <string.h>

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* "suite: N tests", then its tests behind branches drawn in ASCII or in box characters. */
void criterion_list(const struct text *list, struct name_list *out)
{
    const char *line, *suite = NULL;
    size_t at = 0, n, suite_length = 0;

    while (text_line(list, &at, &line, &n)) {
        const char *count = find_bytes(line, n, ": ");
        size_t skip = 0;

        if (n && is_word(line[0])) {
            suite = count && find_bytes(count, n - (size_t)(count - line), " test") ? line : NULL;
            suite_length = suite ? (size_t)(count - line) : 0;
            continue;
        }
        while (skip < n && !is_word(line[skip]))
            skip++;
        if (suite && skip < n)
            add_name(out, format_string("%.*s/%.*s", (int)suite_length, suite, (int)(n - skip),
                                        line + skip));
    }
}

/* The number behind "word: " in the last line of sums, or -1. */
static long sum_of(const struct text *t, const char *word)
{
    size_t at = 0, n;
    const char *line, *found;
    long value = -1;

    while (text_line(t, &at, &line, &n)) {
        if (!find_bytes(line, n, "Synthesis: ") || !(found = find_bytes(line, n, word)))
            continue;
        value = 0;
        for (found += strlen(word); found < line + n && *found >= '0' && *found <= '9'; found++)
            value = value * 10 + (*found - '0');
    }
    return value;
}

void criterion_results(const char *case_name, const struct run *r, struct case_list *out)
{
    long tested = sum_of(&r->err, "Tested: "), crashed = sum_of(&r->err, "Crashing: ");
    char *name = copy_string("");

    if (crashed > 0)
        add_case(out, name, OUT_CRASH, copy_string("the case crashed"));
    else if (r->status != 0)
        add_case(out, name, OUT_FAIL, format_string("exit status %d", r->status));
    else if (tested == 0)
        add_case(out, name, OUT_SKIP, NULL);
    else
        add_case(out, name, OUT_PASS, NULL);
}
