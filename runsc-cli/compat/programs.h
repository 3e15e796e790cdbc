/* The programs to run: words of the command line, lines of a list, and the cases they can list. */
#pragma once

#include "runsc-cli/compat/compat.h"

/*
 * Adds one: argv's first word is looked up as a shell does and made absolute. name NULL: its last
 * part, and its arguments. -1 with *err when there is no such program.
 */
int add_program(struct compat *c, const char *name, char *const *argv, size_t argc,
                struct cli_error *err);
/*
 * Lines `[NAME:] PROGRAM [ARGS...]`; quotes and backslashes as in a shell; from # on at a line's
 * start a comment. A relative program is sought below the list's directory, then as a shell does.
 */
int read_list(struct compat *c, const char *path, struct cli_error *err);
/* The words of a line, malloc'ed, NULL-terminated; NULL: a quote is left open. */
char **split_words(const char *line, size_t *count);
/* After kinds and cases are known: units, a place for each process to be run. */
void add_unit(struct compat *c, size_t *size, struct program *p, char *case_name);
