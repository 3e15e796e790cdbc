/*
 * What a bundle wants done to single paths once all is mounted: devices made, sysctls written,
 * paths masked or made read-only. Takes no locks.
 */
#include "fs/proc/proc.h"
#include "fs/tmpfs/tmpfs.h"
#include "sentry/abi/mount.h"
#include "sentry/base/log.h"
#include "sentry/boot/boot_int.h"
#include "sentry/mm/usermem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_directory(const struct path *p)
{
    struct kstat st;

    return vfs_getattr(p, &st) == 0 && (st.mode & LX_S_IFMT) == LX_S_IFDIR;
}

/* ---- masked and read-only paths ---- */

static int mask_directory(const struct path *at)
{
    struct tmpfs_options options = {.mode = 0755};
    struct superblock *sb;
    int r = tmpfs_create(&options, &sb);

    if (r < 0)
        return r;
    r = mount_add(at, sb, "tmpfs", LX_MS_RDONLY);
    sb_put(sb);
    return r;
}

static int mask_path(struct boot_container *b, const char *name)
{
    struct path at, null;
    int r = vfs_walk(&b->ctx, NULL, name, WALK_FOLLOW, &at);

    if (r == -ENOENT || r == -ENOTDIR)
        return 0;
    if (r < 0)
        return r;
    if (is_directory(&at)) {
        r = mask_directory(&at);
    } else {
        r = vfs_walk(&b->ctx, NULL, "/dev/null", WALK_FOLLOW, &null);
        if (r == 0) {
            r = mount_bind(&null, &at, false);
            path_put(&null);
        }
    }
    path_put(&at);
    return r;
}

static int make_readonly(struct boot_container *b, const char *name)
{
    struct path at;
    int r = vfs_walk(&b->ctx, NULL, name, WALK_FOLLOW, &at);

    if (r == -ENOENT || r == -ENOTDIR)
        return 0;
    if (r < 0)
        return r;
    r = mount_bind(&at, &at, true);
    path_put(&at);
    if (r == 0)
        r = vfs_walk(&b->ctx, NULL, name, WALK_FOLLOW, &at);
    if (r < 0)
        return r;
    r = mount_remount(&at, at.mount->flags | LX_MS_RDONLY);
    path_put(&at);
    return r;
}

static int each_path(struct boot_container *b, const char *const *paths, const char *what,
                     int (*fn)(struct boot_container *b, const char *name))
{
    for (; paths && *paths; paths++) {
        int r = fn(b, *paths);

        if (r < 0)
            return boot_fail(b->config, 1, "cannot %s %s: %s", what, *paths, boot_error(r));
    }
    return 0;
}

/* ---- devices ---- */

static int make_device(struct boot_container *b, const struct boot_device *d)
{
    struct setattr attr = {.valid = ATTR_UID | ATTR_GID | ATTR_MODE,
                           .uid = d->uid,
                           .gid = d->gid,
                           .mode = d->mode & 07777};
    struct path p;
    int r = boot_make_directories(b, d->path, false);

    if (r < 0)
        return r;
    r = vfs_mknod_at(&b->ctx, NULL, d->path, d->mode,
                     (uint64_t)(d->minor & 0xff) | (uint64_t)d->major << 8 |
                         (uint64_t)(d->minor & ~0xffU) << 12);

    if (r == -EEXIST)
        return 0; /* the usual ones are in every /dev */
    if (r == 0)
        r = vfs_walk(&b->ctx, NULL, d->path, 0, &p);
    if (r < 0)
        return r;
    r = vfs_setattr(&b->ctx, &p, &attr);
    path_put(&p);
    return r;
}

static int make_devices(struct boot_container *b)
{
    const struct boot_config *c = b->config;

    for (size_t i = 0; i < c->device_count; i++) {
        int r = make_device(b, &c->devices[i]);

        if (r < 0)
            return boot_fail(b->config, 1, "cannot make the device %s: %s", c->devices[i].path,
                             boot_error(r));
    }
    return 0;
}

/* ---- sysctls, through a /proc that no guest sees ---- */

static int write_sysctl(const struct vfs_ctx *ctx, const struct boot_pair *s)
{
    char path[256];
    struct file *f;
    struct uio uio;
    int64_t r;

    if (snprintf(path, sizeof(path), "sys/%s", s->name) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    for (char *p = path; *p; p++) {
        if (*p == '.')
            *p = '/';
    }
    r = vfs_open_at(ctx, NULL, path, LX_O_WRONLY, 0, 0, &f);
    if (r < 0)
        return (int)r;
    uio_init_kernel(&uio, (void *)(uintptr_t)s->value, strlen(s->value));
    r = file_write(f, &uio, &f->pos, UINT64_MAX);
    uio_destroy(&uio);
    file_put(f);
    return r < 0 ? (int)r : 0;
}

static int write_sysctls(struct boot_container *b)
{
    const struct boot_config *c = b->config;
    struct vfs_ctx ctx = b->ctx;
    struct superblock *sb;
    struct mount *hidden;
    int r = c->sysctl_count ? procfs_create(b->pid_ns, &sb) : 0;

    if (!c->sysctl_count)
        return 0;
    if (r == 0) {
        r = mount_create_detached(sb, "proc", 0, &hidden);
        sb_put(sb);
    }
    if (r < 0)
        return boot_fail(b->config, 1, "cannot set sysctls: %s", boot_error(r));
    ctx.root = ctx.cwd = (struct path){hidden, hidden->root};
    for (size_t i = 0; i < c->sysctl_count; i++) {
        r = write_sysctl(&ctx, &c->sysctls[i]);
        if (r == -ENOENT && strncmp(c->sysctls[i].name, "net.", 4) == 0) {
            log_warn("sysctl %s is not there and left out", c->sysctls[i].name);
            r = 0;
        }
        if (r < 0) {
            mount_put(hidden);
            return boot_fail(b->config, 1, "cannot set the sysctl %s: %s", c->sysctls[i].name,
                             boot_error(r));
        }
    }
    mount_put(hidden);
    return 0;
}

int boot_paths_setup(struct boot_container *b)
{
    const struct boot_config *c = b->config;
    int status = make_devices(b);

    if (!status)
        status = write_sysctls(b);
    if (!status)
        status = each_path(b, c->readonly_paths, "make read-only", make_readonly);
    if (!status)
        status = each_path(b, c->masked_paths, "mask", mask_path);
    return status;
}
