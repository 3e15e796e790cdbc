/* Trace lines: what a call looks like in the log. */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>

#include "sentry/abi/poll.h"
#include "sentry/abi/sched.h"
#include "sentry/abi/time_num.h"
#include "sentry/base/arena.h"
#include "sentry/base/log.h"
#include "sentry/kernel/wake_trace.h"
#include "syscalls/stats.h"
#include "tests/unit/strace_fixture.h"

TestSuite(strace, .init = trace_setup, .fini = trace_teardown);

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
    expect_line("fstat(0, {st_mode=S_IFREG|0644, st_size=3,");
    CALL(1, pipe2, DATA_ADDR, LX_O_NONBLOCK);
    expect_line("pipe2([1, 2], O_NONBLOCK) = 0");
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
    drain();
    return text;
}

static void expect_no_line(const char *part)
{
    cr_assert_null(strstr(whole_log(), part), "\"%s\" is in:\n%s", part, whole_log());
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
    expect_line("writev(0, [{iov_base=\"ab\", iov_len=2}, {iov_base=\"c\", iov_len=1}], 2) = 3");
    poke(1, at, limit, 16);
    CALL(1, setrlimit, 4, at);
    CALL(1, prlimit64, 0, 4, 0, at);
    expect_line("setrlimit(RLIMIT_CORE, {rlim_cur=10, rlim_max=20}) = 0");
    expect_line("prlimit64(0, RLIMIT_CORE, NULL, {rlim_cur=10, rlim_max=20}) = 0");
    poke(1, at, in, 16);
    CALL(1, connect, 77, at, 16);
    expect_line("connect(77, {sa_family=AF_INET, sin_port=htons(80), "
                "sin_addr=inet_addr(\"127.0.0.1\")}, 16) = -1 EBADF");
    poke(1, at, in6, 28);
    CALL(1, connect, 77, at, 28);
    expect_line("connect(77, {sa_family=AF_INET6, sin6_port=htons(443), sin6_flowinfo=htonl(0), "
                "inet_pton(AF_INET6, \"2001::1\", &sin6_addr), sin6_scope_id=0}, 28)");
    poke(1, at, netlink, 12);
    CALL(1, connect, 77, at, 12);
    expect_line("connect(77, {sa_family=AF_NETLINK, nl_pid=7, nl_groups=00000001}, 12)");
    poke(1, at, abstract, 6);
    CALL(1, connect, 77, at, 6);
    expect_line("connect(77, {sa_family=AF_UNIX, sun_path=@\"a\\33\\\"\"}, 6)");
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
    const char *p;

    poke(1, DATA_ADDR, path, sizeof(path));
    CALL(1, prctl, 15, DATA_ADDR, 0, 0, 0);
    CALL(1, sethostname, DATA_ADDR, sizeof(path) - 1);
    CALL(1, uname, DATA_ADDR + 512);
    CALL(1, access, DATA_ADDR, 0);
    expect_line("access(\"/\\33[2J\\n\\r\\1\\177\\200\\377\\303\\\"\\\\\\0377end\", 0)");
    choose_none();
    cr_assert_eq(choose_format((struct strace_choice){0}, STRACE_JSON), 0);
    CALL(1, access, DATA_ADDR, 0);
    CALL(1, uname, DATA_ADDR + 512);
    expect_line("\"name\":\"access\",\"number\":21,\"args\":[\"\\\"/\\\\33[2J\\\\n");
    expect_line("\\u001b[2J\\u000a\\u000d\\u0001\\u007f\\u0080\\u00ff\\u00c3\\\"\\\\");
    choose_none();
    cr_assert_eq(choose_format((struct strace_choice){0}, STRACE_EVENTS), 0);
    CALL(1, prctl, 15, DATA_ADDR, 0, 0, 0);
    CALL(1, access, DATA_ADDR, 0);
    expect_line("\"args\":{\"name\":\"/\\u001b[2J\\u000a");
    expect_line("\"name\":\"access\",\"args\":{\"args\":\"\\\"/\\\\33[2J");
    for (p = whole_log(); *p; p++)
        cr_assert(*p == '\n' || (*p >= 32 && *p < 127), "byte %d", *p);
}

Test(strace, json)
{
    choose_none();
    cr_assert_eq(choose_format((struct strace_choice){0}, STRACE_JSON), 0);
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
    const char *last;

    memset(big, '"', 255);
    for (int i = 0; i < 13; i++)
        argv[i] = DATA_ADDR + 1024;
    poke(1, DATA_ADDR, argv, sizeof(argv));
    poke(1, DATA_ADDR + 1024, big, 256);
    choose_none();
    cr_assert_eq(choose_format((struct strace_choice){0}, STRACE_JSON), 0);
    CALL(1, execve, DATA_ADDR + 1024, DATA_ADDR, 0);
    last = whole_log();
    cr_assert_gt(text_size, 4000);
    cr_assert_str_eq(last + text_size - 2, "}\n");
    expect_line("...\",\"\"],\"result\":-1,\"errno\":");
    choose_none();
    cr_assert_eq(choose((struct strace_choice){0}), 0);
    CALL(1, execve, DATA_ADDR + 1024, DATA_ADDR, 0);
    expect_line("...) = -1 ");
}

Test(strace, filters)
{
    poke(1, DATA_ADDR, "/etc/x", 7);
    poke(1, DATA_ADDR + 16, "/etcetera", 10);
    choose_none();
    cr_assert_eq(choose((struct strace_choice){.calls = "get*,!getpid"}), 0);
    CALL(1, getuid);
    CALL(1, getpid);
    CALL(1, umask, 0);
    call_of(1, 600, ARGS(1));
    expect_line("getuid(");
    expect_no_line("getpid(");
    expect_no_line("umask(");
    expect_no_line("syscall#600");
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

    choose_none();
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        cr_assert_eq(choose(wrong[i]), -EINVAL, "%zu", i);
}

/* Counts only while on, and then for every call, traced or not. */
Test(strace, counts)
{
    struct call_count c;

    choose_none();
    cr_assert_eq(kern->watch, 0);
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

/* Each call falls into the bucket of its time, and the quantiles into theirs. */
Test(strace, histogram)
{
    struct call_count c;

    choose_none();
    cr_assert_eq(syscall_stats_start(kern), 0);
    for (int i = 0; i < 98; i++)
        syscall_stats_add(kern, SYS_read, 0, 1000);
    syscall_stats_add(kern, SYS_read, -EIO, 1 << 20);
    syscall_stats_add(kern, SYS_read, 0, UINT64_MAX);
    syscall_stats_add(kern, SYS_write, 0, 0);
    cr_assert(syscall_stats_get(kern, SYS_read, &c));
    cr_assert_eq(c.buckets[9], 98);
    cr_assert_eq(c.buckets[20], 1);
    cr_assert_eq(c.buckets[CALL_BUCKETS - 1], 1);
    cr_assert_eq(call_count_quantile(&c, 500), 512 + 512 * 50 / 98);
    cr_assert_eq(call_count_quantile(&c, 990), 2 << 20);
    cr_assert_eq(call_count_quantile(&c, 1), 512 + 512 / 98);
    cr_assert_geq(call_count_quantile(&c, 1000), 1ULL << 35);
    cr_assert(syscall_stats_get(kern, SYS_write, &c));
    cr_assert_eq(c.buckets[0], 1);
    cr_assert_eq(call_count_quantile(&c, 500), 0);
    cr_assert(syscall_stats_get(kern, SYS_getuid, &c));
    cr_assert_eq(call_count_quantile(&c, 500), 0);
    syscall_stats_free(kern);
}

/* A sink nobody reads drops whole lines, counts them, and takes lines again when there is room. */
Test(strace, full_sink_drops)
{
    static char path[4000];
    const uint8_t *data;
    uint64_t dropped = 0;
    uint32_t size;
    int calls = 0;

    memset(path, 'x', sizeof(path) - 1);
    poke(1, DATA_ADDR, path, sizeof(path));
    for (calls = 0; calls < 2000; calls++)
        CALL(1, access, DATA_ADDR, 0);
    size = strace_sink_take(sink, &data, &dropped);
    cr_assert_gt(size, STRACE_SINK_BUFFER - 1000);
    cr_assert_leq(size, STRACE_SINK_BUFFER);
    cr_assert_eq(data[size - 1], '\n');
    for (uint32_t i = 0; i < size; i++)
        calls -= data[i] == '\n';
    cr_assert_eq((uint64_t)calls, dropped);
    CALL(1, getuid);
    expect_line("getuid()");
    cr_assert_eq(strace_sink_take(sink, &data, &dropped), 0);
    cr_assert_eq(dropped, 0);
}

/* Each has its own choice; what is stopped gets nothing, and the last one ends the watching. */
Test(strace, several_sinks)
{
    const struct strace_sink_config config = {.format = STRACE_JSON, .limit = 600};
    const struct strace_choice only = {.calls = "getgid"};
    struct strace_sink *more[STRACE_SINKS], *none;
    struct strace_options *o;
    const uint8_t *data;
    const char *what;
    uint64_t dropped;

    for (int i = 0; i < STRACE_SINKS - 1; i++) {
        cr_assert_eq(strace_options_create(&only, &o, &what), 0);
        cr_assert_eq(strace_sink_start(kern, o, &config, &more[i]), 0);
    }
    cr_assert_eq(strace_sink_start(kern, NULL, &config, &none), -EBUSY);
    CALL(1, getuid);
    CALL(1, getgid);
    expect_line("getuid()");
    for (int i = 0; i < STRACE_SINKS - 1; i++) {
        uint32_t size = strace_sink_take(more[i], &data, &dropped);

        cr_assert_gt(size, 50);
        cr_assert_null(memmem(data, size, "getuid", 6));
        cr_assert_not_null(memmem(data, size, "\"getgid\"", 8));
    }
    for (int i = 0; i < 10; i++)
        CALL(1, getgid);
    cr_assert(strace_sink_full(more[0]));
    cr_assert_leq(strace_sink_take(more[0], &data, &dropped), 600);
    strace_sink_stop(kern, more[0]);
    CALL(1, getgid);
    cr_assert_eq(strace_sink_take(more[0], &data, &dropped), 0);
    for (int i = 0; i < STRACE_SINKS - 1; i++) {
        strace_sink_stop(kern, more[i]);
        strace_sink_free(more[i]);
    }
    cr_assert_eq(kern->watch, KERNEL_WATCH_TRACE);
    choose_none();
    cr_assert_eq(kern->watch, 0);
    CALL(1, geteuid);
    expect_no_line("geteuid");
}

/* A futex's waker is found, and the flow's two ends are its call and the sleeper's. */
Test(strace, wakes_are_flows)
{
    struct call sleeper;
    uint32_t word = 1;
    const char *s, *f;
    int tid;

    choose_none();
    cr_assert_eq(choose_format((struct strace_choice){0}, STRACE_EVENTS), 0);
    cr_assert_eq(wake_trace_start(kern, &strace_wake_clock), 0);
    tid = (int)CALL(1, clone, LX_CLONE_VM | LX_CLONE_THREAD | LX_CLONE_SIGHAND, 0, 0, 0, 0);
    cr_assert_gt(tid, 0);
    poke(1, DATA_ADDR, &word, 4);
    call_start(&sleeper, tid, SYS_futex, ARGS(DATA_ADDR, 128, 1, 0));
    EVENTUALLY(CALL(1, futex, DATA_ADDR, 129, 1) == 1);
    cr_assert_eq(call_wait(&sleeper), 0);
    EVENTUALLY(strstr(whole_log(), "\"ph\":\"f\""));
    s = strstr(whole_log(), "{\"ph\":\"s\",\"pid\":1,\"tid\":1,");
    f = strstr(whole_log(), "{\"ph\":\"f\",\"pid\":1,");
    cr_assert(s && f && s < f, "%s", whole_log());
    expect_line("\"s\":\"t\",\"name\":\"fork\",\"args\":{\"child\":");
    call_away(tid, SYS_exit, ARGS(0));
    EVENTUALLY(READ_ONCE(kern->task_count) == 1);
    choose_none();
    wake_trace_free(kern);
}
