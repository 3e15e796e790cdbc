/* The report of check, as a table and as JSON. Names come from hostile files: put_text only. */
#include "runsc-cli/check/libraries.h"

#include "runsc-cli/compat/text.h"
#include "runsc-cli/syscall_rows.h"

#include <string.h>

#define UNKNOWN_SHOWN 10

static const char *const titles[SYSCALL_LEVELS] = {
    [SYSCALL_FULL] = "there",
    [SYSCALL_PARTIAL] = "partly there",
    [SYSCALL_MISSING] = "not there: the call fails",
};

static void print_origin(const struct check *c, const struct scan_origin *o, enum escape how,
                         FILE *out)
{
    put_string(out, how, c->scan.objects[o->object].name);
    fputc(' ', out);
    if (o->function)
        put_string(out, how, o->function);
    else
        fprintf(out, "0x%llx", (unsigned long long)o->address);
}

static size_t count_level(const struct check *c, enum syscall_level level)
{
    size_t n = 0;

    for (size_t i = 0; i < syscall_row_count; i++) {
        int nr = syscall_rows[i].nr;

        n += syscall_rows[i].level == level && nr < SCAN_CALLS && c->scan.calls[nr].sites;
    }
    return n;
}

static void print_level(const struct check *c, enum syscall_level level, FILE *out)
{
    size_t column = 0;

    if (!count_level(c, level))
        return;
    fprintf(out, "\n%s (%zu):\n", titles[level], count_level(c, level));
    for (size_t i = 0; i < syscall_row_count; i++) {
        const struct syscall_row *r = &syscall_rows[i];

        if (r->level != level || r->nr >= SCAN_CALLS || !c->scan.calls[r->nr].sites)
            continue;
        if (level == SYSCALL_FULL) {
            column += strlen(r->name) + 2;
            if (column > 96)
                fputc('\n', out);
            if (column > 96)
                column = strlen(r->name) + 2;
            fprintf(out, "  %s", r->name);
            continue;
        }
        fprintf(out, "  %-18s %s%s", r->name, r->error ? r->error : "", r->error ? ": " : "");
        fprintf(out, "%s (", r->note);
        print_origin(c, &c->scan.calls[r->nr].first, ESCAPE_TERMINAL, out);
        fputs(")\n", out);
    }
    if (level == SYSCALL_FULL)
        fputc('\n', out);
}

static void print_places(const struct check *c, const char *title,
                         const struct scan_origin list[SCAN_SITES], size_t count, FILE *out)
{
    if (!count)
        return;
    fprintf(out, "\n%s (%zu):\n", title, count);
    for (size_t i = 0; i < count && i < UNKNOWN_SHOWN; i++) {
        fputs("  ", out);
        print_origin(c, &list[i], ESCAPE_TERMINAL, out);
        fprintf(out, " at 0x%llx\n", (unsigned long long)list[i].address);
    }
    if (count > UNKNOWN_SHOWN)
        fprintf(out, "  and %zu more\n", count - UNKNOWN_SHOWN);
}

static void print_lines(const char *title, char *const *list, size_t count, FILE *out)
{
    if (count)
        fprintf(out, "\n%s:\n", title);
    for (size_t i = 0; i < count; i++) {
        fputs("  ", out);
        put_string(out, ESCAPE_TERMINAL, list[i]);
        fputc('\n', out);
    }
}

void check_print_table(const struct check *c, FILE *out)
{
    for (size_t i = 0; i < c->scan.object_count; i++) {
        fputs(i ? "  " : "", out);
        put_string(out, ESCAPE_TERMINAL, c->scan.objects[i].path);
        fputc('\n', out);
    }
    print_lines("will not run", c->problems, c->problem_count, out);
    print_lines("to know", c->notes, c->note_count, out);
    print_level(c, SYSCALL_MISSING, out);
    print_level(c, SYSCALL_PARTIAL, out);
    print_level(c, SYSCALL_FULL, out);
    print_places(c, "numbers that no call has", c->scan.strange, c->scan.strange_count, out);
    print_places(c, "places whose call is not known", c->scan.unknown, c->scan.unknown_count, out);
    if (c->scan.object_count)
        fprintf(out,
                "\n%zu calls: %zu there, %zu partly, %zu not; %zu places unknown; %zu of %zu "
                "functions looked at\n",
                count_level(c, SYSCALL_FULL) + count_level(c, SYSCALL_PARTIAL) +
                    count_level(c, SYSCALL_MISSING),
                count_level(c, SYSCALL_FULL), count_level(c, SYSCALL_PARTIAL),
                count_level(c, SYSCALL_MISSING), c->scan.unknown_count, c->scan.reached,
                c->scan.functions);
}

static void json_string_of(FILE *out, const char *s)
{
    fputc('"', out);
    put_string(out, ESCAPE_JSON, s);
    fputc('"', out);
}

static void json_list(const char *name, char *const *list, size_t count, FILE *out)
{
    fprintf(out, "  \"%s\": [", name);
    for (size_t i = 0; i < count; i++) {
        fputs(i ? ", " : "", out);
        json_string_of(out, list[i]);
    }
    fputs("],\n", out);
}

static void json_origin(const struct check *c, const struct scan_origin *o, FILE *out)
{
    fputs("{\"file\": ", out);
    json_string_of(out, c->scan.objects[o->object].name);
    fputs(", \"function\": ", out);
    if (o->function)
        json_string_of(out, o->function);
    else
        fputs("null", out);
    fprintf(out, ", \"address\": \"0x%llx\"}", (unsigned long long)o->address);
}

static void json_places(const struct check *c, const char *name,
                        const struct scan_origin list[SCAN_SITES], size_t count, FILE *out)
{
    fprintf(out, "  \"%s\": {\"count\": %zu, \"places\": [", name, count);
    for (size_t i = 0; i < count && i < SCAN_SITES; i++) {
        fputs(i ? ",\n    " : "\n    ", out);
        json_origin(c, &list[i], out);
    }
    fputs("]},\n", out);
}

void check_print_json(const struct check *c, FILE *out)
{
    const char *comma = "";

    fputs("{\n  \"files\": [", out);
    for (size_t i = 0; i < c->scan.object_count; i++) {
        fputs(i ? ", " : "", out);
        json_string_of(out, c->scan.objects[i].path);
    }
    fputs("],\n", out);
    json_list("problems", c->problems, c->problem_count, out);
    json_list("notes", c->notes, c->note_count, out);
    json_places(c, "unknown", c->scan.unknown, c->scan.unknown_count, out);
    json_places(c, "no_such_call", c->scan.strange, c->scan.strange_count, out);
    fprintf(out, "  \"functions\": {\"reached\": %zu, \"all\": %zu},\n  \"complete\": %s,\n",
            c->scan.reached, c->scan.functions, c->scan.cut ? "false" : "true");
    fputs("  \"calls\": [", out);
    for (size_t i = 0; i < syscall_row_count; i++) {
        const struct syscall_row *r = &syscall_rows[i];

        if (r->nr >= SCAN_CALLS || !c->scan.calls[r->nr].sites)
            continue;
        fprintf(out,
                "%s\n    {\"number\": %d, \"name\": \"%s\", \"level\": \"%s\", \"note\": ", comma,
                r->nr, r->name, syscall_level_names[r->level]);
        json_string_of(out, r->note);
        fprintf(out, ", \"sites\": %zu, \"first\": ", c->scan.calls[r->nr].sites);
        json_origin(c, &c->scan.calls[r->nr].first, out);
        fputc('}', out);
        comma = ",";
    }
    fputs("\n  ]\n}\n", out);
}
