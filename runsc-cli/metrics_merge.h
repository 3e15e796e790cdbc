/*
 * Metrics of several sandboxes as one text in Prometheus' format: each family's HELP and TYPE once,
 * then the samples of all, each with the label sandbox. Families come in the order they were first
 * seen.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define METRICS_FAMILIES_MAX 64

struct metrics_family {
    char *name, *head; /* malloc'ed */
    FILE *out;         /* memory stream of the samples */
    char *samples;
    size_t size;
};

struct metrics {
    struct metrics_family list[METRICS_FAMILIES_MAX];
    size_t count;
};

/* One sandbox's text; what is not in the format is left out. False: out of memory. */
bool metrics_add(struct metrics *m, const char *sandbox, const char *text);
/* A gauge of the server's own, about a sandbox. */
bool metrics_add_gauge(struct metrics *m, const char *name, const char *help, const char *sandbox,
                       double value);
/* The whole, malloc'ed, or NULL. Frees m's parts in any case. */
char *metrics_finish(struct metrics *m, size_t *out_size);
/* A label's value: backslashes, quotes and newlines escaped, other control characters replaced. */
void metrics_print_label(FILE *out, const char *value);
