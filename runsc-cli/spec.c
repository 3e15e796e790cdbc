/* config.json: reading, the top level and the root. The JSON parser runs before any guest exists.
 */
#include "runsc-cli/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int read_root(json_object *json, const char *bundle, struct boot_config *c,
                     struct spec *spec, struct cli_error *err)
{
    json_object *root = json_get(json, "root", json_type_object);
    const char *path = json_string(root, "path");
    char *joined;

    if (!path)
        return fail(err, 1, "config.json: root.path must be set");
    if (asprintf(&joined, "%s%s%s", path[0] == '/' ? "" : bundle, path[0] == '/' ? "" : "/", path) <
        0)
        return fail(err, 1, "out of memory");
    spec->root_path = realpath(joined, NULL);
    if (!spec->root_path)
        return fail_errno(err, 1, errno, "invalid rootfs %s", joined);
    free(joined);
    c->root_path = spec->root_path;
    c->root_readonly = json_is_true(root, "readonly");
    c->root_live = true; /* clients copy files in behind the guest's back */
    c->rootfs_fd = open_directory(spec->root_path, err);
    return c->rootfs_fd < 0 ? -1 : 0;
}

int spec_read(const char *bundle, struct spec *spec, struct cli_error *err)
{
    const char *version;
    char path[PATH_MAX];
    int fd;

    *spec = (struct spec){0};
    if (snprintf(path, sizeof(path), "%s/config.json", bundle) >= (int)sizeof(path))
        return fail(err, err->status, "the bundle's path is too long");
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return fail(err, err->status, "JSON specification file config.json not found");
    if (fd < 0)
        return fail_errno(err, err->status, errno, "cannot open %s", path);
    spec->json = json_read_fd(fd, "config.json", err);
    close(fd);
    if (!spec->json)
        return -1;
    version = json_string(spec->json, "ociVersion");
    if (!version || strncmp(version, "1.", 2) != 0)
        return fail(err, err->status, "config.json: unsupported ociVersion %s",
                    version ? version : "(none)");
    spec->hooks = json_get(spec->json, "hooks", json_type_object);
    spec->annotations = json_get(spec->json, "annotations", json_type_object);
    return 0;
}

/* dev.cvisor.flag.NAME = VALUE: the global options of that name, for this container. */
static int read_flags(struct spec *spec, struct boot_config *c, struct cli_error *err)
{
    static const char prefix[] = "dev.cvisor.flag.";

    if (!spec->annotations)
        return 0;
    json_object_object_foreach(spec->annotations, key, value)
    {
        const char *name = key + sizeof(prefix) - 1, *text = json_object_get_string(value);
        bool on = text && strcmp(text, "true") == 0;

        if (strncmp(key, prefix, sizeof(prefix) - 1) != 0)
            continue;
        if (strcmp(name, "platform") == 0 && text)
            c->platform = text;
        else if (strcmp(name, "strace") == 0)
            c->strace = on;
        else if (strcmp(name, "debug") == 0)
            c->debug = on;
        else if (strcmp(name, "overlay") == 0)
            c->root_overlay = on;
        else if (strcmp(name, "cache") == 0 && text && strcmp(text, "exclusive") == 0)
            c->root_live = false; /* nobody but the container changes its root */
        else
            return fail(err, 1, "annotation %s: there is no such flag", key);
    }
    return 0;
}

static int check_name(const char *name, const char *what, struct cli_error *err)
{
    return name && strlen(name) > 64 ? fail(err, 1, "config.json: %s is too long", what) : 0;
}

int spec_apply(const struct global_options *g, const char *bundle, struct spec *spec,
               struct sandbox *s, struct cli_error *err)
{
    struct boot_config *c = &s->config;
    json_object *process = json_get(spec->json, "process", json_type_object);

    if (spec_check_known(g, spec->json, err) < 0)
        return -1;
    c->hostname = json_string(spec->json, "hostname");
    c->domainname = json_string(spec->json, "domainname");
    if (check_name(c->hostname, "hostname", err) < 0 ||
        check_name(c->domainname, "domainname", err) < 0 || read_flags(spec, c, err) < 0 ||
        spec_process(g, process, &c->init, &spec->terminal, err) < 0 ||
        spec_seccomp(spec->json, &c->init, err) < 0 ||
        read_root(spec->json, bundle, c, spec, err) < 0)
        return -1;
    if (json_get(process, "oomScoreAdj", json_type_int)) {
        s->set_oom_score_adj = true;
        s->oom_score_adj = c->init.oom_score_adj;
    }
    if (spec_linux(g, spec, s, err) < 0)
        return -1;
    return spec_mounts(g, spec->json, bundle, c, err);
}
