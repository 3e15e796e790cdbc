/*
 * The Linux Test Project's programs: lines of TPASS, TFAIL, TBROK, TCONF, TWARN in its old and its
 * new form, and an exit status of bits: 1 failed, 2 broken, 4 warned, 32 not for this system.
 */
#include "runsc-cli/compat/kinds.h"

#include <stdlib.h>
#include <string.h>

#define BITS_FAILED (1 | 2 | 4)
#define BIT_CONF    32

enum { PASS, FAIL, BROK, CONF, WARN, TYPES };

static const char *const types[TYPES] = {"TPASS", "TFAIL", "TBROK", "TCONF", "TWARN"};

/* "file.c:12: TPASS: words", with colours around the type; "name 1 TPASS : words". Or -1. */
static int type_of(const char *line, size_t n)
{
    for (int t = 0; t < TYPES; t++) {
        const char *at = find_bytes(line, n, types[t]), *end = line + n;

        if (!at || at == line || (at[-1] != ' ' && at[-1] != 'm'))
            continue;
        at += 5;
        while (at < end && (*at == ' ' || *at == '\033' || *at == '[' || *at == 'm' ||
                            (*at >= '0' && *at <= '9') || *at == ';'))
            at++;
        /* TPASS+errno words of the old form: "TFAIL  :  x", "TBROK=errno..." */
        if (at < end && (*at == ':' || *at == '='))
            return t;
    }
    return -1;
}

bool ltp_is(const struct text *t)
{
    size_t at = 0, n;
    const char *line;

    while (text_line(t, &at, &line, &n)) {
        if (type_of(line, n) >= 0)
            return true;
    }
    return false;
}

static void count_lines(const struct text *t, unsigned long counts[TYPES], char **first_bad)
{
    size_t at = 0, n;
    const char *line;

    while (text_line(t, &at, &line, &n)) {
        int type = type_of(line, n);

        if (type < 0)
            continue;
        counts[type]++;
        if (type != PASS && !*first_bad)
            *first_bad = copy_bytes(line, n);
    }
}

void ltp_results(const struct run *r, struct case_list *out)
{
    unsigned long c[TYPES] = {0};
    enum outcome o = OUT_PASS;
    char *bad = NULL;

    count_lines(&r->out, c, &bad);
    count_lines(&r->err, c, &bad);
    if ((r->status & BITS_FAILED) || (r->status & ~(BITS_FAILED | BIT_CONF)) || c[FAIL] || c[BROK])
        o = OUT_FAIL;
    else if (!c[PASS] && ((r->status & BIT_CONF) || c[CONF]))
        o = OUT_SKIP;
    if (o == OUT_FAIL && !bad)
        bad = format_string("exit status %d", r->status);
    if (o == OUT_PASS) {
        free(bad);
        bad = NULL;
    }
    add_case(out, copy_string(""), o, bad);
    out->items[out->count - 1].comparable =
        format_string("exit status %d, TPASS %lu, TFAIL %lu, TBROK %lu, TCONF %lu, TWARN %lu",
                      r->status, c[PASS], c[FAIL], c[BROK], c[CONF], c[WARN]);
}
