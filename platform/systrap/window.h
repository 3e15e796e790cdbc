/* Where the sentry maps the slots of address spaces. */
#pragma once

#include "sentry/base/compiler.h"

struct window_group;

struct window {
    void *at;
    struct window_group *group;
    unsigned index;
};

/* All of fd, the memfd of an address space's slots. */
int window_map(int fd, struct window *out) MUST_CHECK;
/* May put the unmapping off: a few windows at most keep their memory for a while. */
void window_unmap(const struct window *w);
