/*
 * The trees of a pod's container in its sandbox's mount namespace, where the sandbox may use them:
 * Landlock goes by where a file is mounted. Each is cloned where we are, and moved in by a child
 * that enters there and shares our descriptors: it replaces each by one of the tree in its new
 * place. Source: open_tree(2), move_mount(2), landlock(7).
 */
#include "runsc-cli/pod.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define TMPFS_TYPE 0x01021994

/* In the child; what is wrong goes to err_fd. */
struct mover {
    const struct container *sandbox;
    const char *id;
    struct boot_config *config; /* NULL: all of the container's is unmounted */
    int err_fd;
};

static NORETURN void mover_fails(const struct mover *m, const char *what)
{
    char text[256];
    int n = snprintf(text, sizeof(text), "%s: %s", what, strerror(errno));

    (void)!write(m->err_fd, text, (size_t)MIN(n, (int)sizeof(text) - 1));
    _exit(1);
}

/* Into the sandbox's mount namespace, and to the directory for pods there; its descriptor. */
static int enter_sandbox(const struct mover *m)
{
    struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
                           .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    struct statfs fs;
    char path[64];
    int ns, fd;

    snprintf(path, sizeof(path), "/proc/%d/ns/mnt", m->sandbox->pid);
    ns = open(path, O_RDONLY | O_CLOEXEC);
    if (ns < 0 || !container_alive(m->sandbox) || setns(ns, CLONE_NEWNS) < 0)
        mover_fails(m, "cannot enter the mounts of the pod's sandbox");
    close(ns);
    /* The root is what the sandbox's own container may change, this is not. */
    fd = (int)syscall(SYS_openat2, AT_FDCWD, BOOT_POD_DIRECTORY, &how, sizeof(how));
    if (fd < 0 || fstatfs(fd, &fs) < 0 || fs.f_type != TMPFS_TYPE)
        mover_fails(m, "the pod's sandbox has no place for files of containers");
    return fd;
}

/* ---- out ---- */

/* What is mounted on names in the directory at fd is not any more, and the names go. */
static int clear(int fd, int depth)
{
    DIR *dir = fdopendir(fd);
    struct dirent *e;
    int r = dir ? 0 : -1;

    if (!dir)
        close(fd);
    while (dir && (e = readdir(dir))) {
        int below;

        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (fchdir(dirfd(dir)) < 0)
            r = -1;
        while (umount2(e->d_name, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
            ;
        if (unlinkat(dirfd(dir), e->d_name, 0) == 0)
            continue;
        below = depth
                    ? openat(dirfd(dir), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                    : -1;
        if (below >= 0)
            (void)clear(below, depth - 1);
        if (unlinkat(dirfd(dir), e->d_name, AT_REMOVEDIR) < 0)
            r = -1;
    }
    if (dir)
        closedir(dir);
    return r;
}

static int remove_all(const struct mover *m, int base)
{
    int own = openat(base, m->id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (own < 0)
        return errno == ENOENT ? 0 : -1;
    return clear(own, 1) < 0 || unlinkat(base, m->id, AT_REMOVEDIR) < 0 ? -1 : 0;
}

static NORETURN void move_out(const struct mover *m)
{
    if (remove_all(m, enter_sandbox(m)) < 0)
        mover_fails(m, "cannot unmount the container's files in the pod's sandbox");
    _exit(0);
}

/* ---- in ---- */

/* The tree of fd, or its file called name, mounted nowhere. What is so already is taken as it is.
 */
static int clone_tree(const struct mover *m, int fd, const char *name)
{
    struct mount_attr private = {.propagation = MS_PRIVATE};
    int tree = open_tree(fd, name ? name : "",
                         OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE |
                             (name ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH));

    if (tree < 0 && errno == EINVAL && !name)
        return fd;
    if (tree < 0 ||
        mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &private, sizeof(private)) < 0)
        mover_fails(m, "cannot clone a mount of the container");
    return tree;
}

/* A directory called number in base; the mount goes there, or to a file in it. */
static void place(const struct mover *m, int base, size_t number, int tree, int fd,
                  const char *name)
{
    char dir[24];
    int at, file;

    snprintf(dir, sizeof(dir), "%zu", number);
    if (mkdirat(base, dir, 0700) < 0)
        mover_fails(m, "cannot make a mount point in the pod's sandbox");
    if (!name && move_mount(tree, "", base, dir, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        mover_fails(m, "cannot mount a tree in the pod's sandbox");
    at = openat(base, dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (name) {
        file = openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (file < 0 || move_mount(tree, "", at, name, MOVE_MOUNT_F_EMPTY_PATH) < 0)
            mover_fails(m, "cannot mount a file in the pod's sandbox");
        close(file);
    }
    if (tree != fd)
        close(tree);
    if (at < 0 || dup3(at, fd, O_CLOEXEC) < 0)
        mover_fails(m, "cannot open a mount in the pod's sandbox");
    close(at);
}

static NORETURN void move_in(const struct mover *m)
{
    const struct boot_config *c = m->config;
    const struct boot_mount *mounts = c->mounts;
    int *trees = calloc(c->mount_count + 1, sizeof(*trees)), base, own;

    if (!trees)
        mover_fails(m, "out of memory");
    for (size_t i = 0; i < c->mount_count; i++) {
        if (mounts[i].fd >= 0)
            trees[i] = clone_tree(m, mounts[i].fd, mounts[i].name);
    }
    trees[c->mount_count] = clone_tree(m, c->rootfs_fd, NULL);
    base = enter_sandbox(m);
    (void)remove_all(m, base); /* of an earlier one that a killed command has left */
    if (mkdirat(base, m->id, 0700) < 0)
        mover_fails(m, "cannot make a directory in the pod's sandbox");
    own = openat(base, m->id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (own < 0)
        mover_fails(m, "cannot open a directory in the pod's sandbox");
    place(m, own, 0, trees[c->mount_count], c->rootfs_fd, NULL);
    for (size_t i = 0; i < c->mount_count; i++) {
        if (mounts[i].fd >= 0)
            place(m, own, i + 1, trees[i], mounts[i].fd, mounts[i].name);
    }
    /* Our table of descriptors is the command's, too: nothing of it ends with us. */
    close(own);
    close(base);
    _exit(0);
}

/* ---- the child ---- */

static int run(struct mover *m, struct cli_error *err)
{
    char text[256];
    int status = 0, fds[2];
    ssize_t n;
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return fail_errno(err, 1, errno, "pipe");
    m->err_fd = fds[1];
    /* Not the working directory and root: a process that shares those cannot enter. */
    pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* and until then we hold the container's lock, too */
    if (pid == 0 && m->config)
        move_in(m);
    if (pid == 0)
        move_out(m);
    if (pid < 0)
        fail_errno(err, 1, errno, "cannot start a process");
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    close(fds[1]); /* the child has shared it */
    n = pid > 0 && status ? read(fds[0], text, sizeof(text) - 1) : 0;
    close(fds[0]);
    if (pid < 0 || !status)
        return pid < 0 ? -1 : 0;
    text[n > 0 ? n : 0] = '\0';
    return fail(err, 1, "%s",
                n > 0 ? text : "the container's files cannot be given to its sandbox");
}

int pod_donate(const struct pod *p, const char *id, struct boot_config *c, struct cli_error *err)
{
    struct mover m = {.sandbox = &p->sandbox, .id = id, .config = c};

    return run(&m, err);
}

int pod_unmount(const struct container *sandbox, const char *id, struct cli_error *err)
{
    struct mover m = {.sandbox = sandbox, .id = id};

    return run(&m, err);
}
