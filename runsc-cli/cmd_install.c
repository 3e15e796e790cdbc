/*
 * runsc install and uninstall: an entry of docker's daemon.json for this binary. Other runtimes and
 * settings stay; the file is replaced whole, by rename, or not at all. Other clients' files are
 * not touched: what they need is printed.
 */
#include "runsc-cli/cli.h"

#include "runsc-cli/io.h"
#include "runsc-cli/json.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DOCKER_CONFIG "/etc/docker/daemon.json"
#define RUNTIME       "runsc"

struct install_options {
    const char *config, *runtime;
};

#define O(field) offsetof(struct install_options, field)
const struct opt install_opts[] = {
    {"config", 0, OPT_STRING, O(config), "FILE",
     "docker's configuration (default " DOCKER_CONFIG ")"},
    {"runtime", 0, OPT_STRING, O(runtime), "NAME",
     "the runtime's name there (default " RUNTIME ")"},
    {0},
};
const struct opt uninstall_opts[] = {
    {"config", 0, OPT_STRING, O(config), "FILE",
     "docker's configuration (default " DOCKER_CONFIG ")"},
    {"runtime", 0, OPT_STRING, O(runtime), "NAME",
     "the runtime's name there (default " RUNTIME ")"},
    {0},
};

/* NULL with *err; a file that is not there is an empty object. */
static json_object *read_config(const char *path, mode_t *mode, struct cli_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    json_object *o;
    struct stat st;

    *mode = 0644;
    if (fd < 0 && errno == ENOENT)
        return json_object_new_object();
    if (fd < 0 || fstat(fd, &st) < 0) {
        fail_errno(err, 1, errno, "cannot read %s", path);
        return NULL;
    }
    *mode = st.st_mode & 07777;
    if (st.st_size == 0)
        o = json_object_new_object();
    else
        o = json_read_fd(fd, path, err);
    close(fd);
    return o;
}

/* mkdir of the last directory only: /etc/docker. */
static int replace_config(const char *path, json_object *o, mode_t mode, struct cli_error *err)
{
    const char *text = json_object_to_json_string_ext(
        o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE);
    char *real = realpath(path, NULL), *copy = strdup(real ? real : path), *aside = NULL;
    int fd = -1, r = -1;

    if (!copy || asprintf(&aside, "%s.XXXXXX", real ? real : path) < 0)
        return fail(err, 1, "out of memory");
    if (mkdir(dirname(copy), 0755) < 0 && errno != EEXIST) {
        fail_errno(err, 1, errno, "cannot make the directory of %s", path);
        goto out;
    }
    fd = mkostemp(aside, O_CLOEXEC);
    if (fd < 0 || !write_all(fd, text, strlen(text)) || !write_all(fd, "\n", 1) ||
        fchmod(fd, mode) < 0 || fsync(fd) < 0 || rename(aside, real ? real : path) < 0) {
        fail_errno(err, 1, errno, "cannot write %s", path);
        if (fd >= 0)
            unlink(aside);
        goto out;
    }
    r = 0;
out:
    if (fd >= 0)
        close(fd);
    free(real);
    free(copy);
    free(aside);
    return r;
}

static void print_others(const char *self, const char *name, int argc, char **args)
{
    printf("\nOther clients, where they are in use (nothing of theirs was changed):\n\n"
           "containerd, /etc/containerd/config.toml:\n"
           "  [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.%s]\n"
           "    runtime_type = \"io.containerd.runc.v2\"\n"
           "    [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.%s.options]\n"
           "      BinaryName = \"%s\"\n\n"
           "podman, /etc/containers/containers.conf:\n"
           "  [engine.runtimes]\n"
           "  %s = [\"%s\"]\n\n"
           "CRI-O, /etc/crio/crio.conf.d/%s.conf:\n"
           "  [crio.runtime.runtimes.%s]\n"
           "  runtime_path = \"%s\"\n"
           "  runtime_type = \"oci\"\n\n",
           name, name, self, name, self, name, name, self);
    if (argc == 0)
        return;
    printf("These give no flags of the runtime's; name a script there instead that ends with\n"
           "  exec %s",
           self);
    for (int i = 0; i < argc; i++)
        printf(" %s", args[i]);
    puts(" \"$@\"");
}

static bool self_path(char out[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 1);

    if (n > 0)
        out[n] = '\0';
    return n > 0;
}

int cmd_install(const struct global_options *global, void *opts, int argc, char **args,
                struct cli_error *err)
{
    const struct install_options *o = opts;
    const char *path = o->config ? o->config : DOCKER_CONFIG,
               *name = o->runtime ? o->runtime : RUNTIME;
    json_object *config, *runtimes, *entry, *flags;
    char self[PATH_MAX];
    mode_t mode;
    int r;

    if (!*name || strpbrk(name, "\"\\/ \t\n"))
        return fail(err, 1, "invalid runtime name \"%s\"", name);
    if (!self_path(self))
        return fail_errno(err, 1, errno, "cannot tell where this program is");
    config = read_config(path, &mode, err);
    if (!config)
        return -1;
    runtimes = json_get(config, "runtimes", json_type_object);
    if (!runtimes && json_object_object_get_ex(config, "runtimes", NULL)) {
        json_object_put(config);
        return fail(err, 1, "%s: \"runtimes\" is no object", path);
    }
    if (!runtimes) {
        runtimes = json_object_new_object();
        json_object_object_add(config, "runtimes", runtimes);
    }
    entry = json_object_new_object();
    json_add_string(entry, "path", self);
    if (argc > 0) {
        flags = json_object_new_array();
        for (int i = 0; i < argc; i++)
            json_object_array_add(flags, json_object_new_string(args[i]));
        json_object_object_add(entry, "runtimeArgs", flags);
    }
    json_object_object_add(runtimes, name, entry);
    r = replace_config(path, config, mode, err);
    json_object_put(config);
    if (r < 0)
        return -1;
    printf("Runtime %s is in %s now: restart docker, then docker run --runtime=%s ...\n", name,
           path, name);
    print_others(self, name, argc, args);
    return 0;
}

int cmd_uninstall(const struct global_options *global, void *opts, int argc, char **args,
                  struct cli_error *err)
{
    const struct install_options *o = opts;
    const char *path = o->config ? o->config : DOCKER_CONFIG,
               *name = o->runtime ? o->runtime : RUNTIME;
    json_object *config, *runtimes;
    mode_t mode;
    int r;

    config = read_config(path, &mode, err);
    if (!config)
        return -1;
    runtimes = json_get(config, "runtimes", json_type_object);
    if (!runtimes || !json_object_object_get_ex(runtimes, name, NULL)) {
        json_object_put(config);
        printf("There is no runtime %s in %s.\n", name, path);
        return 0;
    }
    if (strcmp(json_string_or(config, "default-runtime", ""), name) == 0) {
        json_object_put(config);
        return fail(err, 1, "%s: %s is the default-runtime: choose another one first", path, name);
    }
    json_object_object_del(runtimes, name);
    if (json_object_object_length(runtimes) == 0)
        json_object_object_del(config, "runtimes");
    r = replace_config(path, config, mode, err);
    json_object_put(config);
    if (r == 0)
        printf("Runtime %s is no longer in %s: restart docker.\n", name, path);
    return r;
}
