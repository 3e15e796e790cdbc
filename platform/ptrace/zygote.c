/*
 * The zygote: the first guest process, cloned from the sentry by the tracer thread. It drops what
 * it inherited (descriptors, rights, signal state, host registrations), fills the stub's pages and
 * stops in the stub. space.c then unmaps the rest of the sentry from it; every address space is
 * forked from it. The child's code makes raw calls only. No locks.
 */
#include "platform/ptrace/ptrace.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define RSEQ_SIG      0x53053053
#define RSEQ_SIZE     32
#define VSYSCALL_PAGE 0xffffffffff600000UL
#define OPTIONS                                                                                    \
    (PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK)

extern const char ptrace_stub_page[];
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));

struct kernel_sigaction {
    uint64_t handler, flags, restorer, mask;
};

static int64_t call(uint64_t nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    return host_syscall(nr, a, b, c, d, 0, 0);
}

static void must(int64_t r)
{
    while (r < 0)
        call(SYS_exit_group, 1, 0, 0, 0);
}

static void drop_signals(void)
{
    struct kernel_sigaction action = {0};
    uint64_t none = 0;

    for (uint64_t signo = 1; signo <= 64; signo++)
        call(SYS_rt_sigaction, signo, (uint64_t)&action, 0, 8);
    must(call(SYS_rt_sigprocmask, SIG_SETMASK, (uint64_t)&none, 0, 8));
}

static void drop_descriptors(int socket)
{
    if (socket != STUB_SOCKET_FD)
        must(call(SYS_dup3, (uint64_t)socket, STUB_SOCKET_FD, 0, 0));
    must(call(SYS_close_range, STUB_SOCKET_FD + 1, ~0U, 0, 0));
}

/* The host would write to these in memory that is about to go. */
static void drop_registrations(void)
{
    if (&__rseq_size && __rseq_size)
        call(SYS_rseq, (uint64_t)__builtin_thread_pointer() + (uint64_t)__rseq_offset, RSEQ_SIZE, 1,
             RSEQ_SIG);
    call(SYS_set_tid_address, 0, 0, 0, 0);
    call(SYS_set_robust_list, 0, 24, 0, 0);
}

static void drop_rights(void)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
    struct rlimit no_core = {0, 0};

    must(call(SYS_capset, (uint64_t)&head, (uint64_t)none, 0, 0));
    must(call(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0));
    call(SYS_setrlimit, RLIMIT_CORE, (uint64_t)&no_core, 0, 0);
}

/*
 * No guest code ever makes a host call; should one get through, this is the second fence: only the
 * stub's, by address. A call by the vsyscall page, which ptrace does not stop at, becomes a signal.
 */
static void lock_in(void)
{
    struct sock_filter insns[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 18),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, VSYSCALL_PAGE >> 32, 18, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, STUB_TEXT >> 32, 0, 15),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer)),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, ~0xfffU),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, STUB_TEXT & 0xffffffff, 0, 12),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 11, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_munmap, 10, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 9, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mremap, 8, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 7, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_msync, 6, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mincore, 5, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 4, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_recvmsg, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
    };
    struct sock_fprog program = {.len = ARRAY_SIZE(insns), .filter = insns};

    must(call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW,
              (uint64_t)&program, 0));
}

/* Over whatever the sentry has there: at most the oldest part of its first stack. */
static void map_stub(void)
{
    uint64_t flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    int64_t r;

    r = host_syscall(SYS_mmap, STUB_TEXT, STUB_END - STUB_TEXT, PROT_READ | PROT_WRITE, flags,
                     (uint64_t)-1, 0);
    must(r);
    memcpy((void *)STUB_TEXT, ptrace_stub_page, PAGE_SIZE);
    must(call(SYS_mprotect, STUB_TEXT, PAGE_SIZE, PROT_READ | PROT_EXEC, 0));
}

static NORETURN void child(void)
{
    int socket = ptrace_globals.socket[1];
    char ready = 0, go;

    /* To be traced even where the sentry changed its ids; process_vm_readv asks for it too. */
    must(call(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0));
    must(call(SYS_write, (uint64_t)socket, (uint64_t)&ready, 1, 0));
    must(call(SYS_read, (uint64_t)socket, (uint64_t)&go, 1, 0)); /* traced from here on */
    must(call(SYS_setsid, 0, 0, 0, 0));
    drop_descriptors(socket);
    drop_registrations();
    drop_rights();
    drop_signals();
    map_stub();
    lock_in();
    __asm__ volatile("jmp *%0" : : "r"(STUB_TEXT + STUB_READY) : "memory");
    __builtin_unreachable();
}

int pt_zygote_spawn(void)
{
    int64_t pid = host_syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0, 0);
    struct platform_as *as;
    int err = 0;
    char ready;

    if (pid == 0)
        child();
    if (pid < 0)
        return (int)pid;
    if (read(ptrace_globals.socket[0], &ready, 1) != 1)
        err = -EIO;
    if (!err && ptrace(PTRACE_SEIZE, (pid_t)pid, 0, OPTIONS) < 0)
        err = -errno;
    if (!err && write(ptrace_globals.socket[0], "", 1) != 1)
        err = -errno;
    as = err ? NULL : pt_as_new((pid_t)pid);
    if (!as) {
        kill((pid_t)pid, SIGKILL);
        waitpid((pid_t)pid, NULL, __WALL);
        return err ? err : -ENOMEM;
    }
    tracee_add((pid_t)pid);
    ptrace_globals.zygote = pt_ctx_new(as, NULL, (pid_t)pid);
    return ptrace_globals.zygote ? 0 : -ENOMEM;
}
