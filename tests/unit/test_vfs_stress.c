/* Several threads at once on one small tree: lock order (debug builds), counts, and a tree that is
 * whole at the end. */
#include <pthread.h>

#include "tests/unit/vfs_fixture.h"

VFS_SUITE(vfs_stress);

#define C       (&world.ctx)
#define THREADS 4
#define STEPS   3000

static void random_path(struct random *r, char *out, size_t size)
{
    static const char *const dirs[] = {"", "a/", "b/", "a/x/", "b/y/", "a/x/z/"};
    static const char *const names[] = {"a", "b", "x", "y", "z", "f", "g"};

    snprintf(out, size, "%s%s", dirs[random_below(r, 6)], names[random_below(r, 7)]);
}

static void step(struct random *r)
{
    char p[32], q[32];
    struct path path;
    struct file *f;
    int err = 0;

    random_path(r, p, sizeof(p));
    random_path(r, q, sizeof(q));
    switch (random_below(r, 10)) {
    case 0:
        err = vfs_mkdir_at(C, NULL, p, 0755);
        break;
    case 1:
        err = vfs_rmdir_at(C, NULL, p);
        break;
    case 2:
        err = vfs_unlink_at(C, NULL, p);
        break;
    case 3:
        err = vfs_rename_at(C, NULL, p, NULL, q, 0);
        break;
    case 4:
        err = vfs_rename_at(C, NULL, p, NULL, q, LX_RENAME_EXCHANGE);
        break;
    case 5:
        err = vfs_link_at(C, NULL, p, NULL, q, 0);
        break;
    case 6:
        err = vfs_symlink_at(C, q, NULL, p);
        break;
    case 7:
        err = vfs_walk(C, NULL, p, WALK_FOLLOW, &path);
        if (err == 0) {
            struct strbuf sb;

            strbuf_init(&sb);
            (void)path_print(&path, &C->root, true, &sb);
            strbuf_free(&sb);
            path_put(&path);
        }
        break;
    default:
        err = vfs_open_at(C, NULL, p, LX_O_CREAT | LX_O_RDWR, 0644, 0, &f);
        if (err == 0) {
            static const char data[5000];

            (void)write_at(f, data, random_below(r, sizeof(data)), random_below(r, 6000));
            file_put(f);
        }
    }
    cr_assert(err != -ENOMEM && err != -EFAULT, "%d", err);
}

static void *run(void *arg)
{
    struct random r = {(uint64_t)(uintptr_t)arg};

    for (int i = 0; i < STEPS; i++)
        step(&r);
    return NULL;
}

Test(vfs_stress, changes)
{
    pthread_t threads[THREADS];

    for (uintptr_t i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, run, (void *)(i + 1)), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

/*
 * Walks in the cache against all that changes it: x and y, exchanged all the time, hold one file
 * each, A and B; a third directory has names come and go, so that dentries are used anew. Whoever
 * finds something finds the right thing.
 */
static struct {
    uint64_t ino[2];
    uint32_t stop;
    uint64_t found;
} truth;

static void *churn(void *arg)
{
    for (uint32_t i = 0; !__atomic_load_n(&truth.stop, __ATOMIC_RELAXED); i++) {
        char p[32];

        ok(vfs_rename_at(C, NULL, "x", NULL, "y", LX_RENAME_EXCHANGE));
        snprintf(p, sizeof(p), "c/%s", i & 1 ? "A" : "B");
        make_file(p);
        ok(vfs_rename_at(C, NULL, p, NULL, "c/and-a-name-that-is-kept-apart-from-the-dentry", 0));
        ok(vfs_unlink_at(C, NULL, "c/and-a-name-that-is-kept-apart-from-the-dentry"));
        ok(vfs_mkdir_at(C, NULL, "c/x", 0755));
        make_file("c/x/A");
        ok(vfs_unlink_at(C, NULL, "c/x/A"));
        ok(vfs_rmdir_at(C, NULL, "c/x"));
    }
    return NULL;
}

static void *look(void *arg)
{
    static const char *const paths[] = {"x/A", "y/A", "x/B", "/y/./B"};
    uint64_t found = 0;

    for (int i = 0; i < 40000; i++) {
        struct path path;

        if (vfs_walk(C, NULL, paths[i & 3], WALK_FOLLOW, &path) < 0)
            continue;
        cr_assert_eq(path.dentry->inode->ino, truth.ino[(i & 3) / 2]);
        path_put(&path);
        found++;
    }
    __atomic_fetch_add(&truth.found, found, __ATOMIC_RELAXED);
    return NULL;
}

Test(vfs_stress, walks_find_what_is_there)
{
    pthread_t changer, threads[3];

    ok(vfs_mkdir_at(C, NULL, "x", 0755));
    ok(vfs_mkdir_at(C, NULL, "y", 0755));
    ok(vfs_mkdir_at(C, NULL, "c", 0755));
    make_file("x/A");
    make_file("y/B");
    truth.ino[0] = stat_of("x/A").ino;
    truth.ino[1] = stat_of("y/B").ino;
    cr_assert_eq(pthread_create(&changer, NULL, churn, NULL), 0);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, look, NULL), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    __atomic_store_n(&truth.stop, 1, __ATOMIC_RELAXED);
    pthread_join(changer, NULL);
    cr_assert_gt(truth.found, 0);
}
