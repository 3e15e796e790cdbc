/*
 * What a seccomp filter lets through, found out by running it with everything unknown but the
 * call's number and the architecture: where it asks for more, both ways are taken.
 */
#include "runsc-cli/debug.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>

#define CALLS       1024
#define FILTERS_MAX 32

struct trial {
    const struct sock_filter *code;
    size_t count;
    uint32_t nr;
    bool *tried; /* with an unknown accumulator, from this instruction on */
};

/* False: nobody can say. */
static bool test(uint16_t code, uint32_t a, uint32_t k, bool *out)
{
    switch (BPF_OP(code)) {
    case BPF_JEQ:
        *out = a == k;
        return true;
    case BPF_JGT:
        *out = a > k;
        return true;
    case BPF_JGE:
        *out = a >= k;
        return true;
    case BPF_JSET:
        *out = (a & k) != 0;
        return true;
    default:
        return false;
    }
}

/* Does the accumulator hold something known after this load? */
static bool load(const struct trial *t, const struct sock_filter *in, uint32_t *a)
{
    if (in->code == (BPF_LD | BPF_W | BPF_ABS) && in->k == offsetof(struct seccomp_data, nr)) {
        *a = t->nr;
        return true;
    }
    if (in->code == (BPF_LD | BPF_W | BPF_ABS) && in->k == offsetof(struct seccomp_data, arch)) {
        *a = AUDIT_ARCH_X86_64;
        return true;
    }
    if (BPF_CLASS(in->code) == BPF_LD && BPF_MODE(in->code) == BPF_IMM) {
        *a = in->k;
        return true;
    }
    return false;
}

static bool lets_through(uint32_t action)
{
    action &= SECCOMP_RET_ACTION_FULL;
    return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG;
}

/* May a way from at lead to the call? Depth: at most the jumps of one way. */
static bool reaches(const struct trial *t, size_t at, bool known, uint32_t a)
{
    for (; at < t->count; at++) {
        const struct sock_filter *in = &t->code[at];
        bool yes;

        if (!known) {
            if (t->tried[at])
                return false;
            t->tried[at] = true;
        }
        switch (BPF_CLASS(in->code)) {
        case BPF_RET:
            return BPF_RVAL(in->code) == BPF_A || lets_through(in->k);
        case BPF_LD:
            known = load(t, in, &a);
            break;
        case BPF_ALU:
            if (in->code == (BPF_ALU | BPF_AND | BPF_K))
                a &= in->k;
            else
                known = false;
            break;
        case BPF_MISC:
            if (BPF_MISCOP(in->code) == BPF_TXA)
                known = false;
            break;
        case BPF_JMP:
            if (BPF_OP(in->code) == BPF_JA) {
                at += in->k;
                break;
            }
            if (known && BPF_SRC(in->code) == BPF_K && test(in->code, a, in->k, &yes)) {
                at += yes ? in->jt : in->jf;
                break;
            }
            if (reaches(t, at + 1 + in->jt, known, a))
                return true;
            at += in->jf;
            break;
        default:
            break; /* stores and index loads: what they hold is never known */
        }
    }
    return false;
}

/* Takes from allowed what this filter never lets through. */
static int narrow(const struct sock_filter *code, size_t count, bool *allowed)
{
    struct trial t = {.code = code, .count = count, .tried = malloc(count)};

    if (!t.tried)
        return -ENOMEM;
    for (uint32_t nr = 0; nr < CALLS; nr++) {
        memset(t.tried, 0, count);
        t.nr = nr;
        allowed[nr] = allowed[nr] && reaches(&t, 0, false, 0);
    }
    free(t.tried);
    return 0;
}

int filter_calls(pid_t thread, int *out_filters)
{
    bool allowed[CALLS];
    int calls = 0, n;

    memset(allowed, true, sizeof(allowed));
    for (n = 0; n < FILTERS_MAX; n++) {
        long count = ptrace(PTRACE_SECCOMP_GET_FILTER, thread, n, NULL);
        struct sock_filter *code;
        int r;

        if (count < 0 && errno == ENOENT)
            break;
        if (count < 0)
            return -errno;
        code = calloc((size_t)count + 1, sizeof(*code));
        if (!code)
            return -ENOMEM;
        r = ptrace(PTRACE_SECCOMP_GET_FILTER, thread, n, code) < 0
                ? -errno
                : narrow(code, (size_t)count, allowed);
        free(code);
        if (r < 0)
            return r;
    }
    *out_filters = n;
    if (n == 0)
        return -ENOENT;
    for (int nr = 0; nr < CALLS; nr++)
        calls += allowed[nr];
    return calls;
}
