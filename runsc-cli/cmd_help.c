/* runsc help: commands, global options, and the system call table. */
#include "runsc-cli/cli.h"

#include <stdio.h>
#include <string.h>

/* The table's own rows; levels and notes only. */
static const struct {
    int nr;
    const char *name, *level, *note;
} rows[] = {
#define FULL                                    "full"
#define PARTIAL                                 "partial"
#define ROW(nr, name, level, flags, args, note) {nr, #name, level, note},
#define NONE(nr, name, error, why)              {nr, #name, "missing (" #error ")", why},
#include "syscalls/table.def"
};

static int help_syscalls(void)
{
    size_t full = 0, partial = 0;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        printf("%4d  %-24s %-18s %s\n", rows[i].nr, rows[i].name, rows[i].level, rows[i].note);
        full += strcmp(rows[i].level, FULL) == 0;
        partial += strcmp(rows[i].level, PARTIAL) == 0;
    }
    printf("%zu calls: %zu full, %zu partial, %zu missing\n", ARRAY_SIZE(rows), full, partial,
           ARRAY_SIZE(rows) - full - partial);
    return 0;
}

static void help_all(void)
{
    puts("usage: runsc [GLOBAL OPTIONS] COMMAND [OPTIONS] [ARGS]\n\ncommands:");
    for (const struct command *c = commands; c->name; c++)
        printf("   %-10s %s\n", c->name, c->summary);
    puts("\nglobal options:");
    opts_print(global_opts);
}

void help_command(const struct command *c)
{
    printf("usage: runsc [GLOBAL OPTIONS] %s%s %s\n\n%s\n", c->name, c->opts ? " [OPTIONS]" : "",
           c->args, c->summary);
    if (c->opts && c->opts->name) {
        puts("\noptions:");
        opts_print(c->opts);
    }
}

int cmd_help(const struct global_options *global, void *opts, int argc, char **args,
             struct cli_error *err)
{
    if (argc < 1) {
        help_all();
        return 0;
    }
    if (strcmp(args[0], "syscalls") == 0)
        return help_syscalls();
    for (const struct command *c = commands; c->name; c++) {
        if (strcmp(args[0], c->name) == 0) {
            help_command(c);
            return 0;
        }
    }
    return fail(err, 1, "no help on %s", args[0]);
}
