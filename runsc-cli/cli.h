/* What all subcommands share: global options, the command table, the log. */
#pragma once

#include "runsc-cli/error.h"

struct global_options {
    const char *platform; /* default systrap */
    const char *root;     /* state directory */
    const char *log;      /* file, or NULL for stderr */
    bool log_json, debug, strace, unsafe_mpk;
};

struct command {
    const char *name;
    const char *usage;   /* after "runsc [GLOBAL OPTIONS] " */
    const char *summary; /* one line */
    /* argv[0] is the command's name. The process's exit status, or -1 with *err. */
    int (*run)(const struct global_options *global, int argc, char **argv, struct cli_error *err);
};

extern const struct command commands[]; /* ended by a NULL name */

int cmd_do(const struct global_options *global, int argc, char **argv, struct cli_error *err);
int cmd_run(const struct global_options *global, int argc, char **argv, struct cli_error *err);
int cmd_spec(const struct global_options *global, int argc, char **argv, struct cli_error *err);
int cmd_help(const struct global_options *global, int argc, char **argv, struct cli_error *err);

/*
 * One option of a getopt-like walk over argv: matches "--name VALUE", "--name=VALUE" and the
 * single-dash forms runc takes. Advances *index past what it used.
 */
bool option_value(int argc, char **argv, int *index, const char *name, const char **value);
bool option_flag(char **argv, int *index, const char *name);
