/* Trace lines: what a call looks like in the log. */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>

#include "sentry/base/arena.h"
#include "sentry/base/log.h"
#include "tests/unit/task_fixture.h"

static int log_fd;

static void trace_setup(void)
{
    tasks_setup();
    log_fd = memfd_create("log", 0);
    ro_globals.log_fd = log_fd;
    ro_globals.log_level = LOG_INFO;
    kern->strace = 1;
}

TestSuite(strace, .init = trace_setup, .fini = tasks_teardown);

static void expect_line(const char *part)
{
    static char text[65536];
    ssize_t n = pread(log_fd, text, sizeof(text) - 1, 0);

    cr_assert_gt(n, 0);
    text[n] = '\0';
    cr_assert_not_null(strstr(text, part), "\"%s\" is not in:\n%s", part, text);
}

Test(strace, lines)
{
    poke(1, DATA_ADDR, "/a \"b\"\n", 8);
    fails(CALL(1, openat, LX_AT_FDCWD, DATA_ADDR, LX_O_RDWR | LX_O_CLOEXEC, 0), ENOENT);
    expect_line("openat(AT_FDCWD, \"/a \\\"b\\\"\\n\", O_RDWR|O_CLOEXEC, 00) = -1 ENOENT");
    CALL(1, openat, LX_AT_FDCWD, DATA_ADDR, LX_O_CREAT | LX_O_WRONLY, 0644);
    expect_line("O_WRONLY|O_CREAT, 0644) = 0");
    CALL(1, write, 0, DATA_ADDR, 3);
    expect_line("write(0, \"/a \", 3) = 3");
    CALL(1, fstat, 0, DATA_ADDR);
    expect_line("fstat(0, {st_mode=0100644, st_size=3,");
    CALL(1, pipe2, DATA_ADDR, LX_O_NONBLOCK);
    expect_line("pipe2({0=1, 1=2}, O_RDONLY|O_NONBLOCK) = 0");
    CALL(1, read, 1, DATA_ADDR, 10);
    expect_line("EAGAIN");
    CALL(1, read, 1, 1, 10);
    CALL(1, stat, 1, 1);
    expect_line("stat(0x1, 0x1) = -1 EFAULT");
    CALL(1, lseek, 0, -5, LX_SEEK_CUR);
    expect_line("lseek(0, -5, SEEK_CUR) = -1 EINVAL");
    call_of(1, 600, ARGS(1, 2, 3));
    expect_line("syscall#600(0x1, 0x2, 0x3) = -1 ENOSYS");
}
