/*
 * Build-time tool: calls.def to BPF programs, by libseccomp, printed as a C header on stdout. One
 * program for each platform with and without WRITABLE, with NETWORK, NETWORK and DNS, HOSTNET or
 * none.
 */
#include "sentry/boot/jail/rules.h"

#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void check(int r, const char *what)
{
    if (r < 0) {
        fprintf(stderr, "generate: %s: error %d\n", what, -r);
        exit(1);
    }
}

static void add(scmp_filter_ctx ctx, const struct jail_rule *r)
{
    uint32_t action = r->refuse ? SCMP_ACT_ERRNO((uint32_t)r->refuse) : SCMP_ACT_ALLOW;
    struct scmp_arg_cmp cmp[JAIL_ARGS];
    unsigned n = 0;

    for (; n < JAIL_ARGS && r->args[n].mask; n++)
        cmp[n] = SCMP_CMP(r->args[n].index, SCMP_CMP_MASKED_EQ, r->args[n].mask, r->args[n].value);
    check(seccomp_rule_add_array(ctx, action, r->nr, n, cmp), r->name);
}

/* seccomp_export_bpf writes to a descriptor: a temporary file's. */
static void print_program(scmp_filter_ctx ctx, unsigned what)
{
    struct {
        uint16_t code;
        uint8_t jt, jf;
        uint32_t k;
    } insn;
    FILE *f = tmpfile();

    if (!f)
        check(-errno, "tmpfile");
    check(seccomp_export_bpf(ctx, fileno(f)), "export");
    lseek(fileno(f), 0, SEEK_SET);
    printf("static const struct sock_filter jail_program_%u[] = {\n", what);
    while (read(fileno(f), &insn, sizeof(insn)) == (ssize_t)sizeof(insn))
        printf("    {0x%x, %u, %u, 0x%x},\n", insn.code, insn.jt, insn.jf, insn.k);
    printf("};\n");
    fclose(f);
}

static unsigned count_calls(unsigned what)
{
    bool seen[512] = {false};
    unsigned n = 0;

    for (size_t i = 0; i < JAIL_RULES; i++) {
        const struct jail_rule *r = &jail_rules[i];

        if (r->refuse || !jail_rule_applies(r, what) || seen[r->nr])
            continue;
        seen[r->nr] = true;
        n++;
    }
    return n;
}

static void make(unsigned what)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);

    if (!ctx)
        check(-ENOMEM, "init");
    check(seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS), "bad arch");
    check(seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2), "optimise");
    for (size_t i = 0; i < JAIL_RULES; i++) {
        if (jail_rule_applies(&jail_rules[i], what))
            add(ctx, &jail_rules[i]);
    }
    print_program(ctx, what);
    seccomp_release(ctx);
}

#define EXTRAS 8

int main(void)
{
    static const unsigned platforms[] = {JAIL_SYSTRAP, JAIL_PTRACE, JAIL_MPK, JAIL_NOTIFY};
    static const unsigned extras[] = {0,
                                      JAIL_WRITABLE,
                                      JAIL_NETWORK,
                                      JAIL_WRITABLE | JAIL_NETWORK,
                                      JAIL_HOSTNET,
                                      JAIL_WRITABLE | JAIL_HOSTNET,
                                      JAIL_NETWORK | JAIL_DNS,
                                      JAIL_WRITABLE | JAIL_NETWORK | JAIL_DNS};

    printf("/* Generated from sentry/boot/jail/calls.def. */\n#pragma once\n");
    for (size_t p = 0; p < 4; p++) {
        for (size_t e = 0; e < EXTRAS; e++)
            make(platforms[p] | extras[e]);
    }
    printf("static const struct jail_program jail_programs[] = {\n");
    for (size_t p = 0; p < 4; p++) {
        for (size_t e = 0; e < EXTRAS; e++) {
            unsigned what = platforms[p] | extras[e];

            printf("    {%u, %u, sizeof(jail_program_%u) / sizeof(struct sock_filter), "
                   "jail_program_%u},\n",
                   what, count_calls(what), what, what);
        }
    }
    printf("};\n");
    return 0;
}
