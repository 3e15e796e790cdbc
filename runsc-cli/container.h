/*
 * A container's directory under --root: lock, state.json, the sentry's status file and socket.
 *
 * Who changes a container holds its lock (flock, dropped by the kernel when the holder dies);
 * looking needs none: state.json is replaced whole, by rename. The directory's name is the claim on
 * the ID. It is opened without following links.
 */
#pragma once

#include "runsc-cli/cli.h"
#include "runsc-cli/json.h"
#include "sentry/boot/control.h"

#include <sys/types.h>

#define STATE_FILE   "state.json"
#define STATUS_FILE  "status"
#define LOCK_FILE    "lock"
#define CONTROL_FILE "control.sock"
#define LOG_FILE     "sentry.log"

struct container {
    const struct global_options *global;
    const char *id; /* borrowed */
    int root_fd, dir_fd;
    int lock_fd;       /* -1: not held */
    json_object *json; /* state.json */
    pid_t pid;         /* of the sentry; 0: none yet */
    uint64_t start_time;
};

enum container_lock { UNLOCKED, LOCKED };

bool container_valid_id(const char *id);
/* "container does not exist" when it does not. LOCKED waits for other commands to end. */
int container_open(const struct global_options *g, const char *id, enum container_lock lock,
                   struct container *out, struct cli_error *err);
/* Claims the ID: locked, without state.json. "container with given ID already exists". */
int container_claim(const struct global_options *g, const char *id, struct container *out,
                    struct cli_error *err);
void container_close(struct container *c);
/* While others may command it, too; relock fails when they have deleted it. */
void container_unlock(struct container *c);
int container_relock(struct container *c, struct cli_error *err);
/*
 * Takes what another command left when it was killed: a directory without state.json too. 1, or 0
 * when another holds the lock, or -1.
 */
int container_open_remains(const struct global_options *g, const char *id, struct container *out,
                           struct cli_error *err);
/* json to state.json: written aside, synced, renamed. */
int container_save(struct container *c, struct cli_error *err);
/* The process that was started; remembered with its start time. */
void container_set_pid(struct container *c, pid_t pid);
/* Removes the directory; the lock goes with it. */
int container_remove(struct container *c, struct cli_error *err);

/* "creating", "created", "running", "paused", "stopped"; and what the sentry last wrote. */
const char *container_status(const struct container *c, struct control_status *out);
bool container_alive(const struct container *c);
/* The ID of the container whose sandbox it is in: pod.h. NULL: it has its own. */
const char *container_sandbox(const struct container *c);
/* What is asked of its sandbox's processes cannot be told of it alone: -1 with *err if so. */
int container_needs_sandbox(const struct container *c, struct cli_error *err);
/* To the sentry's process itself, if it is still the one. 0, or -errno. */
int container_kill(const struct container *c, int signo);
/* Until the sentry has gone, or timeout_ms (-1: none) is over: true when it has. */
bool container_wait_gone(const struct container *c, int timeout_ms);
/* What `state` prints; `list` has owner in it too, as runc. */
json_object *container_describe(const struct container *c);
/* IDs, sorted; malloc'ed. */
int container_list(const struct global_options *g, char ***out, size_t *count,
                   struct cli_error *err);
/* A file in the directory, by path (for sockets): "/proc/self/fd/N/NAME". */
void container_path(const struct container *c, const char *name, char out[64]);
