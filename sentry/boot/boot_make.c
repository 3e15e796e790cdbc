/*
 * Rows of the mount list that make something in the tree rather than mount it: directories, links,
 * files with a content given, modes; and mounts of single files. In the list's order, so that each
 * finds what those before it have made. Takes no locks.
 */
#include "fs/dev/dev.h"
#include "fs/tmpfs/tmpfs.h"
#include "sentry/abi/fcntl.h"
#include "sentry/abi/mount.h"
#include "sentry/boot/boot_int.h"
#include "sentry/mm/usermem.h"

#include <errno.h>
#include <unistd.h>

/* All that can be read from the host's descriptor becomes f's content. */
static int fill(struct file *f, int fd)
{
    char buf[16384];
    int64_t pos = 0;
    ssize_t n;

    while ((n = read(fd, buf, sizeof(buf))) != 0) {
        struct uio uio;

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        uio_init_kernel(&uio, buf, (size_t)n);
        n = (ssize_t)file_write(f, &uio, &pos, UINT64_MAX);
        if (n < 0)
            return (int)n;
    }
    return 0;
}

static int make_file(struct boot_container *b, const struct vfs_ctx *ctx, const char *path,
                     const struct boot_mount *m)
{
    struct file *f;
    int r;

    r = vfs_open_at(ctx, NULL, path, LX_O_WRONLY | LX_O_CREAT | LX_O_TRUNC, m->mode, 0, &f);
    if (r < 0)
        return r;
    r = fill(f, m->fd);
    file_put(f);
    return r;
}

/* A tree that no guest sees, but for what of it is bound elsewhere. */
static int hidden_tree(struct boot_container *b, struct superblock *sb, uint32_t flags,
                       struct vfs_ctx *out)
{
    struct mount *hidden;
    int r = mount_create_detached(sb, "tmpfs", flags, &hidden);

    sb_put(sb);
    if (r < 0)
        return r;
    *out = b->ctx;
    out->root = out->cwd = (struct path){hidden, hidden->root};
    return 0;
}

static int bind_hidden(struct boot_container *b, const struct vfs_ctx *hidden, const char *name,
                       const struct boot_mount *m)
{
    struct path from, at;
    int r = vfs_walk(hidden, NULL, name, 0, &from);

    if (r < 0)
        return r;
    r = boot_file_mountpoint(b, m->destination, &at);
    if (r == 0) {
        r = mount_bind(&from, &at, false);
        path_put(&at);
    }
    path_put(&from);
    return r;
}

/* A file in memory, bound. */
static int mount_data(struct boot_container *b, const struct boot_mount *m)
{
    struct tmpfs_options options = {.mode = 0755};
    struct superblock *sb;
    struct vfs_ctx ctx;
    int r = tmpfs_create(&options, &sb);

    if (r == 0)
        r = hidden_tree(b, sb, m->flags & ~LX_MS_RDONLY, &ctx);
    if (r < 0)
        return r;
    r = make_file(b, &ctx, "/data", m);
    if (r == 0)
        r = bind_hidden(b, &ctx, "/data", m);
    mount_put(ctx.root.mount);
    return r < 0 || !(m->flags & LX_MS_RDONLY) ? r : boot_remount_readonly(b, m->destination);
}

/* One of our own devices, bound. */
static int mount_device(struct boot_container *b, const struct boot_mount *m)
{
    struct superblock *sb;
    struct vfs_ctx ctx;
    int r = devfs_create(b->kernel, true, &sb);

    if (r == 0)
        r = hidden_tree(b, sb, m->flags, &ctx);
    if (r < 0)
        return r;
    r = bind_hidden(b, &ctx, m->name, m);
    mount_put(ctx.root.mount);
    return r;
}

static int make_directory(struct boot_container *b, const struct boot_mount *m)
{
    int r = boot_make_directories(b, m->destination, false);

    if (r == 0)
        r = vfs_mkdir_at(&b->ctx, NULL, m->destination, m->mode);
    return r == -EEXIST || r == -EROFS ? 0 : r;
}

static int make_link(struct boot_container *b, const struct boot_mount *m)
{
    int r = boot_make_directories(b, m->destination, false);

    return r < 0 ? r : vfs_symlink_at(&b->ctx, m->source, NULL, m->destination);
}

static int change_mode(struct boot_container *b, const struct boot_mount *m)
{
    struct setattr attr = {.valid = ATTR_MODE, .mode = m->mode};
    struct path at;
    int r = vfs_walk(&b->ctx, NULL, m->destination, WALK_FOLLOW, &at);

    if (r < 0)
        return r;
    r = vfs_setattr(&b->ctx, &at, &attr);
    path_put(&at);
    return r;
}

int boot_remount_readonly(struct boot_container *b, const char *destination)
{
    struct path at;
    int r = vfs_walk(&b->ctx, NULL, destination, WALK_FOLLOW, &at);

    if (r < 0)
        return r;
    r = mount_remount(&at, at.mount->flags | LX_MS_RDONLY);
    path_put(&at);
    return r;
}

int boot_make(struct boot_container *b, const struct boot_mount *m)
{
    int r;

    switch (m->type) {
    case BOOT_MAKE_DIRECTORY:
        return make_directory(b, m);
    case BOOT_MAKE_LINK:
        return make_link(b, m);
    case BOOT_MAKE_FILE:
        r = boot_make_directories(b, m->destination, false);
        return r < 0 ? r : make_file(b, &b->ctx, m->destination, m);
    case BOOT_MOUNT_DATA:
        return mount_data(b, m);
    case BOOT_MOUNT_DEVICE:
        return mount_device(b, m);
    case BOOT_CHANGE_MODE:
        return change_mode(b, m);
    case BOOT_REMOUNT_READONLY:
        return boot_remount_readonly(b, m->destination);
    default:
        return -ENODEV;
    }
}
