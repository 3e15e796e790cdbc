/*
 * The root directory of the sentry's own process becomes the container's: clients that enter its
 * mount namespace (`podman cp`) find the container's files there, as under other runtimes, and the
 * host's are out of reach by name. Takes no locks.
 */
#include "sentry/base/log.h"
#include "sentry/boot/boot_int.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A directory that is surely there; what is on it goes away with the old root. */
#define ANY_DIRECTORY "/proc"

static int enter(const char *path)
{
    int tree = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE), r = 0;

    if (tree < 0)
        return -errno;
    if (move_mount(tree, "", AT_FDCWD, ANY_DIRECTORY, MOVE_MOUNT_F_EMPTY_PATH) < 0 ||
        fchdir(tree) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 ||
        chdir("/") < 0)
        r = -errno;
    close(tree);
    return r;
}

void boot_enter_root(const struct boot *b)
{
    int r = b->config->root_path ? enter(b->config->root_path) : 0;

    if (r < 0)
        log_warn("the sandbox keeps the host's root directory: %s", boot_error(r));
}
