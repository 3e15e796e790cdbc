/*
 * The seccomp program of guest processes: host calls are allowed from the stub's call gate only,
 * and there only those that touch nothing but the process itself. Everything else traps (SIGSYS)
 * into the stub, or, with the notify platform, waits for the sentry's answer. A guest that jumps to
 * the gate gains nothing beyond its own address space.
 */
#include "platform/systrap/systrap.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

#include "platform/systrap/stub_flags.h"

struct filter {
    struct sock_filter *insns;
    unsigned count;
};

/* A call, and what its arguments must be: the low words of arg[0] and arg[1], where checked. */
struct allowed {
    unsigned nr;
    unsigned checks; /* bit i: arg[i] must be value[i], with a high word of 0 */
    uint32_t value[2];
};

static const struct allowed allowed_calls[] = {
    {__NR_futex, 2, {0, FUTEX_WAIT}},
    {__NR_futex, 2, {0, FUTEX_WAKE}},
    {__NR_mmap, 0, {0}},
    {__NR_munmap, 0, {0}},
    {__NR_mprotect, 0, {0}},
    {__NR_mremap, 0, {0}},
    {__NR_madvise, 0, {0}},
    {__NR_msync, 0, {0}},
    {__NR_mincore, 0, {0}},
    {__NR_recvmsg, 0, {0}},
    {__NR_close, 0, {0}},
    {__NR_clone, 1, {STUB_FORK_FLAGS}},
    {__NR_clone, 1, {STUB_THREAD_FLAGS}},
    {__NR_exit, 0, {0}},
    {__NR_exit_group, 0, {0}},
    {__NR_sigaltstack, 0, {0}},
    {__NR_set_tid_address, 0, {0}},
    {__NR_prctl, 3, {PR_SET_PDEATHSIG, SIGKILL}},
    {__NR_prctl, 3, {PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON}},
    {__NR_clock_gettime, 1, {CLOCK_THREAD_CPUTIME_ID}},
    {__NR_getrusage, 1, {RUSAGE_SELF}},
};

static void emit(struct filter *f, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf)
{
    f->insns[f->count++] = (struct sock_filter){code, jt, jf, k};
}

static void load(struct filter *f, unsigned offset)
{
    emit(f, BPF_LD | BPF_W | BPF_ABS, offset, 0, 0);
}

/* Traps unless the loaded word is k. */
static void require(struct filter *f, uint32_t k)
{
    emit(f, BPF_JMP | BPF_JEQ | BPF_K, k, 1, 0);
    emit(f, BPF_RET | BPF_K, SECCOMP_RET_TRAP, 0, 0);
}

/* Each check skips to the end of this call's block when it fails. */
static void allow(struct filter *f, const struct allowed *call)
{
    unsigned checks = (call->checks & 1) + (call->checks >> 1 & 1);
    unsigned left = checks * 4 + 1;

    load(f, offsetof(struct seccomp_data, nr));
    emit(f, BPF_JMP | BPF_JEQ | BPF_K, call->nr, 0, (uint8_t)left);
    for (unsigned i = 0; i < 2; i++) {
        if (!(call->checks >> i & 1))
            continue;
        load(f, (unsigned)offsetof(struct seccomp_data, args) + i * 8);
        left -= 2;
        emit(f, BPF_JMP | BPF_JEQ | BPF_K, call->value[i], 0, (uint8_t)left);
        load(f, (unsigned)offsetof(struct seccomp_data, args) + i * 8 + 4);
        left -= 2;
        emit(f, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, (uint8_t)left);
    }
    emit(f, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
}

/* The loaded word being other than k, the call is the guest's and becomes a notification. */
static void notify_unless(struct filter *f, uint32_t k)
{
    emit(f, BPF_JMP | BPF_JEQ | BPF_K, k, 1, 0);
    emit(f, BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF, 0, 0);
}

/*
 * Calls from outside of the blob are told, but for those of the 32-bit ABI and of the vsyscall
 * page, which trap. With dispatch the host would not ask this program.
 */
static void notify_guest_calls(struct filter *f)
{
    load(f, offsetof(struct seccomp_data, arch));
    require(f, AUDIT_ARCH_X86_64);
    load(f, offsetof(struct seccomp_data, instruction_pointer) + 4);
    emit(f, BPF_JMP | BPF_JEQ | BPF_K, UINT32_MAX, 0, 1);
    emit(f, BPF_RET | BPF_K, SECCOMP_RET_TRAP, 0, 0);
    notify_unless(f, (uint32_t)(systrap.zone >> 32));
    load(f, offsetof(struct seccomp_data, instruction_pointer));
    emit(f, BPF_ALU | BPF_AND | BPF_K, ~(ZONE_TEXT_SIZE - 1U), 0, 0);
    notify_unless(f, (uint32_t)systrap.zone);
    load(f, offsetof(struct seccomp_data, nr));
    emit(f, BPF_JMP | BPF_JEQ | BPF_K, __NR_prctl, 0, 3);
    load(f, offsetof(struct seccomp_data, args));
    emit(f, BPF_JMP | BPF_JEQ | BPF_K, PR_SET_SYSCALL_USER_DISPATCH, 0, 1);
    emit(f, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL, 0, 0);
}

unsigned filter_build(struct sock_filter *out, uint64_t gate_ip)
{
    struct filter f = {out, 0};

    if (systrap.notify)
        notify_guest_calls(&f);
    load(&f, offsetof(struct seccomp_data, instruction_pointer));
    require(&f, (uint32_t)gate_ip);
    load(&f, offsetof(struct seccomp_data, instruction_pointer) + 4);
    require(&f, (uint32_t)(gate_ip >> 32));
    load(&f, offsetof(struct seccomp_data, arch));
    require(&f, AUDIT_ARCH_X86_64);
    for (unsigned i = 0; i < ARRAY_SIZE(allowed_calls); i++)
        allow(&f, &allowed_calls[i]);
    emit(&f, BPF_RET | BPF_K, SECCOMP_RET_TRAP, 0, 0);
    BUG_ON(f.count > FILTER_MAX);
    return f.count;
}
