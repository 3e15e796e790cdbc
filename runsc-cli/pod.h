/*
 * Pods: several containers in one sandbox, by the annotations of containerd's CRI plugin and
 * CRI-O. The sandbox's own container is made as any; the others are made in its sandbox, and a
 * process of the host stands for each (holder.h), whose end is theirs.
 *
 * Their files: clones of what they mount are mounted in the sandbox's mount namespace, below
 * BOOT_POD_DIRECTORY, for as long as the container is there.
 */
#pragma once

#include "runsc-cli/container.h"
#include "runsc-cli/spec.h"
#include "sentry/boot/control_codec.h"

struct pod {
    struct container sandbox; /* unlocked */
    struct codec_pod names;
};

/*
 * What the annotations make of s, which the spec has filled: a pod's sandbox (config.pod), a
 * container in one (s->pod is out then), or neither. What a container of a pod cannot have is
 * refused by name. 0, or -1 with *err.
 */
int pod_look(const struct global_options *g, const char *id, const struct spec *spec,
             struct sandbox *s, struct pod *out, struct cli_error *err);
/* The container's trees into its sandbox: c's descriptors lead to them from then on. */
int pod_donate(const struct pod *p, const char *id, struct boot_config *c, struct cli_error *err);
/* sandbox_spawn for a container in a pod: the process that stands for it. */
int pod_spawn(struct sandbox *s, struct cli_error *err);
/*
 * Whatever is left of c in another's sandbox goes; nothing to do where it is in none. 0, or -1 with
 * *err.
 */
int pod_leave(const struct container *c, struct cli_error *err);

/*
 * What its processes use as the sandbox counts it, in place of cgroup_stats: the container's own
 * cgroup does not have them. NULL: it is gone.
 */
json_object *pod_stats(const struct container *c);

/* pod_mounts.c: the trees of the container of that id leave the sandbox. */
int pod_unmount(const struct container *sandbox, const char *id, struct cli_error *err);
