/*
 * What the sentry and the report helper say to each other over their socket. The sentry sends a
 * job, its mappings behind it; the helper asks for the program's memory and files as it needs them,
 * and sends text. All it sends is text of a guest's making: the sentry escapes it and bounds it.
 */
#pragma once

#include <stdint.h>

/* Registers by DWARF's numbers: rax rdx rcx rbx rsi rdi rbp rsp r8 to r15, rip. */
#define REPORT_REGS    17
#define REPORT_MAPS    4096
#define REPORT_NO_FILE UINT32_MAX

struct report_job {
    uint64_t regs[REPORT_REGS];
    uint64_t map_count;
};

struct report_map {
    uint64_t start, end, offset;
    uint32_t file; /* equal for mappings of one file; REPORT_NO_FILE */
    uint32_t prot;
};

enum report_kind {
    REPORT_MEMORY =
        1,       /* a: address, b: bytes; answered by as many, and before them how many count */
    REPORT_FILE, /* map: any of the file's mappings; a: offset, b: bytes; answered so, too */
    REPORT_TEXT, /* b bytes follow */
    REPORT_END,
};

struct report_message {
    uint64_t kind, map, a, b;
};

#define REPORT_READ_MAX 65536
#define REPORT_TEXT_MAX 1024
