/* A mount namespace with one tmpfs, a root and an ordinary user, for suites of fs/. */
#pragma once

#include <stdio.h>
#include <string.h>

#include "fs/tmpfs/tmpfs.h"
#include "fs/vfs.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/fcntl.h"
#include "sentry/abi/mount.h"
#include "sentry/base/cred.h"
#include "sentry/base/fmt.h"
#include "sentry/base/slab.h"
#include "sentry/mm/usermem.h"
#include "tests/unit/fixture.h"

static struct vfs_world {
    struct mount_ns *ns;
    struct vfs_ctx ctx, user; /* root's and uid 1000's */
} world UNUSED;

static UNUSED void vfs_world_setup_with(const struct tmpfs_options *options)
{
    struct superblock *sb;
    struct cred *user;

    fixture_setup();
    cr_assert_eq(vfs_init(), 0);
    cr_assert_eq(tmpfs_create(options, &sb), 0);
    cr_assert_eq(mount_ns_create(sb, "tmpfs", 0, &world.ns), 0);
    sb_put(sb);
    world.ctx = (struct vfs_ctx){
        .cred = cred_alloc_root(), .fsize_limit = UINT64_MAX, .mount_ns = world.ns};
    world.ctx.root = (struct path){mount_get(world.ns->root), dentry_get(world.ns->root->root)};
    world.ctx.cwd = path_get(&world.ctx.root);
    user = cred_copy(world.ctx.cred);
    user->uid = user->euid = user->suid = user->fsuid = 1000;
    user->gid = user->egid = user->sgid = user->fsgid = 1000;
    user->cap_effective = user->cap_permitted = 0;
    world.user = world.ctx;
    world.user.cred = user;
}

static UNUSED void vfs_world_setup(void)
{
    vfs_world_setup_with(&(struct tmpfs_options){.mode = 0755});
}

static UNUSED void vfs_world_teardown(void)
{
    path_put(&world.ctx.root);
    path_put(&world.ctx.cwd);
    mount_ns_put(world.ns);
    cred_put(world.ctx.cred);
    cred_put(world.user.cred);
    vfs_destroy();
    fixture_teardown();
}

#define VFS_SUITE(suite) TestSuite(suite, .init = vfs_world_setup, .fini = vfs_world_teardown)

#define ok(expr)                                                                                   \
    do {                                                                                           \
        int64_t r_ = (expr);                                                                       \
        cr_assert_geq(r_, 0, "%s: %ld", #expr, (long)r_);                                          \
    } while (0)
#define fails(expr, err)                                                                           \
    do {                                                                                           \
        int64_t r_ = (expr);                                                                       \
        cr_assert_eq(r_, -(err), "%s: %ld, not -" #err, #expr, (long)r_);                          \
    } while (0)

static UNUSED struct file *must_open(const struct vfs_ctx *ctx, const char *name, uint32_t flags,
                                     uint32_t mode)
{
    struct file *f = NULL;
    int err = vfs_open_at(ctx, NULL, name, flags, mode, 0, &f);

    cr_assert_eq(err, 0, "open %s: %d", name, err);
    return f;
}

static UNUSED int try_open(const struct vfs_ctx *ctx, const char *name, uint32_t flags,
                           uint32_t mode)
{
    struct file *f;
    int err = vfs_open_at(ctx, NULL, name, flags, mode, 0, &f);

    if (err == 0)
        file_put(f);
    return err;
}

static UNUSED void make_file(const char *name)
{
    file_put(must_open(&world.ctx, name, LX_O_CREAT | LX_O_EXCL | LX_O_WRONLY, 0644));
}

static UNUSED int64_t write_at(struct file *f, const void *data, size_t n, int64_t pos)
{
    struct uio uio;
    int64_t done;

    uio_init_kernel(&uio, (void *)data, n);
    done = file_write(f, &uio, pos < 0 ? NULL : &pos, UINT64_MAX);
    uio_destroy(&uio);
    return done;
}

static UNUSED int64_t read_at(struct file *f, void *data, size_t n, int64_t pos)
{
    struct uio uio;
    int64_t done;

    uio_init_kernel(&uio, data, n);
    done = file_read(f, &uio, pos < 0 ? NULL : &pos);
    uio_destroy(&uio);
    return done;
}

static UNUSED struct kstat stat_of(const char *name)
{
    struct kstat st = {.mode = 0};
    struct path p;

    if (vfs_walk(&world.ctx, NULL, name, 0, &p) == 0) {
        ok(vfs_getattr(&p, &st));
        path_put(&p);
    }
    return st;
}

static UNUSED bool exists(const char *name)
{
    return stat_of(name).mode != 0;
}

static UNUSED int set_attr(const struct vfs_ctx *ctx, const char *name, struct setattr attr)
{
    struct path p;
    int err = vfs_walk(ctx, NULL, name, WALK_FOLLOW, &p);

    if (err < 0)
        return err;
    err = vfs_setattr(ctx, &p, &attr);
    path_put(&p);
    return err;
}

/* The path as printed from the root, in a static buffer. */
static UNUSED const char *printed(const struct path *p)
{
    static char text[8192];
    struct strbuf sb;

    strbuf_init(&sb);
    (void)path_print(p, &world.ctx.root, true, &sb);
    snprintf(text, sizeof(text), "%s", sb.data ? sb.data : "");
    strbuf_free(&sb);
    return text;
}
