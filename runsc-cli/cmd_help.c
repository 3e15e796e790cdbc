/* runsc help: commands and global options. The system call table: cmd_help_syscalls.c. */
#include "runsc-cli/cli.h"

#include <stdio.h>
#include <string.h>

struct help_options {
    const char *man_pages;
    bool man;
};

#define O(field) offsetof(struct help_options, field)
const struct opt help_opts[] = {
    {"man", 0, OPT_FLAG, O(man), NULL, "as a man page's source"},
    {"man-pages", 0, OPT_STRING, O(man_pages), "DIR", "write all man pages there"},
    {0},
};

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
    const struct help_options *o = opts;

    if (o && o->man_pages)
        return man_pages(o->man_pages, err);
    if (argc < 1) {
        if (o && o->man)
            man_main(stdout);
        else
            help_all();
        return 0;
    }
    if (strcmp(args[0], "syscalls") == 0)
        return help_syscalls(argc, args, err);
    if (argc > 1)
        return fail(err, 1, "help takes one command, not %s too", args[1]);
    for (const struct command *c = commands; c->name; c++) {
        if (strcmp(args[0], c->name) == 0) {
            if (o && o->man)
                man_command(stdout, c);
            else
                help_command(c);
            return 0;
        }
    }
    return fail(err, 1, "no help on %s", args[0]);
}
