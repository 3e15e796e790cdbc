/*
 * The report as JUnit's XML: a suite for each program on each platform. Known differences count as
 * skipped, with their reason; what did not run is an error.
 */
#include "runsc-cli/compat/compat.h"

#include <stdlib.h>
#include <string.h>

struct sums {
    size_t tests, failures, errors, skipped;
    int64_t us;
};

static bool is_error(const struct cell *c)
{
    return c->unexpected && (c->verdict == VERDICT_CRASHED || c->verdict == VERDICT_HUNG ||
                             c->outcome == OUT_ABSENT);
}

static bool is_skipped(const struct cell *c)
{
    return !c->unexpected && c->verdict != VERDICT_PASSED && c->verdict != VERDICT_SAME;
}

static struct sums sum_up(const struct compat *c, const struct program *p, size_t platform)
{
    struct sums s = {0};

    for (size_t k = 0; k < p->unit_count; k++) {
        const struct unit *u = &c->units[p->first_unit + k];

        for (size_t r = 0; r < u->row_count; r++) {
            const struct cell *cell = &u->rows[r].cells[platform];

            s.tests++;
            s.errors += is_error(cell);
            s.failures += cell->unexpected && !is_error(cell);
            s.skipped += is_skipped(cell);
        }
        s.us += u->row_count ? u->rows[0].cells[platform].us : 0;
    }
    return s;
}

static void attribute(FILE *out, const char *name, const char *value)
{
    fprintf(out, " %s=\"", name);
    for (;;) {
        size_t n = strcspn(value, "\n\t"); /* a parser makes blanks of these */

        put_text(out, ESCAPE_XML, value, n);
        if (!value[n])
            break;
        fputc(' ', out);
        value += n + 1;
    }
    fputc('"', out);
}

static void print_details(const struct compat *c, const struct cell *cell, FILE *out)
{
    if (cell->message) {
        put_string(out, ESCAPE_XML, cell->message);
        fputc('\n', out);
    }
    if (cell->line) {
        fprintf(out, "line %zu, %s: ", cell->line, c->native ? "native" : "first platform");
        put_string(out, ESCAPE_XML, cell->expected ? cell->expected : "(ended before)");
        fputs("\nhere: ", out);
        put_string(out, ESCAPE_XML, cell->found ? cell->found : "(ended before)");
        fputc('\n', out);
    }
    if (cell->again)
        put_string(out, ESCAPE_XML, cell->again);
    if (cell->calls.size) {
        fputs("\nlast system calls:\n", out);
        put_text(out, ESCAPE_XML, cell->calls.data, cell->calls.size);
    }
}

static void print_case(const struct compat *c, const struct program *p, const struct row *row,
                       const struct cell *cell, FILE *out)
{
    fputs("    <testcase", out);
    attribute(out, "classname", p->name);
    attribute(out, "name", *row->name ? row->name : p->name);
    fprintf(out, " time=\"%.6f\">", (double)cell->us / 1e6);
    if (is_skipped(cell)) {
        fputs("<skipped", out);
        attribute(out, "message",
                  cell->reason    ? cell->reason
                  : cell->message ? cell->message
                                  : verdict_names[cell->verdict]);
        fputs("/>", out);
    } else if (cell->unexpected) {
        const char *element = is_error(cell) ? "error" : "failure";

        fprintf(out, "<%s type=\"%s\"", element, verdict_names[cell->verdict]);
        attribute(out, "message", cell->message ? cell->message : verdict_names[cell->verdict]);
        fputc('>', out);
        print_details(c, cell, out);
        fprintf(out, "</%s>", element);
    }
    if (cell->tail.size) {
        fputs("<system-out>", out);
        put_text(out, ESCAPE_XML, cell->tail.data, cell->tail.size);
        fputs("</system-out>", out);
    }
    fputs("</testcase>\n", out);
}

static void print_suite(const struct compat *c, const struct program *p, size_t platform, FILE *out)
{
    struct sums s = sum_up(c, p, platform);
    char *name = format_string("%s [%s]", p->name, c->platforms[platform]);

    fputs("  <testsuite", out);
    attribute(out, "name", name);
    fprintf(out, " tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"%zu\" time=\"%.6f\">\n",
            s.tests, s.failures, s.errors, s.skipped, (double)s.us / 1e6);
    for (size_t k = 0; k < p->unit_count; k++) {
        const struct unit *u = &c->units[p->first_unit + k];

        for (size_t r = 0; r < u->row_count; r++)
            print_case(c, p, &u->rows[r], &u->rows[r].cells[platform], out);
    }
    fputs("  </testsuite>\n", out);
    free(name);
}

void report_junit(const struct compat *c, FILE *out)
{
    struct sums all = {0};

    for (size_t i = 0; i < c->program_count; i++) {
        for (size_t p = 0; p < c->platform_count; p++) {
            struct sums s = sum_up(c, &c->programs[i], p);

            all.tests += s.tests;
            all.failures += s.failures;
            all.errors += s.errors;
            all.skipped += s.skipped;
        }
    }
    fprintf(out,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"runsc compat\" "
            "tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"%zu\" time=\"%.6f\">\n",
            all.tests, all.failures, all.errors, all.skipped, (double)c->us / 1e6);
    for (size_t i = 0; i < c->program_count; i++) {
        for (size_t p = 0; p < c->platform_count; p++)
            print_suite(c, &c->programs[i], p, out);
    }
    fputs("</testsuites>\n", out);
}
