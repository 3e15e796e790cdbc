/*
 * What a command that runs for its caller has from them (`do`, `bwrap`): descriptors, groups, the
 * terminal, and a network.
 */
#include "runsc-cli/caller.h"

#include "runsc-cli/net_host.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define MAX_FDS 1024

uint32_t *caller_groups(uint32_t *count)
{
    int n = getgroups(0, NULL);
    gid_t *groups = n > 0 ? calloc((size_t)n, sizeof(*groups)) : NULL;

    *count = groups ? (uint32_t)getgroups(n, groups) : 0;
    return groups;
}

static void note_fd(int64_t preserve, struct boot_process *p, int *fds, int fd)
{
    int flags = fcntl(fd, F_GETFD);

    if (flags < 0 || fd >= MAX_FDS || (fd > 2 && (flags & FD_CLOEXEC)) ||
        (preserve > 0 && fd >= 3 + preserve))
        return;
    fds[fd] = fd;
    if ((size_t)fd >= p->fd_count)
        p->fd_count = (size_t)fd + 1;
}

int caller_descriptors(int64_t preserve, struct boot_process *p, struct cli_error *err)
{
    int *fds = malloc(MAX_FDS * sizeof(*fds));
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *e;

    if (!fds)
        return fail(err, 1, "out of memory");
    for (int i = 0; i < MAX_FDS; i++)
        fds[i] = -1;
    for (int i = 0; i < 3; i++)
        note_fd(preserve, p, fds, i);
    while (dir && (e = readdir(dir))) {
        int fd = atoi(e->d_name);

        if (fd > 2 && fd != dirfd(dir))
            note_fd(preserve, p, fds, fd);
    }
    if (dir)
        closedir(dir);
    p->fds = fds;
    return 0;
}

static int make_network(struct sandbox *s, bool own_files, struct cli_error *err)
{
    if (s->network == NETWORK_USER)
        return net_make_user(&s->net, own_files ? &s->config : NULL, s->host_loopback, err);
    return net_make_private(&s->net, &s->net_guard, err);
}

int caller_network(const struct global_options *global, struct sandbox *s, bool own_files,
                   struct cli_error *err)
{
    if (s->network == NETWORK_NONE || s->network == NETWORK_HOST)
        return 0;
    if (s->network == NETWORK_NAMESPACE && geteuid() != 0) {
        if (global->network)
            return fail(err, 1, "--network=sandbox takes root: without it, there is user");
        s->network = NETWORK_USER;
    } else if (s->network == NETWORK_NAMESPACE) {
        s->network = NETWORK_PRIVATE;
    }
    if (make_network(s, own_files, err) == 0)
        return 0;
    s->network = NETWORK_NONE;
    if (global->network)
        return -1;
    cli_log(global, "warning", "%s: loopback only", err->message);
    return 0;
}

int caller_terminal(void)
{
    return isatty(0) && tcgetpgrp(0) == getpgrp() ? 0 : -1;
}
