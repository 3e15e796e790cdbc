/* Freestanding memory and string functions against libc's, over sizes, alignments and overlaps. */
#include <string.h>

#include "sentry/abi/errno.h"
#include "sentry/base/string.h"
#include "tests/unit/fixture.h"

#define AREA 1200

static int sign(int v)
{
    return (v > 0) - (v < 0);
}

static void fill(struct random *r, unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (unsigned char)random_next(r);
}

Test(string, copies_match_libc)
{
    unsigned char src[AREA], got[AREA], want[AREA];
    struct random r = {2};

    for (int step = 0; step < 40000; step++) {
        uint32_t limit = random_below(&r, 3) ? 40 : 500;
        size_t n = random_below(&r, limit), from = random_below(&r, 600),
               to = random_below(&r, 600);

        fill(&r, src, 8);
        if (step % 100 == 0)
            fill(&r, src, AREA);
        memcpy(got, src, AREA);
        memcpy(want, src, AREA);
        switch (step % 3) {
        case 0:
            cr_assert_eq(cv_memmove(got + to, got + from, n), got + to);
            memmove(want + to, want + from, n);
            break;
        case 1:
            cr_assert_eq(cv_memcpy(got + to, src + from, n), got + to);
            memcpy(want + to, src + from, n);
            break;
        default:
            cr_assert_eq(cv_memset(got + to, (int)from, n), got + to);
            memset(want + to, (int)from, n);
        }
        cr_assert(memcmp(got, want, AREA) == 0, "step %d: n %zu from %zu to %zu", step, n, from,
                  to);
    }
}

/* Where the page offsets of both lie close together, another way is taken. */
Test(string, copies_between_pages)
{
    static unsigned char from[3 * 4096], to[3 * 4096], want[3 * 4096];
    struct random r = {3};

    fill(&r, from, sizeof(from));
    for (size_t n = 250; n < 5000; n += 97) {
        for (int apart = -17; apart <= 17; apart++) {
            fill(&r, to, 64);
            memcpy(want, to, sizeof(to));
            cv_memcpy(to + 32 + apart, from + 32, n);
            memcpy(want + 32 + apart, from + 32, n);
            cr_assert(memcmp(to, want, sizeof(to)) == 0, "n %zu apart %d", n, apart);
        }
    }
}

Test(string, overlapping_moves)
{
    unsigned char got[AREA], want[AREA];
    struct random r = {4};

    for (size_t n = 0; n < 520; n++) {
        for (int shift = -40; shift <= 40; shift++) {
            fill(&r, got, 16);
            memcpy(want, got, AREA);
            cv_memmove(got + 100 + shift, got + 100, n);
            memmove(want + 100 + shift, want + 100, n);
            cr_assert(memcmp(got, want, AREA) == 0, "n %zu shift %d", n, shift);
        }
    }
}

Test(string, comparing_and_searching)
{
    struct random r = {5};
    char a[64], b[64];

    for (int step = 0; step < 50000; step++) {
        size_t n = random_below(&r, 40);
        int c = (int)random_below(&r, 4);

        for (int i = 0; i < 64; i++) {
            a[i] = (char)(random_below(&r, 30) ? 1 : random_below(&r, 256));
            b[i] = (char)(random_below(&r, 30) ? 1 : random_below(&r, 256));
        }
        a[63] = b[63] = '\0';
        cr_assert_eq(sign(cv_memcmp(a, b, n)), sign(memcmp(a, b, n)));
        cr_assert_eq(sign(cv_strcmp(a, b)), sign(strcmp(a, b)));
        cr_assert_eq(sign(cv_strncmp(a, b, n)), sign(strncmp(a, b, n)));
        cr_assert_eq(cv_strlen(a), strlen(a));
        cr_assert_eq(cv_strchr(a, c), strchr(a, c));
        cr_assert_eq(cv_strrchr(a, c), strrchr(a, c));
        cr_assert_eq(cv_memchr(a, c, n), memchr(a, c, n));
    }
}

Test(string, helpers)
{
    uint64_t v = 0;
    char buf[4];

    cr_assert_eq(str_copy(buf, "abcdef", sizeof(buf)), 6);
    cr_assert_str_eq(buf, "abc");
    cr_assert_eq(str_copy(buf, "", sizeof(buf)), 0);
    cr_assert_str_eq(buf, "");
    cr_assert(str_starts("prefix", "pre") && str_starts("x", "") && !str_starts("pr", "pre"));
    cr_assert_eq(str_to_u64("18446744073709551615", &v), 0);
    cr_assert_eq(v, UINT64_MAX);
    cr_assert_eq(str_to_u64("18446744073709551616", &v), -EINVAL);
    cr_assert_eq(str_to_u64("", &v), -EINVAL);
    cr_assert_eq(str_to_u64("-1", &v), -EINVAL);
    cr_assert_eq(str_to_u64("1 ", &v), -EINVAL);
    cr_assert_eq(v, UINT64_MAX, "unset on failure");
}
