/*
 * One line for each traced call: walks the row's argument kinds. What the call fills is printed
 * after it. Names of flags are in names.c, structures in structs.c. No locks.
 */
#include "sentry/abi/errno.h"
#include "sentry/abi/fcntl.h"
#include "sentry/abi/types.h"
#include "sentry/base/log.h"
#include "sentry/base/string.h"
#include "sentry/strace/strace_int.h"
#include "syscalls/syscalls.h"

#define SHOWN_BYTES   48
#define SHOWN_IOVECS  8
#define SHOWN_STRINGS 12

/* One kind of table.def: "out:2" is word "out", rest "2". */
struct kind {
    const char *word, *rest;
    size_t word_size, rest_size;
};

static struct kind kind_parse(const char *s, const char **out_next)
{
    const char *end = strchr(s, ',');
    size_t size = end ? (size_t)(end - s) : strlen(s);
    const char *colon = memchr(s, ':', size);
    struct kind k = {.word = s, .word_size = size};

    if (colon) {
        k.word_size = (size_t)(colon - s);
        k.rest = colon + 1;
        k.rest_size = size - k.word_size - 1;
    }
    *out_next = end ? end + 1 : "";
    return k;
}

static bool kind_is(const struct kind *k, const char *word)
{
    return strlen(word) == k->word_size && memcmp(k->word, word, k->word_size) == 0;
}

/* Does it show what the call wrote? */
static bool kind_is_out(const struct kind *k)
{
    return kind_is(k, "out") || kind_is(k, "iovout") || kind_is(k, "outstruct") ||
           kind_is(k, "outtimespec");
}

static uint64_t other_arg(const struct strace_call *c, const struct kind *k)
{
    unsigned n = k->rest_size == 1 ? (unsigned)(k->rest[0] - '0') : STRACE_MAX_ARGS;

    return n < STRACE_MAX_ARGS ? c->args[n] : 0;
}

static void print_escaped(struct strbuf *out, const unsigned char *p, size_t n)
{
    strbuf_putc(out, '"');
    for (size_t i = 0; i < n; i++) {
        switch (p[i]) {
        case '\n':
            strbuf_puts(out, "\\n");
            break;
        case '\t':
            strbuf_puts(out, "\\t");
            break;
        case '\r':
            strbuf_puts(out, "\\r");
            break;
        case '"':
        case '\\':
            strbuf_putc(out, '\\');
            strbuf_putc(out, (char)p[i]);
            break;
        default:
            if (p[i] >= 32 && p[i] < 127)
                strbuf_putc(out, (char)p[i]);
            else
                strbuf_printf(out, "\\%o", p[i]);
        }
    }
    strbuf_putc(out, '"');
}

void strace_print_buffer(struct strbuf *out, struct task *t, uint64_t addr, uint64_t size)
{
    unsigned char buf[SHOWN_BYTES];
    size_t n = MIN(size, sizeof(buf));

    if (!addr) {
        strbuf_puts(out, "NULL");
        return;
    }
    if (copy_in(&t->us, buf, uaddr(addr), n)) {
        strbuf_printf(out, "0x%llx", (unsigned long long)addr);
        return;
    }
    print_escaped(out, buf, n);
    if (size > n)
        strbuf_puts(out, "...");
}

static void print_string(struct strbuf *out, struct task *t, uint64_t addr)
{
    char buf[256];
    int64_t n;

    if (!addr) {
        strbuf_puts(out, "NULL");
        return;
    }
    n = copy_in_str(&t->us, buf, uaddr(addr), sizeof(buf));
    if (n == -ENAMETOOLONG)
        n = sizeof(buf);
    if (n < 0) {
        strbuf_printf(out, "0x%llx", (unsigned long long)addr);
        return;
    }
    print_escaped(out, (unsigned char *)buf, (size_t)n);
    if (n == sizeof(buf))
        strbuf_puts(out, "...");
}

/* limit: bytes that hold data, for what a read filled. */
static void print_iovec(struct strbuf *out, struct task *t, uint64_t addr, uint64_t count,
                        uint64_t limit)
{
    struct lx_iovec v;

    strbuf_putc(out, '[');
    for (uint64_t i = 0; i < count && i < SHOWN_IOVECS; i++) {
        if (copy_in_obj(&t->us, &v, uaddr(addr + i * sizeof(v)))) {
            strbuf_printf(out, "0x%llx", (unsigned long long)addr);
            break;
        }
        if (i)
            strbuf_puts(out, ", ");
        strbuf_puts(out, "{");
        strace_print_buffer(out, t, v.base, MIN(v.size, limit));
        strbuf_printf(out, ", %llu}", (unsigned long long)v.size);
        limit -= MIN(v.size, limit);
    }
    if (count > SHOWN_IOVECS)
        strbuf_puts(out, ", ...");
    strbuf_putc(out, ']');
}

static void print_argv(struct strbuf *out, struct task *t, uint64_t addr)
{
    uint64_t p;

    strbuf_putc(out, '[');
    for (int i = 0; addr && i < SHOWN_STRINGS; i++) {
        if (copy_in_obj(&t->us, &p, uaddr(addr + 8ULL * (unsigned)i)) || !p)
            break;
        if (i)
            strbuf_puts(out, ", ");
        print_string(out, t, p);
    }
    strbuf_putc(out, ']');
}

static void print_ints(struct strbuf *out, struct task *t, uint64_t addr, uint64_t count)
{
    int32_t v;

    strbuf_putc(out, '[');
    for (uint64_t i = 0; addr && i < count && i < 32; i++) {
        if (copy_in_obj(&t->us, &v, uaddr(addr + 4 * i)))
            break;
        strbuf_printf(out, "%s%d", i ? ", " : "", v);
    }
    strbuf_putc(out, ']');
}

static void print_sigset(struct strbuf *out, struct task *t, uint64_t addr)
{
    lx_sigset_t set;
    bool first = true;

    if (!addr || copy_in_obj(&t->us, &set, uaddr(addr))) {
        strbuf_printf(out, addr ? "0x%llx" : "NULL", (unsigned long long)addr);
        return;
    }
    strbuf_puts(out, set == ~0ULL ? "~[" : "[");
    for (int sig = 1; set != ~0ULL && sig <= LX_NSIG; sig++) {
        const char *name = strace_signal_name(sig);

        if (!(set & LX_SIGMASK(sig)))
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

static bool print_number(struct strbuf *out, const struct kind *k, uint64_t v)
{
    if (kind_is(k, "int") || kind_is(k, "fd") || kind_is(k, "pid"))
        strbuf_printf(out, "%d", (int32_t)v);
    else if (kind_is(k, "uint"))
        strbuf_printf(out, "%u", (uint32_t)v);
    else if (kind_is(k, "long") || kind_is(k, "off"))
        strbuf_printf(out, "%lld", (long long)v);
    else if (kind_is(k, "size"))
        strbuf_printf(out, "%llu", (unsigned long long)v);
    else if (kind_is(k, "mode") || kind_is(k, "oct"))
        strbuf_printf(out, "0%o", (uint32_t)v);
    else if (kind_is(k, "dirfd"))
        strbuf_printf(out, (int32_t)v == LX_AT_FDCWD ? "AT_FDCWD" : "%d", (int32_t)v);
    else if (kind_is(k, "signo"))
        strbuf_puts(out, strace_signal_name((int)v) ? strace_signal_name((int)v) : "SIG_?");
    else if (kind_is(k, "clock"))
        strace_print_set(out, strace_find_set("clockid", 7), v);
    else
        return false;
    return true;
}

static bool print_memory(struct strace_call *c, struct task *t, const struct kind *k, uint64_t v,
                         int64_t result)
{
    struct strbuf *out = &c->line;
    uint64_t filled = result > 0 ? (uint64_t)result : 0;

    if (kind_is(k, "path") || kind_is(k, "str"))
        print_string(out, t, v);
    else if (kind_is(k, "in"))
        strace_print_buffer(out, t, v, other_arg(c, k));
    else if (kind_is(k, "out") && result >= 0)
        strace_print_buffer(out, t, v, MIN(other_arg(c, k), filled));
    else if (kind_is(k, "iovin"))
        print_iovec(out, t, v, other_arg(c, k), UINT64_MAX);
    else if (kind_is(k, "iovout"))
        print_iovec(out, t, v, other_arg(c, k), filled);
    else if (kind_is(k, "argv"))
        print_argv(out, t, v);
    else if (kind_is(k, "ints"))
        print_ints(out, t, v, other_arg(c, k));
    else if (kind_is(k, "sigset"))
        print_sigset(out, t, v);
    else if (kind_is(k, "sockaddr"))
        strace_print_sockaddr(out, t, v, other_arg(c, k));
    else if (kind_is(k, "timespec") || kind_is(k, "timeval"))
        strace_print_struct(out, t, k->word, k->word_size, v);
    else if (kind_is(k, "outtimespec") && result >= 0)
        strace_print_struct(out, t, "timespec", 8, v);
    else if (kind_is(k, "struct") || (kind_is(k, "outstruct") && result >= 0))
        strace_print_struct(out, t, k->rest, k->rest_size, v);
    else
        return false;
    return true;
}

static void print_arg(struct strace_call *c, struct task *t, const struct kind *k, uint64_t v,
                      int64_t result)
{
    const struct strace_set *set;

    if (kind_is(k, "flags")) {
        set = strace_find_set(k->rest, k->rest_size);
        if (set) {
            strace_print_set(&c->line, set, v);
            return;
        }
    }
    if (print_number(&c->line, k, v) || print_memory(c, t, k, v, result))
        return;
    if (v)
        strbuf_printf(&c->line, "0x%llx", (unsigned long long)v);
    else
        strbuf_puts(&c->line, kind_is(k, "hex") || kind_is(k, "flags") ? "0" : "NULL");
}

/* Prints from where the last call stopped; before the call, up to the first kind that it fills. */
static void print_args(struct strace_call *c, struct task *t, bool after, int64_t result)
{
    while (*c->rest && c->next < STRACE_MAX_ARGS) {
        const char *next;
        struct kind k = kind_parse(c->rest, &next);

        if (!after && kind_is_out(&k))
            return;
        if (c->next)
            strbuf_puts(&c->line, ", ");
        print_arg(c, t, &k, c->args[c->next++], result);
        c->rest = next;
    }
}

void strace_enter(struct strace_call *c, struct task *t, uint64_t nr, const struct syscall_row *row,
                  const uint64_t args[6])
{
    c->row = row;
    c->nr = nr;
    memcpy(c->args, args, sizeof(c->args));
    c->rest = row ? row->args : "";
    c->next = 0;
    strbuf_init_fixed(&c->line, c->text, sizeof(c->text));
    if (row && row->level != SYSCALL_MISSING)
        strbuf_printf(&c->line, "%s(", row->name);
    else
        strbuf_printf(&c->line, "%s#%llu(0x%llx, 0x%llx, 0x%llx", row ? row->name : "syscall",
                      (unsigned long long)nr, (unsigned long long)args[0],
                      (unsigned long long)args[1], (unsigned long long)args[2]);
    print_args(c, t, false, 0);
}

void strace_exit(struct strace_call *c, struct task *t, int64_t result)
{
    const char *name = result < 0 ? strace_errno_name((int)-result) : NULL;

    print_args(c, t, true, result);
    if (c->line.failed && c->line.size >= 8)
        memcpy(c->text + sizeof(c->text) - 5, "...", 4);
    if (name)
        log_info("[%5d] %s) = -1 %s", t->tid, c->text, name);
    else if (result > 0xffffffffLL)
        log_info("[%5d] %s) = 0x%llx", t->tid, c->text, (unsigned long long)result);
    else
        log_info("[%5d] %s) = %lld", t->tid, c->text, (long long)result);
}
