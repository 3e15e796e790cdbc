/* Classic BPF: the checker and the interpreter. */
#include "sentry/base/bpf.h"

#include "sentry/abi/errno.h"
#include "sentry/base/string.h"

#define SCRATCH 16U

/* Classes, sizes, modes, operations and sources: the fields of a code. */
enum { LD = 0, LDX = 1, ST = 2, STX = 3, ALU = 4, JMP = 5, RET = 6, MISC = 7 };
enum { W = 0x00, H = 0x08, B = 0x10 };
#define WIDTH(code) (((code)&0x18) == B ? 1U : ((code)&0x18) == H ? 2U : 4U)
enum { IMM = 0x00, ABS = 0x20, IND = 0x40, MEM = 0x60, LEN = 0x80, MSH = 0xa0 };
enum { ADD = 0x00, SUB = 0x10, MUL = 0x20, DIV = 0x30, OR = 0x40, AND = 0x50, LSH = 0x60 };
enum { RSH = 0x70, NEG = 0x80, MOD = 0x90, XOR = 0xa0 };
enum { JA = 0x00, JEQ = 0x10, JGT = 0x20, JGE = 0x30, JSET = 0x40 };
enum { K = 0x00, X = 0x08, A = 0x10 };
enum { TAX = 0x00, TXA = 0x80 };

/* Offsets below 0 of Linux's packet programs. */
#define TOLD_AT 0xfffff000U
#define NET_AT  0xfff00000U
#define LINK_AT 0xffe00000U
#define TOLD_THERE                                                                                 \
    (1U << BPF_TOLD_PROTOCOL | 1U << BPF_TOLD_TYPE | 1U << BPF_TOLD_IFACE | 1U << BPF_TOLD_MARK |  \
     1U << BPF_TOLD_QUEUE | 1U << BPF_TOLD_HW_TYPE | 1U << BPF_TOLD_HASH | 1U << BPF_TOLD_CPU |    \
     1U << BPF_TOLD_XOR | 1U << BPF_TOLD_VLAN | 1U << BPF_TOLD_VLAN_PRESENT |                      \
     1U << BPF_TOLD_RANDOM | 1U << BPF_TOLD_VLAN_TYPE)

/* ---- checking ---- */

/* k of an absolute load: bytes, headers, or a word that is told. */
static bool packet_place_valid(uint32_t k)
{
    uint32_t word = (k - TOLD_AT) / 4;

    return k < TOLD_AT || (k % 4 == 0 && word < BPF_TOLD_COUNT && TOLD_THERE >> word & 1);
}

static bool load_valid(const struct bpf_insn *i, enum bpf_kind kind, uint32_t size)
{
    switch (i->code) {
    case LD | W | ABS:
        return kind == BPF_PACKET ? packet_place_valid(i->k) : i->k < size && i->k % 4 == 0;
    case LD | H | ABS:
    case LD | B | ABS:
        return kind == BPF_PACKET && packet_place_valid(i->k);
    case LD | W | IND:
    case LD | H | IND:
    case LD | B | IND:
    case LDX | B | MSH:
        return kind == BPF_PACKET;
    case LD | W | LEN:
    case LDX | W | LEN:
    case LD | IMM:
    case LDX | IMM:
        return true;
    case LD | MEM:
    case LDX | MEM:
    case ST:
    case STX:
        return i->k < SCRATCH;
    default:
        return false;
    }
}

static bool alu_valid(const struct bpf_insn *i, enum bpf_kind kind)
{
    bool constant = !(i->code & X);

    switch (i->code & ~(LD | X)) {
    case ALU | MOD:
        if (kind == BPF_SECCOMP)
            return false;
        __attribute__((fallthrough));
    case ALU | DIV:
        return !constant || i->k;
    case ALU | LSH:
    case ALU | RSH:
        return !constant || i->k < 32;
    case ALU | ADD:
    case ALU | SUB:
    case ALU | MUL:
    case ALU | AND:
    case ALU | OR:
    case ALU | XOR:
        return true;
    case ALU | NEG:
        return constant;
    default:
        return false;
    }
}

/* left: instructions after this one. */
static bool jump_valid(const struct bpf_insn *i, uint32_t left)
{
    switch (i->code) {
    case JMP | JA:
        return i->k < left;
    case JMP | JEQ | K:
    case JMP | JEQ | X:
    case JMP | JGT | K:
    case JMP | JGT | X:
    case JMP | JGE | K:
    case JMP | JGE | X:
    case JMP | JSET | K:
    case JMP | JSET | X:
        return i->jt < left && i->jf < left;
    default:
        return false;
    }
}

static bool insn_valid(const struct bpf_insn *i, uint32_t left, enum bpf_kind kind, uint32_t size)
{
    switch (i->code & 7) {
    case ALU:
        return alu_valid(i, kind);
    case JMP:
        return jump_valid(i, left);
    case RET:
        return i->code == (RET | K) || i->code == (RET | A);
    case MISC:
        return i->code == (MISC | TAX) || i->code == (MISC | TXA);
    default:
        return load_valid(i, kind, size);
    }
}

/* Scratch words are read only where every way to there has written them. written[n]: the words that
 * all jumps to n seen so far have written. */
static int check_scratch(const struct bpf_insn *prog, uint32_t count, uint16_t *written)
{
    uint16_t now = 0;

    memset(written, 0xff, count * sizeof(written[0]));
    for (uint32_t n = 0; n < count; n++) {
        const struct bpf_insn *i = &prog[n];

        now &= written[n];
        switch (i->code & 7) {
        case ST:
        case STX:
            now |= (uint16_t)(1U << i->k);
            break;
        case LD:
        case LDX:
            if ((i->code & 0xe0) == MEM && !(now & 1U << i->k))
                return -EINVAL;
            break;
        case JMP:
            if (i->code == (JMP | JA)) {
                written[n + 1 + i->k] &= now;
            } else {
                written[n + 1 + i->jt] &= now;
                written[n + 1 + i->jf] &= now;
            }
            now = 0xffff; /* nothing falls through but by a jump seen above */
            break;
        case RET:
            now = 0xffff;
            break;
        default:
            break;
        }
    }
    return 0;
}

int bpf_check(const struct bpf_insn *prog, uint32_t count, enum bpf_kind kind, uint32_t size)
{
    uint16_t written[BPF_INSNS_MAX];

    if (!count || count > BPF_INSNS_MAX)
        return -EINVAL;
    for (uint32_t n = 0; n < count; n++) {
        if (!insn_valid(&prog[n], count - n - 1, kind, size))
            return -EINVAL;
    }
    if ((prog[count - 1].code & 7) != RET)
        return -EINVAL;
    return check_scratch(prog, count, written);
}

/* ---- running ---- */

/* What a program reads: data, or a packet. */
struct source {
    const uint8_t *data;
    uint32_t size;
    const struct bpf_packet *packet; /* or NULL */
};

static bool fetch_packet(const struct bpf_packet *p, uint32_t at, uint32_t n, uint32_t *out)
{
    int32_t header = at >= NET_AT ? p->net : at >= LINK_AT ? p->link : 0;
    int64_t from = at;
    uint8_t bytes[4];

    if (at > INT32_MAX) {
        if (at < LINK_AT || header == BPF_NO_HEADER)
            return false;
        from = (int64_t)header + (at - (at >= NET_AT ? NET_AT : LINK_AT));
    }
    if (from > INT32_MAX || !p->read(p, (int32_t)from, bytes, n))
        return false;
    *out = 0;
    for (uint32_t i = 0; i < n; i++)
        *out = *out << 8 | bytes[i];
    return true;
}

/* n bytes at an offset, in the order of the kind. */
static bool fetch(const struct source *s, uint32_t at, uint32_t n, uint32_t *out)
{
    if (s->packet)
        return fetch_packet(s->packet, at, n, out);
    if ((uint64_t)at + n > s->size)
        return false;
    memcpy(out, s->data + at, sizeof(*out));
    return true;
}

/* An absolute load. */
static bool load(const struct source *s, const struct bpf_insn *i, uint32_t x, uint32_t *a)
{
    enum bpf_told what = (enum bpf_told)((i->k - TOLD_AT) / 4);

    if (!s->packet || i->k < TOLD_AT)
        return fetch(s, i->k, WIDTH(i->code), a);
    *a = what == BPF_TOLD_XOR ? *a ^ x : s->packet->told(s->packet, what);
    return true;
}

/* false: division by zero, which ends the program with 0. */
static bool alu(uint16_t code, uint32_t *a, uint32_t b)
{
    switch (code & 0xf0) {
    case ADD:
        *a += b;
        break;
    case SUB:
        *a -= b;
        break;
    case MUL:
        *a *= b;
        break;
    case DIV:
    case MOD:
        if (!b)
            return false;
        *a = (code & 0xf0) == DIV ? *a / b : *a % b;
        break;
    case OR:
        *a |= b;
        break;
    case AND:
        *a &= b;
        break;
    case XOR:
        *a ^= b;
        break;
    case LSH:
        *a = b < 32 ? *a << b : 0;
        break;
    case RSH:
        *a = b < 32 ? *a >> b : 0;
        break;
    default: /* NEG */
        *a = 0 - *a;
    }
    return true;
}

static bool jump_taken(uint16_t code, uint32_t a, uint32_t b)
{
    switch (code & 0xf0) {
    case JEQ:
        return a == b;
    case JGT:
        return a > b;
    case JGE:
        return a >= b;
    default:
        return a & b;
    }
}

static uint32_t run(const struct bpf_insn *i, const struct source *s)
{
    uint32_t a = 0, x = 0, mem[SCRATCH];
    uint32_t v;

    for (;; i++) {
        switch (i->code & 7) {
        case LD:
            switch (i->code & 0xe0) {
            case IMM:
                a = i->k;
                break;
            case MEM:
                a = mem[i->k];
                break;
            case LEN:
                a = s->size;
                break;
            case IND:
                if (!fetch(s, x + i->k, WIDTH(i->code), &a))
                    return 0;
                break;
            default: /* ABS */
                if (!load(s, i, x, &a))
                    return 0;
            }
            break;
        case LDX:
            if ((i->code & 0xe0) == MSH) {
                if (!fetch(s, i->k, 1, &v))
                    return 0;
                x = (v & 15) * 4;
            } else {
                x = (i->code & 0xe0) == MEM ? mem[i->k] : (i->code & 0xe0) == LEN ? s->size : i->k;
            }
            break;
        case ST:
            mem[i->k] = a;
            break;
        case STX:
            mem[i->k] = x;
            break;
        case ALU:
            if (!alu(i->code, &a, i->code & X ? x : i->k))
                return 0;
            break;
        case JMP:
            if (i->code == (JMP | JA))
                i += i->k;
            else
                i += jump_taken(i->code, a, i->code & X ? x : i->k) ? i->jt : i->jf;
            break;
        case RET:
            return i->code & A ? a : i->k;
        default: /* MISC */
            if (i->code & TXA)
                a = x;
            else
                x = a;
        }
    }
}

uint32_t bpf_run(const struct bpf_insn *prog, const void *data, uint32_t size)
{
    return run(prog, &(struct source){.data = data, .size = size});
}

uint32_t bpf_run_packet(const struct bpf_insn *prog, const struct bpf_packet *p)
{
    return run(prog, &(struct source){.size = p->size, .packet = p});
}
