/* Signal frames of the guest's own with the key register in their extended state, open. */
#include "mpk.h"

#include <ucontext.h>

#define SW_MAGIC    464
#define SW_FEATURES 472
#define XSTATE_BV   512
#define KEY_BIT     0x200UL

static volatile int seen;

static void forge(int signo, siginfo_t *info, void *ucv)
{
    ucontext_t *uc = ucv;
    unsigned char *fp = (unsigned char *)uc->uc_mcontext.fpregs;
    unsigned size, offset, c, d;

    (void)info;
    seen = signo;
    __cpuid_count(13, 9, size, offset, c, d);
    if (!fp || !size)
        return;
    *(uint64_t *)(fp + SW_FEATURES) |= KEY_BIT;
    *(uint64_t *)(fp + XSTATE_BV) |= KEY_BIT;
    if (offset + size <= *(uint32_t *)(fp + SW_MAGIC + 16))
        memset(fp + offset, 0, size);
}

/* The same on a stack of one's own, with as much state as there may be. */
static unsigned char big[65536] __attribute__((aligned(64)));

static void forge_moved(int signo, siginfo_t *info, void *ucv)
{
    ucontext_t *uc = ucv;
    unsigned char *fp = (unsigned char *)uc->uc_mcontext.fpregs;
    uint32_t had = *(uint32_t *)(fp + SW_MAGIC + 16);
    unsigned size, offset, c, d;

    (void)info;
    seen = signo;
    __cpuid_count(13, 9, size, offset, c, d);
    memset(big, 0, sizeof(big));
    memcpy(big, fp, had < 4096 ? had : 4096);
    *(uint32_t *)(big + SW_MAGIC + 4) = offset + size + 4; /* extended size */
    *(uint32_t *)(big + SW_MAGIC + 16) = offset + size;
    *(uint64_t *)(big + SW_FEATURES) |= KEY_BIT;
    *(uint64_t *)(big + XSTATE_BV) |= KEY_BIT;
    *(uint32_t *)(big + offset + size) = 0x46505845;
    uc->uc_mcontext.fpregs = (void *)big;
}

static void with(void (*handler)(int, siginfo_t *, void *))
{
    struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};

    sigaction(SIGUSR1, &sa, NULL);
    for (int i = 0; i < 3; i++) {
        raise(SIGUSR1);
        note_key("sigreturn with an open key in the frame");
    }
    if (seen != SIGUSR1)
        BAD("no signal came");
}

static void in_place(void)
{
    with(forge);
}

static void moved(void)
{
    with(forge_moved);
}

/* A frame whose registers, segments and flags are what no program can have. */
static void wild(int signo, siginfo_t *info, void *ucv)
{
    ucontext_t *uc = ucv;

    (void)info;
    seen = signo;
    uc->uc_mcontext.gregs[REG_EFL] = -1 & ~0x100;
    uc->uc_mcontext.gregs[REG_CSGSFS] = 0;
    uc->uc_mcontext.gregs[REG_RIP] = (long)0x7fffffffe000;
    uc->uc_mcontext.gregs[REG_RSP] = (long)0xffff800000000000;
}

static void wild_registers(void)
{
    struct sigaction sa = {.sa_sigaction = wild, .sa_flags = SA_SIGINFO};

    sigaction(SIGUSR1, &sa, NULL);
    raise(SIGUSR1);
}

int main(void)
{
    begin();
    attempt("frame in place", in_place);
    attempt("frame elsewhere", moved);
    attempt("wild registers", wild_registers);
    return end();
}
