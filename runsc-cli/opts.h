/*
 * Command lines, by tables: each option is a row that says where in the command's own struct its
 * value goes. Long options take one dash or two, values behind "=" or as the next word; options end
 * at the first word that is none (but see opts_reorder), or at "--". As runc's.
 */
#pragma once

#include "runsc-cli/error.h"

enum opt_kind {
    OPT_FLAG,   /* bool; "--x=false" too */
    OPT_STRING, /* const char * */
    OPT_MAYBE,  /* the same, behind "=" only; "" without */
    OPT_INT,    /* int64_t */
    OPT_LIST,   /* struct string_list: once for each time it is given */
};

struct opt {
    const char *name;
    char letter; /* or 0 */
    enum opt_kind kind;
    size_t offset;
    const char *value, *help; /* help NULL: not shown */
};

struct string_list {
    const char **items; /* malloc'ed */
    size_t count;
};

/*
 * The index of the first word behind the options (argv[0] is the command's name), or -1 with *err.
 * *help is set on --help.
 */
int opts_parse(const struct opt *table, void *into, int argc, char **argv, bool *help,
               struct cli_error *err);
/* Options behind other words get before them, up to "--": for commands whose words are counted. */
void opts_reorder(const struct opt *table, int argc, char **argv);
void opts_print(const struct opt *table);
