/* The report for a terminal: a line for each program, what is not well below it, the sums. */
#include "runsc-cli/compat/compat.h"

#include <string.h>

#define TAIL_LINES 6

static void field(FILE *out, const char *label, const char *s)
{
    struct text t = {.data = (char *)s, .size = strlen(s)};
    size_t at = 0, n;
    const char *line;

    for (bool first = true; text_line(&t, &at, &line, &n); first = false) {
        fprintf(out, "      %-10s ", first ? label : "");
        put_text(out, ESCAPE_TERMINAL, line, n);
        fputc('\n', out);
    }
}

static void lines(FILE *out, const char *label, const struct text *t, size_t max)
{
    size_t at = 0, n, all = 0, seen = 0;
    const char *line;

    while (text_line(t, &at, &line, &n))
        all++;
    for (at = 0; text_line(t, &at, &line, &n); seen++) {
        if (seen + max < all)
            continue;
        fprintf(out, "      %-10s ", seen == 0 || seen + max == all ? label : "");
        put_text(out, ESCAPE_TERMINAL, line, n);
        fputc('\n', out);
    }
}

static void difference(const struct compat *c, const struct cell *cell, FILE *out)
{
    if (!cell->line)
        return;
    fprintf(out, "      line %-5zu %s ", cell->line, c->native ? "native " : "first  ");
    put_string(out, ESCAPE_TERMINAL, cell->expected ? cell->expected : "(ended before)");
    fputs("\n                 here    ", out);
    put_string(out, ESCAPE_TERMINAL, cell->found ? cell->found : "(ended before)");
    fputc('\n', out);
}

static void print_cell(const struct compat *c, const struct row *row, size_t p, FILE *out)
{
    const struct cell *cell = &row->cells[p];

    if (!cell->unexpected && !cell->reason && cell->verdict != VERDICT_SAME)
        return;
    fprintf(out, "   %-8s %-8s ", cell->was_known ? "mended" : verdict_names[cell->verdict],
            c->platforms[p]);
    put_string(out, ESCAPE_TERMINAL, *row->name ? row->name : "(whole program)");
    if (cell->reason && !cell->was_known)
        fputs("  [known]", out);
    fputc('\n', out);
    if (cell->reason)
        field(out, cell->was_known ? "was known" : "known", cell->reason);
    if (cell->message)
        field(out, "why", cell->message);
    if (!cell->unexpected)
        return;
    difference(c, cell, out);
    if (!cell->line)
        lines(out, "output", &cell->tail, TAIL_LINES);
    if (cell->again)
        field(out, "again", cell->again);
    lines(out, "last calls", &cell->calls, (size_t)-1 / 2);
}

/* "passed 12, differs 1": of a program on a platform. */
static void print_sums(const size_t counts[VERDICTS], FILE *out)
{
    const char *comma = "";

    for (int v = 0; v < VERDICTS; v++) {
        if (counts[v])
            fprintf(out, "%s%s %zu", comma, verdict_names[v], counts[v]);
        if (counts[v])
            comma = ", ";
    }
    if (!*comma)
        fputs("not run", out);
}

static void print_program(const struct compat *c, const struct program *p, FILE *out)
{
    put_string(out, ESCAPE_TERMINAL, p->name);
    fprintf(out, " (%s)\n", kind_names[p->kind]);
    if (p->problem)
        field(out, "note", p->problem);
    for (size_t i = 0; i < c->platform_count; i++) {
        size_t counts[VERDICTS] = {0};

        for (size_t k = 0; k < p->unit_count; k++) {
            const struct unit *u = &c->units[p->first_unit + k];

            for (size_t r = 0; r < u->row_count; r++)
                counts[u->rows[r].cells[i].verdict]++;
        }
        fprintf(out, "   %-8s ", c->platforms[i]);
        print_sums(counts, out);
        fputc('\n', out);
    }
    for (size_t k = 0; k < p->unit_count; k++) {
        const struct unit *u = &c->units[p->first_unit + k];

        for (size_t r = 0; r < u->row_count; r++) {
            for (size_t i = 0; i < c->platform_count; i++)
                print_cell(c, &u->rows[r], i, out);
        }
    }
}

void report_table(const struct compat *c, FILE *out)
{
    struct tally t;

    count_verdicts(c, &t);
    for (size_t i = 0; i < c->program_count; i++)
        print_program(c, &c->programs[i], out);
    fprintf(out, "\n%zu programs, %zu cases, %.1f s, %s\n", c->program_count, t.cases,
            (double)c->us / 1e6,
            c->native ? "compared with native runs" : "without native runs (--native)");
    for (size_t i = 0; i < c->platform_count; i++) {
        fprintf(out, "   %-8s ", c->platforms[i]);
        if (c->unable[i])
            put_string(out, ESCAPE_TERMINAL, c->unable[i]);
        else
            print_sums(t.verdicts[i], out);
        fputc('\n', out);
    }
    if (t.known || t.fixed)
        fprintf(out, "   %zu known, %zu listed as known that no longer differ\n", t.known, t.fixed);
    for (size_t i = 0; i < c->known.count; i++) {
        if (!c->known.items[i].used) {
            fputs("   no such case in this run: ", out);
            put_string(out, ESCAPE_TERMINAL, c->known.items[i].pattern);
            fputc('\n', out);
        }
    }
    if (t.incomplete)
        fprintf(out, "   %zu not run\n", t.incomplete);
    fprintf(out, "%s: %zu unexpected\n", t.unexpected || t.incomplete ? "FAILED" : "OK",
            t.unexpected);
}
