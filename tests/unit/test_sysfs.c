/* sysfs: what it says for one, few and many CPUs; listings agree with look-ups. */
#include "fs/sysfs/sysfs.h"
#include "sentry/base/arena.h"
#include "tests/unit/vfs_fixture.h"

VFS_SUITE(sysfs);

#define CPUS "/sys/devices/system/cpu/"

static void mount_with(uint32_t cpus)
{
    struct superblock *sb;
    struct path p;

    ro_globals.cpu_count = cpus;
    ok(vfs_mkdir_at(&world.ctx, NULL, "/sys", 0755));
    ok(vfs_walk(&world.ctx, NULL, "/sys", 0, &p));
    ok(sysfs_create(&sb));
    ok(mount_add(&p, sb, "sysfs", 0));
    sb_put(sb);
    path_put(&p);
}

static void says(const char *name, const char *text)
{
    struct file *f = must_open(&world.ctx, name, LX_O_RDONLY, 0);
    char buf[4096];
    int64_t n = read_at(f, buf, sizeof(buf) - 1, 0);

    cr_assert_geq(n, 0);
    buf[n] = '\0';
    cr_assert_str_eq(buf, text, "%s: %s, not %s", name, buf, text);
    file_put(f);
}

Test(sysfs, one_cpu)
{
    mount_with(1);
    says(CPUS "online", "0\n");
    says(CPUS "cpu0/topology/core_siblings", "1\n");
    says(CPUS "cpu0/topology/core_siblings_list", "0\n");
    fails(try_open(&world.ctx, CPUS "cpu1/topology/core_id", LX_O_RDONLY, 0), ENOENT);
    ro_globals.cpu_count = 0;
}

Test(sysfs, many_cpus)
{
    mount_with(70);
    says(CPUS "online", "0-69\n");
    says(CPUS "offline", "\n");
    says(CPUS "cpu69/online", "1\n");
    says(CPUS "cpu0/topology/thread_siblings", "00,00000000,00000001\n");
    says(CPUS "cpu33/topology/thread_siblings", "00,00000002,00000000\n");
    says(CPUS "cpu33/topology/core_id", "33\n");
    says("/sys/devices/system/node/node0/cpumap", "3f,ffffffff,ffffffff\n");
    fails(try_open(&world.ctx, CPUS "cpu0/online", LX_O_RDONLY, 0), ENOENT);
    fails(try_open(&world.ctx, CPUS "cpu70/online", LX_O_RDONLY, 0), ENOENT);
    fails(try_open(&world.ctx, CPUS "cpu01/online", LX_O_RDONLY, 0), ENOENT);
    fails(try_open(&world.ctx, CPUS "cpu", LX_O_RDONLY, 0), ENOENT);
    ro_globals.cpu_count = 0;
}

Test(sysfs, words_of_a_mask)
{
    mount_with(32);
    says("/sys/devices/system/node/node0/cpumap", "ffffffff\n");
    ro_globals.cpu_count = 33;
    says("/sys/devices/system/node/node0/cpumap", "1,ffffffff\n");
    ro_globals.cpu_count = 0;
}

Test(sysfs, nothing_can_be_written)
{
    struct kstat st;

    mount_with(2);
    fails(try_open(&world.ctx, CPUS "online", LX_O_WRONLY, 0), EACCES);
    fails(try_open(&world.ctx, CPUS "online", LX_O_RDWR | LX_O_TRUNC, 0), EACCES);
    fails(try_open(&world.user, CPUS "online", LX_O_WRONLY, 0), EACCES);
    fails(try_open(&world.ctx, "/sys/new", LX_O_CREAT | LX_O_RDONLY, 0644), EACCES);
    fails(vfs_mkdir_at(&world.ctx, NULL, "/sys/new", 0755), EPERM);
    fails(vfs_unlink_at(&world.ctx, NULL, CPUS "online"), EPERM);
    fails(set_attr(&world.ctx, CPUS "online", (struct setattr){.valid = ATTR_MODE, .mode = 0666}),
          EPERM);
    st = stat_of(CPUS "online");
    cr_assert_eq(st.mode, LX_S_IFREG | 0444U);
    cr_assert_eq(st.size, 4096);
    st = stat_of(CPUS "cpu1");
    cr_assert_eq(st.mode, LX_S_IFDIR | 0555U);
    cr_assert_eq(st.nlink, 3); /* itself, its entry, topology */
    ro_globals.cpu_count = 0;
}

struct counting {
    struct dir_filler df; /* first */
    const char *dir;
    uint32_t seen, room;
};

static bool count_one(struct dir_filler *df, const char *name, size_t name_size, uint64_t ino,
                      uint32_t dtype, uint64_t cookie)
{
    struct counting *c = (struct counting *)df;
    char path[256];

    if (c->room-- == 0)
        return false;
    c->seen++;
    snprintf(path, sizeof(path), "%s/%.*s", c->dir, (int)name_size, name);
    cr_assert_eq(stat_of(path).ino, ino, "%s", path);
    cr_assert_eq(stat_of(path).mode >> 12, dtype, "%s", path);
    return true;
}

/* Listed a few entries at a time; each has the number a look-up gives. */
static uint32_t entries(const char *dir)
{
    struct file *f = must_open(&world.ctx, dir, LX_O_RDONLY | LX_O_DIRECTORY, 0);
    struct counting c = {.df = {.fill = count_one}, .dir = dir};
    uint32_t before;

    do {
        before = c.seen;
        c.room = 3;
        ok(file_readdir(f, &c.df));
    } while (c.seen != before);
    file_put(f);
    return c.seen;
}

Test(sysfs, listings)
{
    mount_with(5);
    cr_assert_eq(entries("/sys/devices/system/cpu"), 2 + 6 + 5);
    cr_assert_eq(entries("/sys/devices/system/cpu/cpu0"), 2 + 1);
    cr_assert_eq(entries("/sys/devices/system/cpu/cpu4"), 2 + 2);
    cr_assert_eq(entries("/sys/block"), 2);
    ro_globals.cpu_count = 0;
}
