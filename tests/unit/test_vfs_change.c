/* Errors and effects of link, unlink, rmdir, rename, attributes; over tmpfs. */
#include "tests/unit/vfs_fixture.h"

VFS_SUITE(vfs_change);

#define C (&world.ctx)
#define U (&world.user)

static int mv(const struct vfs_ctx *ctx, const char *from, const char *to, uint32_t flags)
{
    return vfs_rename_at(ctx, NULL, from, NULL, to, flags);
}

static int ln(const char *from, const char *to)
{
    return vfs_link_at(C, NULL, from, NULL, to, 0);
}

static void tree(void)
{
    ok(vfs_mkdir_at(C, NULL, "d", 0755));
    ok(vfs_mkdir_at(C, NULL, "d/sub", 0755));
    ok(vfs_mkdir_at(C, NULL, "empty", 0755));
    make_file("f");
    make_file("d/g");
}

Test(vfs_change, unlink)
{
    struct file *f;
    struct kstat st;

    tree();
    fails(vfs_unlink_at(C, NULL, "none"), ENOENT);
    fails(vfs_unlink_at(C, NULL, "d"), EISDIR);
    fails(vfs_unlink_at(C, NULL, "d/"), EISDIR);
    fails(vfs_unlink_at(C, NULL, "f/"), ENOTDIR);
    fails(vfs_unlink_at(C, NULL, "."), EISDIR);
    fails(vfs_unlink_at(C, NULL, "/"), EISDIR);
    fails(vfs_unlink_at(U, NULL, "f"), EACCES);
    f = must_open(C, "f", LX_O_RDWR, 0);
    ok(write_at(f, "data", 4, 0));
    ok(vfs_unlink_at(C, NULL, "f"));
    fails(vfs_unlink_at(C, NULL, "f"), ENOENT);
    ok(inode_getattr(f->inode, &st));
    cr_assert_eq(st.nlink, 0);
    cr_assert_eq(st.size, 4);
    cr_assert_str_eq(printed(&f->path), "/f (deleted)");
    fails(vfs_link_at(C, &f->path, "", NULL, "again", LX_AT_EMPTY_PATH), ENOENT);
    file_put(f);
}

Test(vfs_change, rmdir)
{
    tree();
    fails(vfs_rmdir_at(C, NULL, "none"), ENOENT);
    fails(vfs_rmdir_at(C, NULL, "f"), ENOTDIR);
    fails(vfs_rmdir_at(C, NULL, "d"), ENOTEMPTY);
    fails(vfs_rmdir_at(C, NULL, "d/."), EINVAL);
    fails(vfs_rmdir_at(C, NULL, "d/sub/.."), ENOTEMPTY);
    fails(vfs_rmdir_at(C, NULL, "/"), EBUSY);
    fails(vfs_rmdir_at(U, NULL, "empty"), EACCES);
    cr_assert_eq(stat_of("d").nlink, 3);
    ok(vfs_rmdir_at(C, NULL, "d/sub/"));
    cr_assert_eq(stat_of("d").nlink, 2);
    ok(vfs_rmdir_at(C, NULL, "empty"));
    cr_assert_not(exists("empty"));
}

Test(vfs_change, mkdir_and_mknod)
{
    tree();
    fails(vfs_mkdir_at(C, NULL, "d", 0755), EEXIST);
    fails(vfs_mkdir_at(C, NULL, "/", 0755), EEXIST);
    fails(vfs_mkdir_at(C, NULL, ".", 0755), EEXIST);
    fails(vfs_mkdir_at(C, NULL, "f/x", 0755), ENOTDIR);
    fails(vfs_mkdir_at(C, NULL, "none/x", 0755), ENOENT);
    fails(vfs_mkdir_at(U, NULL, "x", 0755), EACCES);
    ok(vfs_mkdir_at(C, NULL, "x/", 07777));
    cr_assert_eq(stat_of("x").mode, LX_S_IFDIR | 01777);
    fails(vfs_mknod_at(C, NULL, "y/", LX_S_IFREG | 0600, 0), ENOENT);
    ok(set_attr(C, "d", (struct setattr){.valid = ATTR_MODE | ATTR_GID, .mode = 02755, .gid = 7}));
    ok(vfs_mkdir_at(C, NULL, "d/inherits", 0755));
    cr_assert_eq(stat_of("d/inherits").mode, LX_S_IFDIR | 02755);
    cr_assert_eq(stat_of("d/inherits").gid, 7);
}

Test(vfs_change, link)
{
    tree();
    fails(ln("none", "x"), ENOENT);
    fails(ln("d", "x"), EPERM);
    fails(ln("f", "d"), EEXIST);
    fails(ln("f", "x/"), ENOENT);
    fails(vfs_link_at(U, NULL, "f", NULL, "x", 0), EACCES);
    fails(vfs_link_at(C, NULL, "f", NULL, "x", 0x800000), EINVAL);
    ok(ln("f", "d/h"));
    cr_assert_eq(stat_of("f").nlink, 2);
    cr_assert_eq(stat_of("f").ino, stat_of("d/h").ino);
    ok(vfs_unlink_at(C, NULL, "f"));
    cr_assert_eq(stat_of("d/h").nlink, 1);
    ok(vfs_symlink_at(C, "d/h", NULL, "s"));
    ok(ln("s", "s2"));
    cr_assert_eq(stat_of("s2").mode & LX_S_IFMT, LX_S_IFLNK);
    ok(vfs_link_at(C, NULL, "s", NULL, "h2", LX_AT_SYMLINK_FOLLOW));
    cr_assert_eq(stat_of("h2").mode & LX_S_IFMT, LX_S_IFREG);
}

Test(vfs_change, tmpfile)
{
    struct file *f;

    ok(vfs_mkdir_at(C, NULL, "d", 0755));
    f = must_open(C, "d", LX_O_TMPFILE | LX_O_RDWR, 0600);
    ok(write_at(f, "abc", 3, 0));
    ok(vfs_link_at(C, &f->path, "", NULL, "named", LX_AT_EMPTY_PATH));
    cr_assert_eq(stat_of("named").nlink, 1);
    cr_assert_eq(stat_of("named").size, 3);
    file_put(f);
    f = must_open(C, "d", LX_O_TMPFILE | LX_O_RDWR | LX_O_EXCL, 0600);
    fails(vfs_link_at(C, &f->path, "", NULL, "x", LX_AT_EMPTY_PATH), ENOENT);
    file_put(f);
    ok(vfs_rmdir_at(C, NULL, "d"));
}

Test(vfs_change, rename_errors)
{
    tree();
    fails(mv(C, "none", "x", 0), ENOENT);
    fails(mv(C, "f", "x/", 0), ENOTDIR);
    fails(mv(C, "f/", "x", 0), ENOTDIR);
    fails(mv(C, "f", "empty", 0), EISDIR);
    fails(mv(C, "empty", "f", 0), ENOTDIR);
    fails(mv(C, "empty", "d", 0), ENOTEMPTY);
    fails(mv(C, "d", "d/sub/x", 0), EINVAL);
    fails(mv(C, "d", "d/x", 0), EINVAL);
    fails(mv(C, "d/sub", "d", 0), ENOTEMPTY);
    fails(mv(C, "d/.", "x", 0), EBUSY);
    fails(mv(C, "d", "empty/..", 0), EBUSY);
    fails(mv(C, "/", "x", 0), EBUSY);
    fails(mv(C, "f", "d/g", LX_RENAME_NOREPLACE), EEXIST);
    fails(mv(C, "f", ".", LX_RENAME_NOREPLACE), EEXIST);
    fails(mv(C, "f", "x", LX_RENAME_EXCHANGE), ENOENT);
    fails(mv(C, "d/sub", "d", LX_RENAME_EXCHANGE), EINVAL);
    fails(mv(C, "f", "x", LX_RENAME_EXCHANGE | LX_RENAME_NOREPLACE), EINVAL);
    fails(mv(C, "f", "x", 0x80), EINVAL);
    fails(mv(U, "f", "x", 0), EACCES);
}

Test(vfs_change, rename)
{
    struct path p;
    uint64_t ino;

    tree();
    ino = stat_of("f").ino;
    ok(mv(C, "f", "a-name-much-longer-than-what-is-kept-inline", 0));
    cr_assert_eq(stat_of("a-name-much-longer-than-what-is-kept-inline").ino, ino);
    cr_assert_not(exists("f"));
    ok(mv(C, "a-name-much-longer-than-what-is-kept-inline", "d/g", 0));
    cr_assert_eq(stat_of("d/g").ino, ino);
    ok(vfs_walk(C, NULL, "d/sub", 0, &p));
    ok(mv(C, "d/sub", "empty", 0));
    cr_assert_str_eq(printed(&p), "/empty");
    path_put(&p);
    cr_assert_eq(stat_of("d").nlink, 2);
    ok(mv(C, "empty", "d/deeper", 0));
    cr_assert_eq(stat_of("d").nlink, 3);
    ok(mv(C, "d/deeper", "d/deeper", 0));
    ok(ln("d/g", "d/same"));
    ok(mv(C, "d/g", "d/same", 0));
    cr_assert(exists("d/g") && exists("d/same"));
    make_file("f");
    ok(mv(C, "f", "d/deeper", LX_RENAME_EXCHANGE));
    cr_assert_eq(stat_of("f").mode & LX_S_IFMT, LX_S_IFDIR);
    cr_assert_eq(stat_of("d/deeper").mode & LX_S_IFMT, LX_S_IFREG);
    cr_assert_eq(stat_of("d").nlink, 2);
    ok(mv(C, "d/same", "moved", LX_RENAME_WHITEOUT));
    cr_assert_eq(stat_of("d/same").mode & LX_S_IFMT, LX_S_IFCHR);
}

Test(vfs_change, sticky)
{
    ok(vfs_mkdir_at(C, NULL, "tmp", 0755));
    ok(set_attr(C, "tmp", (struct setattr){.valid = ATTR_MODE, .mode = 01777}));
    make_file("tmp/roots");
    file_put(must_open(U, "tmp/mine", LX_O_CREAT | LX_O_WRONLY, 0600));
    fails(vfs_unlink_at(U, NULL, "tmp/roots"), EPERM);
    fails(mv(U, "tmp/roots", "tmp/x", 0), EPERM);
    fails(mv(U, "tmp/mine", "tmp/roots", 0), EPERM);
    ok(vfs_unlink_at(U, NULL, "tmp/mine"));
}

Test(vfs_change, attributes)
{
    struct kstat st;

    ok(set_attr(C, "/", (struct setattr){.valid = ATTR_MODE, .mode = 0777}));
    file_put(must_open(U, "mine", LX_O_CREAT | LX_O_WRONLY, 0600));
    make_file("roots");
    fails(set_attr(U, "roots", (struct setattr){.valid = ATTR_MODE, .mode = 0777}), EPERM);
    fails(set_attr(U, "roots", (struct setattr){.valid = ATTR_ATIME, .atime_ns = 1}), EPERM);
    fails(set_attr(U, "roots", (struct setattr){.valid = ATTR_TIMES_NOW}), EACCES);
    fails(set_attr(U, "mine", (struct setattr){.valid = ATTR_UID, .uid = 0}), EPERM);
    fails(set_attr(U, "mine", (struct setattr){.valid = ATTR_GID, .gid = 5}), EPERM);
    ok(set_attr(U, "mine", (struct setattr){.valid = ATTR_GID, .gid = 1000}));
    ok(set_attr(C, "mine",
                (struct setattr){.valid = ATTR_MODE | ATTR_GID, .mode = 06755, .gid = 5}));
    ok(set_attr(U, "mine", (struct setattr){.valid = ATTR_MODE, .mode = 06755}));
    cr_assert_eq(stat_of("mine").mode & 07777, 04755, "setgid needs the group");
    ok(set_attr(C, "mine", (struct setattr){.valid = ATTR_MODE, .mode = 06755}));
    ok(set_attr(C, "mine", (struct setattr){.valid = ATTR_UID, .uid = 1000}));
    cr_assert_eq(stat_of("mine").mode & 07777, 0755, "chown clears setid bits");
    ok(set_attr(C, "mine", (struct setattr){.valid = ATTR_MODE, .mode = 06755}));
    ok(set_attr(U, "mine", (struct setattr){.valid = ATTR_SIZE, .size = 10}));
    cr_assert_eq(stat_of("mine").mode & 07777, 0755, "truncate clears setid bits");
    ok(set_attr(U, "mine",
                (struct setattr){.valid = ATTR_ATIME | ATTR_MTIME, .atime_ns = 5, .mtime_ns = 6}));
    st = stat_of("mine");
    cr_assert(st.atime_ns == 5 && st.mtime_ns == 6 && st.size == 10);
    fails(set_attr(C, "/", (struct setattr){.valid = ATTR_SIZE}), EISDIR);
    world.user.fsize_limit = 20;
    fails(set_attr(U, "mine", (struct setattr){.valid = ATTR_SIZE, .size = 21}), EFBIG);
    ok(set_attr(U, "mine", (struct setattr){.valid = ATTR_SIZE, .size = 20}));
}

Test(vfs_change, xattrs)
{
    char buf[64];
    struct path p;

    make_file("f");
    ok(vfs_walk(C, NULL, "f", 0, &p));
    fails(vfs_getxattr(C, &p, "user.a", buf, 64), ENODATA);
    fails(vfs_setxattr(C, &p, "other.a", "x", 1, 0), EOPNOTSUPP);
    fails(vfs_setxattr(U, &p, "user.a", "x", 1, 0), EACCES);
    fails(vfs_setxattr(U, &p, "trusted.a", "x", 1, 0), EPERM);
    fails(vfs_setxattr(C, &p, "user.a", "x", 1, LX_XATTR_REPLACE), ENODATA);
    ok(vfs_setxattr(C, &p, "user.a", "hello", 5, LX_XATTR_CREATE));
    fails(vfs_setxattr(C, &p, "user.a", "x", 1, LX_XATTR_CREATE), EEXIST);
    ok(vfs_setxattr(C, &p, "trusted.b", "x", 1, 0));
    cr_assert_eq(vfs_getxattr(C, &p, "user.a", NULL, 0), 5);
    fails(vfs_getxattr(C, &p, "user.a", buf, 2), ERANGE);
    cr_assert_eq(vfs_listxattr(C, &p, buf, 64), 17);
    cr_assert_eq(vfs_listxattr(U, &p, buf, 64), 7);
    fails(vfs_getxattr(U, &p, "trusted.b", buf, 64), ENODATA);
    ok(vfs_removexattr(C, &p, "user.a"));
    fails(vfs_removexattr(C, &p, "user.a"), ENODATA);
    path_put(&p);
}
