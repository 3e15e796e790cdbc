/*
 * runsc compat: test programs run natively and on platforms, and what came of it. What the report
 * writers, the parsers of each kind's output and the comparison share.
 *
 * A program is one line of the user's; a unit is one process of it that is run on every target (the
 * program, or one of the cases it can list); a row is one case as it is reported. All strings may
 * hold any bytes a program wrote: they reach a report through text.h only.
 */
#pragma once

#include "runsc-cli/compat/text.h"
#include "runsc-cli/opts.h"

#include <stdatomic.h>
#include <stdio.h>

#define COMPAT_PLATFORMS 5
#define COMPAT_TARGETS   (1 + COMPAT_PLATFORMS) /* the first is native */
#define COMPAT_NATIVE    0

enum kind { KIND_AUTO, KIND_PLAIN, KIND_GTEST, KIND_TAP, KIND_LTP, KIND_CRITERION, KINDS };

enum outcome { OUT_ABSENT, OUT_PASS, OUT_FAIL, OUT_SKIP, OUT_CRASH, OUT_HANG, OUTCOMES };

enum verdict {
    VERDICT_PASSED,  /* on every side */
    VERDICT_SAME,    /* fails, natively as well */
    VERDICT_FAILED,  /* with nothing to compare it to */
    VERDICT_DIFFERS, /* from native, or from the first platform */
    VERDICT_CRASHED,
    VERDICT_HUNG,
    VERDICT_SKIPPED,
    VERDICTS
};

/* One process, ended: the first bytes of what it wrote, and a sum of all. */
struct run {
    bool done;  /* it was run */
    int status; /* as a shell gives it: 128+N for signal N */
    bool hung;  /* it was ended at its timeout */
    int64_t us;
    struct text out, err;
    char *problem; /* why it was not run, or NULL */
};

struct case_result {
    char *name; /* "" for a program of one case */
    enum outcome outcome;
    char *message;    /* why, or NULL */
    char *comparable; /* what must be the same besides the outcome, or NULL */
};

struct case_list {
    struct case_result *items;
    size_t count;
    size_t size; /* of items */
};

/* A row on one platform. */
struct cell {
    enum verdict verdict;
    enum outcome outcome;
    bool unexpected, was_known; /* was_known: listed as a difference, and is none */
    const char *reason;         /* why it is known, or NULL */
    char *message;              /* or NULL */
    size_t line;                /* of the first difference in the output, 0: none */
    char *expected, *found;     /* that line; NULL: the output ended before */
    int status;
    int64_t us;
    struct text tail, calls; /* the end of its output, its last system calls; a line each */
    char *again;             /* what came of it when it was traced, or NULL */
};

struct row {
    char *name; /* of the case, or "" */
    enum outcome native;
    int64_t native_us;
    struct cell cells[COMPAT_PLATFORMS];
};

struct program {
    char *name;
    char **argv;
    size_t argc;
    enum kind kind;
    char *problem; /* why its cases could not be listed, or NULL */
    size_t first_unit, unit_count;
};

struct unit {
    struct program *program;
    char *case_name; /* the case that this process is to run, or NULL */
    struct row *rows;
    size_t row_count;
};

struct known {
    char *pattern, *platform, *reason; /* platform "*": all */
    atomic_bool used;
};

struct known_list {
    struct known *items;
    size_t count;
};

struct compat {
    const char *platforms[COMPAT_PLATFORMS];
    char *unable[COMPAT_PLATFORMS]; /* why it can't run here, or NULL */
    size_t platform_count;
    bool native, status_only;
    struct program *programs;
    size_t program_count;
    struct unit *units;
    size_t unit_count;
    struct known_list known;
    int64_t us;
};

struct tally {
    size_t verdicts[COMPAT_PLATFORMS][VERDICTS];
    size_t unexpected, known, fixed, cases, incomplete;
};

extern const char *const kind_names[KINDS];
extern const char *const outcome_names[OUTCOMES];
extern const char *const verdict_names[VERDICTS];

/* compare.c: what the runs of a unit say, as rows. runs has a place for each target. */
void compare_unit(const struct compat *c, struct unit *u, const struct run *runs);
void count_verdicts(const struct compat *c, struct tally *out);
/* "SIGSEGV" of 139, or NULL. */
const char *signal_of_status(int status);

/* known.c: lines of `program[/case] [platform] reason`. */
int known_read(const char *path, struct known_list *out, struct cli_error *err);
int known_parse(char *text, const char *name, struct known_list *out, struct cli_error *err);
/* The reason, or NULL. The program is named by its name, or by the last part of it. */
const char *known_reason(const struct known_list *list, const char *program, const char *case_name,
                         const char *platform);

/* report_*.c */
void report_table(const struct compat *c, FILE *out);
void report_json(const struct compat *c, FILE *out);
void report_junit(const struct compat *c, FILE *out);
void report_html(const struct compat *c, FILE *out);
