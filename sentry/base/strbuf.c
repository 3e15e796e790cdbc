/*
 * A growing or fixed text buffer: errors stick in failed, callers check once at the end. No locks
 * of its own.
 */
#include "sentry/base/fmt.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"

#define STRBUF_MIN 128

void strbuf_init(struct strbuf *sb)
{
    *sb = (struct strbuf){0};
}

void strbuf_init_fixed(struct strbuf *sb, char *buf, size_t capacity)
{
    *sb = (struct strbuf){.data = buf, .capacity = capacity, .fixed = true};
    if (capacity > 0)
        buf[0] = '\0';
}

void strbuf_free(struct strbuf *sb)
{
    if (!sb->fixed)
        kfree(sb->data);
    strbuf_init(sb);
}

/* Makes room for extra bytes and a NUL; false (and failed) when there is none. */
static bool reserve(struct strbuf *sb, size_t extra)
{
    size_t need, capacity = MAX(sb->capacity, (size_t)STRBUF_MIN);
    char *data;

    if (__builtin_add_overflow(sb->size, extra, &need) || need >= KMALLOC_MAX || sb->fixed) {
        sb->failed = sb->failed || !sb->fixed || need >= sb->capacity;
        return !sb->failed;
    }
    if (need < sb->capacity)
        return true;
    while (capacity <= need)
        capacity *= 2;
    data = krealloc(sb->data, sb->capacity, capacity);
    if (!data) {
        sb->failed = true;
        return false;
    }
    sb->data = data;
    sb->capacity = capacity;
    return true;
}

void strbuf_add(struct strbuf *sb, const void *data, size_t size)
{
    if (sb->failed)
        return;
    if (!reserve(sb, size)) {
        /* A fixed buffer takes what fits. */
        if (!sb->fixed || sb->capacity == 0)
            return;
        size = sb->capacity - 1 - sb->size;
    }
    memcpy(sb->data + sb->size, data, size);
    sb->size += size;
    sb->data[sb->size] = '\0';
}

void strbuf_puts(struct strbuf *sb, const char *s)
{
    strbuf_add(sb, s, strlen(s));
}

void strbuf_putc(struct strbuf *sb, char c)
{
    strbuf_add(sb, &c, 1);
}

void strbuf_printf(struct strbuf *sb, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    int n;

    if (sb->failed)
        return;
    va_start(ap, fmt);
    n = cv_vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (n < (int)sizeof(text)) {
        strbuf_add(sb, text, (size_t)n);
        return;
    }
    if (!reserve(sb, (size_t)n) && (!sb->fixed || sb->capacity == 0))
        return;
    va_start(ap, fmt);
    cv_vsnprintf(sb->data + sb->size, sb->capacity - sb->size, fmt, ap);
    va_end(ap);
    sb->size = MIN(sb->size + (size_t)n, sb->capacity - 1);
}

void strbuf_digits(struct strbuf *sb, uint64_t v, unsigned width)
{
    char text[20], *p = text + sizeof(text);

    while (v || p > text + sizeof(text) - width) {
        *--p = (char)('0' + v % 10);
        v /= 10;
    }
    strbuf_add(sb, p, (size_t)(text + sizeof(text) - p));
}

void strbuf_dec(struct strbuf *sb, int64_t v)
{
    if (v < 0)
        strbuf_putc(sb, '-');
    strbuf_digits(sb, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, 1);
}

void strbuf_hex(struct strbuf *sb, uint64_t v)
{
    char text[16], *p = text + sizeof(text);

    do {
        *--p = "0123456789abcdef"[v & 15];
        v >>= 4;
    } while (v);
    strbuf_add(sb, p, (size_t)(text + sizeof(text) - p));
}
