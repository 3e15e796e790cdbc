/* Between strace.c and its parts. */
#pragma once

#include "sentry/base/string.h"
#include "sentry/strace/strace.h"

struct strace_options {
    bool failed;
    bool unknown;      /* numbers without a row, too */
    uint64_t calls[8]; /* a bit a number */
    int32_t pids[16];
    uint32_t pid_count; /* 0: all */
    char *paths[16];
    uint32_t path_count; /* 0: all */
};

/* filter.c */
bool strace_wanted(const struct strace_options *o, struct task *t, uint64_t nr,
                   const struct syscall_row *row, const uint64_t args[6]);

/* Calls that lines and events know by number. */
enum {
    NR_BRK = 12,
    NR_CLONE = 56,
    NR_FORK = 57,
    NR_VFORK = 58,
    NR_EXECVE = 59,
    NR_EXIT = 60,
    NR_WAIT4 = 61,
    NR_PRCTL = 157,
    NR_EXIT_GROUP = 231,
    NR_WAITID = 247,
    NR_EXECVEAT = 322,
    NR_CLONE3 = 435,
};

/* One kind of table.def: "out:2" is word "out", rest "2". */
struct strace_kind {
    const char *word, *rest;
    size_t word_size, rest_size;
};

/* The first of a list; *out_next is behind its comma. */
struct strace_kind strace_kind_parse(const char *s, const char **out_next);

/* Is name the n characters at s? Most are not, and are told by their first. */
static inline bool strace_name_is(const char *name, const char *s, size_t n)
{
    return n && name[0] == s[0] && strncmp(name, s, n) == 0 && !name[n];
}

static inline bool strace_kind_is(const struct strace_kind *k, const char *word)
{
    return strace_name_is(word, k->word, k->word_size);
}

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

/* names.c, names_more.c */
extern const struct strace_set strace_more_sets[]; /* ended by a NULL name */
const struct strace_set *strace_find_set(const char *name, size_t size);
void strace_print_set(struct strbuf *out, const struct strace_set *set, uint64_t value);
/* "ENOENT", or NULL. */
const char *strace_errno_name(int err);
const char *strace_signal_name(int signo);

void strace_print_signal(struct strbuf *out, int32_t signo); /* by name or number */

/* structs.c. A structure by name at addr; its main fields, or the address when it can't be read. */
void strace_print_struct(struct strbuf *out, struct task *t, const char *name, size_t size,
                         uint64_t addr);
size_t strace_layout_size(const char *name);

/* sockets.c. limit: bytes that hold data. */
void strace_print_sockaddr(struct strbuf *out, struct task *t, uint64_t addr, uint64_t size);
void strace_print_sockaddr_at(struct strbuf *out, const unsigned char *a, size_t n); /* n >= 2 */
void strace_print_ipv4(struct strbuf *out, const unsigned char *a);
void strace_print_ipv6(struct strbuf *out, const unsigned char *a);
void strace_print_message(struct strbuf *out, struct task *t, uint64_t addr, uint64_t limit);
#define STRACE_MESSAGE_SIZE 56 /* of a struct msghdr */
bool strace_is_netlink(struct task *t, uint64_t addr, uint64_t size);
void strace_print_netlink(struct strbuf *out, struct task *t, uint64_t addr, uint64_t limit);

/*
 * variants.c. The kinds of the arguments that a request says, "" being none; NULL: k is no such
 * kind.
 */
const char *strace_request_kinds(const struct strace_kind *k, const uint64_t args[6]);
/* k ("setopt" or "getopt") becomes the kind of a socket option's value. */
void strace_resolve_option(struct strace_kind *k, const uint64_t args[6]);
/* An option's name; false: unknown. */
bool strace_print_option(struct strbuf *out, uint64_t level, uint64_t value);

/* line.c: a finished call in a sink's format. size: of what is at line; 0: it did not fit. */
#define STRACE_LINE_MAX (2 * STRACE_TEXT_MAX + 1536) /* every character escaped, and the rest */
struct strace_result {
    int64_t value;
    const char *error; /* its name, or NULL */
    uint64_t took_ns;
};
struct strace_sink_config;
size_t strace_format_line(const struct strace_sink_config *to, const struct strace_call *c,
                          struct task *t, const struct strace_result *r, char *line);
void strace_print_call_name(struct strbuf *out, const struct strace_call *c);

/* events.c: the same as events of Trace Event Format. */
void strace_print_events(struct strbuf *out, const struct strace_call *c, struct task *t,
                         const struct strace_result *r);

/* text.c. Bytes in quotes, escaped as in C; all that comes out is printable ASCII. */
void strace_print_escaped(struct strbuf *out, const void *bytes, size_t n);
/* size bytes at addr, quoted; at most 48 shown. */
void strace_print_buffer(struct strbuf *out, struct task *t, uint64_t addr, uint64_t size);
/* A string of the guest's, at most 255 bytes shown. */
void strace_print_string(struct strbuf *out, struct task *t, uint64_t addr);
/* As part of a JSON string: quotes, backslashes and what is not printable escaped. */
void strace_print_json(struct strbuf *out, const void *bytes, size_t n);
void strace_print_address(struct strbuf *out, uint64_t addr); /* NULL or in hexadecimal */

/*
 * memory.c: the kinds that point to memory. size: what the kind's other argument says, or 0;
 * result: the call's, 0 before it. False: no such kind, or there is nothing to show.
 */
bool strace_print_memory(struct strbuf *out, struct task *t, const struct strace_kind *k,
                         uint64_t addr, uint64_t size, int64_t result);
bool strace_kind_is_memory(const struct strace_kind *k);
/* Does it show what the call wrote? */
bool strace_kind_is_out(const struct strace_kind *k);
void strace_print_sigset(struct strbuf *out, lx_sigset_t set);
/* limit: bytes that hold data, for what a read filled. */
void strace_print_iovec(struct strbuf *out, struct task *t, uint64_t addr, uint64_t count,
                        uint64_t limit);
