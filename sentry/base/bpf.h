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
    BPF_PACKET,  /* bytes of a packet in network order, absolute and indexed; and what is told of it
                  */
};

/* What Linux tells of a packet at offsets from SKF_AD_OFF on, in words. Loads of others are
 * refused. */
enum bpf_told {
    BPF_TOLD_PROTOCOL = 0, /* EtherType */
    BPF_TOLD_TYPE = 1,     /* PACKET_HOST and so on */
    BPF_TOLD_IFACE = 2,
    BPF_TOLD_MARK = 5,
    BPF_TOLD_QUEUE = 6,
    BPF_TOLD_HW_TYPE = 7, /* ARPHRD_* */
    BPF_TOLD_HASH = 8,
    BPF_TOLD_CPU = 9,
    BPF_TOLD_XOR = 10, /* no figure: A ^= X */
    BPF_TOLD_VLAN = 11,
    BPF_TOLD_VLAN_PRESENT = 12,
    BPF_TOLD_RANDOM = 14,
    BPF_TOLD_VLAN_TYPE = 15,
    BPF_TOLD_COUNT = 16
};

#define BPF_NO_HEADER INT32_MIN

/* A packet for a program; its maker embeds it. */
struct bpf_packet {
    /* n <= 4 bytes, at bytes from the first one that the program counts (before it: headers).
     * false: not there. */
    bool (*read)(const struct bpf_packet *p, int32_t at, uint8_t *to, uint32_t n);
    uint32_t (*told)(const struct bpf_packet *p, enum bpf_told what);
    uint32_t size;
    int32_t link, net; /* where these headers are (SKF_LL_OFF, SKF_NET_OFF), or BPF_NO_HEADER */
};

/* -EINVAL: an unknown instruction, a jump out of the program, a division by zero, a store or load
 * beyond the scratch words, scratch read before it is written, or no RET at the end. size: bytes of
 * what BPF_SECCOMP programs read. */
int bpf_check(const struct bpf_insn *prog, uint32_t count, enum bpf_kind kind,
              uint32_t size) MUST_CHECK;
/* Runs a checked program over size bytes in host order; what it returns. */
uint32_t bpf_run(const struct bpf_insn *prog, const void *data, uint32_t size);
/* Over a packet: bytes to keep, 0: none. 0, too, when it reads what is not there. */
uint32_t bpf_run_packet(const struct bpf_insn *prog, const struct bpf_packet *p);
