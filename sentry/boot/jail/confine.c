/*
 * The jail's outer walls, put up while the sentry is one thread and before its platform makes the
 * first guest process, which so stands inside them too: a root with nothing but its own /proc, or
 * for a container its files, which clients that enter its mount namespace (`podman cp`) look for
 * there; Landlock where the host has it; no capabilities but those host files need, and with the
 * host's network CAP_NET_BIND_SERVICE. Sources: pivot_root(2), landlock(7), capabilities(7).
 */
#include "sentry/boot/boot.h"
#include "sentry/boot/boot_net.h"
#include "sentry/boot/jail/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Rights and scopes newer than the header this is built with. */
#define ACCESS_REFER       (1ULL << 13)
#define ACCESS_TRUNCATE    (1ULL << 14)
#define ACCESS_IOCTL_DEV   (1ULL << 15)
#define ACCESS_NET_BOTH    3ULL
#define ACCESS_NET_CONNECT 2ULL
#define RULE_NET_PORT      2
#define SCOPE_BOTH         3ULL /* abstract UNIX sockets, signals */

struct ruleset_attr {
    uint64_t fs, net, scoped;
};

/* ---- the root ---- */

/* The working directory becomes a new root, mounted where surely something is. */
#define ANY_DIRECTORY "/proc"
#define PROC_FLAGS    (MS_NOSUID | MS_NODEV | MS_NOEXEC)

static int mount_empty_root(void)
{
    if (mount("none", ANY_DIRECTORY, "tmpfs", PROC_FLAGS, "size=64k,mode=0555") < 0)
        return -errno;
    if (chdir(ANY_DIRECTORY) < 0 || mkdir("proc", 0555) < 0)
        return -errno;
    if (mount("proc", "proc", "proc", PROC_FLAGS, NULL) < 0)
        return -errno;
    return mount(NULL, ".", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | PROC_FLAGS, NULL) < 0 ? -errno
                                                                                           : 0;
}

/* Without a directory for it there is no /proc: the platforms then know less of what guests use. */
static int mount_container_root(const char *path)
{
    int tree = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE), r = 0;

    if (tree < 0)
        return -errno;
    if (move_mount(tree, "", AT_FDCWD, ANY_DIRECTORY, MOVE_MOUNT_F_EMPTY_PATH) < 0 ||
        fchdir(tree) < 0)
        r = -errno;
    close(tree);
    if (!r)
        (void)!mount("proc", "proc", "proc", PROC_FLAGS, NULL);
    return r;
}

/* In /proc there is a directory that nobody needs; the root itself is the container's to change. */
static int mount_pod_directory(void)
{
    return mount("none", &BOOT_POD_DIRECTORY[1], "tmpfs", PROC_FLAGS, "size=1m,mode=0700") < 0
               ? -errno
               : 0;
}

/*
 * The old root and all below it leave this namespace. Host trees given as descriptors belong to the
 * caller's namespace and stay whole.
 */
static int enter_root(const char *path, bool pod)
{
    int r;

    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return -errno;
    r = path ? mount_container_root(path) : mount_empty_root();
    if (!r && pod)
        r = mount_pod_directory();
    if (r < 0)
        return r;
    if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
        return -errno;
    return 0;
}

/* ---- Landlock ---- */

static const uint64_t read_rights = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
static const uint64_t file_rights = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                                    LANDLOCK_ACCESS_FS_EXECUTE | ACCESS_TRUNCATE | ACCESS_IOCTL_DEV;

static struct ruleset_attr handled(int abi, bool host_network)
{
    struct ruleset_attr a = {.fs = (1ULL << 13) - 1};

    if (abi >= 2)
        a.fs |= ACCESS_REFER;
    if (abi >= 3)
        a.fs |= ACCESS_TRUNCATE;
    if (abi >= 5)
        a.fs |= ACCESS_IOCTL_DEV;
    if (abi >= 4 && !host_network)
        a.net = ACCESS_NET_BOTH;
    if (abi >= 6)
        a.scoped = SCOPE_BOTH;
    return a;
}

static int allow(int ruleset, int fd, uint64_t rights)
{
    struct landlock_path_beneath_attr rule = {.allowed_access = rights, .parent_fd = fd};
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISDIR(st.st_mode))
        rule.allowed_access &= file_rights;
    return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0
               ? -errno
               : 0;
}

/* The one thing of the network that it connects to: the name server outside. */
static int allow_dns(int ruleset)
{
    struct {
        uint64_t allowed_access, port; /* struct landlock_net_port_attr */
    } rule = {ACCESS_NET_CONNECT, BOOT_DNS_PORT};

    return syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &rule, 0) < 0 ? -errno : 0;
}

static int allow_mount(int ruleset, const struct boot_mount *m, uint64_t all)
{
    uint64_t rights = m->flags & MS_RDONLY ? read_rights : all;
    int fd, r;

    if (m->type != BOOT_MOUNT_BIND || m->fd < 0)
        return 0;
    if (!m->name)
        return allow(ruleset, m->fd, rights);
    fd = openat(m->fd, m->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    r = allow(ruleset, fd, rights);
    close(fd);
    return r;
}

static int allow_pod_directory(int ruleset, uint64_t rights)
{
    int fd = open(BOOT_POD_DIRECTORY, O_PATH | O_DIRECTORY | O_CLOEXEC), r;

    if (fd < 0)
        return -errno;
    r = allow(ruleset, fd, rights);
    close(fd);
    return r;
}

static bool host_network(const struct boot_config *c)
{
    return c->network && c->network->host;
}

/* 0 also where the host has no Landlock. */
static int restrict_files(const struct boot_config *c)
{
    int ruleset, proc, r,
        abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    struct ruleset_attr attr;

    if (abi < 1)
        return 0;
    attr = handled(abi, host_network(c));
    ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr,
                           abi >= 6   ? sizeof(attr)
                           : abi >= 4 ? 2 * sizeof(uint64_t)
                                      : sizeof(uint64_t),
                           0);
    if (ruleset < 0)
        return -errno;
    proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    r = proc < 0 ? 0 : allow(ruleset, proc, read_rights | LANDLOCK_ACCESS_FS_WRITE_FILE);
    if (proc >= 0)
        close(proc);
    if (!r && c->pod)
        r = allow_pod_directory(ruleset, attr.fs);
    if (!r && c->rootfs_fd >= 0)
        r = allow(ruleset, c->rootfs_fd,
                  c->root_overlay || c->root_readonly ? read_rights : attr.fs);
    for (size_t i = 0; !r && i < c->mount_count; i++)
        r = allow_mount(ruleset, &c->mounts[i], attr.fs);
    if (!r && c->coredump_fd >= 0)
        r = allow(ruleset, c->coredump_fd, attr.fs);
    if (!r && attr.net && c->network && c->network->has_dns)
        r = allow_dns(ruleset);
    if (!r && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        r = -errno;
    close(ruleset);
    return r;
}

/* ---- capabilities ---- */

static uint64_t kept_capabilities(const struct boot_config *c)
{
    uint64_t keep = 1ULL << CAP_DAC_READ_SEARCH;

    /* Who of the guests may have such a port is for our own kernel to say. */
    if (host_network(c))
        keep |= 1ULL << CAP_NET_BIND_SERVICE;

    if (jail_writable(c))
        keep |= 1ULL << CAP_DAC_OVERRIDE | 1ULL << CAP_CHOWN | 1ULL << CAP_FOWNER |
                1ULL << CAP_FSETID | 1ULL << CAP_MKNOD | 1ULL << CAP_SETFCAP;
    return keep;
}

static int drop_capabilities(uint64_t keep)
{
    struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct have[2], want[2];

    if (syscall(SYS_capget, &h, have) < 0)
        return -errno;
    for (int cap = 0; cap < 64; cap++) {
        if (!(keep >> cap & 1) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EINVAL &&
            errno != EPERM)
            return -errno;
    }
    for (int i = 0; i < 2; i++) {
        uint32_t mask = have[i].permitted & (uint32_t)(keep >> (32 * i));

        want[i] = (struct __user_cap_data_struct){.effective = mask, .permitted = mask};
    }
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
        return -errno;
    return syscall(SYS_capset, &h, want) < 0 ? -errno : 0;
}

bool jail_writable(const struct boot_config *c)
{
    if ((!c->root_overlay && !c->root_readonly) || c->coredump_fd >= 0 || c->pod)
        return true;
    for (size_t i = 0; i < c->mount_count; i++) {
        if (c->mounts[i].type == BOOT_MOUNT_BIND && !(c->mounts[i].flags & MS_RDONLY))
            return true;
    }
    return false;
}

int jail_confine(const struct boot_config *c, const char **step)
{
    int r;

    *step = "a root of its own";
    r = enter_root(c->root_path, c->pod);
    if (!r) {
        *step = "no_new_privs";
        r = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
    }
    if (!r) {
        *step = "Landlock";
        r = restrict_files(c);
    }
    if (!r) {
        *step = "dropping capabilities";
        r = drop_capabilities(kept_capabilities(c));
    }
    return r;
}
