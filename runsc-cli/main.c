/* runsc's entry: global options, then the subcommand. Errors are printed here, once. */
#include "runsc-cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define VERSION "0.1.0"
#define SPEC_VERSION "1.2.0"

const struct command commands[] = {
    {"do", "do [--rootfs DIR] [--cwd D] [--volume SRC[:DST[:ro]]] [--env K=V] [--] CMD [ARGS...]",
     "run a command on the host's own files, changes kept in memory", cmd_do},
    {"run", "run [--bundle B] ID", "run a container from an OCI bundle in the foreground", cmd_run},
    {"spec", "spec [--bundle B]", "write a sample config.json", cmd_spec},
    {"help", "help [COMMAND | syscalls]", "show help", cmd_help},
    {NULL, NULL, NULL, NULL},
};

bool option_value(int argc, char **argv, int *index, const char *name, const char **value)
{
    const char *arg = argv[*index];
    size_t n = strlen(name);

    if (arg[0] != '-')
        return false;
    arg += arg[1] == '-' ? 2 : 1;
    if (strncmp(arg, name, n) != 0)
        return false;
    if (arg[n] == '=') {
        *value = arg + n + 1;
        ++*index;
        return true;
    }
    if (arg[n] != '\0' || *index + 1 >= argc)
        return false;
    *value = argv[*index + 1];
    *index += 2;
    return true;
}

bool option_flag(char **argv, int *index, const char *name)
{
    const char *arg = argv[*index];

    if (arg[0] != '-')
        return false;
    arg += arg[1] == '-' ? 2 : 1;
    if (strcmp(arg, name) != 0)
        return false;
    ++*index;
    return true;
}

static void print_version(void)
{
    printf("runsc version %s\nspec: %s\n", VERSION, SPEC_VERSION);
}

/* 1: an option was taken; 0: the command begins here; -1 error. */
static int global_option(struct global_options *g, int argc, char **argv, int *i,
                         struct cli_error *err)
{
    const char *value;

    if (argv[*i][0] != '-')
        return 0;
    if (option_value(argc, argv, i, "platform", &g->platform) ||
        option_value(argc, argv, i, "root", &g->root) ||
        option_value(argc, argv, i, "log", &g->log))
        return 1;
    if (option_value(argc, argv, i, "log-format", &value)) {
        if (strcmp(value, "json") != 0 && strcmp(value, "text") != 0)
            return fail(err, 1, "invalid log-format %s (there are text and json)", value);
        g->log_json = strcmp(value, "json") == 0;
        return 1;
    }
    if (option_flag(argv, i, "debug"))
        g->debug = true;
    else if (option_flag(argv, i, "strace"))
        g->strace = true;
    else if (option_flag(argv, i, "unsafe-mpk"))
        g->unsafe_mpk = true;
    else
        return fail(err, 1, "unknown option %s (see runsc help)", argv[*i]);
    return 1;
}

static void print_escaped(FILE *out, const char *s)
{
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            fprintf(out, "\\%c", *s);
        else if ((unsigned char)*s < 0x20)
            fprintf(out, "\\u%04x", *s);
        else
            fputc(*s, out);
    }
}

/* On stderr always; into --log too, where clients look for it. */
static void report(const struct global_options *g, const struct cli_error *err)
{
    FILE *log = g->log ? fopen(g->log, "ae") : NULL;
    char now[64];
    time_t t = time(NULL);
    struct tm tm;

    fprintf(stderr, "runsc: %s\n", err->message);
    if (!log)
        return;
    strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
    if (g->log_json) {
        fputs("{\"level\":\"error\",\"msg\":\"", log);
        print_escaped(log, err->message);
        fprintf(log, "\",\"time\":\"%s\"}\n", now);
    } else {
        fprintf(log, "time=\"%s\" level=error msg=\"", now);
        print_escaped(log, err->message);
        fputs("\"\n", log);
    }
    fclose(log);
}

static int run_command(const struct global_options *g, int argc, char **argv, struct cli_error *err)
{
    for (const struct command *c = commands; c->name; c++) {
        if (strcmp(argv[0], c->name) == 0)
            return c->run(g, argc, argv, err);
    }
    return fail(err, 1, "unknown command %s (see runsc help)", argv[0]);
}

int main(int argc, char **argv)
{
    struct global_options g = {.platform = "systrap", .root = "/run/runsc"};
    struct cli_error err = {.status = 1};
    int i = 1, r = 1;

    while (i < argc && r == 1) {
        if (strcmp(argv[i], "--version") == 0 || strcmp(argv[i], "-v") == 0) {
            print_version();
            return 0;
        }
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return cmd_help(&g, 1, argv, &err);
        r = global_option(&g, argc, argv, &i, &err);
    }
    if (r >= 0 && i >= argc) {
        cmd_help(&g, 1, argv, &err);
        return 1;
    }
    if (r >= 0)
        r = run_command(&g, argc - i, argv + i, &err);
    if (r < 0) {
        report(&g, &err);
        return err.status;
    }
    return r;
}
