/*
 * runsc help syscalls: the system call table as text, JSON or CSV, straight from table.def. Takes
 * no locks.
 */
#include "runsc-cli/cli.h"

#include "runsc-cli/json.h"

#include <stdio.h>
#include <string.h>

enum level { LEVEL_FULL, LEVEL_PARTIAL, LEVEL_MISSING, LEVELS };

static const char *const level_names[] = {"full", "partial", "missing"};

static const struct {
    int nr;
    const char *name;
    enum level level;
    const char *error, *note; /* error: what a missing one answers, else NULL */
} rows[] = {
#define FULL                                    LEVEL_FULL
#define PARTIAL                                 LEVEL_PARTIAL
#define ROW(nr, name, level, flags, args, note) {nr, #name, level, NULL, note},
#define NONE(nr, name, error, why)              {nr, #name, LEVEL_MISSING, #error, why},
#include "syscalls/table.def"
};

struct syscalls_options {
    const char *format;
};

static const struct opt syscalls_opts[] = {
    {"format", 'f', OPT_STRING, offsetof(struct syscalls_options, format), "F",
     "table (default), json or csv"},
    {0},
};

static void count_levels(unsigned counts[LEVELS])
{
    memset(counts, 0, LEVELS * sizeof(*counts));
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        counts[rows[i].level]++;
}

static int print_table(void)
{
    unsigned counts[LEVELS];

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char level[32];

        snprintf(level, sizeof(level), "%s%s%s%s", level_names[rows[i].level],
                 rows[i].error ? " (" : "", rows[i].error ? rows[i].error : "",
                 rows[i].error ? ")" : "");
        printf("%4d  %-24s %-18s %s\n", rows[i].nr, rows[i].name, level, rows[i].note);
    }
    count_levels(counts);
    printf("%zu calls: %u full, %u partial, %u missing\n", ARRAY_SIZE(rows), counts[LEVEL_FULL],
           counts[LEVEL_PARTIAL], counts[LEVEL_MISSING]);
    return 0;
}

static int print_json(struct cli_error *err)
{
    json_object *top = json_object_new_object(), *calls = json_object_new_array(),
                *sums = json_object_new_object();
    unsigned counts[LEVELS];

    if (!top || !calls || !sums)
        return fail(err, 1, "out of memory");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        json_object *row = json_object_new_object();

        json_add_int(row, "number", rows[i].nr);
        json_add_string(row, "name", rows[i].name);
        json_add_string(row, "level", level_names[rows[i].level]);
        if (rows[i].error)
            json_add_string(row, "error", rows[i].error);
        json_add_string(row, "note", rows[i].note);
        json_object_array_add(calls, row);
    }
    count_levels(counts);
    for (int l = 0; l < LEVELS; l++)
        json_add_int(sums, level_names[l], counts[l]);
    json_add_int(sums, "all", ARRAY_SIZE(rows));
    json_object_object_add(top, "calls", calls);
    json_object_object_add(top, "counts", sums);
    json_print(top);
    json_object_put(top);
    return 0;
}

/* RFC 4180: quotes are doubled. */
static void print_quoted(const char *s)
{
    putchar('"');
    for (; *s; s++) {
        if (*s == '"')
            putchar('"');
        putchar(*s);
    }
    putchar('"');
}

/* Rows only: a line of sums would be no row. */
static int print_csv(void)
{
    puts("number,name,level,error,note");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        printf("%d,%s,%s,%s,", rows[i].nr, rows[i].name, level_names[rows[i].level],
               rows[i].error ? rows[i].error : "");
        print_quoted(rows[i].note);
        putchar('\n');
    }
    return 0;
}

int help_syscalls(int argc, char **args, struct cli_error *err)
{
    struct syscalls_options o = {.format = "table"};
    bool help = false;
    int first = opts_parse(syscalls_opts, &o, argc, args, &help, err);

    if (help) {
        puts("usage: runsc help syscalls [OPTIONS]\n\nthe system calls: whole, partly there, "
             "missing\n\noptions:");
        opts_print(syscalls_opts);
        return 0;
    }
    if (first < 0)
        return -1;
    if (first < argc)
        return fail(err, 1, "help syscalls takes no argument %s", args[first]);
    if (strcmp(o.format, "table") == 0)
        return print_table();
    if (strcmp(o.format, "json") == 0)
        return print_json(err);
    if (strcmp(o.format, "csv") == 0)
        return print_csv();
    return fail(err, 1, "invalid format %s (there are table, json and csv)", o.format);
}
