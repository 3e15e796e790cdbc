/* The host's signal frame, as far as it is looked at here. */
#pragma once

#include "sentry/base/compiler.h"

struct host_siginfo {
    int32_t signo, error, code, unused;
    uint64_t addr;
    int32_t syscall;
    uint32_t arch;
};

struct host_ucontext {
    uint64_t flags, link, stack[3];
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, rflags, segments;
    uint64_t err, trapno, oldmask, cr2;
    uint64_t fpstate;
};
