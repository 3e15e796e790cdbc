/*
 * Formatting without libc: %d %i %u %x %X %o %c %s %p %% with width, 0, -, precision and h l ll z
 * j. strbuf: a growing (kmalloc) or fixed text buffer; errors stick and are checked once at the
 * end.
 */
#pragma once

#include "sentry/base/compiler.h"

/* As C99 vsnprintf: returns the length it would have had. */
int cv_vsnprintf(char *buf, size_t size, const char *fmt, va_list ap);
int cv_snprintf(char *buf, size_t size, const char *fmt, ...) PRINTF_LIKE(3, 4);

struct strbuf {
    char *data; /* NUL-terminated once anything was added; NULL before */
    size_t size, capacity;
    bool fixed;  /* data is the caller's: overflow truncates and sets failed */
    bool failed; /* out of memory or truncated */
};

void strbuf_init(struct strbuf *sb);
void strbuf_init_fixed(struct strbuf *sb, char *buf, size_t capacity);
void strbuf_free(struct strbuf *sb);
void strbuf_printf(struct strbuf *sb, const char *fmt, ...) PRINTF_LIKE(2, 3);
void strbuf_add(struct strbuf *sb, const void *data, size_t size);
void strbuf_puts(struct strbuf *sb, const char *s);
void strbuf_putc(struct strbuf *sb, char c);
/* As %lld and %llx, and %0*llu of at most 20 digits, without a format to read. */
void strbuf_dec(struct strbuf *sb, int64_t v);
void strbuf_hex(struct strbuf *sb, uint64_t v);
void strbuf_digits(struct strbuf *sb, uint64_t v, unsigned width);
