/*
 * The system calls that a program and its libraries can make, as far as their code tells. Of the
 * program itself all code counts, of a library what can be reached from the functions others
 * import, by direct calls and by addresses that reached code names.
 */
#pragma once

#include "runsc-cli/check/elf_file.h"

#define SCAN_OBJECTS 128
#define SCAN_CALLS   1024 /* numbers below this have a row each */
#define SCAN_SITES   4096 /* of those that are not known, this many are kept */

struct scan_object {
    char *name; /* as it is shown */
    char *path;
    bool interpreter;
    struct elf elf;
};

struct scan_origin {
    uint16_t object;
    const char *function; /* or NULL */
    uint64_t address;     /* of the instruction, or of the call of a wrapper */
};

struct scan {
    struct scan_object objects[SCAN_OBJECTS]; /* the program first, then as the loader would */
    size_t object_count;
    struct {
        size_t sites;
        struct scan_origin first;
    } calls[SCAN_CALLS];
    struct scan_origin unknown[SCAN_SITES], int80[SCAN_SITES], strange[SCAN_SITES];
    size_t unknown_count, int80_count, strange_count; /* strange: no such number */
    int64_t strange_number;
    size_t reached, functions;
    bool cut;                   /* not all of the code was looked at */
    bool loads_later, looks_up; /* it can load libraries while it runs; find functions by name */
};

/* budget: instructions that may be decoded at most. -1: no memory. */
int scan_run(struct scan *s, uint64_t budget);
