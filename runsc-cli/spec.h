/*
 * An OCI bundle's config.json (runtime-spec 1.2) into what starts a sandbox. What this version
 * can't honour is an error that names it, or a warning on the log where the spec lets a runtime go
 * on.
 */
#pragma once

#include "runsc-cli/json.h"
#include "runsc-cli/sandbox.h"

/* As in linux.namespaces, and bits of sandbox.namespaces. */
enum spec_namespace {
    SPEC_NS_PID,
    SPEC_NS_NETWORK,
    SPEC_NS_IPC,
    SPEC_NS_UTS,
    SPEC_NS_MOUNT,
    SPEC_NS_USER,
    SPEC_NS_CGROUP,
    SPEC_NS_TIME,
};

struct spec_terminal {
    bool wanted;
    uint16_t rows, cols; /* 0: not said */
};

struct spec {
    json_object *json; /* owns the strings below and in what was filled */
    char *root_path;   /* absolute */
    struct spec_terminal terminal;
    const char *cgroups_path;
    json_object *resources, *hooks, *annotations; /* borrowed, or NULL */
};

/* Reads BUNDLE/config.json. bundle is absolute. */
int spec_read(const char *bundle, struct spec *spec, struct cli_error *err);
/* All of it into *s, over the defaults already there. spec must outlive s's use. */
int spec_apply(const struct global_options *g, const char *bundle, struct spec *spec,
               struct sandbox *s, struct cli_error *err);
int spec_process(const struct global_options *g, json_object *process, struct boot_process *p,
                 struct spec_terminal *terminal, struct cli_error *err);
/* linux.seccomp as a filter of p's. */
int spec_seccomp(json_object *json, struct boot_process *p, struct cli_error *err);
/* -1: there is none of that name ("CAP_..."). */
int spec_capability(const char *name);

/* spec_known.c: warns of what is unknown, refuses what is known and not supported. */
int spec_check_known(const struct global_options *g, json_object *json, struct cli_error *err);
/* json's array at key, [{containerID, hostID, size}]. */
int spec_id_maps(json_object *json, const char *key, struct id_map **out, size_t *count,
                 struct cli_error *err);
struct mount_ids {
    struct id_map *uids, *gids;
    size_t uid_count, gid_count;
    bool recursive; /* mounts below the source too */
};
/* idmap.c: m's source, open already, becomes one whose owners are translated. Takes root. */
int spec_idmap(struct boot_mount *m, const struct mount_ids *ids, struct cli_error *err);

/* mountpoints.c: in a root that is to be read-only. */
void spec_make_mountpoints(const struct boot_config *c);

/* Parts of spec_apply. */
int spec_mounts(const struct global_options *g, json_object *json, const char *bundle,
                struct boot_config *c, struct cli_error *err);
int spec_linux(const struct global_options *g, struct spec *spec, struct sandbox *s,
               struct cli_error *err);
