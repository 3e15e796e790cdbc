/* runsc stats and export-metrics: what a running sandbox counted, asked over its control socket. */
#include "runsc-cli/cli.h"

#include "runsc-cli/control_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct stats_options {
    const char *format, *collect;
};

const struct opt stats_opts[] = {
    {"format", 'f', OPT_STRING, offsetof(struct stats_options, format), "table|json",
     "(default table)"},
    {"collect", 0, OPT_STRING, offsetof(struct stats_options, collect), "on|off",
     "start or stop counting system calls, and print nothing"},
    {0},
};

static int ask(const struct global_options *global, const char *id, enum control_figures what,
               struct cli_error *err)
{
    struct container c;
    char *text;
    int r;

    if (container_open(global, id, UNLOCKED, &c, err) < 0)
        return -1;
    r = control_request(&c, CONTROL_FIGURES, what, &text, err);
    container_close(&c);
    if (r < 0)
        return -1;
    fputs(text, stdout);
    free(text);
    return 0;
}

int cmd_stats(const struct global_options *global, void *opts, int argc, char **args,
              struct cli_error *err)
{
    const struct stats_options *o = opts;

    if (o->collect && strcmp(o->collect, "on") == 0)
        return ask(global, args[0], CONTROL_FIGURES_START, err);
    if (o->collect && strcmp(o->collect, "off") == 0)
        return ask(global, args[0], CONTROL_FIGURES_STOP, err);
    if (o->collect)
        return fail(err, 1, "invalid collect %s (there are on and off)", o->collect);
    if (!o->format || strcmp(o->format, "table") == 0)
        return ask(global, args[0], CONTROL_FIGURES_TABLE, err);
    if (strcmp(o->format, "json") == 0)
        return ask(global, args[0], CONTROL_FIGURES_JSON, err);
    return fail(err, 1, "invalid format %s (there are table and json)", o->format);
}

int cmd_export_metrics(const struct global_options *global, void *opts, int argc, char **args,
                       struct cli_error *err)
{
    return ask(global, args[0], CONTROL_FIGURES_PROMETHEUS, err);
}
