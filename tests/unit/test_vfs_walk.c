/* The path walk, opening and permissions, over tmpfs. */
#include "tests/unit/vfs_fixture.h"

VFS_SUITE(vfs_walk);

static int walk(const struct vfs_ctx *ctx, const char *name, uint32_t flags)
{
    struct path p;
    int err = vfs_walk(ctx, NULL, name, flags, &p);

    if (err == 0)
        path_put(&p);
    return err;
}

static const char *where(const char *name, uint32_t flags)
{
    struct path p;
    const char *text;

    if (vfs_walk(&world.ctx, NULL, name, flags, &p) < 0)
        return "-";
    text = printed(&p);
    path_put(&p);
    return text;
}

Test(vfs_walk, components)
{
    char longname[300];

    ok(vfs_mkdir_at(&world.ctx, NULL, "/a", 0755));
    ok(vfs_mkdir_at(&world.ctx, NULL, "a/b", 0755));
    make_file("a/f");
    cr_assert_str_eq(where("a//b/./../b/", 0), "/a/b");
    cr_assert_str_eq(where("/..//../a", 0), "/a");
    cr_assert_str_eq(where("/", 0), "/");
    fails(walk(&world.ctx, "", 0), ENOENT);
    ok(walk(&world.ctx, "", WALK_EMPTY));
    fails(walk(&world.ctx, "a/f/", 0), ENOTDIR);
    fails(walk(&world.ctx, "a/f/.", 0), ENOTDIR);
    fails(walk(&world.ctx, "a/f/x", 0), ENOTDIR);
    fails(walk(&world.ctx, "a/none/x", 0), ENOENT);
    fails(walk(&world.ctx, "a/f", WALK_DIRECTORY), ENOTDIR);
    memset(longname, 'x', 256);
    longname[256] = 0;
    fails(walk(&world.ctx, longname, 0), ENAMETOOLONG);
    longname[255] = 0;
    fails(walk(&world.ctx, longname, 0), ENOENT);
    fails(try_open(&world.ctx, "none/f", LX_O_CREAT | LX_O_WRONLY, 0644), ENOENT);
}

Test(vfs_walk, symlinks)
{
    char name[32], target[32];

    ok(vfs_mkdir_at(&world.ctx, NULL, "d", 0755));
    make_file("d/f");
    ok(vfs_symlink_at(&world.ctx, "d", NULL, "rel"));
    ok(vfs_symlink_at(&world.ctx, "/d/f", NULL, "abs"));
    ok(vfs_symlink_at(&world.ctx, "nowhere", NULL, "dangling"));
    ok(vfs_symlink_at(&world.ctx, "loop", NULL, "loop"));
    ok(vfs_symlink_at(&world.ctx, "d/", NULL, "slash"));
    ok(vfs_symlink_at(&world.ctx, "d/f/", NULL, "fslash"));
    cr_assert_str_eq(where("rel/f", 0), "/d/f");
    cr_assert_str_eq(where("rel", 0), "/rel");
    cr_assert_str_eq(where("rel/", 0), "/d");
    cr_assert_str_eq(where("rel", WALK_FOLLOW), "/d");
    cr_assert_str_eq(where("abs", WALK_FOLLOW), "/d/f");
    cr_assert_str_eq(where("slash", WALK_FOLLOW), "/d");
    fails(walk(&world.ctx, "fslash", WALK_FOLLOW), ENOTDIR);
    fails(walk(&world.ctx, "abs/", 0), ENOTDIR);
    fails(walk(&world.ctx, "dangling", WALK_FOLLOW), ENOENT);
    fails(walk(&world.ctx, "loop", WALK_FOLLOW), ELOOP);
    fails(walk(&world.ctx, "rel/f", WALK_NO_SYMLINKS), ELOOP);
    ok(walk(&world.ctx, "rel", WALK_NO_SYMLINKS));
    ok(vfs_symlink_at(&world.ctx, "d/f", NULL, "l0"));
    for (int i = 1; i <= 40; i++) {
        snprintf(name, sizeof(name), "l%d", i);
        snprintf(target, sizeof(target), "l%d", i - 1);
        ok(vfs_symlink_at(&world.ctx, target, NULL, name));
    }
    ok(walk(&world.ctx, "l39", WALK_FOLLOW));
    fails(walk(&world.ctx, "l40", WALK_FOLLOW), ELOOP);
    fails(vfs_symlink_at(&world.ctx, "", NULL, "empty"), ENOENT);
    fails(vfs_symlink_at(&world.ctx, "x", NULL, "rel"), EEXIST);
    fails(vfs_symlink_at(&world.ctx, "x", NULL, "new/"), ENOENT);
}

Test(vfs_walk, scoped)
{
    struct path base, p;

    ok(vfs_mkdir_at(&world.ctx, NULL, "in", 0755));
    make_file("in/f");
    make_file("out");
    ok(vfs_symlink_at(&world.ctx, "/f", NULL, "in/abs"));
    ok(vfs_symlink_at(&world.ctx, "../out", NULL, "in/up"));
    ok(vfs_walk(&world.ctx, NULL, "in", 0, &base));
    fails(vfs_walk(&world.ctx, &base, "../out", WALK_BENEATH, &p), EXDEV);
    fails(vfs_walk(&world.ctx, &base, "/in/f", WALK_BENEATH, &p), EXDEV);
    fails(vfs_walk(&world.ctx, &base, "abs", WALK_BENEATH | WALK_FOLLOW, &p), EXDEV);
    fails(vfs_walk(&world.ctx, &base, "up", WALK_BENEATH | WALK_FOLLOW, &p), EXDEV);
    ok(vfs_walk(&world.ctx, &base, "abs", WALK_IN_ROOT | WALK_FOLLOW, &p));
    cr_assert_str_eq(printed(&p), "/in/f");
    path_put(&p);
    fails(vfs_walk(&world.ctx, &base, "up", WALK_IN_ROOT | WALK_FOLLOW, &p), ENOENT);
    path_put(&base);
}

Test(vfs_walk, permissions)
{
    ok(vfs_mkdir_at(&world.ctx, NULL, "closed", 0700));
    make_file("closed/f");
    fails(walk(&world.user, "closed/f", 0), EACCES);
    fails(walk(&world.user, "closed/none", 0), EACCES);
    ok(walk(&world.user, "closed", 0));
    fails(try_open(&world.user, "closed", LX_O_RDONLY | LX_O_DIRECTORY, 0), EACCES);
    fails(try_open(&world.user, "mine", LX_O_CREAT | LX_O_WRONLY, 0644), EACCES);
    make_file("f");
    ok(try_open(&world.user, "f", LX_O_RDONLY, 0));
    fails(try_open(&world.user, "f", LX_O_WRONLY, 0), EACCES);
    fails(try_open(&world.user, "f", LX_O_RDONLY | LX_O_TRUNC, 0), EACCES);
    fails(try_open(&world.user, "f", LX_O_RDONLY | LX_O_NOATIME, 0), EPERM);
    ok(set_attr(&world.ctx, "f", (struct setattr){.valid = ATTR_MODE, .mode = 0}));
    ok(try_open(&world.ctx, "f", LX_O_RDWR, 0));
    fails(try_open(&world.user, "f", LX_O_RDONLY, 0), EACCES);
    ok(try_open(&world.user, "f", LX_O_PATH, 0));
}

Test(vfs_walk, open_flags)
{
    struct file *f;

    ok(vfs_mkdir_at(&world.ctx, NULL, "d", 0755));
    make_file("f");
    ok(vfs_symlink_at(&world.ctx, "f", NULL, "l"));
    ok(vfs_symlink_at(&world.ctx, "made", NULL, "dangling"));
    fails(try_open(&world.ctx, "f", LX_O_CREAT | LX_O_EXCL, 0644), EEXIST);
    fails(try_open(&world.ctx, "l", LX_O_CREAT | LX_O_EXCL, 0644), EEXIST);
    fails(try_open(&world.ctx, "dangling", LX_O_CREAT | LX_O_EXCL, 0644), EEXIST);
    fails(try_open(&world.ctx, "l", LX_O_NOFOLLOW, 0), ELOOP);
    fails(try_open(&world.ctx, "dangling", LX_O_RDONLY, 0), ENOENT);
    ok(try_open(&world.ctx, "dangling", LX_O_CREAT | LX_O_WRONLY, 0600));
    cr_assert(exists("made"));
    ok(try_open(&world.ctx, "l", LX_O_NOFOLLOW | LX_O_PATH, 0));
    fails(try_open(&world.ctx, "f", LX_O_DIRECTORY, 0), ENOTDIR);
    fails(try_open(&world.ctx, "d", LX_O_WRONLY, 0), EISDIR);
    fails(try_open(&world.ctx, "d", LX_O_CREAT, 0), EISDIR);
    fails(try_open(&world.ctx, "d/", LX_O_CREAT | LX_O_WRONLY, 0), EISDIR);
    fails(try_open(&world.ctx, "new/", LX_O_CREAT | LX_O_WRONLY, 0), EISDIR);
    fails(try_open(&world.ctx, "d/.", LX_O_CREAT | LX_O_WRONLY, 0), EISDIR);
    fails(try_open(&world.ctx, "d", LX_O_CREAT | LX_O_DIRECTORY, 0), EINVAL);
    fails(try_open(&world.ctx, "d", LX_O_TMPFILE | LX_O_RDONLY, 0600), EINVAL);
    fails(try_open(&world.ctx, "f", LX_O_TMPFILE | LX_O_RDWR, 0600), ENOTDIR);
    ok(vfs_mknod_at(&world.ctx, NULL, "chr", LX_S_IFCHR | 0600, 0xfff01));
    ok(vfs_mknod_at(&world.ctx, NULL, "sock", LX_S_IFSOCK | 0600, 0));
    fails(try_open(&world.ctx, "chr", LX_O_RDWR, 0), ENXIO);
    fails(try_open(&world.ctx, "sock", LX_O_RDWR, 0), ENXIO);
    fails(vfs_mknod_at(&world.user, NULL, "chr2", LX_S_IFCHR | 0600, 0xfff01), EACCES);
    fails(vfs_mknod_at(&world.ctx, NULL, "x", LX_S_IFDIR | 0600, 0), EPERM);
    fails(vfs_mknod_at(&world.ctx, NULL, "x", 0170000, 0), EINVAL);
    f = must_open(&world.ctx, "f", LX_O_PATH, 0);
    fails(read_at(f, (char[1]){0}, 1, -1), EBADF);
    file_put(f);
    world.ctx.umask = 022;
    file_put(must_open(&world.ctx, "masked", LX_O_CREAT | LX_O_RDONLY, 0666));
    cr_assert_eq(stat_of("masked").mode, LX_S_IFREG | 0644);
}

Test(vfs_walk, fifo)
{
    struct file *r, *w;

    ok(vfs_mknod_at(&world.ctx, NULL, "p", LX_S_IFIFO | 0600, 0));
    fails(try_open(&world.ctx, "p", LX_O_WRONLY | LX_O_NONBLOCK, 0), ENXIO);
    r = must_open(&world.ctx, "p", LX_O_RDONLY, 0);
    cr_assert(r->mode & FMODE_OPENING);
    fails(vfs_open_ready(r), EAGAIN);
    w = must_open(&world.ctx, "p", LX_O_WRONLY, 0);
    cr_assert_not(w->mode & FMODE_OPENING);
    ok(vfs_open_ready(r));
    ok(write_at(w, "x", 1, -1));
    file_put(w);
    file_put(r);
}

Test(vfs_walk, exec_denies_writing)
{
    struct path p;
    struct file *f, *w;

    make_file("prog");
    ok(vfs_walk(&world.ctx, NULL, "prog", 0, &p));
    fails(vfs_open_exec(&world.ctx, &p, &f), EACCES);
    ok(set_attr(&world.ctx, "prog", (struct setattr){.valid = ATTR_MODE, .mode = 0755}));
    w = must_open(&world.ctx, "prog", LX_O_WRONLY, 0);
    fails(vfs_open_exec(&world.ctx, &p, &f), ETXTBSY);
    file_put(w);
    ok(vfs_open_exec(&world.ctx, &p, &f));
    fails(try_open(&world.ctx, "prog", LX_O_WRONLY, 0), ETXTBSY);
    fails(try_open(&world.ctx, "prog", LX_O_RDONLY | LX_O_TRUNC, 0), ETXTBSY);
    fails(set_attr(&world.ctx, "prog", (struct setattr){.valid = ATTR_SIZE}), ETXTBSY);
    file_put(f);
    ok(try_open(&world.ctx, "prog", LX_O_WRONLY, 0));
    path_put(&p);
}

Test(vfs_walk, deleted_directory)
{
    struct path p, q;

    ok(vfs_mkdir_at(&world.ctx, NULL, "gone", 0755));
    ok(vfs_walk(&world.ctx, NULL, "gone", 0, &p));
    ok(vfs_rmdir_at(&world.ctx, NULL, "gone"));
    cr_assert_str_eq(printed(&p), "/gone (deleted)");
    fails(vfs_mkdir_at(&world.ctx, &p, "x", 0755), ENOENT);
    fails(vfs_walk(&world.ctx, &p, "x", 0, &q), ENOENT);
    ok(vfs_walk(&world.ctx, &p, "..", 0, &q));
    cr_assert_str_eq(printed(&q), "/");
    path_put(&q);
    path_put(&p);
}

/* A chain so deep that freeing it by recursion would overflow a kernel stack. */
Test(vfs_walk, deep_tree)
{
    struct path at = path_get(&world.ctx.root), next;

    for (int i = 0; i < 20000; i++) {
        ok(vfs_mkdir_at(&world.ctx, &at, "d", 0755));
        ok(vfs_walk(&world.ctx, &at, "d", 0, &next));
        path_put(&at);
        at = next;
    }
    path_put(&at);
}
