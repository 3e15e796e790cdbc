/* Spawning the sentry and waiting for it. */
#include "runsc-cli/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
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

static int open_log(const struct global_options *g, struct cli_error *err)
{
    int fd = g->log ? open(g->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)
                    : fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);

    if (fd < 0 && g->log)
        return fail_errno(err, 1, errno, "cannot open log file %s", g->log);
    return fd; /* no stderr: no log */
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

int sandbox_defaults(const struct global_options *global, struct boot_config *config,
                     struct cli_error *err)
{
    *config = (struct boot_config){
        .platform = global->platform,
        .unsafe_mpk = global->unsafe_mpk,
        .debug = global->debug,
        .strace = global->strace,
        .log_json = global->log_json,
        .log_file = global->log,
        .error_fd = -1,
        .rootfs_fd = -1,
        .cwd = "/",
        .uid = getuid(),
        .gid = getgid(),
        .umask = 022,
    };
    config->log_fd = open_log(global, err);
    if (config->log_fd < 0 && global->log)
        return -1;
    for (int i = 0; i < 5; i++)
        config->caps[i] = getuid() == 0 && i != 2 && i != 4 ? ALL_CAPS : 0;
    config->caps[3] = ALL_CAPS;
    for (int i = 0; i < LX_RLIMIT_COUNT; i++) {
        struct rlimit rl;

        if (getrlimit(i, &rl) == 0)
            config->rlimits[i] = (struct lx_rlimit){rl.rlim_cur, rl.rlim_max};
    }
    for (int i = 0; i < 3; i++) {
        config->stdio[i] = fcntl(i, F_GETFD) < 0 ? -1 : i;
    }
    /* In the background the terminal is not ours to set. */
    config->tty = isatty(0) && tcgetpgrp(0) == getpgrp();
    raise_own_limits();
    return 0;
}

static int write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));

    if (fd >= 0)
        close(fd);
    return n < 0 ? -1 : 0;
}

/* An ordinary user needs a user namespace, mapped to just themselves. */
static int own_user_namespace(struct cli_error *err)
{
    char map[64];
    uid_t uid = getuid();
    gid_t gid = getgid();

    if (unshare(CLONE_NEWUSER) < 0)
        return fail_errno(err, 1, errno, "cannot create a user namespace");
    snprintf(map, sizeof(map), "%u %u 1", uid, uid);
    if (write_file("/proc/self/uid_map", map) < 0)
        return fail_errno(err, 1, errno, "cannot map the user id");
    snprintf(map, sizeof(map), "%u %u 1", gid, gid);
    if (write_file("/proc/self/setgroups", "deny") < 0 || write_file("/proc/self/gid_map", map) < 0)
        return fail_errno(err, 1, errno, "cannot map the group id");
    return 0;
}

/* The sentry is pid 1 of a namespace of its own: when it ends, every guest process ends with it. */
static int own_namespaces(struct cli_error *err)
{
    if (geteuid() != 0 && own_user_namespace(err) < 0)
        return -1;
    if (unshare(CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS) < 0)
        return fail_errno(err, 1, errno, "cannot create namespaces");
    return 0;
}

/*
 * Signals passed on to the sandbox: all that can be, but job control of ourselves and our child's
 * end.
 */
static void forwarded_signals(sigset_t *set)
{
    static const int own[] = {SIGCHLD, SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT, SIGSEGV,
                              SIGBUS,  SIGILL,  SIGFPE,  SIGABRT, SIGSYS,  SIGTRAP};

    sigfillset(set);
    for (size_t i = 0; i < ARRAY_SIZE(own); i++)
        sigdelset(set, own[i]);
}

static int wait_forwarding(pid_t child, int signal_fd)
{
    struct signalfd_siginfo si;
    int status;

    while (waitpid(child, &status, WNOHANG) != child) {
        if (read(signal_fd, &si, sizeof(si)) == sizeof(si) && si.ssi_signo != SIGCHLD)
            kill(child, (int)si.ssi_signo);
    }
    if (WIFSIGNALED(status))
        return 128 + WTERMSIG(status);
    return WEXITSTATUS(status);
}

/* What boot wrote into its error pipe: nothing when init runs. */
static int read_start_error(int fd, struct cli_error *err)
{
    char text[1024];
    ssize_t n, total = 0;

    while (total < (ssize_t)sizeof(text) - 1 &&
           (n = read(fd, text + total, sizeof(text) - 1 - (size_t)total)) != 0) {
        if (n < 0 && errno != EINTR)
            break;
        total += n > 0 ? n : 0;
    }
    if (total == 0)
        return 0;
    text[total] = '\0';
    return fail(err, text[0], "%s", text + 1);
}

/*
 * The guest's own line discipline does the editing: the host's terminal only carries bytes
 * meanwhile.
 */
static bool terminal_raw(struct termios *saved)
{
    struct termios raw;

    if (tcgetattr(0, saved) < 0)
        return false;
    raw = *saved;
    cfmakeraw(&raw);
    return tcsetattr(0, TCSADRAIN, &raw) == 0;
}

/*
 * A /proc that shows the sandbox's own processes: the platforms read what guests use from it. Where
 * the host forbids that, they do without.
 */
static void mount_own_proc(void)
{
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
        (void)!mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
}

static NORETURN void become_sentry(struct boot_config *config, int error_fd, pid_t parent)
{
    config->error_fd = error_fd;
    setsid(); /* the terminal's signals go to the waiting process only */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    mount_own_proc();
    if (getppid() != parent && getppid() != 0) /* 0: outside our pid namespace */
        _exit(1);
    _exit(boot_run(config));
}

int sandbox_run_foreground(struct boot_config *config, struct cli_error *err)
{
    int pipe_fds[2], signal_fd, status;
    sigset_t set;
    pid_t child, self = getpid();
    struct termios saved;
    bool raw;

    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return fail_errno(err, 1, errno, "pipe");
    if (own_namespaces(err) < 0)
        return -1;
    forwarded_signals(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
    if (signal_fd < 0)
        return fail_errno(err, 1, errno, "signalfd");
    raw = config->tty && terminal_raw(&saved);
    child = fork();
    if (child < 0)
        return fail_errno(err, 1, errno, "cannot start the sandbox's process");
    if (child == 0) {
        close(pipe_fds[0]);
        become_sentry(config, pipe_fds[1], self);
    }
    close(pipe_fds[1]);
    /* so that the other ends of pipes see the sandbox's own closes */
    for (int i = 0; i < 2 && !config->tty; i++)
        close(i);
    if (read_start_error(pipe_fds[0], err) < 0) {
        waitpid(child, &status, 0);
        status = -1;
    } else {
        status = wait_forwarding(child, signal_fd);
    }
    if (raw)
        tcsetattr(0, TCSADRAIN, &saved);
    return status;
}
