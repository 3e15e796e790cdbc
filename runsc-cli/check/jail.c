/*
 * Where hostile files are read: a process that can compute, read what it is given and write to what
 * is open, and nothing else.
 */
#include "runsc-cli/check/jail.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define MEMORY_MAX (6ULL << 30) /* files are mapped; what is made of them is bounded in itself */

static const int allowed[] = {
    SYS_read,         SYS_write,         SYS_sendto,    SYS_sendmsg, SYS_recvfrom,   SYS_recvmsg,
    SYS_fstat,        SYS_newfstatat,    SYS_close,     SYS_mmap,    SYS_munmap,     SYS_mremap,
    SYS_brk,          SYS_mprotect,      SYS_madvise,   SYS_exit,    SYS_exit_group, SYS_futex,
    SYS_rt_sigreturn, SYS_clock_gettime, SYS_getrandom, SYS_sysinfo,
};

/* newfstatat is fstat's newer form in libc: by a descriptor, its path is not looked at by us. */
int check_jail(int64_t seconds)
{
    struct sock_filter code[6 + 2 * ARRAY_SIZE(allowed)];
    struct rlimit cpu = {.rlim_cur = (rlim_t)seconds, .rlim_max = (rlim_t)seconds},
                  memory = {.rlim_cur = MEMORY_MAX, .rlim_max = MEMORY_MAX}, none = {0};
    struct sock_fprog program = {.filter = code};
    size_t n = 0;

#define LOAD(field)                                                                                \
    (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(what) (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, what)
    code[n++] = LOAD(arch);
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
    code[n++] = RETURN(SECCOMP_RET_KILL_PROCESS);
    code[n++] = LOAD(nr);
    for (size_t i = 0; i < ARRAY_SIZE(allowed); i++) {
        code[n++] =
            (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)allowed[i], 0, 1);
        code[n++] = RETURN(SECCOMP_RET_ALLOW);
    }
    code[n++] = RETURN(SECCOMP_RET_KILL_PROCESS);
    program.len = (unsigned short)n;
    if (setrlimit(RLIMIT_CPU, &cpu) < 0 || setrlimit(RLIMIT_AS, &memory) < 0 ||
        setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0)
        return -errno;
    return 0;
}
