/*
 * The files a program would load, as the dynamic loader seeks them. Files are asked of a broker:
 * the process that reads them may open none itself.
 */
#pragma once

#include "runsc-cli/check/scan.h"

#include <stdio.h>

#define CHECK_DIRS     256
#define CHECK_PROBLEMS 64

struct library_dirs {
    char *items[CHECK_DIRS]; /* within the root */
    size_t count;
};

struct check {
    int broker;
    struct library_dirs dirs;
    struct scan scan;
    char *problems[CHECK_PROBLEMS]; /* why it would not run */
    char *notes[CHECK_PROBLEMS];    /* what may not work */
    size_t problem_count, note_count;
};

/* broker.c, before the jail: the loader's configured directories, then its own, within root. */
void dirs_read(int root, struct library_dirs *out);
/* A regular file within root, read-only; or -1. */
int open_within(int root, const char *path);
/* Answers paths with descriptors until the other end is closed. */
void broker_serve(int socket, int root);
int broker_open(int socket, const char *path);

/* Loads the program, its interpreter and libraries: false when it can't be scanned at all. */
bool load_program(struct check *c, const char *path);
void add_problem(struct check *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
void add_note(struct check *c, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* report.c */
void check_print_table(const struct check *c, FILE *out);
void check_print_json(const struct check *c, FILE *out);
