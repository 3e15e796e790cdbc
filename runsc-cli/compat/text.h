/*
 * Bytes that programs wrote: kept up to a limit, compared whole, and brought into reports so that
 * they can do nothing there.
 */
#pragma once

#include "sentry/base/compiler.h"

#include <stdio.h>

struct text {
    char *data; /* malloc'ed; not terminated */
    size_t size, limit;
    uint64_t total, sum; /* of all that came, kept or not */
};

/* Where put_text writes to. */
enum escape {
    ESCAPE_TERMINAL, /* a line: newlines are shown as \n */
    ESCAPE_HTML,     /* text and attributes in double quotes */
    ESCAPE_XML,      /* the same */
    ESCAPE_JSON,     /* inside a string */
};

/* Ends the process when there is no memory. */
void *alloc_zeroed(size_t size);
void *grow_array(void *array, size_t count, size_t *size, size_t item);
char *copy_string(const char *s);
char *copy_bytes(const char *s, size_t n);
char *format_string(const char *fmt, ...) PRINTF_LIKE(1, 2);

void text_add(struct text *t, const char *data, size_t n);
void text_free(struct text *t);
bool text_same(const struct text *a, const struct text *b);
/* The line at *at, without its newline; moves *at on. False at the end. */
bool text_line(const struct text *t, size_t *at, const char **line, size_t *n);
/* The last `max` bytes, from a line's start where there is one. */
struct text text_tail(const struct text *t, size_t max);
bool line_starts(const char *line, size_t n, const char *prefix);
/* Where `what` is in the n bytes, or NULL. */
const char *find_bytes(const char *s, size_t n, const char *what);

/*
 * Any bytes, as UTF-8 that is safe where it goes. What no reader should meet as it is (control
 * characters, what is no UTF-8, what turns text around) is shown as \xNN or \u{NNNN}; tabs stay,
 * and newlines but for terminals.
 */
void put_text(FILE *out, enum escape how, const char *s, size_t n);
void put_string(FILE *out, enum escape how, const char *s);
