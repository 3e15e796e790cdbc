/*
 * runsc compat: what is made of each kind's output, the verdicts, known differences, and what
 * programs wrote on its way into reports.
 */
#include <criterion/criterion.h>

#include "runsc-cli/compat/kinds.h"
#include "runsc-cli/compat/programs.h"

#include <stdlib.h>
#include <string.h>

static struct text text_of(const char *s)
{
    struct text t = {0};

    text_add(&t, s, strlen(s));
    return t;
}

static struct run run_of(int status, const char *out, const char *err)
{
    return (struct run){.done = true, .status = status, .out = text_of(out), .err = text_of(err)};
}

static struct case_list results_of(enum kind kind, const char *name, struct run r)
{
    struct case_list l = {0};

    kind_results(kind, name, &r, &l);
    text_free(&r.out);
    text_free(&r.err);
    return l;
}

static void expect(struct case_list *l, size_t i, const char *name, enum outcome o)
{
    cr_assert_lt(i, l->count);
    cr_assert_str_eq(l->items[i].name, name);
    cr_assert_eq(l->items[i].outcome, o, "%s: %s", name, outcome_names[l->items[i].outcome]);
}

static void expect_one(struct case_list l, enum outcome o)
{
    cr_assert_eq(l.count, 1);
    expect(&l, 0, "", o);
    free_cases(&l);
}

Test(compat, plain_programs_by_status)
{
    expect_one(results_of(KIND_PLAIN, NULL, run_of(0, "x", "")), OUT_PASS);
    expect_one(results_of(KIND_PLAIN, NULL, run_of(3, "x", "")), OUT_FAIL);
    expect_one(results_of(KIND_PLAIN, NULL, run_of(77, "", "")), OUT_SKIP);
    expect_one(results_of(KIND_PLAIN, NULL, run_of(139, "", "")), OUT_CRASH);
    expect_one(results_of(KIND_PLAIN, NULL, run_of(200, "", "")), OUT_FAIL);
    expect_one(results_of(KIND_PLAIN, NULL, (struct run){.done = true, .hung = true}), OUT_HANG);
    cr_assert_str_eq(signal_of_status(134), "SIGABRT");
    cr_assert_null(signal_of_status(128));
    cr_assert_null(signal_of_status(255));
}

Test(compat, gtest_lists)
{
    struct text t = text_of("Running main() from x.cc\nA.\n  One\n  Two  # GetParam() = 4\r\n"
                            "B/0.  # TypeParam = int\n  Three\n\nnoise of a test.\n  not one\n");
    struct name_list l = {0};

    gtest_list(&t, &l);
    cr_assert_eq(l.count, 3);
    cr_assert_str_eq(l.items[0], "A.One");
    cr_assert_str_eq(l.items[1], "A.Two");
    cr_assert_str_eq(l.items[2], "B/0.Three");
    free_names(&l);
    text_free(&t);
}

Test(compat, gtest_cases)
{
    struct case_list l;

    expect_one(results_of(KIND_GTEST, "A.B", run_of(0, "x[       OK ] A.B (0 ms)\n", "")),
               OUT_PASS);
    expect_one(results_of(KIND_GTEST, "A.B", run_of(0, "[  SKIPPED ] A.B (0 ms)\n", "")), OUT_SKIP);
    expect_one(results_of(KIND_GTEST, "A.DISABLED_B", run_of(0, "", "")), OUT_SKIP);
    expect_one(results_of(KIND_GTEST, "A.B", run_of(0, "0 tests\n", "")), OUT_FAIL);
    expect_one(results_of(KIND_GTEST, "A.B", run_of(134, "", "")), OUT_CRASH);
    l = results_of(KIND_GTEST, "A.B",
                   run_of(1, "a\nf.cc:3: Failure\nsaid\n[  FAILED  ] A.B\n", ""));
    expect(&l, 0, "", OUT_FAIL);
    cr_assert_str_eq(l.items[0].message, "f.cc:3: Failure\nsaid");
    free_cases(&l);
}

Test(compat, criterion_lists_and_cases)
{
    struct text t = text_of("arena: 2 tests\n|-- one\n`-- two\nwaiter: 1 test\n"
                            "\342\224\224\342\224\200\342\224\200 three\n");
    struct name_list l = {0};

    criterion_list(&t, &l);
    cr_assert_eq(l.count, 3);
    cr_assert_str_eq(l.items[1], "arena/two");
    cr_assert_str_eq(l.items[2], "waiter/three");
    free_names(&l);
    text_free(&t);
#define SUMS(a, b, c) "[====] Synthesis: Tested: " a " | Passing: " b " | Failing: 0 | Crashing: " c
    expect_one(results_of(KIND_CRITERION, "a/b", run_of(0, "", SUMS("1", "1", "0"))), OUT_PASS);
    expect_one(results_of(KIND_CRITERION, "a/b", run_of(1, "", SUMS("1", "0", "0"))), OUT_FAIL);
    expect_one(results_of(KIND_CRITERION, "a/b", run_of(1, "", SUMS("1", "0", "1"))), OUT_CRASH);
    expect_one(results_of(KIND_CRITERION, "a/b", run_of(0, "", SUMS("0", "0", "0"))), OUT_SKIP);
}

Test(compat, tap_lines)
{
    struct case_list l = results_of(
        KIND_TAP, NULL,
        run_of(1,
               "TAP version 14\n1..7\nok 1 - first\nnot ok 2 - second # because\n"
               "    ok 1 - of a subtest\nok 3 # skip none here\nnot ok - later # TO"
               "DO soon\n  ---\n  a: b\n  ...\nok 5 a \\# b\nokay then\nnot ok\nok 7 -\n",
               ""));

    cr_assert_eq(l.count, 7);
    expect(&l, 0, "1 first", OUT_PASS);
    expect(&l, 1, "2 second # because", OUT_FAIL);
    expect(&l, 2, "3", OUT_SKIP);
    expect(&l, 3, "4 later", OUT_PASS);
    expect(&l, 4, "5 a \\# b", OUT_PASS);
    expect(&l, 5, "6", OUT_FAIL);
    expect(&l, 6, "7", OUT_PASS);
    free_cases(&l);
}

Test(compat, tap_plans)
{
    static const struct {
        const char *text;
        int status;
        size_t count;
        enum outcome last;
    } rows[] = {
        {"1..0 # SKIP not here\n", 0, 1, OUT_SKIP},
        {"1..3\nok 1\nok 2\n", 0, 3, OUT_FAIL}, /* one is missing */
        {"ok 1\nok 2\n", 0, 3, OUT_FAIL},       /* there is no plan */
        {"1..1\nok 1\n", 9, 2, OUT_FAIL},       /* all passed, but the status */
        {"1..2\nok 1\nBail out! x\nok 2\n", 0, 2, OUT_FAIL},
        {"1..2\nok 1\n", 139, 2, OUT_CRASH},
        {"1..99999999999999999999\nok 999999999999999\n", 0, 2, OUT_FAIL},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct case_list l = results_of(KIND_TAP, NULL, run_of(rows[i].status, rows[i].text, ""));

        cr_assert_eq(l.count, rows[i].count, "%s: %zu", rows[i].text, l.count);
        cr_assert_eq(l.items[l.count - 1].outcome, rows[i].last, "%s", rows[i].text);
        free_cases(&l);
    }
}

Test(compat, ltp_lines_and_bits)
{
    struct case_list l;

    expect_one(results_of(KIND_LTP, NULL, run_of(0, "", "a.c:1: TPASS: x\n")), OUT_PASS);
    expect_one(results_of(KIND_LTP, NULL, run_of(1, "", "a.c:1: TFAIL: x\n")), OUT_FAIL);
    expect_one(results_of(KIND_LTP, NULL, run_of(2, "", "a.c:1: TBROK: x\n")), OUT_FAIL);
    expect_one(results_of(KIND_LTP, NULL, run_of(4, "", "a.c:1: TWARN: x\n")), OUT_FAIL);
    expect_one(results_of(KIND_LTP, NULL, run_of(32, "", "a.c:1: TCONF: x\n")), OUT_SKIP);
    expect_one(results_of(KIND_LTP, NULL, run_of(32, "", "TPASS: no\n")), OUT_SKIP);
    expect_one(results_of(KIND_LTP, NULL, run_of(8, "", "a.c:1: TPASS: x\n")), OUT_FAIL);
    expect_one(results_of(KIND_LTP, NULL, run_of(0, "", "a.c:1: TFAIL: x\n")), OUT_FAIL);
    l = results_of(KIND_LTP, NULL,
                   run_of(33, "old01  1  TPASS  :  x\nold01  2  TFAIL  :  y\n",
                          "a.c:1: \033[1;32mTPASS: \033[0mz\na.c:2: TCONF: TFAIL later\n"));
    expect(&l, 0, "", OUT_FAIL);
    cr_assert_str_eq(l.items[0].comparable,
                     "exit status 33, TPASS 2, TFAIL 1, TBROK 0, TCONF 1, TWARN 0");
    cr_assert_str_eq(l.items[0].message, "old01  2  TFAIL  :  y");
    free_cases(&l);
}

Test(compat, kinds_by_output)
{
    static const struct {
        const char *out, *err;
        enum kind kind;
    } rows[] = {
        {"TAP version 13\n", "", KIND_TAP},
        {"1..2\nok 1\nok 2\n", "", KIND_TAP},
        {"ok then\nnot ok\n", "", KIND_PLAIN},
        {"1..2\n", "", KIND_PLAIN},
        {"", "x.c:1: TPASS: y\n", KIND_LTP},
        {"the word TPASS alone\n", "", KIND_PLAIN},
        {"", "", KIND_PLAIN},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct run r = run_of(0, rows[i].out, rows[i].err);

        cr_assert_eq(kind_of_output(&r), rows[i].kind, "%s", rows[i].out);
        text_free(&r.out);
        text_free(&r.err);
    }
}

static enum verdict verdict_of(bool native, struct run theirs, struct run ours, struct cell *out)
{
    char *argv[] = {"p", NULL};
    struct program p = {.name = "p", .argv = argv, .argc = 1, .kind = KIND_PLAIN};
    struct unit u = {.program = &p};
    struct compat c = {.native = native, .platforms = {"systrap"}, .platform_count = 1};
    struct run runs[COMPAT_TARGETS] = {0};

    if (native)
        runs[0] = theirs;
    runs[1] = ours;
    compare_unit(&c, &u, runs);
    cr_assert_eq(u.row_count, 1);
    *out = u.rows[0].cells[0];
    return out->verdict;
}

Test(compat, verdicts)
{
    static const struct {
        int theirs, ours;
        const char *their_text, *our_text;
        enum verdict verdict;
        bool unexpected;
    } rows[] = {
        {0, 0, "a\n", "a\n", VERDICT_PASSED, false},
        {0, 0, "a\nb\n", "a\nc\n", VERDICT_DIFFERS, true},
        {0, 0, "a\n", "a\nb\n", VERDICT_DIFFERS, true},
        {3, 3, "a\n", "a\n", VERDICT_SAME, false},
        {3, 4, "a\n", "a\n", VERDICT_DIFFERS, true},
        {3, 0, "a\n", "a\n", VERDICT_DIFFERS, true},
        {0, 77, "", "", VERDICT_DIFFERS, true},
        {77, 77, "", "", VERDICT_SKIPPED, false},
        {139, 139, "", "", VERDICT_SAME, false},
        {139, 134, "", "", VERDICT_DIFFERS, true},
        {0, 139, "", "", VERDICT_CRASHED, true},
        {139, 0, "", "", VERDICT_DIFFERS, true},
    };
    struct cell cell;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        enum verdict v = verdict_of(true, run_of(rows[i].theirs, rows[i].their_text, ""),
                                    run_of(rows[i].ours, rows[i].our_text, ""), &cell);

        cr_assert_eq(v, rows[i].verdict, "row %zu: %s", i, verdict_names[v]);
        cr_assert_eq(cell.unexpected, rows[i].unexpected, "row %zu", i);
    }
    cr_assert_eq(verdict_of(true, run_of(0, "a\nb\n", ""), run_of(0, "a\n", ""), &cell),
                 VERDICT_DIFFERS);
    cr_assert_eq(cell.line, 2);
    cr_assert_str_eq(cell.expected, "b");
    cr_assert_null(cell.found);
    cr_assert_eq(verdict_of(false, run_of(0, "", ""), run_of(5, "", ""), &cell), VERDICT_FAILED);
    cr_assert_eq(verdict_of(false, run_of(0, "", ""),
                            run_of(0, "", "E0102 03:04:05.678 kernel bug at x.c:1: y\n"), &cell),
                 VERDICT_CRASHED);
}

Test(compat, known_lines)
{
    char text[] =
        "# none\n\nfiles mpk: one reason\nfiles/a.* two reason\n/tmp/x/y* * three reason\n"
        "a_b: four reason\r\n";
    struct known_list l = {0};
    struct cli_error err;
    char bad[] = "files mpk\n", worse[] = "files:\n";

    cr_assert_eq(known_parse(text, "t", &l, &err), 0);
    cr_assert_eq(l.count, 4);
    cr_assert_str_eq(known_reason(&l, "files", "", "mpk"), "one reason");
    cr_assert_null(known_reason(&l, "files", "", "ptrace"));
    cr_assert_str_eq(known_reason(&l, "files", "a.b", "ptrace"), "two reason");
    cr_assert_str_eq(known_reason(&l, "/tmp/x/yz", "", "ptrace"), "three reason");
    cr_assert_str_eq(known_reason(&l, "/any/a_b", "", "ptrace"), "four reason");
    cr_assert_eq(known_parse(bad, "t", &l, &err), -1);
    cr_assert_eq(known_parse(worse, "t", &l, &err), -1);
    cr_assert_eq(err.status, 2);
}

static char *escaped(enum escape how, const char *s, size_t n)
{
    char *out;
    size_t size;
    FILE *f = open_memstream(&out, &size);

    put_text(f, how, s, n);
    fclose(f);
    return out;
}

Test(compat, escaping)
{
    static const struct {
        const char *in, *terminal, *html, *json;
    } rows[] = {
        {"plain \303\251 \342\202\254 \360\237\230\200",
         "plain \303\251 \342\202\254 \360\237\230\200",
         "plain \303\251 \342\202\254 \360\237\230\200",
         "plain \303\251 \342\202\254 \360\237\230\200"},
        {"a\nb\tc", "a\\nb\tc", "a\nb\tc", "a\\nb\\tc"},
        {"\033[31m\007\r\177", "\\x1b[31m\\x07\\x0d\\x7f", "\\x1b[31m\\x07\\x0d\\x7f",
         "\\\\x1b[31m\\\\x07\\\\x0d\\\\x7f"},
        {"<a>&\"'", "<a>&\"'", "&lt;a&gt;&amp;&quot;&#39;", "<a>&\\\"'"},
        {"]]></script>", "]]></script>", "]]&gt;&lt;/script&gt;", "]]></script>"},
        {"\377\300\257\355\240\200\364\220\200\200",
         "\\xff\\xc0\\xaf\\xed\\xa0\\x80\\xf4\\x90\\x80\\x80",
         "\\xff\\xc0\\xaf\\xed\\xa0\\x80\\xf4\\x90\\x80\\x80",
         "\\\\xff\\\\xc0\\\\xaf\\\\xed\\\\xa0\\\\x80\\\\xf4\\\\x90\\\\x80\\\\x80"},
        {"\342\200\256\302\205\357\277\277\342\202", "\\u{202e}\\x85\\u{ffff}\\xe2\\x82",
         "\\u{202e}\\x85\\u{ffff}\\xe2\\x82", "\\\\u{202e}\\\\x85\\\\u{ffff}\\\\xe2\\\\x82"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        size_t n = strlen(rows[i].in);
        char *t = escaped(ESCAPE_TERMINAL, rows[i].in, n), *h = escaped(ESCAPE_HTML, rows[i].in, n),
             *x = escaped(ESCAPE_XML, rows[i].in, n), *j = escaped(ESCAPE_JSON, rows[i].in, n);

        cr_assert_str_eq(t, rows[i].terminal);
        cr_assert_str_eq(h, rows[i].html);
        cr_assert_str_eq(x, rows[i].html);
        cr_assert_str_eq(j, rows[i].json);
        free(t);
        free(h);
        free(x);
        free(j);
    }
    cr_assert_str_eq(escaped(ESCAPE_HTML, "a\0b", 3), "a\\x00b");
}

/* Whatever the bytes are, only what may stand in a document comes out. */
Test(compat, escaping_of_any_bytes)
{
    unsigned seed = 12345;

    for (int round = 0; round < 2000; round++) {
        char in[64], *out;

        for (size_t i = 0; i < sizeof(in); i++)
            in[i] = (char)((seed = seed * 1103515245 + 12345) >> 16);
        out = escaped(ESCAPE_XML, in, sizeof(in));
        for (char *c = out; *c; c++)
            cr_assert((unsigned char)*c >= 0x20 || *c == '\n' || *c == '\t');
        cr_assert_null(strpbrk(out, "<>\"'"));
        free(out);
    }
}

Test(compat, words_of_a_list)
{
    size_t n;
    char **w = split_words("  a 'b  c' d\\ e \"f\\\"g\" ''\r", &n);

    cr_assert_eq(n, 5);
    cr_assert_str_eq(w[1], "b  c");
    cr_assert_str_eq(w[2], "d e");
    cr_assert_str_eq(w[3], "f\"g");
    cr_assert_str_eq(w[4], "");
    cr_assert_null(w[5]);
    cr_assert_null(split_words("a 'b", &n));
    w = split_words("", &n);
    cr_assert_eq(n, 0);
}

Test(compat, texts_are_kept_to_a_limit_and_compared_whole)
{
    struct text a = {.limit = 4}, b = {.limit = 4};
    struct text lines = text_of("one\ntwo\nthree"), tail;

    text_add(&a, "abcdef", 6);
    text_add(&b, "abcd", 4);
    cr_assert_eq(a.size, 4);
    cr_assert(!text_same(&a, &b));
    text_add(&b, "ef", 2);
    cr_assert(text_same(&a, &b));
    tail = text_tail(&lines, 7);
    cr_assert_eq(tail.size, 5);
    cr_assert_eq(memcmp(tail.data, "three", 5), 0);
}
