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

int caller_network(const struct global_options *global, struct sandbox *s, struct cli_error *err)
{
    if (s->network == NETWORK_NONE)
        return 0;
    s->network = NETWORK_NONE;
    if (geteuid() != 0)
        return global->network ? fail(err, 1, "--network=sandbox takes root for now") : 0;
    if (net_make_private(&s->net, &s->net_guard, err) == 0)
        s->network = NETWORK_PRIVATE;
    else if (global->network)
        return -1;
    else
        cli_log(global, "warning", "%s: loopback only", err->message);
    return 0;
}

int caller_terminal(void)
{
    return isatty(0) && tcgetpgrp(0) == getpgrp() ? 0 : -1;
}
