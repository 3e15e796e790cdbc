/* Trace lines: what a call looks like in the log. */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>

#include "sentry/abi/poll.h"
#include "sentry/abi/time_num.h"
#include "sentry/base/arena.h"
#include "sentry/base/log.h"
#include "sentry/strace/strace.h"
#include "syscalls/stats.h"
#include "tests/unit/task_fixture.h"

static int log_fd;

static void trace_setup(void)
{
    tasks_setup();
    log_fd = memfd_create("log", 0);
    ro_globals.log_fd = log_fd;
    ro_globals.log_level = LOG_INFO;
    kern->watch = KERNEL_WATCH_TRACE;
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

static char *whole_log(void)
{
    static char text[65536];
    ssize_t n = pread(log_fd, text, sizeof(text) - 1, 0);

    cr_assert_geq(n, 0);
    text[n] = '\0';
    return text;
}

static void expect_no_line(const char *part)
{
    cr_assert_null(strstr(whole_log(), part), "\"%s\" is in:\n%s", part, whole_log());
}

static int choose(struct strace_choice choice)
{
    struct strace_options *o = NULL;
    const char *what;
    int r = strace_options_create(&choice, &o, &what);

    if (r == 0)
        kern->trace = o;
    return r;
}

static void choose_none(void)
{
    strace_options_free(kern->trace);
    kern->trace = NULL;
}

Test(strace, structures)
{
    const uint32_t poll_list[] = {0, LX_POLLIN | LX_POLLOUT << 16};
    const uint64_t set = LX_SIGMASK(2) | LX_SIGMASK(40), iov[] = {DATA_ADDR, 2, DATA_ADDR + 2, 1};
    const uint8_t in[16] = {2, 0, 0, 80, 127, 0, 0, 1}, netlink[12] = {16, 0, 0, 0, 7, 0, 0, 0, 1};
    const uint8_t in6[28] = {10, 0, 1, 187, 0, 0, 0, 0, 0x20, 1, [23] = 1};
    const uint8_t abstract[6] = {1, 0, 0, 'a', 27, '"'};
    const uint64_t event[] = {(uint64_t)5 << 32 | LX_EPOLLIN | LX_EPOLLET, 0};
    const uint64_t limit[] = {10, 20}, time[] = {1, 5};
    uint64_t at = DATA_ADDR + 64;

    poke(1, DATA_ADDR, "abc", 4);
    CALL(1, openat, LX_AT_FDCWD, DATA_ADDR, LX_O_CREAT | LX_O_RDWR, 0644);
    poke(1, at, poll_list, 8);
    CALL(1, poll, at, 1, 0);
    expect_line("poll([{fd=0, events=POLLIN, revents=POLLIN}], 1, 0) = 1");
    poke(1, at, &set, 8);
    CALL(1, rt_sigprocmask, 0, at, at + 8, 8);
    expect_line("rt_sigprocmask(SIG_BLOCK, [SIGINT 40], [], 8) = 0");
    poke(1, at, iov, 32);
    CALL(1, writev, 0, at, 2);
    expect_line("writev(0, [{\"ab\", 2}, {\"c\", 1}], 2) = 3");
    poke(1, at, limit, 16);
    CALL(1, setrlimit, 4, at);
    CALL(1, prlimit64, 0, 4, 0, at);
    expect_line("setrlimit(RLIMIT_CORE, {rlim_cur=10, rlim_max=20}) = 0");
    expect_line("prlimit64(0, RLIMIT_CORE, NULL, {rlim_cur=10, rlim_max=20}) = 0");
    poke(1, at, in, 16);
    CALL(1, connect, 77, at, 16);
    expect_line("connect(77, {AF_INET, 127.0.0.1:80}, 16) = -1 EBADF");
    poke(1, at, in6, 28);
    CALL(1, connect, 77, at, 28);
    expect_line("connect(77, {AF_INET6, [2001:0:0:0:0:0:0:1]:443}, 28)");
    poke(1, at, netlink, 12);
    CALL(1, connect, 77, at, 12);
    expect_line("connect(77, {AF_NETLINK, pid=7, groups=0x1}, 12)");
    poke(1, at, abstract, 6);
    CALL(1, connect, 77, at, 6);
    expect_line("connect(77, {AF_UNIX, @\"a\\33\\\"\"}, 6)");
    poke(1, at, event, 16);
    CALL(1, epoll_ctl, 77, LX_EPOLL_CTL_ADD, 3, at);
    expect_line("epoll_ctl(77, EPOLL_CTL_ADD, 3, {events=EPOLLIN|EPOLLET, data=0x5})");
    poke(1, at, time, 16);
    CALL(1, clock_nanosleep, LX_CLOCK_MONOTONIC, 1, at, 0);
    expect_line("clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, {tv_sec=1, tv_nsec=5}, ");
    CALL(1, clone3, 1, 64);
    expect_line("clone3(0x1, 64) = -1 ");
    CALL(1, uname, at);
    expect_line("uname({sysname=\"Linux\", nodename=\"");
    CALL(1, poll, 1, 0xffffffff, 0);
    CALL(1, select, -1, 1, 1, 1, 1);
    expect_line("select(-1, [], [], [], 0x1) = -1 EFAULT");
}

/* What a guest may put into strings neither ends a line nor reaches a terminal. */
Test(strace, hostile_text)
{
    static const char path[] = "/\x1b[2J\n\r\x01\x7f\x80\xff\xc3\"\\\x1f"
                               "7end";
    const char *text;

    poke(1, DATA_ADDR, path, sizeof(path));
    CALL(1, prctl, 15, DATA_ADDR, 0, 0, 0);
    CALL(1, sethostname, DATA_ADDR, sizeof(path) - 1);
    CALL(1, uname, DATA_ADDR + 512);
    CALL(1, access, DATA_ADDR, 0);
    expect_line("access(\"/\\33[2J\\n\\r\\1\\177\\200\\377\\303\\\"\\\\\\0377end\", 0)");
    cr_assert_eq(choose((struct strace_choice){.json = true}), 0);
    CALL(1, access, DATA_ADDR, 0);
    CALL(1, uname, DATA_ADDR + 512);
    expect_line("\"name\":\"access\",\"number\":21,\"args\":[\"\\\"/\\\\33[2J\\\\n");
    expect_line("\\u001b[2J\\u000a\\u000d\\u0001\\u007f\\u0080\\u00ff\\u00c3\\\"\\\\");
    for (text = whole_log(); *text; text++)
        cr_assert(*text == '\n' || (*text >= 32 && *text < 127), "byte %d", *text);
    choose_none();
}

Test(strace, json)
{
    cr_assert_eq(choose((struct strace_choice){.json = true}), 0);
    poke(1, DATA_ADDR, "/a", 3);
    CALL(1, openat, LX_AT_FDCWD, DATA_ADDR, 0, 0);
    expect_line(",\"args\":[\"AT_FDCWD\",\"\\\"/a\\\"\",\"O_RDONLY\",\"00\"],\"result\":-1,"
                "\"errno\":\"ENOENT\",\"duration_ns\":");
    CALL(1, getuid);
    expect_line("\"name\":\"getuid\",\"number\":102,\"args\":[],\"result\":0,\"duration_ns\":");
    call_of(1, 600, ARGS(1, 2, 3));
    expect_line("\"name\":\"syscall#600\",\"number\":600,\"args\":[\"0x1\",\"0x2\",\"0x3\"]");
    choose_none();
}

/* The longest arguments, all of them of bytes with the longest escapes: cut, and still an object.
 */
Test(strace, json_is_whole_when_cut)
{
    static char big[4096];
    uint64_t argv[14] = {0};
    char *text;

    memset(big, '"', 255);
    for (int i = 0; i < 13; i++)
        argv[i] = DATA_ADDR + 1024;
    poke(1, DATA_ADDR, argv, sizeof(argv));
    poke(1, DATA_ADDR + 1024, big, 256);
    cr_assert_eq(choose((struct strace_choice){.json = true}), 0);
    CALL(1, execve, DATA_ADDR + 1024, DATA_ADDR, 0);
    text = whole_log();
    cr_assert_gt(strlen(text), 4000);
    cr_assert_str_eq(text + strlen(text) - 2, "}\n");
    cr_assert_not_null(strstr(text, "...\",\"\"],\"result\":-1,\"errno\":"), "%s", text + 3900);
    choose_none();
    CALL(1, execve, DATA_ADDR + 1024, DATA_ADDR, 0);
    expect_line("...) = -1 ");
}

Test(strace, filters)
{
    poke(1, DATA_ADDR, "/etc/x", 7);
    poke(1, DATA_ADDR + 16, "/etcetera", 10);
    cr_assert_eq(choose((struct strace_choice){.calls = "get*,!getpid"}), 0);
    CALL(1, getuid);
    CALL(1, getpid);
    CALL(1, umask, 0);
    call_of(1, 600, ARGS(1));
    expect_line("getuid(");
    expect_no_line("getpid(");
    expect_no_line("umask(");
    expect_no_line("600");
    choose_none();
    cr_assert_eq(choose((struct strace_choice){.calls = "!get*"}), 0);
    CALL(1, getgid);
    CALL(1, umask, 022);
    call_of(1, 601, ARGS(1));
    expect_no_line("getgid(");
    expect_line("umask(022)");
    expect_line("601");
    choose_none();
    cr_assert_eq(choose((struct strace_choice){.paths = "/usr,/etc/"}), 0);
    CALL(1, access, DATA_ADDR, 4);
    CALL(1, rmdir, DATA_ADDR + 16);
    CALL(1, geteuid);
    expect_line("access(\"/etc/x\", R_OK)");
    expect_no_line("rmdir(");
    expect_no_line("geteuid(");
    choose_none();
    cr_assert_eq(choose((struct strace_choice){.failed = true}), 0);
    CALL(1, getegid);
    CALL(1, close, 88);
    expect_no_line("getegid(");
    expect_line("close(88) = -1 EBADF");
    choose_none();
    cr_assert_eq(choose((struct strace_choice){.pids = "2,3"}), 0);
    CALL(1, getppid);
    expect_no_line("getppid(");
    choose_none();
    cr_assert_eq(choose((struct strace_choice){.pids = "1"}), 0);
    CALL(1, getppid);
    expect_line("getppid(");
    choose_none();
}

Test(strace, wrong_lists)
{
    static const struct strace_choice wrong[] = {
        {.calls = "nosuchcall"},
        {.calls = "read,,write"},
        {.calls = "!"},
        {.pids = "1,x"},
        {.pids = "1,"
                 "12345678901"},
        {.paths = ",/etc"},
        {.pids = "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        cr_assert_eq(choose(wrong[i]), -EINVAL, "%zu", i);
}

/* Counts only while on, and then for every call, traced or not. */
Test(strace, counts)
{
    struct call_count c;

    kern->watch = 0;
    CALL(1, getuid);
    cr_assert_not(syscall_stats_get(kern, SYS_getuid, &c));
    cr_assert_eq(syscall_stats_start(kern), 0);
    for (int i = 0; i < 5; i++)
        CALL(1, getuid);
    CALL(1, close, 88);
    CALL(1, close, 88);
    call_of(1, 600, ARGS(1));
    syscall_stats_stop(kern);
    CALL(1, getuid);
    cr_assert(syscall_stats_get(kern, SYS_getuid, &c));
    cr_assert_eq(c.calls, 5);
    cr_assert_eq(c.errors, 0);
    cr_assert_leq(c.max_ns, c.total_ns);
    cr_assert(syscall_stats_get(kern, SYS_close, &c));
    cr_assert_eq(c.calls, 2);
    cr_assert_eq(c.errors, 2);
    cr_assert(syscall_stats_get(kern, SYSCALL_MAX, &c));
    cr_assert_eq(c.calls, 1);
    cr_assert_eq(syscall_stats_start(kern), 0);
    CALL(1, getuid);
    cr_assert(syscall_stats_get(kern, SYS_getuid, &c));
    cr_assert_eq(c.calls, 6);
    syscall_stats_free(kern);
}
