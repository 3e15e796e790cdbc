/* GoogleTest: the list of cases, and the output of a run of one of them. */
#include "runsc-cli/compat/kinds.h"

#include <stdlib.h>
#include <string.h>

#define MESSAGE_LINES 4

/* Without what is behind two spaces (GetParam() and TypeParam comments), and trailing blanks. */
static size_t name_length(const char *line, size_t n)
{
    const char *comment = find_bytes(line, n, "  #");

    n = comment ? (size_t)(comment - line) : n;
    while (n > 0 && (line[n - 1] == ' ' || line[n - 1] == '\r'))
        n--;
    return n;
}

/* "Suite." and below it, two spaces in, its tests. What main prints before is neither. */
void gtest_list(const struct text *list, struct name_list *out)
{
    const char *line, *suite = NULL;
    size_t at = 0, n, suite_length = 0;

    while (text_line(list, &at, &line, &n)) {
        size_t length = name_length(line, n);

        if (line_starts(line, n, "  ") && suite && length > 2 && line[2] != ' ') {
            add_name(out, format_string("%.*s%.*s", (int)suite_length, suite, (int)length - 2,
                                        line + 2));
        } else if (length > 1 && line[length - 1] == '.' && !memchr(line, ' ', length)) {
            suite = line;
            suite_length = length;
        } else {
            suite = NULL;
        }
    }
}

/* From the line of a failure on, a few more. */
static char *failure_message(const struct text *t)
{
    size_t at = 0, n, left = 0;
    struct text message = {0};
    const char *line;
    char *s;

    while (text_line(t, &at, &line, &n)) {
        if (!left && n >= 7 && memcmp(line + n - 7, "Failure", 7) == 0)
            left = MESSAGE_LINES;
        else if (line_starts(line, n, "[  FAILED  ]"))
            break;
        if (!left)
            continue;
        text_add(&message, line, n);
        text_add(&message, "\n", 1);
        if (--left == 0)
            break;
    }
    s = message.size ? copy_bytes(message.data, message.size - 1) : NULL;
    text_free(&message);
    return s;
}

static bool has_line(const struct text *t, const char *start, const char *then)
{
    size_t at = 0, n;
    const char *line;

    while (text_line(t, &at, &line, &n)) {
        const char *found = find_bytes(line, n, start); /* the test may have left a line open */

        if (found && find_bytes(found, n - (size_t)(found - line), then))
            return true;
    }
    return false;
}

void gtest_results(const char *case_name, const struct run *r, struct case_list *out)
{
    const char *dot = strrchr(case_name, '.');
    char *name = copy_string(""), *message;

    if (r->status != 0) {
        message = failure_message(&r->out);
        add_case(out, name, OUT_FAIL,
                 message ? message : format_string("exit status %d", r->status));
    } else if (has_line(&r->out, "[  SKIPPED ] ", case_name)) {
        add_case(out, name, OUT_SKIP, NULL);
    } else if (has_line(&r->out, "[       OK ] ", case_name)) {
        add_case(out, name, OUT_PASS, NULL);
    } else if (strncmp(case_name, "DISABLED_", 9) == 0 || strstr(case_name, "/DISABLED_") ||
               (dot && strncmp(dot, ".DISABLED_", 10) == 0)) {
        add_case(out, name, OUT_SKIP, copy_string("disabled"));
    } else {
        /* Its own main may run other cases; exit status 0 of none is no pass. */
        add_case(out, name, OUT_FAIL, copy_string("exit status 0, but the case was not run"));
    }
}
