/* Host call wrappers: conversions and error passing. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/base/arena.h"
#include "tests/unit/fixture.h"

Test(host, errors_come_back_negated)
{
    char c;

    cr_assert_eq(host_close(-1), -EBADF);
    cr_assert_eq(host_read(-1, &c, 1), -EBADF);
    cr_assert_eq(host_mmap(NULL, 0, 0, 0x22, -1, 0), -EINVAL);
}

Test(host, files)
{
    char dir[] = "/tmp/cvisor-host-XXXXXX", buf[16] = {0};
    struct host_stat st;
    struct stat want;
    int dirfd, fd;

    cr_assert_not_null(mkdtemp(dir));
    dirfd = open(dir, O_RDONLY | O_DIRECTORY);
    fd = (int)host_open_beneath(dirfd, "file", O_RDWR | O_CREAT, 0640);
    cr_assert_geq(fd, 0);
    cr_assert_eq(host_pwrite(fd, "hello", 5, 3), 5);
    cr_assert_eq(host_pread(fd, buf, 16, 3), 5);
    cr_assert_str_eq(buf, "hello");
    cr_assert_eq(host_fstat(fd, &st), 0);
    cr_assert_eq(fstat(fd, &want), 0);
    cr_assert(st.ino == want.st_ino && st.size == 8 && st.mode == want.st_mode &&
              st.mtime_ns == want.st_mtim.tv_sec * 1000000000L + want.st_mtim.tv_nsec);
    cr_assert_eq(host_symlinkat("/etc/passwd", dirfd, "link"), 0);
    cr_assert_eq(host_readlinkat(dirfd, "link", buf, sizeof(buf)), 11);
    cr_assert_eq(host_open_beneath(dirfd, "link", O_RDONLY, 0), -ELOOP);
    cr_assert_eq(host_open_beneath(dirfd, "../..", O_RDONLY, 0), -EXDEV);
    cr_assert_eq(host_open_beneath(dirfd, "/etc/passwd", O_RDONLY, 0), -EXDEV);
    cr_assert_eq(host_statat(dirfd, "link", &st), 0);
    cr_assert(S_ISLNK(st.mode));
    cr_assert_eq(host_renameat2(dirfd, "file", dirfd, "file2", 0), 0);
    cr_assert_eq(host_unlinkat(dirfd, "file2", 0), 0);
    cr_assert_eq(host_unlinkat(dirfd, "link", 0), 0);
    host_close(fd);
    close(dirfd);
    rmdir(dir);
}

/* A page in a pipe is held, as one is that the host moves just now: F_SEAL_WRITE gives EBUSY. */
Test(host, memfd_is_sealed_while_its_pages_are_held)
{
    char data[4096] = "text", back[4] = {0};
    int fd = (int)host_memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING), pipes[2];
    loff_t at = 0;

    cr_assert_geq(fd, 0);
    cr_assert_eq(pipe(pipes), 0);
    cr_assert_eq(host_pwrite(fd, data, sizeof(data), 0), (int64_t)sizeof(data));
    cr_assert_eq(splice(fd, &at, pipes[1], NULL, sizeof(data), 0), (ssize_t)sizeof(data));
    cr_assert_eq(host_memfd_seal(fd), 0);
    cr_assert_eq(host_pwrite(fd, "X", 1, 0), -EPERM);
    cr_assert_eq(host_ftruncate(fd, 0), -EPERM);
    cr_assert_eq(host_ftruncate(fd, 8192), -EPERM);
    cr_assert_eq(host_fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), -EPERM);
    cr_assert_eq(host_mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), -EPERM);
    cr_assert_eq(host_fcntl(fd, F_ADD_SEALS, 0), -EPERM);
    cr_assert_eq(host_pread(fd, back, 4, 0), 4);
    cr_assert_eq(memcmp(back, "text", 4), 0);
    close(pipes[0]);
    close(pipes[1]);
    host_close(fd);
}

Test(host, clock_with_and_without_vdso)
{
    struct timespec ts;
    uint64_t before, now;

    for (int round = 0; round < 2; round++) {
        clock_gettime(CLOCK_MONOTONIC, &ts);
        before = (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
        now = host_clock_ns(CLOCK_MONOTONIC);
        cr_assert_geq(now, before);
        clock_gettime(CLOCK_MONOTONIC, &ts);
        cr_assert_leq(now, (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec);
        ro_globals.vdso_clock = host_vdso_clock(getauxval(AT_SYSINFO_EHDR));
        cr_assert_neq(ro_globals.vdso_clock, 0);
    }
}

Test(host, facts)
{
    struct host_sysinfo info;

    cr_assert_eq(host_cpu_count(), (uint32_t)sysconf(_SC_NPROCESSORS_ONLN));
    cr_assert_eq(host_sysinfo(&info), 0);
    cr_assert_gt(info.total_ram, 0);
    cr_assert_eq(host_gettid(), gettid());
}
