/*
 * Formatted output without libc. Only integers, characters, strings and pointers: kernels print no
 * floats.
 */
#include "sentry/base/fmt.h"

#include "sentry/base/string.h"

struct sink {
    char *buf;
    size_t size; /* of buf; the last byte is for the NUL */
    size_t length;
};

struct spec {
    bool left, zero, plus, space, alt;
    bool upper;
    int width;     /* 0: none */
    int precision; /* -1: none */
    int longs;     /* 2 ll j, 1 l z t, 0, -1 h, -2 hh */
};

static void put(struct sink *s, char c)
{
    if (s->length + 1 < s->size)
        s->buf[s->length] = c;
    s->length++;
}

static void put_many(struct sink *s, char c, int n)
{
    for (; n > 0; n--)
        put(s, c);
}

static void put_text(struct sink *s, const struct spec *spec, const char *text, int n)
{
    if (!spec->left)
        put_many(s, ' ', spec->width - n);
    for (int i = 0; i < n; i++)
        put(s, text[i]);
    if (spec->left)
        put_many(s, ' ', spec->width - n);
}

/* prefix: sign or 0x, may be empty. */
static void put_number(struct sink *s, const struct spec *spec, uint64_t value, unsigned base,
                       const char *prefix)
{
    const char *digits = spec->upper ? "0123456789ABCDEF" : "0123456789abcdef";
    char text[24];
    int n = 0, zeros, prefix_size = (int)cv_strlen(prefix), pad;

    for (; value; value /= base)
        text[n++] = digits[value % base];
    zeros = (spec->precision < 0 ? 1 : spec->precision) - n;
    if (base == 8 && spec->alt && zeros <= 0)
        zeros = 1;
    zeros = MAX(zeros, 0);
    pad = spec->width - prefix_size - zeros - n;
    if (spec->zero && !spec->left && spec->precision < 0 && pad > 0) {
        zeros += pad;
        pad = 0;
    }
    if (!spec->left)
        put_many(s, ' ', pad);
    for (int i = 0; i < prefix_size; i++)
        put(s, prefix[i]);
    put_many(s, '0', zeros);
    while (n > 0)
        put(s, text[--n]);
    if (spec->left)
        put_many(s, ' ', pad);
}

/*
 * va_list is passed by address so that the caller's advances; it must be wrapped for that to be
 * portable.
 */
struct args {
    va_list ap;
};

static int64_t next_signed(struct args *args, int longs)
{
    int64_t v;

    if (longs > 0)
        return va_arg(args->ap, int64_t);
    v = va_arg(args->ap, int);
    return longs == -1 ? (int16_t)v : longs == -2 ? (int8_t)v : v;
}

static uint64_t next_unsigned(struct args *args, int longs)
{
    uint64_t v;

    if (longs > 0)
        return va_arg(args->ap, uint64_t);
    v = va_arg(args->ap, unsigned);
    return longs == -1 ? (uint16_t)v : longs == -2 ? (uint8_t)v : v;
}

static int parse_int(const char **fmt)
{
    int v = 0;

    for (; **fmt >= '0' && **fmt <= '9' && v < 100000; (*fmt)++)
        v = v * 10 + (**fmt - '0');
    return v;
}

static const char *parse_spec(const char *fmt, struct args *args, struct spec *spec)
{
    *spec = (struct spec){.precision = -1};
    for (;; fmt++) {
        if (*fmt == '-')
            spec->left = true;
        else if (*fmt == '0')
            spec->zero = true;
        else if (*fmt == '+')
            spec->plus = true;
        else if (*fmt == ' ')
            spec->space = true;
        else if (*fmt == '#')
            spec->alt = true;
        else
            break;
    }
    if (*fmt == '*') {
        spec->width = va_arg(args->ap, int);
        if (spec->width < 0) {
            spec->left = true;
            spec->width = -spec->width;
        }
        fmt++;
    } else {
        spec->width = parse_int(&fmt);
    }
    if (*fmt == '.') {
        fmt++;
        if (*fmt == '*') {
            spec->precision = va_arg(args->ap, int);
            fmt++;
        } else {
            spec->precision = parse_int(&fmt);
        }
    }
    for (;; fmt++) {
        if (*fmt == 'h')
            spec->longs--;
        else if (*fmt == 'l' || *fmt == 'z' || *fmt == 't')
            spec->longs++;
        else if (*fmt == 'j')
            spec->longs = 2;
        else
            return fmt;
    }
}

static void put_signed(struct sink *s, const struct spec *spec, int64_t v)
{
    uint64_t magnitude = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

    put_number(s, spec, magnitude, 10, v < 0 ? "-" : spec->plus ? "+" : spec->space ? " " : "");
}

static void put_string(struct sink *s, const struct spec *spec, const char *text)
{
    int n = 0;

    if (!text)
        text = "(null)";
    while ((spec->precision < 0 || n < spec->precision) && text[n])
        n++;
    put_text(s, spec, text, n);
}

static void put_conversion(struct sink *s, struct spec *spec, char conversion, struct args *args)
{
    uint64_t u;
    char c;

    switch (conversion) {
    case 'd':
    case 'i':
        put_signed(s, spec, next_signed(args, spec->longs));
        break;
    case 'u':
        put_number(s, spec, next_unsigned(args, spec->longs), 10, "");
        break;
    case 'o':
        put_number(s, spec, next_unsigned(args, spec->longs), 8, "");
        break;
    case 'X':
        spec->upper = true;
        __attribute__((fallthrough));
    case 'x':
        u = next_unsigned(args, spec->longs);
        put_number(s, spec, u, 16, !spec->alt || !u ? "" : spec->upper ? "0X" : "0x");
        break;
    case 'p':
        u = (uintptr_t)va_arg(args->ap, void *);
        put_number(s, spec, u, 16, "0x");
        break;
    case 'c':
        c = (char)va_arg(args->ap, int);
        put_text(s, spec, &c, 1);
        break;
    case 's':
        put_string(s, spec, va_arg(args->ap, const char *));
        break;
    case '%':
        put(s, '%');
        break;
    default: /* a format the compiler should have refused */
        put(s, '%');
        put(s, conversion);
    }
}

int cv_vsnprintf(char *buf, size_t size, const char *fmt, va_list ap)
{
    struct sink s = {.buf = buf, .size = size};
    struct args args;
    struct spec spec;

    va_copy(args.ap, ap);
    while (*fmt) {
        if (*fmt != '%') {
            put(&s, *fmt++);
            continue;
        }
        fmt = parse_spec(fmt + 1, &args, &spec);
        if (!*fmt)
            break;
        put_conversion(&s, &spec, *fmt++, &args);
    }
    va_end(args.ap);
    if (size > 0)
        buf[MIN(s.length, size - 1)] = '\0';
    return (int)s.length;
}

int cv_snprintf(char *buf, size_t size, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = cv_vsnprintf(buf, size, fmt, ap);
    va_end(ap);
    return n;
}
