/* OCI hooks: a process each, fed and watched by poll until it ends or its time is up. */
#include "runsc-cli/hooks.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OUTPUT_MAX 400

struct hook {
    const char *path;
    const char *const *args, *const *env; /* env NULL: ours, where the config has none */
    int64_t timeout_s;                    /* 0: none */
    const char *cwd;                      /* or NULL */
};

static int read_hook(json_object *o, struct hook *h, struct cli_error *err)
{
    h->path = json_string(o, "path");
    h->cwd = NULL;
    h->timeout_s = json_int(o, "timeout", 0);
    if (!h->path || h->path[0] != '/')
        return fail(err, 1, "config.json: a hook's path must be absolute");
    if (json_get(o, "timeout", json_type_int) && h->timeout_s <= 0)
        return fail(err, 1, "config.json: a hook's timeout must be above zero");
    if (json_strings(o, "args", &h->args, err) < 0)
        return -1;
    h->env = NULL; /* as runc: without the member it inherits */
    return json_get(o, "env", json_type_array) ? json_strings(o, "env", &h->env, err) : 0;
}

static void enter(pid_t pid)
{
    static const char *const names[] = {"net", "ipc", "uts", "mnt"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        char path[64];
        int fd;

        snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, names[i]);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || setns(fd, 0) < 0)
            _exit(126);
        close(fd);
    }
}

static NORETURN void become_hook(const struct hook *h, int in, int out, pid_t ns_pid)
{
    const char *const own_args[] = {h->path, NULL};
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL); /* ignored here once a hook was fed */
    setpgid(0, 0);
    if (ns_pid)
        enter(ns_pid);
    if (h->cwd && chdir(h->cwd) < 0)
        _exit(126);
    if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
        _exit(126);
    syscall(SYS_close_range, 3, ~0U, 0);
    execve(h->path, (char *const *)(uintptr_t)(h->args[0] ? h->args : own_args),
           h->env ? (char *const *)(uintptr_t)h->env : environ);
    dprintf(2, "%s", strerror(errno));
    _exit(127);
}

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/*
 * Feeds it and keeps the beginning of what it prints, until it has ended: true, or false when its
 * time is up.
 */
static bool attend(const struct hook *h, int pidfd, int in, int out, const char *state,
                   char output[OUTPUT_MAX])
{
    int64_t end = h->timeout_s ? now_ms() + h->timeout_s * 1000 : -1;
    size_t left = strlen(state), used = 0;
    struct pollfd p[3] = {{.fd = in, .events = POLLOUT},
                          {.fd = out, .events = POLLIN},
                          {.fd = pidfd, .events = POLLIN}};

    while (!p[2].revents) {
        int64_t wait = end < 0 ? -1 : end - now_ms();
        char buf[512];
        ssize_t n;

        if (end >= 0 && wait <= 0)
            return false;
        if (poll(p, 3, (int)(wait > 1000000 ? 1000000 : wait)) < 0)
            continue;
        if (p[0].revents) {
            n = left ? write(in, state, left) : -1;
            state += n > 0 ? n : 0;
            left -= n > 0 ? (size_t)n : 0;
            if (n <= 0 || left == 0) {
                close(in);
                p[0].fd = -1;
            }
        }
        if (p[1].revents) {
            n = read(out, buf, sizeof(buf));
            for (ssize_t i = 0; i < n && used + 1 < OUTPUT_MAX; i++)
                output[used++] = buf[i];
            if (n <= 0)
                p[1].fd = -1;
        }
    }
    if (p[0].fd >= 0)
        close(in);
    return true;
}

static int judge(const struct hook *h, bool in_time, int status, const char *output,
                 struct cli_error *err)
{
    if (!in_time)
        return fail(err, 1, "error running hook: %s: its time of %lld s is up", h->path,
                    (long long)h->timeout_s);
    if (WIFSIGNALED(status))
        return fail(err, 1, "error running hook: signal: %s, stdout and stderr: %s",
                    strsignal(WTERMSIG(status)), output);
    if (WEXITSTATUS(status))
        return fail(err, 1, "error running hook: exit status %d, stdout and stderr: %s",
                    WEXITSTATUS(status), output);
    return 0;
}

static int run_hook(const struct hook *h, const char *state, pid_t ns_pid, struct cli_error *err)
{
    char output[OUTPUT_MAX] = "";
    int in[2], out[2], status = 0, pidfd;
    bool in_time = false;
    pid_t pid;

    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
        return fail_errno(err, 1, errno, "pipe");
    pid = fork();
    if (pid == 0)
        become_hook(h, in[0], out[1], ns_pid);
    close(in[0]);
    close(out[1]);
    pidfd = pid > 0 ? pidfd_open(pid, 0) : -1;
    if (pidfd < 0) {
        close(in[1]);
        close(out[0]);
        return fail_errno(err, 1, errno, "cannot start the hook %s", h->path);
    }
    signal(SIGPIPE, SIG_IGN);
    fcntl(in[1], F_SETFL, O_NONBLOCK);
    fcntl(out[0], F_SETFL, O_NONBLOCK);
    in_time = attend(h, pidfd, in[1], out[0], state, output);
    if (!in_time) {
        kill(-pid, SIGKILL);
        kill(pid, SIGKILL);
        close(in[1]);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    close(pidfd);
    close(out[0]);
    return judge(h, in_time, status, output, err);
}

/* pid 0: left out. */
static char *state_text(const struct container *c, const char *status, pid_t pid)
{
    json_object *o = json_object_new_object(), *a;
    char *text;

    json_add_string(o, "ociVersion", json_string_or(c->json, "ociVersion", OCI_SPEC_VERSION));
    json_add_string(o, "id", c->id);
    json_add_string(o, "status", status);
    if (pid)
        json_add_int(o, "pid", pid);
    json_add_string(o, "bundle", json_string_or(c->json, "bundle", ""));
    a = json_get(c->json, "annotations", json_type_object);
    if (a)
        json_object_object_add(o, "annotations", json_object_get(a));
    text = strdup(
        json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(o);
    return text;
}

/* As seen inside, where init is 1. */
static char *inside_state_text(const struct container *c)
{
    return state_text(c, "created", 1);
}

static int run_list(const struct container *c, const char *name, const char *status, pid_t ns_pid,
                    bool go_on, struct cli_error *err)
{
    json_object *hooks = json_get(c->json, "hooks", json_type_object);
    json_object *a = json_get(hooks, name, json_type_array);
    char *state =
        json_length(a) ? state_text(c, status, strcmp(status, "stopped") == 0 ? 0 : c->pid) : NULL;
    int r = 0;

    for (size_t i = 0; i < json_length(a) && (r == 0 || go_on); i++) {
        struct cli_error one = {.status = 1};
        struct hook h;

        r = read_hook(json_object_array_get_idx(a, i), &h, &one);
        if (ns_pid) /* as runc: it finds the root where it is */
            h.cwd = json_string(c->json, "rootfs");
        if (r == 0)
            r = run_hook(&h, state, ns_pid, &one);
        if (r < 0 && go_on)
            cli_log(c->global, "warning", "%s hook #%zu: %s", name, i, one.message);
        else if (r < 0)
            fail(err, 1, "error running %s hook #%zu: %s", name, i, one.message);
    }
    free(state);
    return r;
}

int hooks_run(const struct container *c, const char *name, const char *status, bool in_namespaces,
              struct cli_error *err)
{
    return run_list(c, name, status, in_namespaces ? c->pid : 0, false, err);
}

void hooks_run_all(const struct container *c, const char *name, const char *status)
{
    struct cli_error ignored;

    (void)run_list(c, name, status, 0, true, &ignored);
}

int hooks_for_start(const struct container *c, struct boot_config *b, struct cli_error *err)
{
    json_object *hooks = json_get(c->json, "hooks", json_type_object);
    json_object *a = json_get(hooks, "startContainer", json_type_array);
    size_t n = json_length(a);
    struct boot_hook *list = calloc(n + 1, sizeof(*list));

    if (!list)
        return fail(err, 1, "out of memory");
    for (size_t i = 0; i < n; i++) {
        const char **argv = calloc(2, sizeof(*argv));
        struct hook h;

        if (!argv)
            return fail(err, 1, "out of memory");
        if (read_hook(json_object_array_get_idx(a, i), &h, err) < 0)
            return -1;
        argv[0] = h.path;
        list[i] = (struct boot_hook){h.path, h.args[0] ? h.args : argv,
                                     h.env ? h.env : b->init.envp, (uint32_t)h.timeout_s};
    }
    b->start_hooks = list;
    b->start_hook_count = n;
    b->hook_state = n ? inside_state_text(c) : NULL;
    return 0;
}
