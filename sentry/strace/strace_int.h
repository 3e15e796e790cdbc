/* Between strace.c and its tables. */
#pragma once

#include "sentry/strace/strace.h"

/* One name of a flag set or an enumeration. */
struct strace_name {
    uint64_t value;
    const char *name;
};

/* A set: enumeration part first (values under mask), then single bits. */
struct strace_set {
    const char *name; /* as in "flags:NAME" */
    uint64_t enum_mask;
    const struct strace_name *enums, *bits; /* each ended by a NULL name, or NULL */
};

const struct strace_set *strace_find_set(const char *name, size_t size);
void strace_print_set(struct strbuf *out, const struct strace_set *set, uint64_t value);
/* "ENOENT", or NULL. */
const char *strace_errno_name(int err);
const char *strace_signal_name(int signo);
/* A structure by name at addr; prints its main fields, or the address when it can't be read. */
void strace_print_struct(struct strbuf *out, struct task *t, const char *name, size_t size,
                         uint64_t addr);
/* size bytes at addr, quoted; at most 48 shown. */
void strace_print_buffer(struct strbuf *out, struct task *t, uint64_t addr, uint64_t size);
void strace_print_sockaddr(struct strbuf *out, struct task *t, uint64_t addr, uint64_t size);
