/*
 * The cgroups of a sandbox: one directory for each controller (v1), or one for all (v2), by direct
 * writes. Their paths stand in state.json before they are made, so that whoever deletes the
 * container finds them. The whole sandbox is in them, the kernel's own memory counted.
 */
#pragma once

#include "runsc-cli/container.h"

/* Chooses the paths and notes them in c->json: "cgroups": [{"controller", "path"}]. */
int cgroup_plan(struct container *c, const char *cgroups_path, struct cli_error *err);
/*
 * Makes them, applies resources (may be NULL). Rootless: what cannot be made is left out, unless
 * resources ask for it.
 */
int cgroup_create(struct container *c, json_object *resources, struct cli_error *err);
int cgroup_join(const struct container *c, pid_t pid, struct cli_error *err);
/* linux.resources of the spec. What is asked for and cannot be set is an error with its name. */
int cgroup_apply(const struct container *c, json_object *resources, struct cli_error *err);
/* Removes them, once what was in them is gone; gives that a moment. */
void cgroup_remove(const struct container *c);
/* The `data` of an event, as runc's; what there is no cgroup for is left out. */
json_object *cgroup_stats(const struct container *c);
/* How often the kernel has killed for memory in it; -1: unknown. */
int64_t cgroup_oom_kills(const struct container *c);

/* cgroup_file.c: the files themselves. controller "" is v2's. */
/* NULL: it has none of that controller. */
const char *cgroup_path_of(const struct container *c, const char *controller);
bool cgroup_is_v2(const struct container *c);
int cgroup_write(const char *dir, const char *file, const char *text);
int64_t cgroup_read_int(const char *dir, const char *file, int64_t otherwise);
/* "key value" lines: the value of key. */
int64_t cgroup_read_key(const char *dir, const char *file, const char *key, int64_t otherwise);
/* The whole file, malloc'ed; NULL. */
char *cgroup_read(const char *dir, const char *file);
