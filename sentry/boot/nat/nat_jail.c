/*
 * What the gateway can still do to its host once it serves: use sockets of IPv4 and IPv6 that it
 * connects, and the link. It has no file, no root directory with any, no capability, and a filter
 * of calls; anything else ends it. Its network namespace is the host's: that is what it is for.
 */
#include "sentry/boot/nat/nat_int.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Sanitizers make calls of their own. */
#ifdef CVISOR_HOSTED
#define SANITIZED true
#else
#define SANITIZED false
#endif

#define ANY_DIRECTORY "/proc"
#define FLAGS         (MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY)

static int empty_root(void)
{
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("none", ANY_DIRECTORY, "tmpfs", FLAGS, "size=4k,mode=0555") < 0 ||
        chdir(ANY_DIRECTORY) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
        umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
        return -errno;
    return 0;
}

static int drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}};

    for (unsigned cap = 0; cap < 64; cap++)
        (void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0); /* as far as there are any */
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

/* A user namespace of its own gives it the right to an empty root, and takes all others. */
int nat_jail_root(void)
{
    struct rlimit none = {0};
    int err;

    if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS) < 0)
        return -errno;
    err = empty_root();
    if (!err)
        err = drop_capabilities();
    if (!err && (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
                 prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0))
        err = -errno;
    return err;
}

/* A call; with a mask, only where (argument & mask) is value. */
static const struct rule {
    int nr;
    uint32_t argument, mask, value;
} rules[] = {
    {.nr = SYS_epoll_wait},
    {.nr = SYS_epoll_pwait},
    {.nr = SYS_epoll_ctl},
    {.nr = SYS_read},
    {.nr = SYS_recvfrom},
    {.nr = SYS_sendto},
    {.nr = SYS_sendmsg},
    {.nr = SYS_socket, .argument = 0, .mask = UINT32_MAX, .value = AF_INET},
    {.nr = SYS_socket, .argument = 0, .mask = UINT32_MAX, .value = AF_INET6},
    {.nr = SYS_connect},
    {.nr = SYS_shutdown},
    {.nr = SYS_close},
    {.nr = SYS_getpeername},
    {.nr = SYS_getsockopt, .argument = 1, .mask = UINT32_MAX, .value = SOL_SOCKET},
    {.nr = SYS_setsockopt, .argument = 1, .mask = UINT32_MAX, .value = SOL_SOCKET},
    {.nr = SYS_setsockopt, .argument = 1, .mask = UINT32_MAX, .value = 6 /* SOL_TCP */},
    {.nr = SYS_clock_gettime},
    {.nr = SYS_getrandom},
    {.nr = SYS_futex},
    {.nr = SYS_mmap, .argument = 2, .mask = 4 /* PROT_EXEC */, .value = 0},
    {.nr = SYS_munmap},
    {.nr = SYS_madvise, .argument = 2, .mask = UINT32_MAX, .value = 9 /* MADV_REMOVE */},
    {.nr = SYS_brk},
    {.nr = SYS_exit_group},
};

#define LOAD(field)  BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (field))
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, (what))
#define NUMBER       offsetof(struct seccomp_data, nr)
#define ARCH         offsetof(struct seccomp_data, arch)
#define ARGUMENT(n)  (offsetof(struct seccomp_data, args) + (n)*8) /* its low half */

/* The rules' size: number, argument, mask, value, allow. */
#define RULE_SIZE 6

static void put(struct sock_filter *code, unsigned short *n, struct sock_filter one)
{
    code[(*n)++] = one;
}

static void put_rule(struct sock_filter *code, unsigned short *n, const struct rule *r)
{
    put(code, n, (struct sock_filter)LOAD(NUMBER));
    put(code, n,
        (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)r->nr, 0,
                                     r->mask ? 4 : 1));
    if (r->mask) {
        put(code, n, (struct sock_filter)LOAD(ARGUMENT(r->argument)));
        put(code, n, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, r->mask));
        put(code, n, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, r->value, 0, 1));
    }
    put(code, n, (struct sock_filter)RETURN(SECCOMP_RET_ALLOW));
}

int nat_jail_calls(void)
{
    static struct sock_filter code[4 + RULE_SIZE * ARRAY_SIZE(rules)];
    struct sock_fprog program = {.filter = code};

    put(code, &program.len, (struct sock_filter)LOAD(ARCH));
    put(code, &program.len,
        (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0));
    put(code, &program.len, (struct sock_filter)RETURN(SECCOMP_RET_KILL_PROCESS));
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
        put_rule(code, &program.len, &rules[i]);
    put(code, &program.len, (struct sock_filter)RETURN(SECCOMP_RET_KILL_PROCESS));
    if (!SANITIZED && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0)
        return -errno;
    return 0;
}
