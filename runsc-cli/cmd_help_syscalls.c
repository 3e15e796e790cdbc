/*
 * runsc help syscalls: the system call table as text, JSON or CSV. Takes no locks.
 */
#include "runsc-cli/cli.h"

#include "runsc-cli/json.h"
#include "runsc-cli/syscall_rows.h"

#include <stdio.h>
#include <string.h>

struct syscalls_options {
    const char *format;
};

static const struct opt syscalls_opts[] = {
    {"format", 'f', OPT_STRING, offsetof(struct syscalls_options, format), "F",
     "table (default), json or csv"},
    {0},
};

static void count_levels(unsigned counts[SYSCALL_LEVELS])
{
    memset(counts, 0, SYSCALL_LEVELS * sizeof(*counts));
    for (size_t i = 0; i < syscall_row_count; i++)
        counts[syscall_rows[i].level]++;
}

static int print_table(void)
{
    unsigned counts[SYSCALL_LEVELS];

    for (size_t i = 0; i < syscall_row_count; i++) {
        char level[32];

        snprintf(level, sizeof(level), "%s%s%s%s", syscall_level_names[syscall_rows[i].level],
                 syscall_rows[i].error ? " (" : "",
                 syscall_rows[i].error ? syscall_rows[i].error : "",
                 syscall_rows[i].error ? ")" : "");
        printf("%4d  %-24s %-18s %s\n", syscall_rows[i].nr, syscall_rows[i].name, level,
               syscall_rows[i].note);
    }
    count_levels(counts);
    printf("%zu calls: %u full, %u partial, %u missing\n", syscall_row_count, counts[SYSCALL_FULL],
           counts[SYSCALL_PARTIAL], counts[SYSCALL_MISSING]);
    return 0;
}

static int print_json(struct cli_error *err)
{
    json_object *top = json_object_new_object(), *calls = json_object_new_array(),
                *sums = json_object_new_object();
    unsigned counts[SYSCALL_LEVELS];

    if (!top || !calls || !sums)
        return fail(err, 1, "out of memory");
    for (size_t i = 0; i < syscall_row_count; i++) {
        json_object *row = json_object_new_object();

        json_add_int(row, "number", syscall_rows[i].nr);
        json_add_string(row, "name", syscall_rows[i].name);
        json_add_string(row, "level", syscall_level_names[syscall_rows[i].level]);
        if (syscall_rows[i].error)
            json_add_string(row, "error", syscall_rows[i].error);
        json_add_string(row, "note", syscall_rows[i].note);
        json_object_array_add(calls, row);
    }
    count_levels(counts);
    for (int l = 0; l < SYSCALL_LEVELS; l++)
        json_add_int(sums, syscall_level_names[l], counts[l]);
    json_add_int(sums, "all", syscall_row_count);
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
    for (size_t i = 0; i < syscall_row_count; i++) {
        printf("%d,%s,%s,%s,", syscall_rows[i].nr, syscall_rows[i].name,
               syscall_level_names[syscall_rows[i].level],
               syscall_rows[i].error ? syscall_rows[i].error : "");
        print_quoted(syscall_rows[i].note);
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
