/* What is common to the kinds: telling them apart, and the ends that mean the same in all. */
#include "runsc-cli/compat/kinds.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SKIP_STATUS 77 /* of plain programs, as automake and CTest have it */
#define SCAN_MAX    (256U << 20)

const char *const kind_names[KINDS] = {"auto", "plain", "gtest", "tap", "ltp", "criterion"};
const char *const outcome_names[OUTCOMES] = {"absent", "pass", "fail", "skip", "crash", "hang"};
const char *const verdict_names[VERDICTS] = {"passed",  "same", "failed", "differs",
                                             "crashed", "hung", "skipped"};

int kind_of_name(const char *name)
{
    for (int k = 0; k < KINDS; k++) {
        if (strcmp(name, kind_names[k]) == 0)
            return k;
    }
    return -1;
}

enum kind kind_of_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    enum kind kind = KIND_PLAIN;
    struct stat st;
    char *data;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0) {
        if (fd >= 0)
            close(fd);
        return KIND_PLAIN;
    }
    size_t size = st.st_size < SCAN_MAX ? (size_t)st.st_size : SCAN_MAX;

    data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (data == MAP_FAILED)
        return KIND_PLAIN;
    if (size < 4 || memcmp(data, "\177ELF", 4) != 0)
        kind = KIND_PLAIN;
    else if (find_bytes(data, size, "gtest_list_tests") || find_bytes(data, size, "libgtest.so"))
        kind = KIND_GTEST;
    else if (find_bytes(data, size, "libcriterion.so") ||
             find_bytes(data, size, "criterion_run_all_tests"))
        kind = KIND_CRITERION;
    else if (find_bytes(data, size, "TPASS") && find_bytes(data, size, "TBROK"))
        kind = KIND_LTP;
    munmap(data, size);
    return kind;
}

enum kind kind_of_output(const struct run *r)
{
    if (tap_is(&r->out))
        return KIND_TAP;
    return ltp_is(&r->out) || ltp_is(&r->err) ? KIND_LTP : KIND_PLAIN;
}

const char *const *kind_list_arguments(enum kind kind)
{
    static const char *const gtest[] = {"--gtest_list_tests", NULL};
    static const char *const criterion[] = {"--list", NULL};

    return kind == KIND_GTEST ? gtest : kind == KIND_CRITERION ? criterion : NULL;
}

size_t kind_case_arguments(enum kind kind, const char *case_name, char *out[4])
{
    if (kind == KIND_GTEST) {
        out[0] = format_string("--gtest_filter=%s", case_name);
        out[1] = copy_string("--gtest_color=no");
        return 2;
    }
    if (kind == KIND_CRITERION) {
        out[0] = copy_string("--filter");
        out[1] = copy_string(case_name);
        out[2] = copy_string("-j1");
        return 3;
    }
    return 0;
}

void add_name(struct name_list *l, char *name)
{
    l->items = grow_array(l->items, l->count, &l->size, sizeof(*l->items));
    l->items[l->count++] = name;
}

void free_names(struct name_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->items[i]);
    free(l->items);
    *l = (struct name_list){0};
}

void add_case(struct case_list *l, char *name, enum outcome outcome, char *message)
{
    l->items = grow_array(l->items, l->count, &l->size, sizeof(*l->items));
    l->items[l->count++] =
        (struct case_result){.name = name, .outcome = outcome, .message = message};
}

void free_cases(struct case_list *l)
{
    for (size_t i = 0; i < l->count; i++) {
        free(l->items[i].name);
        free(l->items[i].message);
        free(l->items[i].comparable);
    }
    free(l->items);
    *l = (struct case_list){0};
}

struct case_result *find_case(const struct case_list *l, const char *name)
{
    for (size_t i = 0; i < l->count; i++) {
        if (strcmp(l->items[i].name, name) == 0)
            return &l->items[i];
    }
    return NULL;
}

static void plain_results(const struct run *r, struct case_list *out)
{
    enum outcome o = r->status == 0 ? OUT_PASS : r->status == SKIP_STATUS ? OUT_SKIP : OUT_FAIL;

    add_case(out, copy_string(""), o,
             o == OUT_FAIL ? format_string("exit status %d", r->status) : NULL);
}

/* The cases a program of several wrote before it hung or crashed count; how it ended is one too. */
static void broken_off(enum kind kind, const struct run *r, struct case_list *out)
{
    const char *name = r->hung ? NULL : signal_of_status(r->status);
    char *message = r->hung ? format_string("no end in %.1f s", (double)r->us / 1e6)
                            : format_string("killed by %s", name);

    if (kind == KIND_TAP)
        tap_results(r, out);
    add_case(out, copy_string(""), r->hung ? OUT_HANG : OUT_CRASH, message);
}

void kind_results(enum kind kind, const char *case_name, const struct run *r, struct case_list *out)
{
    if (r->hung || signal_of_status(r->status)) {
        broken_off(kind, r, out);
        return;
    }
    switch (kind) {
    case KIND_GTEST:
        if (case_name) {
            gtest_results(case_name, r, out);
            return;
        }
        break;
    case KIND_CRITERION:
        if (case_name) {
            criterion_results(case_name, r, out);
            return;
        }
        break;
    case KIND_TAP:
        tap_results(r, out);
        return;
    case KIND_LTP:
        ltp_results(r, out);
        return;
    default:
        break;
    }
    plain_results(r, out);
}

bool kind_comparable(enum kind kind, const char *line, size_t *n)
{
    const char *time;

    if (kind == KIND_LTP)
        return find_bytes(line, *n, "TPASS") || find_bytes(line, *n, "TFAIL") ||
               find_bytes(line, *n, "TBROK") || find_bytes(line, *n, "TCONF") ||
               find_bytes(line, *n, "TWARN");
    if (kind == KIND_GTEST) {
        if (line_starts(line, *n, "Note: "))
            return false;
        time = memrchr(line, '(', *n);
        if (time && find_bytes(time, *n - (size_t)(time - line), " ms"))
            *n = (size_t)(time - line);
    }
    return true;
}
