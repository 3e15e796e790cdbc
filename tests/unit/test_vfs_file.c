/* tmpfs file data against a simple model, listings, limits, memfds, descriptor tables and locks. */
#include "fs/fdtable.h"
#include "fs/filelock.h"
#include "tests/unit/vfs_fixture.h"

VFS_SUITE(vfs_file);

#define C         (&world.ctx)
#define MODEL_MAX 300000

static unsigned char model[MODEL_MAX], got[MODEL_MAX];

static void check_all(struct file *f, size_t size)
{
    int64_t n = read_at(f, got, MODEL_MAX, 0);

    cr_assert_eq(n, (int64_t)size, "size %ld, model %zu", (long)n, size);
    for (size_t i = 0; i < size; i++)
        cr_assert_eq(got[i], model[i], "byte %zu of %zu", i, size);
}

static void random_ops(uint64_t seed, uint32_t limit, int steps)
{
    struct random r = {seed};
    struct file *f = must_open(C, "m", LX_O_CREAT | LX_O_RDWR | LX_O_TRUNC, 0600);
    static unsigned char data[70000];
    size_t size = 0;

    memset(model, 0, sizeof(model));
    for (int i = 0; i < steps; i++) {
        uint32_t at = random_below(&r, limit), n = random_below(&r, MIN(limit, sizeof(data)));

        n = MIN(n, limit - at);
        switch (random_below(&r, 6)) {
        case 0:
        case 1:
            for (uint32_t j = 0; j < n; j++)
                data[j] = (unsigned char)random_next(&r);
            cr_assert_eq(write_at(f, data, n, at), n);
            memcpy(model + at, data, n);
            size = n ? MAX(size, at + n) : size;
            break;
        case 2:
            ok(vfs_truncate_file(C, f, at));
            if (at < size)
                memset(model + at, 0, size - at);
            size = at;
            break;
        case 3:
            if (n == 0)
                break;
            ok(file_ops_of(f)->fallocate(f, LX_FALLOC_FL_PUNCH_HOLE | LX_FALLOC_FL_KEEP_SIZE, at,
                                         n));
            memset(model + at, 0, n);
            break;
        case 4:
            if (n == 0 || limit <= 4096)
                break;
            ok(file_ops_of(f)->fallocate(f, 0, at, n));
            size = MAX(size, at + n);
            break;
        default: {
            int64_t want = at < size ? (int64_t)MIN((size_t)n, size - at) : 0;

            cr_assert_eq(read_at(f, got, n, at), want);
            cr_assert_eq(memcmp(got, model + at, (size_t)want), 0);
        }
        }
        cr_assert_eq(stat_of("m").size, size);
    }
    check_all(f, size);
    file_put(f);
}

Test(vfs_file, model_small)
{
    for (uint64_t seed = 1; seed <= 20; seed++)
        random_ops(seed, 4096, 200);
}

Test(vfs_file, model_large)
{
    for (uint64_t seed = 1; seed <= 5; seed++)
        random_ops(seed, MODEL_MAX, 200);
}

Test(vfs_file, model_between)
{
    for (uint64_t seed = 1; seed <= 20; seed++)
        random_ops(seed, 9000, 60);
}

Test(vfs_file, position_and_append)
{
    struct file *f = must_open(C, "f", LX_O_CREAT | LX_O_RDWR, 0600), *a;
    char buf[16];

    cr_assert_eq(write_at(f, "hello", 5, -1), 5);
    cr_assert_eq(file_llseek(f, 0, LX_SEEK_CUR), 5);
    cr_assert_eq(file_llseek(f, -2, LX_SEEK_END), 3);
    cr_assert_eq(read_at(f, buf, 16, -1), 2);
    fails(file_llseek(f, -1, LX_SEEK_SET), EINVAL);
    fails(file_llseek(f, 0, 9), EINVAL);
    cr_assert_eq(file_llseek(f, 1, LX_SEEK_DATA), 1);
    cr_assert_eq(file_llseek(f, 1, LX_SEEK_HOLE), 5);
    fails(file_llseek(f, 5, LX_SEEK_DATA), ENXIO);
    a = must_open(C, "f", LX_O_WRONLY | LX_O_APPEND, 0);
    cr_assert_eq(write_at(a, "!", 1, 0), 1);
    cr_assert_eq(stat_of("f").size, 6);
    fails(read_at(a, buf, 1, -1), EBADF);
    file_put(a);
    a = must_open(C, "f", LX_O_RDONLY, 0);
    fails(write_at(a, "x", 1, -1), EBADF);
    file_put(a);
    a = must_open(C, "f", LX_O_WRONLY | LX_O_TRUNC, 0);
    cr_assert_eq(stat_of("f").size, 0);
    file_put(a);
    file_put(f);
}

Test(vfs_file, size_limit)
{
    struct file *f = must_open(C, "f", LX_O_CREAT | LX_O_WRONLY, 0600);
    struct uio uio;
    char data[20] = "";
    int64_t pos = 5;

    uio_init_kernel(&uio, data, 20);
    cr_assert_eq(file_write(f, &uio, &pos, 10), 5);
    cr_assert_eq(uio.left, 15);
    fails(file_write(f, &uio, &pos, 10), EFBIG);
    file_put(f);
}

Test(vfs_file, sparse)
{
    struct file *f = must_open(C, "f", LX_O_CREAT | LX_O_RDWR, 0600);

    cr_assert_eq(write_at(f, "x", 1, 1 << 20), 1);
    cr_assert_eq(file_llseek(f, 0, LX_SEEK_DATA), 1 << 20);
    cr_assert_eq(file_llseek(f, 0, LX_SEEK_HOLE), 0);
    cr_assert_leq(stat_of("f").blocks, 16);
    ok(file_ops_of(f)->fallocate(f, LX_FALLOC_FL_KEEP_SIZE, 0, 4 << 20));
    cr_assert_eq(stat_of("f").size, (1 << 20) + 1);
    cr_assert_geq(stat_of("f").blocks, (4 << 20) / 512);
    fails(file_ops_of(f)->fallocate(f, LX_FALLOC_FL_ZERO_RANGE, 0, 1), EOPNOTSUPP);
    fails(file_ops_of(f)->fallocate(f, 0, 0, 0), EINVAL);
    file_put(f);
}

struct listing {
    struct dir_filler df;
    int room;
    int count;
    uint64_t seen[8]; /* bit n: entry fN was given */
};

static bool take(struct dir_filler *df, const char *name, size_t size, uint64_t ino, uint32_t type,
                 uint64_t cookie)
{
    struct listing *l = (struct listing *)df;
    int n;

    if (l->room == 0)
        return false;
    l->room--;
    l->count++;
    if (sscanf(name, "f%d", &n) == 1) {
        cr_assert_not(l->seen[n / 64] & (1UL << (n % 64)), "%s twice", name);
        l->seen[n / 64] |= 1UL << (n % 64);
    }
    return true;
}

/* Removing and adding while listing: what stays is seen once. */
Test(vfs_file, readdir_stable)
{
    struct listing l = {.df = {take}};
    struct file *d;
    char name[16];

    ok(vfs_mkdir_at(C, NULL, "d", 0755));
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "d/f%d", i);
        make_file(name);
    }
    d = must_open(C, "d", LX_O_RDONLY | LX_O_DIRECTORY, 0);
    for (int i = 0;; i++) {
        int before = l.count;

        l.room = 7;
        ok(file_readdir(d, &l.df));
        if (l.count == before)
            break;
        if (i < 10) {
            snprintf(name, sizeof(name), "d/f%d", 2 * i);
            ok(vfs_unlink_at(C, NULL, name));
            snprintf(name, sizeof(name), "d/f%d", 300 + i);
            make_file(name);
        }
    }
    for (int i = 21; i < 200; i++)
        cr_assert(l.seen[i / 64] & (1UL << (i % 64)), "f%d missed", i);
    cr_assert_eq(file_llseek(d, 0, LX_SEEK_SET), 0);
    l = (struct listing){.df = {take}, .room = 1000};
    ok(file_readdir(d, &l.df));
    cr_assert_eq(l.count, 202);
    fails(read_at(d, name, 1, -1), EISDIR);
    file_put(d);
}

Test(vfs_file, descriptors)
{
    struct fdtable *t = fdtable_create(), *copy;
    struct file *f = must_open(C, "f", LX_O_CREAT | LX_O_RDWR, 0600), *found;

    cr_assert_eq(fdtable_install(t, file_get(f), 0, false, 1024), 0);
    cr_assert_eq(fdtable_install(t, file_get(f), 0, true, 1024), 1);
    cr_assert_eq(fdtable_install(t, file_get(f), 500, false, 1024), 500);
    cr_assert_eq(fdtable_install(t, file_get(f), 0, false, 1024), 2);
    fails(fdtable_install(t, f, 0, false, 3), EMFILE);
    ok(fdtable_close(t, 1));
    fails(fdtable_close(t, 1), EBADF);
    fails(fdtable_close(t, -1), EBADF);
    cr_assert_eq(fdtable_install(t, file_get(f), 0, true, 1024), 1);
    cr_assert_eq(fdtable_replace(t, 700, file_get(f), true, 1024), 700);
    fails(fdtable_replace(t, 1024, f, true, 1024), EBADF);
    ok(fdtable_copy(t, &copy));
    fdtable_close_on_exec(copy);
    cr_assert_eq(fdtable_next(copy, 1), 2);
    cr_assert_eq(fdtable_next(copy, 501), -1);
    found = fdtable_file(copy, 500, false);
    cr_assert_eq(found, f);
    file_put(found);
    fdtable_close_range(t, 2, UINT32_MAX, false);
    cr_assert_eq(t->open_count, 2);
    cr_assert_eq(fdtable_get_cloexec(t, 1), 1);
    ok(fdtable_set_cloexec(t, 1, false));
    cr_assert_eq(fdtable_get_cloexec(t, 1), 0);
    fdtable_put(copy);
    fdtable_put(t);
    file_put(f);
}

static struct filelock_range range(int type, int64_t start, int64_t end)
{
    return (struct filelock_range){type, 1, start, end};
}

static int lock(struct file *f, struct fdtable *t, int type, int64_t start, int64_t end)
{
    struct filelock_range req = range(type, start, end);

    return filelock_set(f, t, FILELOCK_POSIX, &req, NULL);
}

Test(vfs_file, posix_locks)
{
    struct fdtable *a = fdtable_create(), *b = fdtable_create();
    struct file *f = must_open(C, "f", LX_O_CREAT | LX_O_RDWR, 0600);
    struct filelock_range probe;

    ok(lock(f, a, LX_F_WRLCK, 0, 99));
    ok(lock(f, a, LX_F_UNLCK, 40, 59));
    fails(lock(f, b, LX_F_RDLCK, 0, 39), EAGAIN);
    ok(lock(f, b, LX_F_WRLCK, 40, 59));
    fails(lock(f, b, LX_F_WRLCK, 59, 60), EAGAIN);
    ok(lock(f, a, LX_F_RDLCK, 0, 10));
    ok(lock(f, b, LX_F_RDLCK, 5, 10));
    probe = range(LX_F_WRLCK, 0, INT64_MAX);
    ok(filelock_test(f, b, FILELOCK_POSIX, &probe));
    cr_assert(probe.type == LX_F_RDLCK && probe.start == 0 && probe.end == 10);
    ok(lock(f, b, LX_F_UNLCK, 0, INT64_MAX));
    ok(lock(f, a, LX_F_WRLCK, 0, 10));
    ok(lock(f, a, LX_F_WRLCK, 40, 59));
    probe = range(LX_F_WRLCK, 0, INT64_MAX);
    ok(filelock_test(f, b, FILELOCK_POSIX, &probe));
    cr_assert(probe.type == LX_F_WRLCK && probe.start == 0 && probe.end == 99, "merged");
    filelocks_release_posix(f->inode, a);
    ok(lock(f, b, LX_F_WRLCK, 0, INT64_MAX));
    filelocks_release_posix(f->inode, b);
    file_put(f);
    fdtable_put(a);
    fdtable_put(b);
}

Test(vfs_file, lock_circle)
{
    struct fdtable *a = fdtable_create(), *b = fdtable_create();
    struct file *f = must_open(C, "f", LX_O_CREAT | LX_O_RDWR, 0600);
    struct filelock_wait *wa = NULL, *wb = NULL;
    struct filelock_range low = range(LX_F_WRLCK, 0, 9), high = range(LX_F_WRLCK, 10, 19);

    ok(filelock_set(f, a, FILELOCK_POSIX, &low, NULL));
    ok(filelock_set(f, b, FILELOCK_POSIX, &high, NULL));
    fails(filelock_set(f, a, FILELOCK_POSIX, &high, &wa), EAGAIN);
    fails(filelock_set(f, b, FILELOCK_POSIX, &low, &wb), EDEADLK);
    filelock_wait_end(&wb);
    filelocks_release_posix(f->inode, b);
    ok(filelock_set(f, a, FILELOCK_POSIX, &high, &wa));
    filelock_wait_end(&wa);
    filelocks_release_posix(f->inode, a);
    file_put(f);
    fdtable_put(a);
    fdtable_put(b);
}

Test(vfs_file, flock_and_ofd)
{
    struct file *f = must_open(C, "f", LX_O_CREAT | LX_O_RDWR, 0600),
                *g = must_open(C, "f", LX_O_RDWR, 0);
    struct filelock_range all = range(LX_F_WRLCK, 0, INT64_MAX);

    ok(filelock_flock(f, LX_LOCK_SH));
    ok(filelock_flock(g, LX_LOCK_SH));
    fails(filelock_flock(f, LX_LOCK_EX), EAGAIN);
    ok(filelock_flock(g, LX_LOCK_UN));
    ok(filelock_flock(f, LX_LOCK_EX));
    ok(filelock_set(g, NULL, FILELOCK_OFD, &all, NULL));
    fails(filelock_set(f, NULL, FILELOCK_OFD, &all, NULL), EAGAIN);
    file_put(g);
    ok(filelock_set(f, NULL, FILELOCK_OFD, &all, NULL));
    file_put(f);
}

Test(vfs_file, memfd_seals)
{
    struct file *f;

    ok(tmpfs_create_memfd("name", 2 /* MFD_ALLOW_SEALING */, C->cred, &f));
    cr_assert_str_eq(printed(&f->path), "/memfd:name (deleted)");
    cr_assert_eq(write_at(f, "data", 4, 0), 4);
    ok(file_ops_of(f)->add_seals(f, LX_F_SEAL_SHRINK));
    fails(vfs_truncate_file(C, f, 1), EPERM);
    ok(vfs_truncate_file(C, f, 8));
    ok(file_ops_of(f)->add_seals(f, LX_F_SEAL_GROW));
    fails(vfs_truncate_file(C, f, 9), EPERM);
    fails(write_at(f, "xx", 2, 7), EPERM);
    ok(write_at(f, "xx", 2, 6));
    ok(file_ops_of(f)->add_seals(f, LX_F_SEAL_WRITE | LX_F_SEAL_SEAL));
    fails(write_at(f, "x", 1, 0), EPERM);
    fails(file_ops_of(f)->add_seals(f, LX_F_SEAL_GROW), EPERM);
    cr_assert_eq(file_ops_of(f)->get_seals(f), 15);
    file_put(f);
    ok(tmpfs_create_memfd("", 0, C->cred, &f));
    fails(file_ops_of(f)->add_seals(f, LX_F_SEAL_GROW), EPERM);
    file_put(f);
    fails(tmpfs_create_memfd("", 0x8000, C->cred, &f), EINVAL);
}

static void limited_setup(void)
{
    struct tmpfs_options o = {.mode = 0755};

    fixture_setup();
    fails(tmpfs_parse_options("size=1q", &o), EINVAL);
    fails(tmpfs_parse_options("bogus", &o), EINVAL);
    ok(tmpfs_parse_options("size=64k,nr_inodes=5,mode=1777,uid=3", &o));
    cr_assert(o.size == 65536 && o.nr_inodes == 5 && o.mode == 01777 && o.uid == 3);
    fixture_teardown();
    vfs_world_setup_with(&o);
}

TestSuite(vfs_limits, .init = limited_setup, .fini = vfs_world_teardown);

Test(vfs_limits, space_and_inodes)
{
    static char data[100000];
    struct file *f = must_open(C, "f", LX_O_CREAT | LX_O_RDWR, 0600), *g;
    struct kstatfs st;

    cr_assert_eq(write_at(f, data, sizeof(data), 0), 65536, "as much as there is room for");
    fails(write_at(f, data, 1, 65536), ENOSPC);
    cr_assert_eq(write_at(f, data, 1000, 100), 1000, "what exists may be written over");
    g = must_open(C, "g", LX_O_CREAT | LX_O_RDWR, 0600);
    fails(write_at(g, data, 1, 0), ENOSPC);
    ok(vfs_truncate_file(C, f, 4096 * 2));
    ok(vfs_statfs(&C->root, &st));
    cr_assert_eq(st.blocks, 16);
    cr_assert_eq(st.bfree, 14);
    cr_assert_eq(write_at(g, data, 1, 0), 1);
    fails(file_ops_of(g)->fallocate(g, 0, 0, 20 * 4096), ENOSPC);
    file_put(g);
    ok(vfs_unlink_at(C, NULL, "f"));
    file_put(f);
    ok(vfs_statfs(&C->root, &st));
    cr_assert_eq(st.bfree, 15);
    for (int i = 0; i < 3; i++) {
        char name[4] = {'n', (char)('0' + i), 0};

        make_file(name);
    }
    fails(try_open(C, "more", LX_O_CREAT | LX_O_WRONLY, 0600), ENOSPC);
    fails(vfs_mkdir_at(C, NULL, "more", 0755), ENOSPC);
}
