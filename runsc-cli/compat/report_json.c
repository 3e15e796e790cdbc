/* The report as one JSON object. Strings are UTF-8 by put_text, whatever programs wrote. */
#include "runsc-cli/compat/compat.h"

static void key(FILE *out, const char *name)
{
    fprintf(out, "\"%s\": ", name);
}

static void string(FILE *out, const char *name, const char *s)
{
    if (name)
        key(out, name);
    fputc('"', out);
    put_string(out, ESCAPE_JSON, s);
    fputc('"', out);
}

static void optional(FILE *out, const char *name, const char *s)
{
    if (!s)
        return;
    fputs(", ", out);
    string(out, name, s);
}

static void text(FILE *out, const char *name, const struct text *t)
{
    if (!t->size)
        return;
    fputs(", ", out);
    key(out, name);
    fputc('"', out);
    put_text(out, ESCAPE_JSON, t->data, t->size);
    fputc('"', out);
}

static void line_or_null(FILE *out, const char *name, const char *s)
{
    fputs(", ", out);
    if (s)
        string(out, name, s);
    else
        fprintf(out, "\"%s\": null", name);
}

static void print_cell(const struct cell *cell, FILE *out)
{
    fprintf(out,
            "{\"verdict\": \"%s\", \"outcome\": \"%s\", \"unexpected\": %s, \"status\": %d, "
            "\"seconds\": %.6f",
            verdict_names[cell->verdict], outcome_names[cell->outcome],
            cell->unexpected ? "true" : "false", cell->status, (double)cell->us / 1e6);
    optional(out, "known", cell->reason);
    optional(out, "message", cell->message);
    optional(out, "again", cell->again);
    if (cell->line) {
        fprintf(out, ", \"difference\": {\"line\": %zu", cell->line);
        line_or_null(out, "expected", cell->expected);
        line_or_null(out, "found", cell->found);
        fputc('}', out);
    }
    text(out, "output", &cell->tail);
    text(out, "last_calls", &cell->calls);
    fputc('}', out);
}

static void print_row(const struct compat *c, const struct row *row, FILE *out)
{
    fputs("      {", out);
    string(out, "case", row->name);
    if (c->native)
        fprintf(out, ", \"native\": {\"outcome\": \"%s\", \"seconds\": %.6f}",
                outcome_names[row->native], (double)row->native_us / 1e6);
    fputs(", \"platforms\": {", out);
    for (size_t p = 0; p < c->platform_count; p++) {
        fprintf(out, "%s\n        \"%s\": ", p ? "," : "", c->platforms[p]);
        print_cell(&row->cells[p], out);
    }
    fputs("}}", out);
}

static void print_program(const struct compat *c, const struct program *p, FILE *out)
{
    const char *comma = "";

    fputs("    {", out);
    string(out, "name", p->name);
    fprintf(out, ", \"kind\": \"%s\", \"command\": [", kind_names[p->kind]);
    for (size_t i = 0; i < p->argc; i++) {
        fputs(i ? ", " : "", out);
        string(out, NULL, p->argv[i]);
    }
    fputc(']', out);
    optional(out, "note", p->problem);
    fputs(", \"cases\": [", out);
    for (size_t k = 0; k < p->unit_count; k++) {
        const struct unit *u = &c->units[p->first_unit + k];

        for (size_t r = 0; r < u->row_count; r++) {
            fprintf(out, "%s\n", comma);
            print_row(c, &u->rows[r], out);
            comma = ",";
        }
    }
    fputs("]}", out);
}

void report_json(const struct compat *c, FILE *out)
{
    struct tally t;

    count_verdicts(c, &t);
    fprintf(out,
            "{\n  \"native\": %s,\n  \"seconds\": %.3f,\n  \"summary\": {\"programs\": %zu, "
            "\"cases\": %zu, \"unexpected\": %zu, \"known\": %zu, \"mended\": %zu, \"not_run\": %zu"
            ", \"platforms\": {",
            c->native ? "true" : "false", (double)c->us / 1e6, c->program_count, t.cases,
            t.unexpected, t.known, t.fixed, t.incomplete);
    for (size_t p = 0; p < c->platform_count; p++) {
        fprintf(out, "%s\"%s\": {", p ? ", " : "", c->platforms[p]);
        for (int v = 0; v < VERDICTS; v++)
            fprintf(out, "%s\"%s\": %zu", v ? ", " : "", verdict_names[v], t.verdicts[p][v]);
        optional(out, "unable", c->unable[p]);
        fputc('}', out);
    }
    fputs("}},\n  \"programs\": [", out);
    for (size_t i = 0; i < c->program_count; i++) {
        fputs(i ? ",\n" : "\n", out);
        print_program(c, &c->programs[i], out);
    }
    fputs("\n  ]\n}\n", out);
}
