/* Mounts, bind mounts, namespaces, pivot_root. */
#include "tests/unit/vfs_fixture.h"

VFS_SUITE(vfs_mount);

#define C (&world.ctx)

static struct path at(const char *name)
{
    struct path p = {NULL, NULL};

    ok(vfs_walk(C, NULL, name, WALK_FOLLOW, &p));
    return p;
}

static int mount_new(const char *name)
{
    struct superblock *sb;
    struct path p = at(name);
    int err;

    ok(tmpfs_create(&(struct tmpfs_options){.mode = 0755}, &sb));
    err = mount_add(&p, sb, "new", 0);
    sb_put(sb);
    path_put(&p);
    return err;
}

static int umount(const char *name, bool detach)
{
    struct path p = at(name);
    int err = mount_umount(&p, detach);

    path_put(&p);
    return err;
}

static void dirs(void)
{
    ok(vfs_mkdir_at(C, NULL, "a", 0755));
    ok(vfs_mkdir_at(C, NULL, "b", 0755));
    make_file("file");
}

Test(vfs_mount, crossing)
{
    struct path p;

    dirs();
    make_file("a/hidden");
    ok(mount_new("a"));
    cr_assert_not(exists("a/hidden"));
    make_file("a/inner");
    p = at("a/inner");
    cr_assert_str_eq(printed(&p), "/a/inner");
    fails(umount("a", false), EBUSY);
    path_put(&p);
    p = at("a/..");
    cr_assert(path_equal(&p, &C->root));
    path_put(&p);
    fails(vfs_walk(C, NULL, "a/inner", WALK_NO_XDEV, &p), EXDEV);
    fails(vfs_rmdir_at(C, NULL, "a"), EBUSY);
    fails(vfs_rename_at(C, NULL, "a", NULL, "x", 0), EBUSY);
    fails(vfs_rename_at(C, NULL, "file", NULL, "a/file", 0), EXDEV);
    fails(vfs_link_at(C, NULL, "file", NULL, "a/file", 0), EXDEV);
    fails(mount_new("file"), ENOTDIR);
    ok(mount_new("a"));
    cr_assert_not(exists("a/inner"));
    ok(umount("a", false));
    cr_assert(exists("a/inner"));
    ok(umount("a", false));
    cr_assert(exists("a/hidden"));
    fails(umount("a", false), EINVAL);
    fails(umount("/", false), EBUSY);
}

Test(vfs_mount, read_only)
{
    struct path p;
    struct file *f;

    dirs();
    ok(mount_new("a"));
    f = must_open(C, "a/f", LX_O_CREAT | LX_O_RDWR, 0600);
    p = at("a");
    fails(mount_remount(&p, LX_MS_RDONLY), EBUSY);
    file_put(f);
    ok(mount_remount(&p, LX_MS_RDONLY | LX_MS_NOEXEC));
    fails(try_open(C, "a/f", LX_O_RDWR, 0), EROFS);
    fails(try_open(C, "a/g", LX_O_CREAT, 0600), EROFS);
    ok(try_open(C, "a/f", LX_O_RDONLY | LX_O_CREAT, 0));
    fails(vfs_mkdir_at(C, NULL, "a/d", 0755), EROFS);
    fails(vfs_mkdir_at(C, NULL, "a/f", 0755), EEXIST);
    fails(vfs_unlink_at(C, NULL, "a/f"), EROFS);
    fails(vfs_rename_at(C, NULL, "a/f", NULL, "a/g", 0), EROFS);
    fails(set_attr(C, "a/f", (struct setattr){.valid = ATTR_MODE, .mode = 0777}), EROFS);
    path_put(&p);
    p = at("a/f");
    fails(vfs_access(C, &p, MAY_WRITE), EROFS);
    fails(vfs_access(C, &p, MAY_EXEC), EACCES);
    ok(vfs_access(C, &p, MAY_READ));
    path_put(&p);
}

Test(vfs_mount, bind_and_detach)
{
    struct path from, to;

    dirs();
    ok(vfs_mkdir_at(C, NULL, "a/deep", 0755));
    ok(mount_new("a/deep"));
    make_file("a/deep/f");
    from = at("a");
    to = at("b");
    ok(mount_bind(&from, &to, true));
    path_put(&to);
    cr_assert(exists("b/deep/f"));
    make_file("b/shared");
    cr_assert(exists("a/shared"));
    fails(umount("b", false), EBUSY);
    to = at("b/deep/f");
    ok(umount("b", true));
    cr_assert_not(exists("b/deep"));
    path_put(&to);
    path_put(&from);
    from = at("file");
    make_file("other");
    to = at("other");
    ok(mount_bind(&from, &to, false));
    fails(vfs_unlink_at(C, NULL, "other"), EBUSY);
    path_put(&to);
    to = at("b");
    fails(mount_bind(&from, &to, false), ENOTDIR);
    path_put(&to);
    path_put(&from);
    ok(umount("other", false));
}

Test(vfs_mount, move)
{
    struct path from, to;

    dirs();
    ok(mount_new("a"));
    make_file("a/f");
    ok(vfs_mkdir_at(C, NULL, "a/in", 0755));
    from = at("a");
    to = at("a/in");
    fails(mount_move(&from, &to), ELOOP);
    path_put(&to);
    to = at("b");
    ok(mount_move(&from, &to));
    fails(mount_move(&to, &from), EINVAL);
    path_put(&to);
    path_put(&from);
    cr_assert(exists("b/f") && !exists("a/f"));
}

static int count(struct mount *m, void *arg)
{
    (*(int *)arg)++;
    return 0;
}

Test(vfs_mount, namespace_copy)
{
    struct mount_ns *copy;
    struct path cwd, *map[] = {&cwd};
    int mounts = 0;

    dirs();
    ok(mount_new("a"));
    ok(mount_new("b"));
    cwd = at("a");
    ok(mount_ns_copy(world.ns, map, 1, &copy));
    cr_assert_eq(cwd.mount->ns, copy);
    ok(umount("a", false));
    ok(mount_for_each(copy, count, &mounts));
    cr_assert_eq(mounts, 3);
    cr_assert_str_eq(printed(&cwd), "(unreachable)/a");
    path_put(&cwd);
    mount_ns_put(copy);
}

Test(vfs_mount, pivot)
{
    struct path fresh, old;

    dirs();
    ok(mount_new("a"));
    ok(vfs_mkdir_at(C, NULL, "a/old", 0755));
    fresh = at("a");
    old = at("b");
    fails(mount_pivot_root(world.ns, &C->root, &fresh, &old), EBUSY);
    path_put(&old);
    old = at("a/old");
    ok(mount_pivot_root(world.ns, &C->root, &fresh, &old));
    path_put(&C->root);
    C->root = path_get(&fresh);
    cr_assert(exists("/old/file"));
    path_put(&old);
    old = at("/old");
    cr_assert_str_eq(printed(&old), "/old");
    path_put(&C->cwd);
    C->cwd = path_get(&C->root);
    ok(mount_umount(&old, true));
    path_put(&old);
    path_put(&fresh);
    cr_assert_not(exists("/old/file"));
}
