/*
 * Argument kinds that point to guest memory: strings, buffers, vectors, sets, messages, lists of
 * events. Structures are in structs.c. Everything is read anew and bounded here: the guest may
 * change it meanwhile, and what is shown is what was there then. No locks.
 */
#include "sentry/abi/errno.h"
#include "sentry/abi/types.h"
#include "sentry/strace/strace_int.h"

#define SHOWN_IOVECS  8
#define SHOWN_STRINGS 12
#define SHOWN_INTS    32
#define SHOWN_EVENTS  8
#define SHOWN_FDS     32
#define COUNTED       1024 /* strings of an environment, entries of a directory */

/* What a decoder gets; see strace_print_memory. */
struct shown {
    struct strbuf *out;
    struct task *t;
    const struct strace_kind *k;
    uint64_t addr, size;
    int64_t result;
};

void strace_print_iovec(struct strbuf *out, struct task *t, uint64_t addr, uint64_t count,
                        uint64_t limit)
{
    struct lx_iovec v;

    strbuf_putc(out, '[');
    for (uint64_t i = 0; i < count && i < SHOWN_IOVECS; i++) {
        if (peek_in_obj(&t->us, &v, uaddr(addr + i * sizeof(v)))) {
            strace_print_address(out, addr);
            break;
        }
        if (i)
            strbuf_puts(out, ", ");
        strbuf_puts(out, "{iov_base=");
        strace_print_buffer(out, t, v.base, MIN(v.size, limit));
        strbuf_puts(out, ", iov_len=");
        strbuf_digits(out, v.size, 1);
        strbuf_putc(out, '}');
        limit -= MIN(v.size, limit);
    }
    if (count > SHOWN_IOVECS)
        strbuf_puts(out, ", ...");
    strbuf_putc(out, ']');
}

static void show_string(const struct shown *s)
{
    strace_print_string(s->out, s->t, s->addr);
}

static void show_in(const struct shown *s)
{
    strace_print_buffer(s->out, s->t, s->addr, s->size);
}

static void show_out(const struct shown *s)
{
    strace_print_buffer(s->out, s->t, s->addr, MIN(s->size, (uint64_t)s->result));
}

static void show_iovin(const struct shown *s)
{
    strace_print_iovec(s->out, s->t, s->addr, s->size, UINT64_MAX);
}

static void show_iovout(const struct shown *s)
{
    strace_print_iovec(s->out, s->t, s->addr, s->size, (uint64_t)s->result);
}

static void show_argv(const struct shown *s)
{
    uint64_t p;

    strbuf_putc(s->out, '[');
    for (uint64_t i = 0; s->addr; i++) {
        if (peek_in_obj(&s->t->us, &p, uaddr(s->addr + 8 * i)) || !p)
            break;
        if (i)
            strbuf_puts(s->out, ", ");
        if (i == SHOWN_STRINGS) {
            strbuf_puts(s->out, "...");
            break;
        }
        strace_print_string(s->out, s->t, p);
    }
    strbuf_putc(s->out, ']');
}

/* Variables are counted only: they hold secrets. */
static void show_envp(const struct shown *s)
{
    unsigned n = 0;
    uint64_t p;

    while (s->addr && n < COUNTED && !peek_in_obj(&s->t->us, &p, uaddr(s->addr + 8ULL * n)) && p)
        n++;
    strbuf_printf(s->out, "[%u%s variables]", n, n == COUNTED ? " or more" : "");
}

static void show_ints(const struct shown *s)
{
    int32_t v;

    strbuf_putc(s->out, '[');
    for (uint64_t i = 0; s->addr && i < s->size && i < SHOWN_INTS; i++) {
        if (peek_in_obj(&s->t->us, &v, uaddr(s->addr + 4 * i)))
            break;
        strbuf_printf(s->out, "%s%d", i ? ", " : "", v);
    }
    strbuf_puts(s->out, s->addr && s->size > SHOWN_INTS ? ", ...]" : "]");
}

static unsigned count_bits(uint64_t v)
{
    unsigned n = 0;

    for (; v; v &= v - 1)
        n++;
    return n;
}

void strace_print_sigset(struct strbuf *out, lx_sigset_t set)
{
    bool most = count_bits(set) > LX_NSIG / 2, first = true;

    strbuf_puts(out, most ? "~[" : "[");
    for (int sig = 1; sig <= LX_NSIG; sig++) {
        const char *name = strace_signal_name(sig);

        if (!(set & LX_SIGMASK(sig)) != most)
            continue;
        strbuf_puts(out, first ? "" : " ");
        if (name)
            strbuf_puts(out, name);
        else
            strbuf_printf(out, "%d", sig);
        first = false;
    }
    strbuf_putc(out, ']');
}

static void show_sigset(const struct shown *s)
{
    lx_sigset_t set;

    if (!s->addr || peek_in_obj(&s->t->us, &set, uaddr(s->addr)))
        strace_print_address(s->out, s->addr);
    else
        strace_print_sigset(s->out, set);
}

/* Of select: the descriptors in it. size: the first that counts no more. */
static void show_fdset(const struct shown *s)
{
    uint64_t word = 0;
    unsigned shown = 0;

    if (!s->addr) {
        strbuf_puts(s->out, "NULL");
        return;
    }
    strbuf_putc(s->out, '[');
    for (uint64_t fd = 0; fd < (uint32_t)s->size && fd < COUNTED; fd++) {
        if (fd % 64 == 0 && peek_in_obj(&s->t->us, &word, uaddr(s->addr + fd / 8)))
            break;
        if (!(word >> (fd % 64) & 1))
            continue;
        if (shown == SHOWN_FDS) {
            strbuf_puts(s->out, " ...");
            break;
        }
        strbuf_printf(s->out, "%s%u", shown++ ? " " : "", (unsigned)fd);
    }
    strbuf_putc(s->out, ']');
}

/* An array of structures; each of stride bytes, by its name. */
static void show_array(const struct shown *s, const char *name, uint64_t count, unsigned stride)
{
    if (!s->addr) {
        strbuf_puts(s->out, "NULL");
        return;
    }
    strbuf_putc(s->out, '[');
    for (uint64_t i = 0; i < count && i < SHOWN_EVENTS; i++) {
        if (i)
            strbuf_puts(s->out, ", ");
        strace_print_struct(s->out, s->t, name, strlen(name), s->addr + i * stride);
    }
    strbuf_puts(s->out, count > SHOWN_EVENTS ? ", ...]" : "]");
}

static void show_pollfds(const struct shown *s)
{
    show_array(s, "pollfd", (uint32_t)s->size, 8);
}

static void show_events(const struct shown *s)
{
    show_array(s, "epoll_event", (uint64_t)s->result, 12);
}

static void show_times(const struct shown *s)
{
    if (s->addr)
        show_array(s, strace_kind_is(s->k, "timespecs") ? "timespec" : "timeval", 2, 16);
    else
        strbuf_puts(s->out, "NULL");
}

static void show_sockaddr(const struct shown *s)
{
    strace_print_sockaddr(s->out, s->t, s->addr, (uint32_t)s->size);
}

/* size: where its length was put. */
static void show_outsockaddr(const struct shown *s)
{
    uint32_t n;

    if (!s->size || peek_in_obj(&s->t->us, &n, uaddr(s->size)))
        strace_print_address(s->out, s->addr);
    else
        strace_print_sockaddr(s->out, s->t, s->addr, n);
}

static void show_msgin(const struct shown *s)
{
    strace_print_message(s->out, s->t, s->addr, UINT64_MAX);
}

static void show_msgout(const struct shown *s)
{
    strace_print_message(s->out, s->t, s->addr, (uint64_t)s->result);
}

/* struct mmsghdr: a message and how much of it went. */
#define MMSG_SIZE 64

static void show_mmsg(const struct shown *s)
{
    uint64_t count = (uint64_t)s->result;

    strbuf_putc(s->out, '[');
    for (uint64_t i = 0; i < count && i < SHOWN_EVENTS; i++) {
        uint64_t at = s->addr + i * MMSG_SIZE;
        uint32_t n = 0;

        if (peek_in_obj(&s->t->us, &n, uaddr(at + STRACE_MESSAGE_SIZE)))
            break;
        strbuf_puts(s->out, i ? ", {msg_hdr=" : "{msg_hdr=");
        strace_print_message(s->out, s->t, at, n);
        strbuf_printf(s->out, ", msg_len=%u}", n);
    }
    strbuf_puts(s->out, count > SHOWN_EVENTS ? ", ...]" : "]");
}

/* size: where its length was put. */
static void show_outlen(const struct shown *s)
{
    uint32_t n;

    if (!s->size || peek_in_obj(&s->t->us, &n, uaddr(s->size)))
        strace_print_address(s->out, s->addr);
    else
        strace_print_buffer(s->out, s->t, s->addr, n);
}

/* readv's of another process: addresses and sizes only. */
static void show_remote(const struct shown *s)
{
    struct lx_iovec v;

    strbuf_putc(s->out, '[');
    for (uint64_t i = 0; i < s->size && i < SHOWN_IOVECS; i++) {
        if (peek_in_obj(&s->t->us, &v, uaddr(s->addr + i * sizeof(v))))
            break;
        strbuf_puts(s->out, i ? ", {iov_base=" : "{iov_base=");
        strace_print_address(s->out, v.base);
        strbuf_printf(s->out, ", iov_len=%llu}", (unsigned long long)v.size);
    }
    strbuf_puts(s->out, s->size > SHOWN_IOVECS ? ", ...]" : "]");
}

static void show_waitv(const struct shown *s)
{
    show_array(s, "futex_waitv", (uint32_t)s->size, 24);
}

/* Entries of a directory, as linux_dirent and linux_dirent64 have their length at the same place.
 */
static void show_dirents(const struct shown *s)
{
    unsigned n = 0;
    uint16_t size;

    for (uint64_t at = 0; at + 19 <= (uint64_t)s->result && n < COUNTED; n++) {
        if (peek_in_obj(&s->t->us, &size, uaddr(s->addr + at + 16)) || !size)
            break;
        at += size;
    }
    strbuf_printf(s->out, "[%u%s entries]", n, n == COUNTED ? " or more" : "");
}

static void show_timespec(const struct shown *s)
{
    strace_print_struct(s->out, s->t, "timespec", 8, s->addr);
}

static void show_timeval(const struct shown *s)
{
    strace_print_struct(s->out, s->t, "timeval", 7, s->addr);
}

static void show_struct(const struct shown *s)
{
    strace_print_struct(s->out, s->t, s->k->rest, s->k->rest_size, s->addr);
}

/* out: shown after the call, and only when it did not fail. */
static const struct {
    const char *word;
    void (*show)(const struct shown *s);
    bool out;
} kinds[] = {
    {"path", show_string, false},
    {"str", show_string, false},
    {"in", show_in, false},
    {"out", show_out, true},
    {"iovin", show_iovin, false},
    {"iovout", show_iovout, true},
    {"argv", show_argv, false},
    {"envp", show_envp, false},
    {"ints", show_ints, false},
    {"outints", show_ints, true},
    {"sigset", show_sigset, false},
    {"outsigset", show_sigset, true},
    {"outstr", show_string, true},
    {"outlen", show_outlen, true},
    {"remote", show_remote, false},
    {"waitv", show_waitv, false},
    {"netout", show_out, true},
    {"fdset", show_fdset, false},
    {"pollfds", show_pollfds, true},
    {"outevents", show_events, true},
    {"sockaddr", show_sockaddr, false},
    {"outsockaddr", show_outsockaddr, true},
    {"msgin", show_msgin, false},
    {"msgout", show_msgout, true},
    {"mmsg", show_mmsg, true},
    {"dirents", show_dirents, true},
    {"timespec", show_timespec, false},
    {"outtimespec", show_timespec, true},
    {"timeval", show_timeval, false},
    {"timespecs", show_times, false},
    {"timevals", show_times, false},
    {"struct", show_struct, false},
    {"outstruct", show_struct, true},
};

static int find_kind(const struct strace_kind *k)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (strace_kind_is(k, kinds[i].word))
            return (int)i;
    }
    return -1;
}

bool strace_kind_is_memory(const struct strace_kind *k)
{
    return find_kind(k) >= 0;
}

bool strace_kind_is_out(const struct strace_kind *k)
{
    int i = find_kind(k);

    return i >= 0 && kinds[i].out;
}

bool strace_print_memory(struct strbuf *out, struct task *t, const struct strace_kind *k,
                         uint64_t addr, uint64_t size, int64_t result)
{
    struct shown s = {out, t, k, addr, size, result};
    int i = find_kind(k);

    if (i < 0 || (kinds[i].out && result < 0))
        return false;
    kinds[i].show(&s);
    return true;
}
