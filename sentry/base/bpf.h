/*
 * Classic BPF programs, as seccomp(2) and SO_ATTACH_FILTER take them: checked once, then
 * interpreted. No locks, no memory of its own. Sources: kernel documents filter.rst and
 * seccomp_filter.rst, linux/filter.h.
 */
#pragma once

#include "sentry/base/compiler.h"

struct bpf_insn {
    uint16_t code;
    uint8_t jt, jf;
    uint32_t k;
};
_Static_assert(sizeof(struct bpf_insn) == 8, "struct sock_filter");

#define BPF_INSNS_MAX 4096U

/* What a program reads, and so which instructions it may have. */
enum bpf_kind {
    BPF_SECCOMP, /* aligned words of struct seccomp_data, in host order; no modulo */
    BPF_PACKET,  /* bytes of a packet in network order, absolute and indexed */
};

/* -EINVAL: an unknown instruction, a jump out of the program, a division by zero, a store or load
 * beyond the scratch words, scratch read before it is written, or no RET at the end. size: bytes of
 * what BPF_SECCOMP programs read. */
int bpf_check(const struct bpf_insn *prog, uint32_t count, enum bpf_kind kind,
              uint32_t size) MUST_CHECK;
/* Runs a checked program over size bytes; what it returns, 0 when it reads beyond them. */
uint32_t bpf_run(const struct bpf_insn *prog, enum bpf_kind kind, const void *data, uint32_t size);
