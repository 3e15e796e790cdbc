/*
 * Making, starting and destroying containers. The order of lifecycle_create is what makes a killed
 * CLI harmless: the claim and the cgroups' names are on disk before anything is made, the sandbox
 * dies with us until the state that names it is written.
 */
#include "runsc-cli/lifecycle.h"

#include "runsc-cli/net_host.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define KILL_WAIT_MS 10000

static void now_text(char out[64])
{
    struct timespec ts;
    struct tm tm;
    size_t n;

    clock_gettime(CLOCK_REALTIME, &ts);
    n = strftime(out, 64, "%Y-%m-%dT%H:%M:%S", gmtime_r(&ts.tv_sec, &tm));
    snprintf(out + n, 64 - n, ".%09ldZ", ts.tv_nsec);
}

/* What is known before anything is made. */
static int first_state(struct creation *cr, const char *bundle, struct cli_error *err)
{
    struct container *c = &cr->container;
    char now[64];

    now_text(now);
    c->json = json_object_new_object();
    json_add_string(c->json, "ociVersion", json_string(cr->spec.json, "ociVersion"));
    json_add_string(c->json, "id", c->id);
    json_add_int(c->json, "pid", 0);
    json_add_string(c->json, "bundle", bundle);
    json_add_string(c->json, "rootfs", cr->spec.root_path);
    json_add_string(c->json, "created", now);
    json_add_string(c->json, "platform", cr->sandbox.config.platform);
    if (cr->spec.annotations)
        json_object_object_add(c->json, "annotations", json_object_get(cr->spec.annotations));
    if (cr->spec.hooks)
        json_object_object_add(c->json, "hooks", json_object_get(cr->spec.hooks));
    if (cr->sandbox.pod)
        json_add_string(c->json, "sandbox", cr->pod.sandbox.id);
    if (cr->sandbox.config.pod)
        json_add_bool(c->json, "pod", true);
    if (cgroup_plan(c, cr->spec.cgroups_path, err) < 0)
        return -1;
    return container_save(c, err);
}

static int make_control(struct creation *cr, struct cli_error *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct boot_config *b = &cr->sandbox.config;
    struct container *c = &cr->container;
    char path[64];

    b->status_fd =
        openat(c->dir_fd, STATUS_FILE, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (b->status_fd < 0)
        return fail_errno(err, 1, errno, "cannot make the status file");
    if (cr->sandbox.pod)
        return 0; /* the sandbox has one */
    container_path(c, CONTROL_FILE, path);
    memcpy(addr.sun_path, path, strlen(path) + 1);
    (void)unlinkat(c->dir_fd, CONTROL_FILE, 0);
    b->control_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (b->control_fd < 0 || bind(b->control_fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
        fchmodat(c->dir_fd, CONTROL_FILE, 0600, 0) < 0 || listen(b->control_fd, 64) < 0)
        return fail_errno(err, 1, errno, "cannot make the control socket");
    if (b->log_fd >= 0 && !b->log_file && !cr->foreground) {
        /* Not the caller's stderr: it would stay open for as long as the sandbox lives. */
        close(b->log_fd);
        b->log_fd = openat(c->dir_fd, LOG_FILE,
                           O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    }
    return 0;
}

/* ---- descriptors ---- */

static int listen_fds(void)
{
    const char *text = getenv("LISTEN_FDS");
    int n = text ? atoi(text) : 0;

    return n > 0 && n < CONTROL_FDS_MAX ? n : 0;
}

static int add_env(struct boot_process *p, const char *text)
{
    size_t n = 0;
    const char **list;

    while (p->envp[n])
        n++;
    list = calloc(n + 2, sizeof(*list));
    if (!list)
        return -1;
    memcpy(list, p->envp, n * sizeof(*list));
    list[n] = text;
    p->envp = list;
    return 0;
}

int passed_descriptors(int64_t count, struct boot_process *p, struct cli_error *err)
{
    int listening = listen_fds(), total, *fds;
    char *env;

    if (count < 0 || count > CONTROL_FDS_MAX - 3 - listening)
        return fail(err, err->status, "--preserve-fds %lld: at most %d can be passed",
                    (long long)count, CONTROL_FDS_MAX - 3 - listening);
    total = 3 + listening + (int)count;
    fds = calloc((size_t)total, sizeof(*fds));
    if (!fds)
        return fail(err, err->status, "out of memory");
    for (int i = 0; i < total; i++) {
        fds[i] = fcntl(i, F_GETFD) < 0 ? -1 : i;
        if (i >= 3 && fds[i] < 0) {
            free(fds);
            return fail(err, err->status,
                        "--preserve-fds: descriptor %d of the %d to pass is not open", i, total);
        }
    }
    p->fds = fds;
    p->fd_count = (size_t)total;
    if (listening && (asprintf(&env, "LISTEN_FDS=%d", listening) < 0 || add_env(p, env) < 0 ||
                      add_env(p, "LISTEN_PID=1") < 0))
        return fail(err, err->status, "out of memory");
    return 0;
}

/* stdio and terminal of init. */
static int attach_stdio(struct creation *cr, const struct create_opts *o, struct cli_error *err)
{
    struct boot_process *p = &cr->sandbox.config.init;
    bool wanted = cr->spec.terminal.wanted;
    const char *socket = o->console_socket && *o->console_socket ? o->console_socket : NULL;
    int *fds;

    if (passed_descriptors(o->preserve_fds, p, err) < 0)
        return -1;
    if (socket && (!wanted || cr->foreground))
        return fail(err, 1, "cannot use console socket if runc will not detach or allocate tty");
    if (!wanted)
        return 0;
    if (!cr->foreground && !socket)
        return fail(err, 1,
                    "cannot allocate tty if runc will detach without setting console socket");
    if (cr->foreground && isatty(0) && tcgetpgrp(0) == getpgrp()) {
        p->tty_fd = 0;
        cr->host_terminal = true;
        return 0;
    }
    if (console_open(&cr->console, &cr->spec.terminal, err) < 0)
        return -1;
    fds = (int *)(uintptr_t)p->fds;
    for (int i = 0; i < 3; i++)
        fds[i] = fcntl(cr->console.slave, F_DUPFD_CLOEXEC, 3);
    p->tty_fd = cr->console.slave;
    cr->sandbox.own_terminal = true;
    return socket ? console_send(&cr->console, socket, err) : 0;
}

int write_pid_file(const char *path, pid_t pid, struct cli_error *err)
{
    char temporary[PATH_MAX], text[16];
    const char *slash = strrchr(path, '/');
    int dir = slash ? (int)(slash - path) + 1 : 0, fd, n;

    n = snprintf(temporary, sizeof(temporary), "%.*s.%s", dir, path, path + dir);
    if (n < 0 || (size_t)n >= sizeof(temporary))
        return fail(err, err->status, "the pid file's path is too long");
    fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    n = snprintf(text, sizeof(text), "%d", pid);
    if (fd < 0 || write(fd, text, (size_t)n) != n || close(fd) < 0 || rename(temporary, path) < 0)
        return fail_errno(err, err->status, errno, "cannot write the pid file %s", path);
    return 0;
}

/* ---- create ---- */

static int tell_pid(struct creation *cr, const struct create_opts *o, struct cli_error *err)
{
    pid_t pid = cr->sandbox.pid;
    int fd, r;

    if (o->pid_file && *o->pid_file && write_pid_file(o->pid_file, pid, err) < 0)
        return -1;
    if (!o->pidfd_socket || !*o->pidfd_socket)
        return 0;
    fd = pidfd_open(pid, 0);
    if (fd < 0)
        return fail_errno(err, 1, errno, "cannot open a pidfd");
    r = send_descriptor(o->pidfd_socket, fd, "pidfd", err);
    close(fd);
    return r;
}

static int spawn(struct creation *cr, struct cli_error *err)
{
    struct container *c = &cr->container;

    cr->sandbox.staged = true;
    if (cr->sandbox.network == NETWORK_USER &&
        net_make_user(&cr->sandbox.net, &cr->sandbox.config, cr->sandbox.host_loopback, err) < 0)
        return -1;
    spec_make_mountpoints(&cr->sandbox.config);
    if (cr->sandbox.pod && pod_donate(&cr->pod, c->id, &cr->sandbox.config, err) < 0)
        return -1;
    if (cgroup_create(c, cr->spec.resources, err) < 0 || sandbox_spawn(&cr->sandbox, err) < 0)
        return -1;
    container_set_pid(c, cr->sandbox.pid);
    if (container_save(c, err) < 0 || cgroup_join(c, cr->sandbox.pid, err) < 0 ||
        sandbox_enter(&cr->sandbox, err) < 0)
        return -1;
    if (hooks_run(c, "prestart", "creating", false, err) < 0 ||
        hooks_run(c, "createRuntime", "creating", false, err) < 0 ||
        hooks_run(c, "createContainer", "creating", true, err) < 0)
        return -1;
    return sandbox_boot(&cr->sandbox, err);
}

static void undo(struct creation *cr)
{
    struct cli_error ignored = {.status = 1};
    bool spawned = cr->sandbox.pid > 0;

    sandbox_abandon(&cr->sandbox);
    if (cr->container.json)
        (void)pod_leave(&cr->container, &ignored);
    console_finish(&cr->console);
    if (cr->container.json) {
        cgroup_remove(&cr->container);
        if (spawned)
            hooks_run_all(&cr->container, "poststop", "stopped");
    }
    (void)container_remove(&cr->container, &ignored);
    container_close(&cr->container);
}

static int create_locked(const struct global_options *g, const char *bundle,
                         const struct create_opts *o, struct creation *cr, struct cli_error *err)
{
    if (sandbox_defaults(g, &cr->sandbox, err) < 0 ||
        spec_apply(g, bundle, &cr->spec, &cr->sandbox, err) < 0 ||
        pod_look(g, cr->container.id, &cr->spec, &cr->sandbox, &cr->pod, err) < 0 ||
        first_state(cr, bundle, err) < 0 || make_control(cr, err) < 0 ||
        hooks_for_start(&cr->container, &cr->sandbox.config, err) < 0 ||
        attach_stdio(cr, o, err) < 0 || spawn(cr, err) < 0 || tell_pid(cr, o, err) < 0)
        return -1;
    return sandbox_commit(&cr->sandbox, err);
}

int lifecycle_create(const struct global_options *g, const char *id, const struct create_opts *o,
                     bool foreground, struct creation *out, struct cli_error *err)
{
    char bundle[PATH_MAX];

    *out = (struct creation){.foreground = foreground, .console = {.master = -1, .slave = -1}};
    err->status = 1;
    if (!realpath(o->bundle && *o->bundle ? o->bundle : ".", bundle))
        return fail_errno(err, 1, errno, "bundle %s", o->bundle);
    if (spec_read(bundle, &out->spec, err) < 0)
        return -1;
    if (container_claim(g, id, &out->container, err) < 0)
        return -1;
    if (create_locked(g, bundle, o, out, err) < 0) {
        err->status = 1; /* as runc: whatever kept it from starting */
        undo(out);
        return -1;
    }
    if (out->sandbox.config.control_fd >= 0)
        close(out->sandbox.config.control_fd);
    close(out->sandbox.config.status_fd);
    if (out->console.slave >= 0) {
        for (int i = 0; i < 3; i++)
            close(out->sandbox.config.init.fds[i]);
        close(out->console.slave);
        out->console.slave = -1;
    }
    return 0;
}

/* ---- start, destroy ---- */

int lifecycle_start(struct container *c, struct cli_error *err)
{
    const char *status = container_status(c, NULL);

    if (strcmp(status, "stopped") == 0)
        return fail(err, err->status, "cannot start a container that has stopped");
    if (strcmp(status, "created") != 0)
        return fail(err, err->status, "cannot start an already running container");
    if (control_request(c, CONTROL_START, 0, NULL, err) < 0)
        return -1;
    hooks_run_all(c, "poststart", "running");
    return 0;
}

int lifecycle_destroy(struct container *c, struct cli_error *err)
{
    if (container_alive(c)) {
        container_kill(c, SIGKILL);
        if (!container_wait_gone(c, KILL_WAIT_MS))
            return fail(err, err->status, "container %s does not end", c->id);
    }
    if (c->json && pod_leave(c, err) < 0)
        return -1;
    if (c->json) {
        cgroup_remove(c);
        hooks_run_all(c, "poststop", "stopped");
    }
    return container_remove(c, err);
}
