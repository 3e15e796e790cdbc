/*
 * Id-mapped bind mounts: the source is cloned into a mount of its own, nowhere in any tree, whose
 * owners the host translates. Sources: mount_setattr(2), user_namespaces(7).
 */
#include "runsc-cli/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* A user namespace that nobody is in, as the carrier of the maps; -1 with *err. */
static int namespace_of(const struct mount_ids *ids, struct cli_error *err)
{
    pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
    char path[64];
    int fd = -1;

    if (pid == 0) {
        for (;;)
            pause();
    }
    if (pid < 0)
        return fail_errno(err, 1, errno, "cannot make a user namespace");
    if (write_id_maps(pid, "uid_map", ids->uids, ids->uid_count, err) == 0 &&
        write_id_maps(pid, "gid_map", ids->gids, ids->gid_count, err) == 0) {
        snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            fail_errno(err, 1, errno, "cannot open a user namespace");
    }
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return fd;
}

int spec_idmap(struct boot_mount *m, const struct mount_ids *ids, struct cli_error *err)
{
    unsigned flags = AT_EMPTY_PATH | (ids->recursive ? AT_RECURSIVE : 0);
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP};
    int tree, userns = namespace_of(ids, err), r = 0;

    if (userns < 0)
        return -1;
    attr.userns_fd = (uint64_t)userns;
    tree = open_tree(m->fd, "", flags | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (tree < 0 || mount_setattr(tree, "", flags, &attr, sizeof(attr)) < 0)
        r = fail_errno(err, 1, errno, "config.json: mount on %s: cannot map its ids",
                       m->destination);
    close(userns);
    if (r == 0) {
        close(m->fd);
        m->fd = tree;
    } else if (tree >= 0) {
        close(tree);
    }
    return r;
}
