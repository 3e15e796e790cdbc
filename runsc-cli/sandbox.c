/*
 * Spawning the sentry: its clone, namespaces, and the steps it is led through. Its own side of that
 * is sandbox_child.c's, its id maps sandbox_ids.c's.
 */
#include "runsc-cli/sandbox.h"

#include "runsc-cli/net_host.h"
#include "runsc-cli/pod.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define ALL_CAPS 0x1ffffffffffULL

int open_directory(const char *path, struct cli_error *err)
{
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? fail_errno(err, 1, errno, "cannot open directory %s", path) : fd;
}

int open_bind_source(const char *path, struct boot_mount *m, struct cli_error *err)
{
    char *real = realpath(path, NULL), *slash;
    struct stat st;

    if (!real || stat(real, &st) < 0)
        return fail_errno(err, 1, errno, "mount source %s", path);
    if (S_ISDIR(st.st_mode)) {
        m->fd = open_directory(real, err);
    } else {
        slash = strrchr(real, '/');
        m->name = strdup(slash + 1);
        if (!m->name)
            return fail(err, 1, "out of memory");
        *slash = '\0';
        m->fd = open_directory(slash == real ? "/" : real, err);
    }
    free(real);
    return m->fd < 0 ? -1 : 0;
}

/*
 * The caller's limits are for the guest, whose own rlimits they become. The sandbox's processes go
 * as far as they may: descriptors for many host files, memory files, address space, time.
 */
static void raise_own_limits(void)
{
    static const int limits[] = {RLIMIT_NOFILE, RLIMIT_FSIZE, RLIMIT_AS,     RLIMIT_DATA,
                                 RLIMIT_CPU,    RLIMIT_NPROC, RLIMIT_MEMLOCK};
    static const struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};

    for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
        struct rlimit rl;

        if (setrlimit(limits[i], &none) == 0 || getrlimit(limits[i], &rl) < 0)
            continue;
        rl.rlim_cur = rl.rlim_max;
        setrlimit(limits[i], &rl);
    }
}

static void default_process(struct boot_process *p)
{
    *p = (struct boot_process){
        .cwd = "/", .uid = getuid(), .gid = getgid(), .umask = 022, .tty_fd = -1};
    for (int i = 0; i < 5; i++)
        p->caps[i] = getuid() == 0 && i != 2 && i != 4 ? ALL_CAPS : 0;
    p->caps[3] = ALL_CAPS;
    for (int i = 0; i < LX_RLIMIT_COUNT; i++) {
        struct rlimit rl;

        if (getrlimit(i, &rl) == 0)
            p->rlimits[i] = (struct lx_rlimit){rl.rlim_cur, rl.rlim_max};
    }
}

int sandbox_defaults(const struct global_options *global, struct sandbox *s, struct cli_error *err)
{
    *s = (struct sandbox){.sync_fd = -1, .error_fd = -1, .net_guard = -1, .block_fd = -1};
    if (!global->network || strcmp(global->network, "sandbox") == 0)
        s->network = NETWORK_NAMESPACE;
    else if (strcmp(global->network, "user") == 0)
        s->network = NETWORK_USER;
    else if (strcmp(global->network, "host") == 0)
        s->network = NETWORK_HOST;
    else if (strcmp(global->network, "none") != 0)
        return fail(err, 1, "--network=%s: sandbox, user, host or none is expected",
                    global->network);
    if (s->network == NETWORK_HOST && global->pcap)
        return fail(err, 1, "--pcap: packets of --network=host are the host's");
    s->config = (struct boot_config){
        .platform = global->platform,
        .unsafe_mpk = global->unsafe_mpk,
        .unsafe_no_jail = global->unsafe_no_jail,
        .no_patch = strcmp(global->patch, "off") == 0,
        .patch_stats = global->patch_stats,
        .debug = global->debug,
        .strace = global->strace,
        .stats = global->stats,
        .flight_recorder = global->flight_recorder,
        .trace = global->trace,
        .log_json = global->log_json,
        .log_file = global->log,
        .error_fd = -1,
        .rootfs_fd = -1,
        .control_fd = -1,
        .status_fd = -1,
        .commit_fd = -1,
        .pcap_fd = -1,
        .trace_fd = trace_out_open(global->trace_out, err),
        .trace_limit = global->trace_bytes,
        .coredump_fd = -1,
        .report_fd = -1,
    };
    s->pcap = global->pcap;
    s->host_loopback = global->host_loopback;
    if (sandbox_debugging(global, &s->config, err) < 0)
        return -1;
    s->config.log_fd = sandbox_open_log(global, err);
    if ((s->config.log_fd < 0 && global->log) || (s->config.trace_fd < 0 && global->trace_out))
        return -1;
    default_process(&s->config.init);
    raise_own_limits();
    return 0;
}

bool write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));
    int e = errno;

    if (fd >= 0)
        close(fd);
    errno = e;
    return n >= 0;
}

/* ---- the caller's side ---- */

static const struct {
    const char *name;
    int type;
} joinable[3] = {{"net", CLONE_NEWNET}, {"uts", CLONE_NEWUTS}, {"ipc", CLONE_NEWIPC}};

static bool same_namespace(const char *a, const char *b)
{
    struct stat x, y;

    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/*
 * The host's own interfaces are never taken over: a path that leads to the caller's namespace, or
 * to that of the host's first process, asks for the host's network: that takes --network=host.
 */
static void spare_host_network(struct sandbox *s)
{
    if (s->network == NETWORK_NAMESPACE && s->join[0] &&
        (same_namespace(s->join[0], "/proc/self/ns/net") ||
         same_namespace(s->join[0], "/proc/1/ns/net"))) {
        fprintf(stderr, "runsc: the host's network takes --network=host: loopback only\n");
        s->network = NETWORK_NONE;
        s->join[0] = NULL;
    }
}

/* Enters the namespaces the child is to be born in; own[] keeps the way back. */
static int join_namespaces(const struct sandbox *s, int own[3], struct cli_error *err)
{
    for (int i = 0; i < 3; i++) {
        char self[64];
        int fd;

        own[i] = -1;
        if (!s->join[i])
            continue;
        snprintf(self, sizeof(self), "/proc/self/ns/%s", joinable[i].name);
        own[i] = open(self, O_RDONLY | O_CLOEXEC);
        fd = open(s->join[i], O_RDONLY | O_CLOEXEC);
        if (own[i] < 0 || fd < 0 || setns(fd, joinable[i].type) < 0)
            return fail_errno(err, 1, errno, "cannot join the %s namespace %s", joinable[i].name,
                              s->join[i]);
        close(fd);
    }
    return 0;
}

static int leave_namespaces(const int own[3], struct cli_error *err)
{
    int r = 0;

    for (int i = 0; i < 3; i++) {
        if (own[i] < 0)
            continue;
        if (setns(own[i], joinable[i].type) < 0)
            r = fail_errno(err, 1, errno, "cannot leave the %s namespace", joinable[i].name);
        close(own[i]);
    }
    return r;
}

/* The sentry is pid 1 of a namespace of its own: when it ends, every guest process ends with it. */
static uint32_t flags_for(const struct sandbox *s)
{
    uint32_t flags = CLONE_NEWPID | CLONE_NEWNS | s->clone_flags;

    /* An empty one where no other is asked for, the host's own included. */
    if (!s->join[0] && s->network != NETWORK_HOST)
        flags |= CLONE_NEWNET;
    if (!s->join[1])
        flags |= CLONE_NEWUTS;
    if (!s->join[2])
        flags |= CLONE_NEWIPC;
    return flags;
}

int sandbox_channels(struct sandbox *s, int theirs[2], struct cli_error *err)
{
    int fds[2];

    theirs[0] = theirs[1] = -1;
    if (pipe2(fds, O_CLOEXEC) < 0)
        return fail_errno(err, 1, errno, "pipe");
    s->error_fd = fds[0];
    theirs[0] = fds[1];
    if (!s->staged)
        return 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return fail_errno(err, 1, errno, "socketpair");
    s->sync_fd = fds[0];
    theirs[1] = fds[1];
    return 0;
}

int sandbox_spawn(struct sandbox *s, struct cli_error *err)
{
    int theirs[2], own[3], r;
    uid_t uid = getuid();
    gid_t gid = getgid();

    if (s->pod)
        return pod_spawn(s, err);
    if (geteuid() != 0)
        s->clone_flags |= CLONE_NEWUSER;
    spare_host_network(s);
    if (s->network == NETWORK_USER)
        s->join[0] = NULL; /* what it reaches is what we reach */
    if (s->pcap && net_open_pcap(s->pcap, &s->config.pcap_fd, err) < 0)
        return -1;
    if (sandbox_channels(s, theirs, err) < 0)
        return -1;
    r = join_namespaces(s, own, err);
    if (r == 0) {
        s->pid = (pid_t)syscall(SYS_clone, flags_for(s) | SIGCHLD, 0, 0, 0, 0);
        if (s->pid == 0)
            become_sentry(s, theirs[0], theirs[1], uid, gid);
        if (s->pid < 0)
            r = fail_errno(err, 1, errno,
                           errno == EAGAIN ? "cannot start the sandbox's process: no process "
                                             "numbers are left, or a limit on them is reached"
                                           : "cannot start the sandbox's process");
    }
    for (int i = 0; i < 2; i++) {
        if (theirs[i] >= 0)
            close(theirs[i]);
    }
    if (leave_namespaces(own, err) < 0)
        r = -1;
    if (s->network == NETWORK_USER)
        close(s->net.links[0].fd); /* its gateway ends with it, not with us */
    if (r == 0)
        r = sandbox_map_ids(s, err);
    return r;
}

/* What boot wrote into its error pipe: nothing when all is well. */
static int read_start_error(struct sandbox *s, struct cli_error *err)
{
    char text[1024];
    ssize_t n, total = 0;

    while (total < (ssize_t)sizeof(text) - 1 &&
           (n = read(s->error_fd, text + total, sizeof(text) - 1 - (size_t)total)) != 0) {
        if (n < 0 && errno != EINTR)
            break;
        total += n > 0 ? n : 0;
    }
    close(s->error_fd);
    s->error_fd = -1;
    if (total == 0)
        return 0;
    text[total] = '\0';
    return fail(err, text[0], "%s", text + 1);
}

int sandbox_enter(struct sandbox *s, struct cli_error *err)
{
    char byte;

    if (send(s->sync_fd, "g", 1, MSG_NOSIGNAL) != 1)
        return fail(err, 1, "the sandbox's process ended at once");
    if (read(s->sync_fd, &byte, 1) == 1)
        return 0;
    return read_start_error(s, err) < 0 ? -1 : fail(err, 1, "the sandbox's process ended at once");
}

int sandbox_boot(struct sandbox *s, struct cli_error *err)
{
    int status;

    if (send(s->sync_fd, "b", 1, MSG_NOSIGNAL) != 1)
        return fail(err, 1, "the sandbox's process ended before it was set up");
    if (read_start_error(s, err) < 0)
        return -1;
    if (waitpid(s->pid, &status, WNOHANG) == s->pid) {
        s->pid = 0;
        return fail(err, 1, "the sandbox's process ended while it was set up (status %d)",
                    exit_status_of(status));
    }
    return 0;
}

int sandbox_commit(struct sandbox *s, struct cli_error *err)
{
    char byte;

    /* Its answer: it will not die with us any more. */
    if (send(s->sync_fd, "c", 1, MSG_NOSIGNAL) != 1 || read(s->sync_fd, &byte, 1) != 1)
        return fail(err, 1, "the sandbox's process ended while it was set up");
    close(s->sync_fd);
    s->sync_fd = -1;
    return 0;
}

void sandbox_abandon(struct sandbox *s)
{
    if (s->pid <= 0)
        return;
    kill(s->pid, SIGKILL);
    while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    s->pid = 0;
}

/*
 * The guest's own line discipline does the editing: the host's terminal only carries bytes
 * meanwhile.
 */
static bool terminal_raw(int fd, struct termios *saved)
{
    struct termios raw;

    if (tcgetattr(fd, saved) < 0)
        return false;
    raw = *saved;
    cfmakeraw(&raw);
    return tcsetattr(fd, TCSADRAIN, &raw) == 0;
}

void release_descriptors(const struct boot_process *p)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    for (size_t i = 0; i < p->fd_count && p->tty_fd < 0; i++) {
        if (p->fds[i] < 0 || p->fds[i] == STDERR_FILENO)
            continue;
        if (p->fds[i] < 3 && null >= 0)
            dup2(null, p->fds[i]);
        else
            close(p->fds[i]);
    }
    if (null > 2)
        close(null);
}

int sandbox_run_foreground(struct sandbox *s, struct cli_error *err)
{
    const struct boot_process *p = &s->config.init;
    int signal_fd = sandbox_signals(err), status;
    struct termios saved;
    bool raw;

    if (signal_fd < 0)
        return -1;
    raw = p->tty_fd >= 0 && terminal_raw(p->tty_fd, &saved);
    status = sandbox_spawn(s, err);
    if (status == 0) {
        if (s->on_spawn)
            s->on_spawn(s);
        release_descriptors(p);
        if (s->network == NETWORK_PRIVATE)
            net_release_at_exit(&s->net, s->net_guard);
        status = read_start_error(s, err);
        if (status == 0)
            status = sandbox_wait(s->pid, signal_fd);
        else
            waitpid(s->pid, NULL, 0);
    }
    if (raw)
        tcsetattr(p->tty_fd, TCSADRAIN, &saved);
    trace_out_end(s->config.trace_fd);
    return status;
}
