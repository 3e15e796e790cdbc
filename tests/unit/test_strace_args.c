/* Arguments in trace lines: every structure, request, option, control message and set. */
#define _GNU_SOURCE
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sentry/abi/fcntl.h"
#include "sentry/abi/sched.h"
#include "sentry/abi/socket.h"
#include "sentry/abi/tty.h"
#include "sentry/base/log.h"
#include "sentry/strace/layouts.h"
#include "sentry/strace/strace_int.h"
#include "tests/unit/strace_fixture.h"

TestSuite(strace_args, .init = trace_setup, .fini = trace_teardown);

#define AT (DATA_ADDR + 1024)

/* A structure of 32-bit words at AT, printed. */
static void expect_struct(const char *name, const char *want, const void *data, size_t size)
{
    static char line[4096];
    struct strbuf out;
    struct task *t = task_of(1);

    poke(1, AT, data, size);
    strbuf_init_fixed(&out, line, sizeof(line));
    strace_print_struct(&out, t, name, strlen(name), AT);
    task_put(t);
    cr_assert_str_eq(line, want, "%s: %s", name, line);
}
#define STRUCT(name, want, ...) expect_struct(name, want, (const uint32_t[128]){__VA_ARGS__}, 512)

/* Every layout's fields lie in it, and print in brackets that match, whatever is in them. */
Test(strace_args, layouts)
{
    static unsigned char data[512];
    static char line[8192];
    struct task *t = task_of(1);

    for (int fill = 0; fill < 3; fill++) {
        memset(data, fill == 0 ? 0 : fill == 1 ? 0xff : 0x1b, sizeof(data));
        poke(1, AT, data, sizeof(data));
        for (const struct strace_layout *l = strace_layouts; l->name; l++) {
            struct strbuf out;
            int depth = 0;

            cr_assert_leq(l->size, STRACE_STRUCT_MAX);
            for (int i = 0; i < STRACE_FIELDS && l->fields[i].name; i++) {
                const struct strace_field *f = &l->fields[i];

                cr_assert_leq(f->offset + f->size, l->size, "%s.%s", l->name, f->name);
                cr_assert(strchr("sTVIJA", f->kind) || f->size <= 8, "%s.%s", l->name, f->name);
                if (f->kind == 'f')
                    cr_assert_not_null(strace_find_set(f->set, strlen(f->set)), "%s.%s", l->name,
                                       f->name);
            }
            strbuf_init_fixed(&out, line, sizeof(line));
            strace_print_struct(&out, t, l->name, strlen(l->name), AT);
            cr_assert(!out.failed && (line[0] == '{' || line[0] == '['), "%s: %s", l->name, line);
            for (const char *p = line; *p; p++) {
                cr_assert(*p >= 32 && *p < 127, "%s", l->name);
                depth += (*p == '{' || *p == '[') - (*p == '}' || *p == ']');
            }
            cr_assert_eq(depth, 0, "%s: %s", l->name, line);
        }
    }
    task_put(t);
}

Test(strace_args, structures)
{
    STRUCT("timespec", "{tv_sec=1, tv_nsec=5}", 1, 0, 5);
    STRUCT("itimerval", "{it_interval={tv_sec=1, tv_usec=2}, it_value={tv_sec=3, tv_usec=4}}", 1, 0,
           2, 0, 3, 0, 4);
    STRUCT("rlimit", "{rlim_cur=8192*1024, rlim_max=RLIM64_INFINITY}", 8 << 20, 0, ~0u, ~0u);
    STRUCT("wait_status", "[{WIFEXITED(s) && WEXITSTATUS(s) == 3}]", 0x300);
    STRUCT("wait_status", "[{WIFSIGNALED(s) && WTERMSIG(s) == SIGSEGV && WCOREDUMP(s)}]", 0x8b);
    STRUCT("wait_status", "[{WIFSTOPPED(s) && WSTOPSIG(s) == SIGSTOP}]", 0x137f);
    STRUCT("wait_status", "[{WIFCONTINUED(s)}]", 0xffff);
    STRUCT("sigaction", "{sa_handler=SIG_IGN, sa_mask=[SIGHUP], sa_flags=SA_RESTART}", 1, 0,
           0x10000000, 0, 0, 0, 1);
    STRUCT("siginfo", "{si_signo=SIGCHLD, si_code=CLD_KILLED, si_pid=7, si_uid=8, si_status=9}", 17,
           0, 2, 0, 7, 8, 9);
    STRUCT("siginfo", "{si_signo=SIGSEGV, si_code=SEGV_ACCERR, si_addr=0x1000}", 11, 0, 2, 0,
           0x1000);
    STRUCT("siginfo", "{si_signo=SIGRT_2, si_code=SI_QUEUE, si_pid=7, si_uid=8, si_int=9}", 34, 0,
           ~0u, 0, 7, 8, 9);
    STRUCT("siginfo", "{si_signo=SIGALRM, si_code=SI_TIMER, si_timerid=1, si_overrun=2, si_int=3}",
           14, 0, ~1u, 0, 1, 2, 3);
    STRUCT("siginfo", "{si_signo=SIGINT, si_code=SI_KERNEL, si_pid=0, si_uid=0}", 2, 0, 0x80);
    STRUCT("siginfo", "{si_signo=SIGINT, si_code=SI_TKILL, si_pid=1, si_uid=0}", 2, 0, ~5u, 0, 1);
    STRUCT("clone_args",
           "{flags=CLONE_VM|CLONE_THREAD, pidfd=NULL, child_tid=NULL, parent_tid=NULL, "
           "exit_signal=SIGCHLD, stack=0x1000, stack_size=0x2000, tls=NULL}",
           0x10100, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0x1000, 0, 0x2000);
    STRUCT("sched_attr",
           "{size=48, sched_policy=SCHED_RR, sched_flags=0, sched_nice=-3, sched_priority=4, "
           "sched_runtime=5, sched_deadline=6, sched_period=7}",
           48, 2, 0, 0, -3u, 4, 5, 0, 6, 0, 7);
    STRUCT("epoll_event", "{events=EPOLLIN|EPOLLET, data=0x5}", 0x80000001, 5);
    STRUCT("flock", "{l_type=F_WRLCK, l_whence=SEEK_END, l_start=-1, l_len=10, l_pid=3}", 0x20001,
           0, ~0u, ~0u, 10, 0, 3);
    STRUCT("termios",
           "{c_iflag=ICRNL|IXON, c_oflag=OPOST|ONLCR, c_cflag=B9600|CS8|CREAD, "
           "c_lflag=ISIG|ICANON|ECHO, c_line=0}",
           0x500, 5, 0xbd, 0xb);
    STRUCT("winsize", "{ws_row=24, ws_col=80, ws_xpixel=0, ws_ypixel=0}", 80 << 16 | 24);
    STRUCT("ucred", "{pid=1, uid=2, gid=3}", 1, 2, 3);
    STRUCT("mreqn",
           "{imr_multiaddr=inet_addr(\"224.0.0.1\"), imr_address=inet_addr(\"0.0.0.0\"), "
           "imr_ifindex=2}",
           0x010000e0, 0, 2);
    STRUCT("pktinfo6", "{ipi6_addr=\"::1\", ipi6_ifindex=4}", 0, 0, 0, 0x1000000, 4);
    STRUCT("soerror", "[ECONNREFUSED]", 111);
    STRUCT("stat",
           "{st_mode=S_IFCHR|0620, st_size=0, st_ino=9, st_uid=1, st_gid=5, "
           "st_rdev=makedev(0x88, 0x3)}",
           0, 0, 9, 0, 1, 0, 020620, 1, 5, 0, 0x8803);
    STRUCT("sigevent",
           "{sigev_value=0x1, sigev_signo=SIGUSR1, sigev_notify=SIGEV_THREAD_ID, "
           "sigev_notify_thread_id=4}",
           1, 0, 10, 4, 4);
    STRUCT("open_how", "{flags=O_RDONLY|O_CLOEXEC, mode=00, resolve=RESOLVE_BENEATH}", 02000000, 0,
           0, 0, 8);
}

Test(strace_args, addresses)
{
    static const struct {
        uint8_t bytes[28];
        uint8_t size;
        const char *want;
    } all[] = {
        {{1, 0}, 2, "{sa_family=AF_UNIX}"},
        {{1, 0, '/', 'a', 27}, 5, "{sa_family=AF_UNIX, sun_path=\"/a\\33\"}"},
        {{1, 0, 0, 'a', '"'}, 5, "{sa_family=AF_UNIX, sun_path=@\"a\\\"\"}"},
        {{2, 0, 0, 80, 127, 0, 0, 1},
         16,
         "{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr(\"127.0.0.1\")}"},
        {{10, 0, 0, 53, 0, 0, 0, 0, 0x20, 1, 0xd, 0xb8, [23] = 1, [24] = 2},
         28,
         "{sa_family=AF_INET6, sin6_port=htons(53), sin6_flowinfo=htonl(0), "
         "inet_pton(AF_INET6, \"2001:db8::1\", &sin6_addr), sin6_scope_id=2}"},
        {{16, 0, 0, 0, 7, 0, 0, 0, 1}, 12, "{sa_family=AF_NETLINK, nl_pid=7, nl_groups=00000001}"},
        {{17, 0, 8, 0, 3, 0, 0, 0, 1, 0, 4, 6},
         20,
         "{sa_family=AF_PACKET, sll_protocol=htons(0x800), sll_ifindex=3, sll_hatype=1, "
         "sll_pkttype=4, sll_halen=6}"},
        {{99, 0, 'x', 1}, 4, "{sa_family=0x63, sa_data=\"x\\1\"}"},
        {{2, 0, 1}, 3, "{sa_family=AF_INET, sa_data=\"\\1\"}"},
    };
    char line[512];

    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        struct strbuf out;

        strbuf_init_fixed(&out, line, sizeof(line));
        strace_print_sockaddr_at(&out, all[i].bytes, all[i].size);
        cr_assert_str_eq(line, all[i].want, "%s", line);
    }
}

Test(strace_args, requests)
{
    const uint16_t lock[16] = {1, 0, [8] = 10};
    const uint32_t one = 1;

    poke(1, DATA_ADDR, "name\x1b", 6);
    CALL(1, ioctl, 77, LX_TIOCGWINSZ, 1);
    expect_line("ioctl(77, TIOCGWINSZ, 0x1) = -1 EBADF");
    CALL(1, ioctl, 77, LX_FIOCLEX, 1);
    expect_line("ioctl(77, FIOCLEX) = -1 EBADF");
    CALL(1, ioctl, 77, 0x12345678, 2);
    expect_line("ioctl(77, 0x12345678, 0x2) = -1 EBADF");
    poke(1, AT, &one, 4);
    CALL(1, ioctl, 77, LX_FIONBIO, AT);
    expect_line("ioctl(77, FIONBIO, [1]) = -1 EBADF");
    CALL(1, ioctl, 77, LX_TCFLSH, 2);
    expect_line("ioctl(77, TCFLSH, TCIOFLUSH) = -1 EBADF");
    poke(1, AT, lock, sizeof(lock));
    CALL(1, fcntl, 77, LX_F_SETLK, AT);
    expect_line(
        "fcntl(77, F_SETLK, {l_type=F_WRLCK, l_whence=SEEK_SET, l_start=0, l_len=10, l_pid=0})");
    CALL(1, fcntl, 77, LX_F_SETFD, 1);
    expect_line("fcntl(77, F_SETFD, FD_CLOEXEC) = ");
    CALL(1, fcntl, 77, LX_F_GETFD, 5);
    expect_line("fcntl(77, F_GETFD) = ");
    CALL(1, fcntl, 77, LX_F_SETFL, LX_O_NONBLOCK);
    expect_line("fcntl(77, F_SETFL, O_RDONLY|O_NONBLOCK) = ");
    CALL(1, fcntl, 77, LX_F_ADD_SEALS, LX_F_SEAL_WRITE);
    expect_line("fcntl(77, F_ADD_SEALS, F_SEAL_WRITE) = ");
    CALL(1, fcntl, 77, LX_F_SETSIG, 10);
    expect_line("fcntl(77, F_SETSIG, SIGUSR1) = ");
    CALL(1, prctl, LX_PR_SET_NAME, DATA_ADDR);
    expect_line("prctl(PR_SET_NAME, \"name\\33\") = 0");
    CALL(1, prctl, LX_PR_GET_NAME, AT);
    expect_line("prctl(PR_GET_NAME, \"name\\33\") = 0");
    CALL(1, prctl, LX_PR_CAPBSET_READ, 21);
    expect_line("prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN) = ");
    CALL(1, prctl, LX_PR_SET_PDEATHSIG, 15);
    expect_line("prctl(PR_SET_PDEATHSIG, SIGTERM) = 0");
    CALL(1, prctl, 9999, 1, 2, 3, 4);
    expect_line("prctl(0x270f, 0x1, 0x2, 0x3, 0x4) = -1 EINVAL");
    CALL(1, waitid, 1, 99, 0, 4, 0);
    expect_line("waitid(P_PID, 99, NULL, WEXITED, NULL) = -1 ECHILD");
    CALL(1, brk, 0);
    expect_line("brk(NULL) = 0x");
    CALL(1, mmap, 0, 0, 3, 0x22, -1, 0);
    expect_line(
        "mmap(NULL, 0, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = -1 EINVAL");
    CALL(1, sched_setscheduler, 99999, 3, 0);
    expect_line("sched_setscheduler(99999, SCHED_BATCH, NULL) = -1 ");
    CALL(1, membarrier, 0, 0, 0);
    expect_line("membarrier(MEMBARRIER_CMD_QUERY, 0, 0) = ");
}

Test(strace_args, socket_options)
{
    const uint32_t linger[] = {1, 5};
    const struct lx_timeval time = {3, 4};

    poke(1, AT, linger, sizeof(linger));
    CALL(1, setsockopt, 77, LX_SOL_SOCKET, LX_SO_LINGER, AT, 8);
    expect_line("setsockopt(77, SOL_SOCKET, SO_LINGER, {l_onoff=1, l_linger=5}, 8) = -1 EBADF");
    CALL(1, setsockopt, 77, LX_SOL_SOCKET, LX_SO_LINGER, AT, 2);
    expect_line("setsockopt(77, SOL_SOCKET, SO_LINGER, \"\\1\\0\", 2) = -1 EBADF");
    CALL(1, setsockopt, 77, LX_SOL_TCP, LX_TCP_NODELAY, AT, 4);
    expect_line("setsockopt(77, SOL_TCP, TCP_NODELAY, [1], 4) = -1 EBADF");
    poke(1, AT, &time, sizeof(time));
    CALL(1, setsockopt, 77, LX_SOL_SOCKET, LX_SO_RCVTIMEO, AT, 16);
    expect_line("setsockopt(77, SOL_SOCKET, SO_RCVTIMEO, {tv_sec=3, tv_usec=4}, 16) = -1 EBADF");
    CALL(1, setsockopt, 77, 1234, 5678, AT, 1);
    expect_line("setsockopt(77, 0x4d2, 5678, \"\\3\", 1) = -1 EBADF");
    CALL(1, getsockopt, 77, LX_SOL_SOCKET, LX_SO_PEERCRED, AT, 1);
    expect_line("getsockopt(77, SOL_SOCKET, SO_PEERCRED, ");
}

static void expect_message(const char *want, const void *control, size_t size, const void *name,
                           size_t name_size, const void *data, size_t data_size)
{
    const uint64_t iov[2] = {AT + 1024, data_size};
    const uint64_t message[7] = {name ? AT + 512 : 0,  name_size, AT + 256, 1,
                                 size ? AT + 2048 : 0, size,      0};
    static char line[4096];
    struct task *t = task_of(1);
    struct strbuf out;

    poke(1, AT, message, sizeof(message));
    poke(1, AT + 256, iov, sizeof(iov));
    poke(1, AT + 512, name ? name : "", name ? name_size : 1);
    poke(1, AT + 1024, data, data_size);
    poke(1, AT + 2048, size ? control : "", size ? size : 1);
    strbuf_init_fixed(&out, line, sizeof(line));
    strace_print_message(&out, t, AT, UINT64_MAX);
    task_put(t);
    cr_assert_not_null(strstr(line, want), "%s", line);
}

Test(strace_args, messages)
{
    const struct {
        uint64_t size;
        int32_t level, type;
        uint32_t data[8];
    } controls[] = {
        {24, 1, 1, {3, 4}},       {28, 1, 2, {7, 8, 9}}, {28, 0, 8, {2, 0x0100007f, 0x0200007f}},
        {32, 1, 35, {1, 0, 5}},   {36, 41, 50, {0}},     {20, 0, 2, {64}},
        {20, 5, 6, {0x44434241}}, {16, 1, 1, {0}},
    };
    static const char *const want[] = {
        "msg_control=[{cmsg_len=24, cmsg_level=SOL_SOCKET, cmsg_type=SCM_RIGHTS, cmsg_data=[3, "
        "4]}]",
        "cmsg_type=SCM_CREDENTIALS, cmsg_data={pid=7, uid=8, gid=9}}]",
        "cmsg_level=SOL_IP, cmsg_type=IP_PKTINFO, cmsg_data={ipi_ifindex=2, "
        "ipi_spec_dst=inet_addr(\"127.0.0.1\"), ipi_addr=inet_addr(\"127.0.0.2\")}}]",
        "cmsg_type=SO_TIMESTAMPNS, cmsg_data={tv_sec=1, tv_nsec=5}}]",
        "cmsg_level=SOL_IPV6, cmsg_type=IPV6_PKTINFO, cmsg_data={ipi6_addr=\"::\", "
        "ipi6_ifindex=0}}]",
        "cmsg_type=IP_TTL, cmsg_data=[64]}]",
        "cmsg_level=0x5, cmsg_type=0x6, cmsg_data=\"ABCD\"}]",
        "cmsg_type=SCM_RIGHTS, cmsg_data=[]}]",
    };
    const struct {
        struct nlmsghdr h;
        uint32_t data;
    } netlink = {{20, RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 7, 0}, 0};
    const uint8_t nl[12] = {16};
    const uint64_t endless[2] = {0, 1}, huge[2] = {UINT64_MAX, 1};

    for (size_t i = 0; i < ARRAY_SIZE(want); i++)
        expect_message(want[i], &controls[i], (controls[i].size + 7) & ~7ULL, NULL, 0, "hi", 2);
    expect_message(
        "{msg_name=NULL, msg_namelen=0, msg_iov=[{iov_base=\"hi\", iov_len=2}], msg_iovlen=1, "
        "msg_controllen=0, msg_flags=0}",
        NULL, 0, NULL, 0, "hi", 2);
    expect_message("msg_iov=[{iov_base=[{nlmsg_len=20, nlmsg_type=RTM_GETLINK, "
                   "nlmsg_flags=NLM_F_REQUEST|NLM_F_DUMP, nlmsg_seq=7, nlmsg_pid=0}], iov_len=20}]",
                   NULL, 0, nl, 12, &netlink, sizeof(netlink));
    /* Sizes that lie end the list. */
    expect_message("msg_control=[...], msg_controllen=16", endless, 16, NULL, 0, "", 1);
    expect_message("msg_control=[...], msg_controllen=16", huge, 16, NULL, 0, "", 1);
    expect_message("iov_base=[...], iov_len=20", NULL, 0, nl, 12,
                   "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
}

/* Every kind the table names is known to the walk: no argument falls to the address of what is
 * none. */
Test(strace_args, kinds_are_known)
{
    static const char *const plain[] = {
        "int",      "uint",      "long",   "off",    "size",    "mode",  "oct",    "fd",
        "pid",      "dirfd",     "signo",  "clock",  "raw",     "hex",   "ptr",    "ioctlarg",
        "fcntlarg", "prctlargs", "setopt", "getopt", "optname", "netin", "netout", "flags"};

    for (uint64_t nr = 0; nr < SYSCALL_MAX; nr++) {
        const struct syscall_row *row = syscall_row(nr);

        for (const char *kinds = row ? row->args : ""; *kinds;) {
            struct strace_kind k = strace_kind_parse(kinds, &kinds);
            bool known = strace_kind_is_memory(&k);

            for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
                known |= strace_kind_is(&k, plain[i]);
            cr_assert(known, "%s: %.*s", row->name, (int)k.word_size, k.word);
            if (strace_kind_is(&k, "flags"))
                cr_assert_not_null(strace_find_set(k.rest, k.rest_size), "%s: %.*s", row->name,
                                   (int)k.rest_size, k.rest);
        }
    }
}
