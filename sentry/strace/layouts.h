/* How structures lie in memory, for structs.c. */
#pragma once

#include <stdint.h>

/*
 * kind: d signed, u unsigned, x hex, o octal, p address, s text, f of the set named; m a file's
 * mode, D its device, S a signal, H its handler, M a set of signals, L a limit, E an error, W
 * wait(2)'s status, T a timespec, V a timeval, I an IPv4 and J an IPv6 address, A a socket address.
 */
struct strace_field {
    const char *name; /* "": none is shown */
    uint16_t offset;
    uint8_t size;
    char kind;
    const char *set;
};

#define STRACE_FIELDS     12
#define STRACE_STRUCT_MAX 400

struct strace_layout {
    const char *name;
    uint16_t size;
    struct strace_field fields[STRACE_FIELDS]; /* ended by a NULL name when fewer */
};

extern const struct strace_layout strace_layouts[]; /* ended by a NULL name */
