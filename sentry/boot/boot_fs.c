/*
 * The sandbox's file tree: the root, with or without an overlay, and the mounts on it. Takes no
 * locks of its own.
 */
#include "fs/dev/dev.h"
#include "fs/devpts/devpts.h"
#include "fs/hostfs/hostfs.h"
#include "fs/overlay/overlay.h"
#include "fs/proc/proc.h"
#include "fs/sysfs/sysfs.h"
#include "fs/task/mqueue.h"
#include "fs/tmpfs/tmpfs.h"
#include "platform/host/host.h"
#include "sentry/abi/mount.h"
#include "sentry/base/slab.h"
#include "sentry/boot/boot_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What Linux gives a tmpfs by default: the machine stays usable whatever a guest writes. */
static uint64_t half_of_memory(void)
{
    struct host_sysinfo info;

    return host_sysinfo(&info) < 0 ? 0 : info.total_ram / 2;
}

static int overlay_over(struct superblock **sb, const struct tmpfs_options *options)
{
    struct superblock *upper = NULL, *merged = NULL;
    int r = tmpfs_create(options, &upper);

    if (r == 0)
        r = overlay_create(upper, *sb, &merged);
    if (upper)
        sb_put(upper);
    sb_put(*sb);
    *sb = merged;
    return r;
}

static int empty_root(const struct boot_container *b, struct superblock **out)
{
    const struct boot_config *c = b->config;
    struct tmpfs_options options = {
        .mode = 0755, .uid = c->make_uid, .gid = c->make_gid, .size = half_of_memory()};

    return tmpfs_create(&options, out);
}

/* A small part of the descriptors the sandbox may have. */
static uint32_t files_to_keep(const struct boot_container *b)
{
    return (uint32_t)MIN(b->boot->files_max / 8, 2048UL);
}

int boot_fs_create(struct boot_container *b)
{
    const struct boot_config *c = b->config;
    struct tmpfs_options upper = {.mode = 0755, .size = half_of_memory()};
    struct hostfs_options options = {.readonly = c->root_overlay,
                                     .cache = c->root_live ? HOSTFS_TIMED : HOSTFS_EXCLUSIVE,
                                     .keep_files = files_to_keep(b)};
    struct superblock *sb = NULL;
    bool empty = c->rootfs_fd < 0;
    int r = empty ? empty_root(b, &sb) : hostfs_create(c->rootfs_fd, &options, &sb);

    if (r == 0 && c->root_overlay && !empty)
        r = overlay_over(&sb, &upper);
    if (r == 0)
        r = mount_ns_create(sb, empty ? "tmpfs" : "root", empty ? LX_MS_NOSUID | LX_MS_NODEV : 0,
                            &b->mount_ns);
    if (sb)
        sb_put(sb);
    if (r < 0)
        return boot_fail(b->config, 1, "cannot use the root filesystem: %s", boot_error(r));
    b->ctx = (struct vfs_ctx){
        .cred = cred_alloc_root(), .umask = 0, .fsize_limit = UINT64_MAX, .mount_ns = b->mount_ns};
    b->ctx.root = (struct path){mount_get(b->mount_ns->root), dentry_get(b->mount_ns->root->root)};
    b->ctx.cwd = path_get(&b->ctx.root);
    return b->ctx.cred ? 0 : boot_fail(b->config, 1, "out of memory");
}

/* mkdir -p, as far as the tree allows; not the last name when it is to be a file. */
int boot_make_directories(struct boot_container *b, const char *path, bool last)
{
    char *copy = strdup(path);
    int r = 0;

    if (!copy)
        return -ENOMEM;
    for (char *p = copy + 1; r == 0 && *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        r = vfs_mkdir_at(&b->ctx, NULL, copy, 0755);
        r = r == -EEXIST || r == -EROFS ? 0 : r;
        *p = '/';
    }
    if (r == 0 && last)
        r = vfs_mkdir_at(&b->ctx, NULL, copy, 0755);
    free(copy);
    return r == -EEXIST || r == -EROFS ? 0 : r;
}

/* A bind mount's cache= option; the host is asked each time without one. */
static int bind_cache(const struct boot_container *b, const char *option,
                      struct hostfs_options *out)
{
    static const struct {
        const char *option;
        enum hostfs_cache cache;
    } names[] = {{"cache=exclusive", HOSTFS_EXCLUSIVE},
                 {"cache=timed", HOSTFS_TIMED},
                 {"cache=shared", HOSTFS_SHARED}};

    out->keep_files = files_to_keep(b) / 4;
    for (size_t i = 0; option && i < ARRAY_SIZE(names); i++) {
        if (strcmp(option, names[i].option) != 0)
            continue;
        out->cache = names[i].cache;
        return 0;
    }
    return option ? -EINVAL : 0;
}

/* With a directory of the host's, what is in there is there to begin with. */
static int tmpfs_for(const struct boot_container *b, const struct boot_mount *m, uint32_t mode,
                     struct superblock **out)
{
    struct tmpfs_options tmpfs = {.mode = mode,
                                  .uid = b->config->make_uid,
                                  .gid = b->config->make_gid,
                                  .size = half_of_memory()};
    struct hostfs_options host = {.readonly = true, .cache = HOSTFS_SHARED};
    int r = m->options ? tmpfs_parse_options(m->options, &tmpfs) : 0;

    if (r < 0 || m->fd < 0)
        return r < 0 ? r : tmpfs_create(&tmpfs, out);
    r = hostfs_create(m->fd, &host, out);
    return r < 0 ? r : overlay_over(out, &tmpfs);
}

/* mode: of a tmpfs that is given none: that of what it covers, as with runc. */
static int superblock_for(struct boot_container *b, const struct boot_mount *m, uint32_t mode,
                          struct superblock **out)
{
    struct hostfs_options host = {.readonly = m->flags & LX_MS_RDONLY,
                                  .cache = HOSTFS_SHARED,
                                  .root_name = m->source[0] == '/' ? m->source : NULL};
    int r;

    switch (m->type) {
    case BOOT_MOUNT_BIND:
        r = bind_cache(b, m->options, &host);
        return r < 0 ? r : hostfs_create(m->fd, &host, out);
    case BOOT_MOUNT_TMPFS:
        return tmpfs_for(b, m, mode, out);
    case BOOT_MOUNT_PROC:
        return procfs_create(b->pid_ns, out);
    case BOOT_MOUNT_DEV:
        return devfs_create(b->kernel, !m->options, out);
    case BOOT_MOUNT_DEVPTS:
        return devpts_create(b->kernel, b->cell->number, out);
    case BOOT_MOUNT_SYSFS:
        return sysfs_create(out);
    case BOOT_MOUNT_MQUEUE:
        return mqueue_fs_get(b->ipc_ns, out);
    default:
        return -ENODEV;
    }
}

/* The file m->name in the host directory m->fd, seen through a mount no guest sees. */
static int find_file(struct boot_container *b, const struct boot_mount *m, struct path *out)
{
    struct hostfs_options host = {
        .readonly = m->flags & LX_MS_RDONLY, .cache = HOSTFS_SHARED, .fresh = true};
    char *directory = m->source[0] == '/' ? strdup(m->source) : NULL;
    struct vfs_ctx ctx = b->ctx;
    struct superblock *sb;
    struct mount *hidden;
    int r;

    if (directory)
        *strrchr(directory, '/') = '\0';
    host.root_name = directory && *directory ? directory : NULL;
    r = hostfs_create(m->fd, &host, &sb);
    free(directory);
    if (r < 0)
        return r;
    r = mount_create_detached(sb, m->source, m->flags, &hidden);
    sb_put(sb);
    if (r < 0)
        return r;
    ctx.root = ctx.cwd = (struct path){hidden, hidden->root};
    r = vfs_walk(&ctx, NULL, m->name, WALK_NO_SYMLINKS, out);
    mount_put(hidden);
    return r;
}

/* What a file is mounted on: an empty one is made where none is, as far as the tree allows. */
int boot_file_mountpoint(struct boot_container *b, const char *destination, struct path *out)
{
    struct file *f;
    int r = boot_make_directories(b, destination, false);

    if (r == 0)
        r = vfs_walk(&b->ctx, NULL, destination, WALK_FOLLOW, out);
    if (r != -ENOENT)
        return r;
    r = vfs_open_at(&b->ctx, NULL, destination, LX_O_WRONLY | LX_O_CREAT, 0644, 0, &f);
    if (r < 0)
        return r;
    *out = path_get(&f->path);
    file_put(f);
    return 0;
}

/* The file alone becomes visible: neither its directory nor what else is in there. */
static int mount_file(struct boot_container *b, const struct boot_mount *m)
{
    struct path file, at;
    int r = find_file(b, m, &file);

    if (r < 0)
        return r;
    r = boot_file_mountpoint(b, m->destination, &at);
    if (r == 0) {
        r = mount_bind(&file, &at, false);
        path_put(&at);
    }
    path_put(&file);
    return r;
}

static int mount_one(struct boot_container *b, const struct boot_mount *m)
{
    struct superblock *sb = NULL;
    uint32_t mode = 01777;
    struct kstat st;
    struct path at;
    int r;

    if (m->type >= BOOT_MOUNT_DATA)
        return boot_make(b, m);
    if (m->type == BOOT_MOUNT_BIND && m->name)
        return mount_file(b, m);
    r = vfs_walk(&b->ctx, NULL, m->destination, WALK_FOLLOW | WALK_DIRECTORY, &at);
    if (r == 0 && vfs_getattr(&at, &st) == 0)
        mode = st.mode & 07777;
    if (r == -ENOENT) {
        r = boot_make_directories(b, m->destination, true);
        if (r == 0)
            r = vfs_walk(&b->ctx, NULL, m->destination, WALK_FOLLOW | WALK_DIRECTORY, &at);
    }
    if (r < 0)
        return r;
    r = superblock_for(b, m, mode, &sb);
    if (r == 0) {
        r = mount_add(&at, sb, m->source, m->flags);
        sb_put(sb);
    }
    path_put(&at);
    return r;
}

/* --coredump-dir: a mount that no guest sees. */
static int core_directory(struct boot_container *b)
{
    struct hostfs_options options = {.cache = HOSTFS_SHARED};
    struct kernel *k = b->kernel;
    struct superblock *sb;
    struct mount *hidden;
    int r;

    if (b->config->coredump_fd < 0)
        return 0;
    r = hostfs_create(b->config->coredump_fd, &options, &sb);
    if (r < 0)
        return r;
    r = mount_create_detached(sb, "cores", LX_MS_NOSUID | LX_MS_NODEV | LX_MS_NOEXEC, &hidden);
    sb_put(sb);
    if (r < 0)
        return r;
    k->core.dir_cred = cred_get(b->ctx.cred);
    k->core.dir_left = b->config->coredump_limit;
    k->core.dir = (struct path){hidden, dentry_get(hidden->root)};
    return 0;
}

/* What is made for the mounts belongs to whom they are for. */
static int make_as(struct boot_container *b, uint32_t uid, uint32_t gid)
{
    struct cred *cred = cred_copy(b->ctx.cred);

    if (!cred)
        return boot_fail(b->config, 1, "out of memory");
    cred->fsuid = uid;
    cred->fsgid = gid;
    cred_put(b->ctx.cred);
    b->ctx.cred = cred;
    return 0;
}

void boot_fs_drop(const struct boot_config *c, size_t from)
{
    for (; from < c->mount_count; from++) {
        if (c->mounts[from].fd >= 0)
            close(c->mounts[from].fd);
    }
}

int boot_fs_mounts(struct boot_container *b)
{
    int status = make_as(b, b->config->make_uid, b->config->make_gid);

    if (status)
        return status;
    for (size_t i = 0; i < b->config->mount_count; i++) {
        const struct boot_mount *m = &b->config->mounts[i];
        int r = mount_one(b, m);

        if (r < 0)
            boot_fs_drop(b->config, i + 1);
        if (r < 0 && m->type >= BOOT_MAKE_DIRECTORY)
            return boot_fail(b->config, 1, "cannot make %s: %s", m->destination, boot_error(r));
        if (r < 0)
            return boot_fail(b->config, 1, "cannot mount %s on %s: %s", m->source, m->destination,
                             boot_error(r));
        if (strcmp(m->destination, "/") == 0)
            mount_descend(&b->ctx.root); /* what comes next is in there */
    }
    status = make_as(b, 0, 0);
    if (status)
        return status;
    if (core_directory(b) < 0)
        return boot_fail(b->config, 1, "--coredump-dir: the directory cannot be used");
    /* The root path may have been mounted over; and cwd starts there. */
    mount_descend(&b->ctx.root);
    return 0;
}

/* Mount points are made in it before, as other runtimes do. */
int boot_fs_seal(struct boot_container *b)
{
    struct mount *root = b->mount_ns->root;
    struct path at = {root, root->root};
    int r = b->config->root_readonly ? mount_remount(&at, root->flags | LX_MS_RDONLY) : 0;

    return r < 0 ? boot_fail(b->config, 1, "cannot make the root read-only: %s", boot_error(r)) : 0;
}
