/*
 * Core files: the notes of an ELF core as Linux writes them on x86-64. Sources: core(5), elf(5),
 * and what gdb and elfutils read. Types and constants only.
 */
#pragma once

#include "sentry/base/compiler.h"

#define LX_ET_CORE 4
#define LX_PT_NOTE 4

#define LX_NT_PRSTATUS   1
#define LX_NT_PRFPREG    2
#define LX_NT_PRPSINFO   3
#define LX_NT_AUXV       6
#define LX_NT_X86_XSTATE 0x202
#define LX_NT_SIGINFO    0x53494749
#define LX_NT_FILE       0x46494c45

struct lx_elf_nhdr {
    uint32_t namesz, descsz, type;
};

/* user_regs_struct: also what ptrace's PTRACE_GETREGS gives. */
struct lx_user_regs {
    uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi, orig_rax;
    uint64_t rip, cs, rflags, rsp, ss, fs_base, gs_base, ds, es, fs, gs;
};
_Static_assert(sizeof(struct lx_user_regs) == 27 * 8, "user_regs_struct");

struct lx_prstatus {
    int32_t signo, code, error;
    int16_t cursig;
    uint64_t sigpend, sighold;
    int32_t pid, ppid, pgrp, sid;
    struct {
        int64_t sec, usec;
    } utime, stime, cutime, cstime;
    struct lx_user_regs regs;
    int32_t fpvalid;
};
_Static_assert(sizeof(struct lx_prstatus) == 336, "elf_prstatus");

struct lx_prpsinfo {
    char state, sname, zomb, nice;
    uint64_t flag;
    uint32_t uid, gid;
    int32_t pid, ppid, pgrp, sid;
    char fname[16], psargs[80];
};
_Static_assert(sizeof(struct lx_prpsinfo) == 136, "elf_prpsinfo");

/* The legacy part of an XSAVE image, and where the software bytes say which features follow. */
#define LX_FXSAVE_SIZE     512
#define LX_XSAVE_XCR0_WORD 464

/* /proc/PID/coredump_filter */
#define LX_DUMP_ANON_PRIVATE   1U
#define LX_DUMP_ANON_SHARED    2U
#define LX_DUMP_MAPPED_PRIVATE 4U
#define LX_DUMP_MAPPED_SHARED  8U
#define LX_DUMP_ELF_HEADERS    16U
#define LX_DUMP_FILTER_BITS    0x1ffU
#define LX_DUMP_FILTER_DEFAULT 0x33U
