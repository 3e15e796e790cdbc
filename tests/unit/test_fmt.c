/* Formatting against libc's snprintf, and string buffers. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "sentry/base/fmt.h"
#include "tests/unit/fixture.h"

#pragma GCC diagnostic ignored "-Wformat"
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"

KERNEL_SUITE(fmt);

#define SAME(...)                                                                                  \
    do {                                                                                           \
        char got_[300], want_[300];                                                                \
        int g_ = cv_snprintf(got_, sizeof(got_), __VA_ARGS__);                                     \
        int w_ = snprintf(want_, sizeof(want_), __VA_ARGS__);                                      \
        cr_assert_str_eq(got_, want_);                                                             \
        cr_assert_eq(g_, w_);                                                                      \
    } while (0)

Test(fmt, integers_match_libc)
{
    static const char *const lengths[] = {"hh", "h", "", "l", "ll", "z", "j"};
    static const char *const flags[] = {"", "-", "0", "+", " ", "#", "-0", "+0", "0#", "-#"};
    static const char *const widths[] = {"", "1", "7", "25"};
    static const char *const precisions[] = {"", ".0", ".1", ".5", ".22"};
    static const int64_t values[] = {0, 1, -1, 9, 255, -128, 65535, INT_MAX, INT_MIN,
                                     INT64_MAX, INT64_MIN, 0x123456789abcdef};

    for (unsigned c = 0; c < 6; c++)
        for (unsigned l = 0; l < ARRAY_SIZE(lengths); l++)
            for (unsigned f = 0; f < ARRAY_SIZE(flags); f++)
                for (unsigned w = 0; w < ARRAY_SIZE(widths); w++)
                    for (unsigned p = 0; p < ARRAY_SIZE(precisions); p++)
                        for (unsigned v = 0; v < ARRAY_SIZE(values); v++) {
                            char fmt[32];

                            snprintf(fmt, sizeof(fmt), "<%%%s%s%s%s%c>", flags[f], widths[w],
                                     precisions[p], lengths[l], "diuoxX"[c]);
                            SAME(fmt, values[v]);
                        }
}

Test(fmt, others_match_libc)
{
    SAME("%s|%10s|%-10s|%.2s|%5.1s|%.0s", "abc", "abc", "abc", "abc", "abc", "abc");
    SAME("%c%3c%-3c|%%", 'a', 'b', 'c');
    SAME("%p", (void *)0x1234);
    SAME("%*d|%-*d|%*d|%.*s|%.*d", 5, 42, 5, 42, -5, 42, 2, "abc", 4, 7);
    SAME("%s", "");
    SAME("plain");
}

Test(fmt, truncation)
{
    char buf[8] = "xxxxxxx";

    cr_assert_eq(cv_snprintf(buf, 4, "%d", 123456), 6);
    cr_assert_str_eq(buf, "123");
    cr_assert_eq(buf[4], 'x');
    cr_assert_eq(cv_snprintf(NULL, 0, "%s", "abc"), 3);
    cr_assert_eq(cv_snprintf(buf, 1, "abc"), 3);
    cr_assert_str_eq(buf, "");
}

Test(fmt, strbuf_grows)
{
    struct strbuf sb;
    char want[40];
    size_t at = 0;

    strbuf_init(&sb);
    for (int i = 0; i < 5000; i++)
        strbuf_printf(&sb, "%d %s,", i, "text");
    cr_assert(!sb.failed);
    cr_assert_eq(strlen(sb.data), sb.size);
    for (int i = 0; i < 5000; i++) {
        int n = snprintf(want, sizeof(want), "%d text,", i);

        cr_assert(memcmp(sb.data + at, want, (size_t)n) == 0);
        at += (size_t)n;
    }
    cr_assert_eq(at, sb.size);
    strbuf_printf(&sb, "%700s", "x");
    cr_assert_eq(sb.size, at + 700);
    strbuf_free(&sb);
    cr_assert_null(sb.data);
}

Test(fmt, strbuf_fixed_truncates)
{
    char buf[8];
    struct strbuf sb;

    strbuf_init_fixed(&sb, buf, sizeof(buf));
    strbuf_puts(&sb, "1234567");
    cr_assert(!sb.failed);
    strbuf_putc(&sb, '8');
    cr_assert(sb.failed);
    cr_assert_str_eq(buf, "1234567");

    strbuf_init_fixed(&sb, buf, sizeof(buf));
    strbuf_printf(&sb, "%s", "abcdefghijk");
    cr_assert(sb.failed);
    cr_assert_str_eq(buf, "abcdefg");

    strbuf_init_fixed(&sb, buf, sizeof(buf));
    strbuf_printf(&sb, "%300d", 1);
    cr_assert(sb.failed);
    cr_assert_str_eq(buf, "       ");
}
