/*
 * The kinds of test programs: how each is told, how its cases are listed and run one by one, and
 * what its output and status say. Pure functions over text; nothing is run here.
 */
#pragma once

#include "runsc-cli/compat/compat.h"

struct name_list {
    char **items;
    size_t count, size;
};

/* By what is in the program's file: GoogleTest, Criterion, LTP, else plain (it may still be TAP).
 */
enum kind kind_of_file(const char *path);
/* By what a plain program wrote: TAP and LTP are told by their lines. */
enum kind kind_of_output(const struct run *r);
/* -1: there is no such kind. */
int kind_of_name(const char *name);

/* Whether such a program runs single cases, and the arguments for a list; NULL-terminated. */
const char *const *kind_list_arguments(enum kind kind);
/* Arguments that run one case, to be freed each; count 0 for kinds without. */
size_t kind_case_arguments(enum kind kind, const char *case_name, char *out[4]);
/* The case names in a list's output. */
void gtest_list(const struct text *list, struct name_list *out);
void criterion_list(const struct text *list, struct name_list *out);
void add_name(struct name_list *l, char *name);
void free_names(struct name_list *l);

/* What an ended run says; case_name is the single case it was to run, or NULL. */
void kind_results(enum kind kind, const char *case_name, const struct run *r,
                  struct case_list *out);
void add_case(struct case_list *l, char *name, enum outcome outcome, char *message);
void free_cases(struct case_list *l);
struct case_result *find_case(const struct case_list *l, const char *name);

/* One each: what they take from a run that neither hung nor crashed. */
void gtest_results(const char *case_name, const struct run *r, struct case_list *out);
void criterion_results(const char *case_name, const struct run *r, struct case_list *out);
void tap_results(const struct run *r, struct case_list *out);
void ltp_results(const struct run *r, struct case_list *out);
bool tap_is(const struct text *t);
bool ltp_is(const struct text *t);

/*
 * A line as it is compared: without what differs from run to run in this kind (times). False: the
 * line is not compared at all.
 */
bool kind_comparable(enum kind kind, const char *line, size_t *n);
