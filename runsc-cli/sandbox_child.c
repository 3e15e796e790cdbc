/*
 * The sentry's side of its making, up to boot: which descriptors it keeps, its namespaces from
 * within, the steps its maker leads it through.
 */
#include "runsc-cli/sandbox.h"

#include "runsc-cli/net_host.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_KEPT 4096

static int by_number(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* Descriptors the configuration names, sorted, each once. */
static size_t kept_fds(const struct sandbox *s, int error_fd, int sync_fd, int *list)
{
    const struct boot_config *c = &s->config;
    size_t n = 0, unique = 0;
    const int single[] = {c->pcap_fd,    c->trace_fd,    c->log_fd,   c->rootfs_fd,
                          c->control_fd, c->status_fd,   error_fd,    c->init.tty_fd,
                          sync_fd,       c->coredump_fd, c->report_fd};

    for (size_t i = 0; i < ARRAY_SIZE(single); i++)
        list[n++] = single[i];
    for (size_t i = 0; i < c->init.fd_count && n < MAX_KEPT; i++)
        list[n++] = c->init.fds[i];
    for (size_t i = 0; i < c->mount_count && n < MAX_KEPT; i++)
        list[n++] = c->mounts[i].fd;
    for (size_t i = 0; i < s->net.link_count && n < MAX_KEPT; i++)
        list[n++] = s->net.links[i].fd;
    qsort(list, n, sizeof(*list), by_number);
    for (size_t i = 0; i < n; i++) {
        if (list[i] >= 0 && (unique == 0 || list[unique - 1] != list[i]))
            list[unique++] = list[i];
    }
    return unique;
}

/* Nothing else of the caller's stays open; 0 to 2 are never left free for other files. */
static void close_others(const struct sandbox *s, int error_fd, int sync_fd)
{
    static int list[MAX_KEPT];
    size_t n = kept_fds(s, error_fd, sync_fd, list), at = 0;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC), next = 3;

    for (int fd = 0; fd < 3; fd++) {
        while (at < n && list[at] < fd)
            at++;
        if ((at == n || list[at] != fd) && fcntl(fd, F_GETFD) >= 0 && null >= 0)
            dup2(null, fd);
    }
    for (at = 0; at < n; at++) {
        if (list[at] < 3)
            continue;
        if (list[at] > next)
            syscall(SYS_close_range, next, list[at] - 1, 0);
        next = list[at] + 1;
    }
    syscall(SYS_close_range, next, ~0U, 0);
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

/* An ordinary user maps just themselves; no privilege is needed for that. */
static bool map_self(uid_t uid, gid_t gid)
{
    char map[64];

    snprintf(map, sizeof(map), "%u %u 1", uid, uid);
    if (!write_file("/proc/self/uid_map", map))
        return false;
    snprintf(map, sizeof(map), "%u %u 1", gid, gid);
    return write_file("/proc/self/setgroups", "deny") && write_file("/proc/self/gid_map", map);
}

static NORETURN void child_fails(int error_fd, const char *what)
{
    char text[256];
    int n;

    text[0] = 1;
    n = snprintf(text + 1, sizeof(text) - 1, "%s: %s", what, strerror(errno));
    (void)!write(error_fd, text, (size_t)n + 1);
    _exit(1);
}

void sandbox_take_step(int sync_fd, char expected)
{
    char byte;
    ssize_t n;

    do
        n = read(sync_fd, &byte, 1);
    while (n < 0 && errno == EINTR);
    if (n != 1 || byte != expected)
        _exit(1); /* the caller is gone */
}

/* Or the end: who lets us go on may simply close it. */
static void await_byte(int fd)
{
    char byte;

    while (read(fd, &byte, 1) < 0 && errno == EINTR)
        ;
}

static void adjust_oom_score(const struct sandbox *s)
{
    char text[16];

    snprintf(text, sizeof(text), "%d", s->oom_score_adj);
    if (s->set_oom_score_adj)
        (void)!write_file("/proc/self/oom_score_adj", text);
}

/* Interfaces of a namespace that is the sandbox's, as hooks have left them by now. */
static void take_network(struct sandbox *s, int error_fd)
{
    struct cli_error err;

    if (s->network == NETWORK_NAMESPACE && (s->join[0] || s->clone_flags & CLONE_NEWNET)) {
        if (net_take_over(&s->net, &err) < 0) {
            (void)!write(error_fd, "\1", 1);
            (void)!write(error_fd, err.message, strlen(err.message));
            _exit(1);
        }
        s->net.dns_fd = net_docker_dns(&s->config);
        s->net.has_dns = s->net.dns_fd >= 0;
    }
    if (s->network == NETWORK_HOST)
        net_show(&s->net);
    if (s->net.link_count || s->net.host || s->network == NETWORK_NAMESPACE)
        s->config.network = &s->net;
    s->net.loopback_up = true;
}

/*
 * The host's namespace carries the name too: containers that join it (a pod's) have it from there.
 */
static void take_hostname(struct sandbox *s)
{
    static char name[65];

    if (s->config.hostname && !s->join[1])
        (void)!sethostname(s->config.hostname, strlen(s->config.hostname));
    else if (!s->config.hostname && gethostname(name, sizeof(name) - 1) == 0)
        s->config.hostname = name;
}

/*
 * The host's own time namespace: its clocks, timers and vDSO then agree about the offsets, for us
 * and for the guest's processes.
 */
static bool shift_clocks(const char *offsets)
{
    int fd;
    bool ok;

    if (unshare(CLONE_NEWTIME) < 0 || !write_file("/proc/self/timens_offsets", offsets))
        return false;
    fd = open("/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
    ok = fd >= 0 && setns(fd, CLONE_NEWTIME) == 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

/*
 * Hooks may have mounted beneath the root, in our namespace: the caller's descriptor does not show
 * that. A copy of the tree does, also when the namespace has lost it (jail/confine.c). Where it
 * cannot be had the descriptor stays.
 */
static void reopen_root(const struct boot_config *c)
{
    int fd = -1;
    struct stat ours, given;

    if (c->rootfs_fd >= 0 && c->root_path)
        fd = open_tree(AT_FDCWD, c->root_path,
                       OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW);
    if (fd >= 0 && fstat(fd, &ours) == 0 && fstat(c->rootfs_fd, &given) == 0 &&
        ours.st_dev == given.st_dev && ours.st_ino == given.st_ino)
        (void)dup3(fd, c->rootfs_fd, O_CLOEXEC);
    if (fd >= 0)
        close(fd);
}

void become_sentry(struct sandbox *s, int error_fd, int sync_fd, uid_t uid, gid_t gid)
{
    struct boot_config *c = &s->config;

    if (s->block_fd >= 0)
        await_byte(s->block_fd);
    close_others(s, error_fd, sync_fd);
    c->error_fd = error_fd;
    setsid(); /* the terminal's signals go to the waiting process only */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (s->staged)
        sandbox_take_step(sync_fd, 'g');
    if ((s->clone_flags & CLONE_NEWUSER) && s->uid_map_count == 0 && !map_self(uid, gid))
        child_fails(error_fd, "cannot map the user's ids");
    if (s->uid_map_count && (setgid(0) < 0 || setuid(0) < 0))
        child_fails(error_fd, "cannot become root of the user namespace");
    if (s->cgroup_namespace && unshare(CLONE_NEWCGROUP) < 0)
        child_fails(error_fd, "cannot make a cgroup namespace");
    mount_own_proc();
    take_hostname(s);
    if (s->time_offsets && !shift_clocks(s->time_offsets))
        child_fails(error_fd, "cannot set linux.timeOffsets");
    adjust_oom_score(s);
    if (s->own_terminal)
        (void)!ioctl(c->init.tty_fd, TIOCSCTTY, 0);
    if (s->staged) {
        (void)!write(sync_fd, "n", 1);
        sandbox_take_step(sync_fd, 'b');
        reopen_root(c);
        c->commit_fd = sync_fd;
    }
    take_network(s, error_fd);
    _exit(boot_run(c));
}
