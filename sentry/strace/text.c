/* Guest bytes made harmless: escapes for trace lines and for JSON. No locks. */
#include "sentry/abi/errno.h"
#include "sentry/strace/strace_int.h"

#define SHOWN_BYTES  48
#define SHOWN_STRING 256

void strace_print_address(struct strbuf *out, uint64_t addr)
{
    strbuf_puts(out, addr ? "0x" : "NULL");
    if (addr)
        strbuf_hex(out, addr);
}

static bool plain(unsigned char c)
{
    return c >= 32 && c < 127 && c != '"' && c != '\\';
}

static bool digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

static void print_quoted(struct strbuf *out, unsigned char c)
{
    const char two[2] = {'\\', (char)c};

    strbuf_add(out, two, 2);
}

/* All three places where a digit follows, or it would be read as one of them. */
static void print_octal(struct strbuf *out, unsigned char c, bool whole)
{
    const char places[3] = {(char)('0' + (c >> 6)), (char)('0' + (c >> 3 & 7)),
                            (char)('0' + (c & 7))};
    unsigned skip = whole || c >= 64 ? 0 : c >= 8 ? 1 : 2;

    strbuf_putc(out, '\\');
    strbuf_add(out, places + skip, 3 - skip);
}

void strace_print_escaped(struct strbuf *out, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;

    strbuf_putc(out, '"');
    for (size_t i = 0; i < n; i++) {
        size_t run = i;

        while (run < n && plain(p[run]))
            run++;
        strbuf_add(out, p + i, run - i);
        i = run;
        if (i == n)
            break;
        if (p[i] == '\n')
            strbuf_puts(out, "\\n");
        else if (p[i] == '\t')
            strbuf_puts(out, "\\t");
        else if (p[i] == '\r')
            strbuf_puts(out, "\\r");
        else if (p[i] == '"' || p[i] == '\\')
            print_quoted(out, p[i]);
        else
            print_octal(out, p[i], i + 1 < n && digit(p[i + 1]));
    }
    strbuf_putc(out, '"');
}

void strace_print_json(struct strbuf *out, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;

    for (size_t i = 0; i < n; i++) {
        size_t run = i;

        while (run < n && plain(p[run]))
            run++;
        strbuf_add(out, p + i, run - i);
        i = run;
        if (i == n)
            break;
        if (p[i] == '"' || p[i] == '\\')
            print_quoted(out, p[i]);
        else
            strbuf_printf(out, "\\u%04x", p[i]);
    }
}

void strace_print_buffer(struct strbuf *out, struct task *t, uint64_t addr, uint64_t size)
{
    unsigned char buf[SHOWN_BYTES];
    size_t n = MIN(size, sizeof(buf));

    if (!addr || peek_in(&t->us, buf, uaddr(addr), n)) {
        strace_print_address(out, addr);
        return;
    }
    strace_print_escaped(out, buf, n);
    if (size > n)
        strbuf_puts(out, "...");
}

void strace_print_string(struct strbuf *out, struct task *t, uint64_t addr)
{
    char buf[SHOWN_STRING];
    int64_t n = addr ? peek_in_str(&t->us, buf, uaddr(addr), sizeof(buf)) : -EFAULT;

    if (n < 0 && n != -ENAMETOOLONG) {
        strace_print_address(out, addr);
        return;
    }
    strace_print_escaped(out, buf, n < 0 ? sizeof(buf) - 1 : (size_t)n);
    if (n < 0)
        strbuf_puts(out, "...");
}
