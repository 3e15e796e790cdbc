/* Bytes that programs wrote, and their way into reports. Knows nothing of tests. No locks. */
#include "runsc-cli/compat/text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_LIMIT (4U << 20)
#define FNV_PRIME     0x100000001b3ULL
#define FNV_START     0xcbf29ce484222325ULL

static void *must(void *p)
{
    if (!p) {
        fputs("runsc: out of memory\n", stderr);
        exit(2);
    }
    return p;
}

void *alloc_zeroed(size_t size)
{
    return must(calloc(1, size ? size : 1));
}

void *grow_array(void *array, size_t count, size_t *size, size_t item)
{
    if (count < *size)
        return array;
    *size = *size ? *size * 2 : 16;
    return must(reallocarray(array, *size, item));
}

char *copy_bytes(const char *s, size_t n)
{
    char *p = alloc_zeroed(n + 1);

    if (n)
        memcpy(p, s, n);
    return p;
}

char *copy_string(const char *s)
{
    return copy_bytes(s, strlen(s));
}

char *format_string(const char *fmt, ...)
{
    va_list ap;
    char *s;

    va_start(ap, fmt);
    if (vasprintf(&s, fmt, ap) < 0)
        s = NULL;
    va_end(ap);
    return must(s);
}

void text_add(struct text *t, const char *data, size_t n)
{
    size_t limit = t->limit ? t->limit : DEFAULT_LIMIT;
    size_t room = limit - t->size, kept = n < room ? n : room;
    uint64_t sum = t->total ? t->sum : FNV_START;

    for (size_t i = 0; i < n; i++)
        sum = (sum ^ (unsigned char)data[i]) * FNV_PRIME;
    t->sum = sum;
    t->total += n;
    if (kept) {
        t->data = must(realloc(t->data, t->size + kept));
        memcpy(t->data + t->size, data, kept);
        t->size += kept;
    }
}

void text_free(struct text *t)
{
    free(t->data);
    *t = (struct text){.limit = t->limit};
}

bool text_same(const struct text *a, const struct text *b)
{
    return a->total == b->total && (a->total == 0 || a->sum == b->sum) && a->size == b->size &&
           (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

bool text_line(const struct text *t, size_t *at, const char **line, size_t *n)
{
    const char *start = t->data + *at, *end;

    if (*at >= t->size)
        return false;
    end = memchr(start, '\n', t->size - *at);
    *line = start;
    *n = end ? (size_t)(end - start) : t->size - *at;
    *at += *n + (end ? 1 : 0);
    return true;
}

struct text text_tail(const struct text *t, size_t max)
{
    size_t skip = t->size > max ? t->size - max : 0;
    const char *newline = skip ? memchr(t->data + skip, '\n', t->size - skip) : NULL;
    struct text tail = {0};

    if (newline && newline + 1 < t->data + t->size)
        skip = (size_t)(newline + 1 - t->data);
    if (t->size)
        text_add(&tail, t->data + skip, t->size - skip);
    return tail;
}

bool line_starts(const char *line, size_t n, const char *prefix)
{
    size_t length = strlen(prefix);

    return n >= length && memcmp(line, prefix, length) == 0;
}

const char *find_bytes(const char *s, size_t n, const char *what)
{
    return n ? memmem(s, n, what, strlen(what)) : NULL;
}

/* The code point at s and its length, or a length of 0: no UTF-8 (overlong forms, surrogates). */
static size_t decode(const unsigned char *s, size_t n, uint32_t *out)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    uint32_t c = length < 2 ? s[0] : s[0] & (0x7fU >> length);

    if (s[0] > 0xf4 || length > n)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    if (c < least[length] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return 0;
    *out = c;
    return length;
}

/* What changes how the text around it looks, or that XML does not have. */
static bool is_harmful(uint32_t c)
{
    return (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7f && c < 0xa0) || c == 0xad ||
           c == 0x61c || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfdd0 && c <= 0xfdef) ||
           (c & 0xfffe) == 0xfffe || (c >= 0xfff0 && c <= 0xfffb) || (c >= 0xe0000 && c < 0xf0000);
}

static void put_char(FILE *out, enum escape how, const char *s, size_t length)
{
    bool markup = how == ESCAPE_HTML || how == ESCAPE_XML;

    if (length > 1)
        fwrite(s, 1, length, out);
    else if (markup && *s == '<')
        fputs("&lt;", out);
    else if (markup && *s == '>')
        fputs("&gt;", out);
    else if (markup && *s == '&')
        fputs("&amp;", out);
    else if (markup && *s == '"')
        fputs("&quot;", out);
    else if (markup && *s == '\'')
        fputs("&#39;", out);
    else if (how == ESCAPE_JSON && (*s == '"' || *s == '\\'))
        fprintf(out, "\\%c", *s);
    else if (how == ESCAPE_JSON && *s == '\t')
        fputs("\\t", out);
    else if (*s == '\n' && !markup)
        fputs("\\n", out);
    else
        fputc(*s, out);
}

void put_text(FILE *out, enum escape how, const char *s, size_t n)
{
    const char *backslash = how == ESCAPE_JSON ? "\\\\" : "\\";

    for (size_t i = 0; i < n;) {
        uint32_t c = 0;
        size_t length = decode((const unsigned char *)s + i, n - i, &c);

        if (length == 0 || (is_harmful(c) && c < 0x100))
            fprintf(out, "%sx%02x", backslash, length ? c : (unsigned char)s[i]);
        else if (is_harmful(c))
            fprintf(out, "%su{%x}", backslash, c);
        else
            put_char(out, how, s + i, length);
        i += length ? length : 1;
    }
}

void put_string(FILE *out, enum escape how, const char *s)
{
    put_text(out, how, s, strlen(s));
}
