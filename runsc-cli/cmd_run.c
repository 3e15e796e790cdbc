/*
 * runsc run: a container from an OCI bundle, in the foreground. State files and the other lifecycle
 * commands are not here yet.
 */
#include "runsc-cli/spec.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

static bool valid_id(const char *id)
{
    size_t n = strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.");

    return n > 0 && id[n] == '\0' && n <= 1024 && strcmp(id, ".") != 0 && strcmp(id, "..") != 0;
}

int cmd_run(const struct global_options *global, int argc, char **argv, struct cli_error *err)
{
    const char *bundle = ".", *id;
    struct boot_config config;
    struct spec spec = {0};
    char path[PATH_MAX];
    int i = 1;

    while (i < argc && argv[i][0] == '-') {
        if (!option_value(argc, argv, &i, "bundle", &bundle) &&
            !option_value(argc, argv, &i, "b", &bundle))
            return fail(err, 1, "run: unknown option %s", argv[i]);
    }
    if (i + 1 != argc)
        return fail(err, 1, "run: exactly one container ID is expected");
    id = argv[i];
    if (!valid_id(id))
        return fail(err, 1, "invalid container ID format: %s", id);
    if (!realpath(bundle, path))
        return fail(err, 1, "bundle %s does not exist", bundle);
    if (sandbox_defaults(global, &config, err) < 0 || spec_load(path, &config, &spec, err) < 0)
        return -1;
    config.tty = config.tty && spec.terminal;
    i = sandbox_run_foreground(&config, err);
    if (i < 0)
        err->status = 1; /* as runc: whatever kept it from starting */
    return i;
}
