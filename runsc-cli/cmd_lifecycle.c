/* runsc start, kill, delete, wait, pause and resume. */
#include "runsc-cli/lifecycle.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

const struct opt start_opts[] = {{0}};
const struct opt pause_opts[] = {{0}};
const struct opt resume_opts[] = {{0}};
const struct opt wait_opts[] = {{0}};

int cmd_start(const struct global_options *global, void *opts, int argc, char **args,
              struct cli_error *err)
{
    struct container c;
    int r;

    if (container_open(global, args[0], LOCKED, &c, err) < 0)
        return -1;
    r = lifecycle_start(&c, err);
    container_close(&c);
    return r;
}

/* ---- kill ---- */

struct kill_options {
    bool all;
};

const struct opt kill_opts[] = {
    {"all", 'a', OPT_FLAG, offsetof(struct kill_options, all), NULL, "to all its processes"},
    {0},
};

/* "9", "KILL", "SIGKILL", in any case; -1. */
static int signal_number(const char *name)
{
    char *end;
    long n = strtol(name, &end, 10);

    if (*name && !*end)
        return n >= 0 && n < NSIG ? (int)n : -1;
    if (strncasecmp(name, "SIG", 3) == 0)
        name += 3;
    for (int i = 1; i < 32; i++) {
        const char *abbreviation = sigabbrev_np(i);

        if (abbreviation && strcasecmp(abbreviation, name) == 0)
            return i;
    }
    if (strncasecmp(name, "RTMIN", 5) == 0)
        return SIGRTMIN + atoi(name + 5);
    if (strncasecmp(name, "RTMAX", 5) == 0)
        return SIGRTMAX + atoi(name + 5);
    return -1;
}

/*
 * SIGKILL goes to the sandbox's process itself: that ends everything, whatever it is doing. Others
 * are the kernel's to deliver, and those for a container in another's sandbox.
 */
static int send_signal(struct container *c, int signo, bool all, struct cli_error *err)
{
    struct cli_error why = {.status = err->status};
    int r;

    if ((signo == SIGKILL && !container_sandbox(c)) || signo == 0) { /* 0: is there anybody? */
        r = container_kill(c, signo);
        return r == -ESRCH ? fail(err, 1, "container not running")
               : r < 0     ? fail_errno(err, 1, -r, "cannot kill container %s", c->id)
                           : 0;
    }
    r = control_request(c, all ? CONTROL_SIGNAL_ALL : CONTROL_SIGNAL, (uint32_t)signo, NULL, &why);
    if (r < 0 && !container_alive(c))
        return fail(err, 1, "container not running");
    return r < 0 ? fail(err, 1, "cannot signal container %s: %s", c->id, why.message) : 0;
}

int cmd_kill(const struct global_options *global, void *opts, int argc, char **args,
             struct cli_error *err)
{
    const struct kill_options *o = opts;
    int signo = signal_number(argc > 1 ? args[1] : "TERM"), r;
    struct container c;

    if (signo < 0)
        return fail(err, 1, "unknown signal \"%s\"", args[1]);
    if (container_open(global, args[0], UNLOCKED, &c, err) < 0)
        return -1;
    if (strcmp(container_status(&c, NULL), "stopped") == 0)
        r = o->all ? 0 : fail(err, 1, "container not running");
    else
        r = send_signal(&c, signo, o->all, err);
    container_close(&c);
    return r;
}

/* ---- delete ---- */

#define LOCK_PAUSE_US 2000

struct delete_options {
    bool force;
};

const struct opt delete_opts[] = {
    {"force", 'f', OPT_FLAG, offsetof(struct delete_options, force), NULL,
     "kill it first; no error when it does not exist"},
    {0},
};

/* Whoever holds the lock meanwhile (a `create` that hangs in a hook) sees its sandbox die. */
static void kill_unlocked(const struct global_options *g, const char *id)
{
    struct cli_error ignored = {.status = 1};
    struct container c;

    if (container_open(g, id, UNLOCKED, &c, &ignored) < 0)
        return;
    container_kill(&c, SIGKILL);
    container_close(&c);
}

int cmd_delete(const struct global_options *global, void *opts, int argc, char **args,
               struct cli_error *err)
{
    const struct delete_options *o = opts;
    struct container c;
    const char *status;
    int r;

    if (o->force && container_valid_id(args[0])) {
        struct cli_error ignored = {.status = 1};

        /* Who holds the lock may be about to make a sandbox: that one goes too. */
        for (kill_unlocked(global, args[0]);
             (r = container_open_remains(global, args[0], &c, &ignored)) == 0;
             usleep(LOCK_PAUSE_US))
            kill_unlocked(global, args[0]);
        if (r < 0)
            return 0;
    } else if (container_open(global, args[0], LOCKED, &c, err) < 0) {
        return -1;
    }
    status = container_status(&c, NULL);
    /* As runc: a created container may be deleted, a running one not. */
    if (!o->force && strcmp(status, "stopped") != 0 && strcmp(status, "created") != 0)
        r = fail(err, 1, "cannot delete container %s that is not stopped: %s", c.id, status);
    else
        r = lifecycle_destroy(&c, err);
    container_close(&c);
    return r;
}

/* ---- wait ---- */

int cmd_wait(const struct global_options *global, void *opts, int argc, char **args,
             struct cli_error *err)
{
    struct control_status status;
    struct container c;

    if (container_open(global, args[0], UNLOCKED, &c, err) < 0)
        return -1;
    container_wait_gone(&c, -1);
    (void)container_status(&c, &status);
    /* Without a last word it was killed. */
    printf("%d\n", status.state == CONTROL_STOPPED ? exit_status_of(status.status) : 128 + SIGKILL);
    container_close(&c);
    return 0;
}

/* ---- pause, resume ---- */

static int set_paused(const struct global_options *g, const char *id, bool on,
                      struct cli_error *err)
{
    struct container c;
    const char *status;
    int r;

    if (container_open(g, id, LOCKED, &c, err) < 0)
        return -1;
    status = container_status(&c, NULL);
    if (on && strcmp(status, "running") != 0)
        r = fail(err, 1,
                 strcmp(status, "paused") == 0 ? "container already paused"
                                               : "container not running");
    else if (!on && strcmp(status, "paused") != 0)
        r = fail(err, 1, "container not paused");
    else
        r = control_request(&c, on ? CONTROL_PAUSE : CONTROL_RESUME, 0, NULL, err);
    container_close(&c);
    return r;
}

int cmd_pause(const struct global_options *global, void *opts, int argc, char **args,
              struct cli_error *err)
{
    return set_paused(global, args[0], true, err);
}

int cmd_resume(const struct global_options *global, void *opts, int argc, char **args,
               struct cli_error *err)
{
    return set_paused(global, args[0], false, err);
}
