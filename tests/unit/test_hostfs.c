/* hostfs and the overlay over it: what is believed of a host tree that changes behind them. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/hostfs/hostfs.h"
#include "fs/overlay/overlay.h"
#include "tests/unit/vfs_fixture.h"

static char host_dir[64];

static void host_write(const char *name, const char *text)
{
    char path[128];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", host_dir, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void host_remove(const char *name)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", host_dir, name);
    cr_assert_eq(remove(path), 0);
}

static void host_symlink(const char *target, const char *name)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", host_dir, name);
    cr_assert_eq(symlink(target, path), 0);
}

/* A host directory with d/f ("old") and d/l (a link to f), on /h. */
static void mount_host(enum hostfs_cache cache, bool overlaid)
{
    struct hostfs_options options = {.readonly = overlaid, .cache = cache, .keep_files = 2048};
    struct superblock *sb, *upper, *merged;
    struct path at;
    char path[128];

    snprintf(host_dir, sizeof(host_dir), "/tmp/test_hostfs.XXXXXX");
    cr_assert_not_null(mkdtemp(host_dir));
    snprintf(path, sizeof(path), "%s/d", host_dir);
    cr_assert_eq(mkdir(path, 0755), 0);
    host_write("d/f", "old");
    host_symlink("f", "d/l");
    ok(hostfs_create(open(host_dir, O_RDONLY | O_DIRECTORY), &options, &sb));
    if (overlaid) {
        ok(tmpfs_create(&(struct tmpfs_options){.mode = 0755}, &upper));
        ok(overlay_create(upper, sb, &merged));
        sb_put(upper);
        sb_put(sb);
        sb = merged;
    }
    ok(vfs_mkdir_at(&world.ctx, NULL, "/h", 0755));
    ok(vfs_walk(&world.ctx, NULL, "/h", 0, &at));
    ok(mount_add(&at, sb, "host", 0));
    sb_put(sb);
    path_put(&at);
}

static void hostfs_teardown(void)
{
    char command[128];

    vfs_world_teardown();
    snprintf(command, sizeof(command), "rm -rf %s", host_dir);
    if (host_dir[0])
        (void)!system(command);
}

TestSuite(hostfs, .init = vfs_world_setup, .fini = hostfs_teardown);

/* What reading a file from its start gives; "-" when it cannot be opened. */
static const char *contents(const char *name)
{
    static char text[64];
    struct file *f;
    int64_t n;

    if (vfs_open_at(&world.ctx, NULL, name, LX_O_RDONLY, 0, 0, &f) < 0)
        return "-";
    n = read_at(f, text, sizeof(text) - 1, -1);
    cr_assert_geq(n, 0);
    cr_assert_eq(read_at(f, text + n, sizeof(text) - 1 - (size_t)n, -1), 0);
    text[n] = '\0';
    file_put(f);
    return text;
}

static bool becomes(const char *name, const char *text)
{
    for (int i = 0; i < 500; i++) {
        if (strcmp(contents(name), text) == 0)
            return true;
        usleep(10000);
    }
    return false;
}

static bool size_becomes(const char *name, uint64_t size)
{
    for (int i = 0; i < 500 && stat_of(name).size != size; i++)
        usleep(10000);
    return stat_of(name).size == size;
}

/* Files put in others' places keep being seen as they were where the tree is the guest's alone. */
static void is_exclusive(void)
{
    cr_assert_str_eq(contents("/h/d/f"), "old");
    cr_assert_str_eq(contents("/h/d/l"), "old");
    cr_assert_str_eq(contents("/h/d/new"), "-");
    host_remove("d/f");
    host_remove("d/l");
    host_write("d/f", "newer");
    host_write("d/new", "new");
    cr_assert_str_eq(contents("/h/d/f"), "old");
    cr_assert_str_eq(contents("/h/d/l"), "old");
    cr_assert_eq(stat_of("/h/d/f").size, 3);
    cr_assert_str_eq(contents("/h/d/new"), "-");
}

Test(hostfs, exclusive)
{
    mount_host(HOSTFS_EXCLUSIVE, false);
    is_exclusive();
}

Test(hostfs, exclusive_overlaid)
{
    mount_host(HOSTFS_EXCLUSIVE, true);
    is_exclusive();
}

/* And with the host changing it: all of it is seen before long, an open file stays what it is. */
static void sees_changes(void)
{
    struct file *f = must_open(&world.ctx, "/h/d/f", LX_O_RDONLY, 0);
    char text[8] = "";

    cr_assert_str_eq(contents("/h/d/f"), "old");
    cr_assert_str_eq(contents("/h/d/l"), "old");
    cr_assert_str_eq(contents("/h/d/new"), "-");
    host_remove("d/f");
    host_write("d/f", "newer");
    host_write("d/new", "new");
    host_remove("d/l");
    host_symlink("new", "d/l");
    cr_assert(becomes("/h/d/f", "newer"));
    cr_assert(becomes("/h/d/new", "new"));
    cr_assert(becomes("/h/d/l", "new"));
    cr_assert(size_becomes("/h/d/f", 5));
    host_write("d/f", "longer yet");
    cr_assert(becomes("/h/d/f", "longer yet"));
    cr_assert(size_becomes("/h/d/f", 10));
    host_remove("d/f");
    cr_assert(becomes("/h/d/f", "-"));
    cr_assert(!exists("/h/d/f"));
    cr_assert_eq(read_at(f, text, 3, 0), 3);
    cr_assert_str_eq(text, "old");
    file_put(f);
}

Test(hostfs, timed)
{
    mount_host(HOSTFS_TIMED, false);
    sees_changes();
}

Test(hostfs, timed_overlaid)
{
    mount_host(HOSTFS_TIMED, true);
    sees_changes();
}

Test(hostfs, shared)
{
    mount_host(HOSTFS_SHARED, false);
    cr_assert_str_eq(contents("/h/d/f"), "old");
    host_remove("d/f");
    host_write("d/f", "newer"); /* at once, not before long */
    cr_assert_str_eq(contents("/h/d/f"), "newer");
    cr_assert_eq(stat_of("/h/d/f").size, 5);
    host_remove("d/f");
    host_write("d/f", "old");
    sees_changes();
}

/* What the guest changed is no longer the host's to change. */
Test(hostfs, timed_copied_up)
{
    struct file *f;

    mount_host(HOSTFS_TIMED, true);
    f = must_open(&world.ctx, "/h/d/f", LX_O_WRONLY, 0);
    cr_assert_eq(write_at(f, "own", 3, 0), 3);
    file_put(f);
    ok(vfs_unlink_at(&world.ctx, NULL, "/h/d/l"));
    host_write("d/f", "newer");
    usleep(1200000);
    cr_assert_str_eq(contents("/h/d/f"), "own");
    cr_assert(!exists("/h/d/l"));
}

Test(hostfs, more_files_than_are_kept)
{
    char name[32];

    mount_host(HOSTFS_EXCLUSIVE, true);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 3000; i++) {
            snprintf(name, sizeof(name), "d/%d", i);
            if (round == 0)
                host_write(name, name);
            snprintf(name, sizeof(name), "/h/d/%d", i);
            cr_assert_str_eq(contents(name), name + 3);
        }
    }
}

/* Kept descriptors give way to what is needed. */
Test(hostfs, fewer_descriptors_than_are_kept)
{
    struct rlimit few = {.rlim_cur = 100, .rlim_max = 100};
    struct file *files[50];
    char name[32];

    mount_host(HOSTFS_EXCLUSIVE, true);
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "d/%d", i);
        host_write(name, name);
    }
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "/h/d/%d", i);
        cr_assert_str_eq(contents(name), name + 3);
    }
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof(name), "/h/d/%d", i);
        files[i] = must_open(&world.ctx, name, LX_O_RDONLY, 0);
    }
    for (int i = 0; i < 50; i++)
        file_put(files[i]);
}

/* Own changes of a tree without an overlay. */
Test(hostfs, own_changes)
{
    struct file *f;
    char text[8] = "";

    mount_host(HOSTFS_EXCLUSIVE, false);
    cr_assert_str_eq(contents("/h/d/f"), "old");
    f = must_open(&world.ctx, "/h/d/f", LX_O_RDWR | LX_O_APPEND, 0);
    cr_assert_eq(write_at(f, "er", 2, -1), 2);
    cr_assert_str_eq(contents("/h/d/f"), "older");
    ok(vfs_truncate_file(&world.ctx, f, 1));
    cr_assert_str_eq(contents("/h/d/f"), "o");
    ok(vfs_unlink_at(&world.ctx, NULL, "/h/d/f"));
    cr_assert_str_eq(contents("/h/d/f"), "-");
    cr_assert_eq(read_at(f, text, 8, 0), 1);
    file_put(f);
    file_put(must_open(&world.ctx, "/h/d/f", LX_O_CREAT | LX_O_WRONLY, 0644));
    cr_assert_str_eq(contents("/h/d/f"), "");
}
