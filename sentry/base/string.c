/*
 * Memory and string functions for freestanding code, and the targets of the compiler's implicit
 * calls. General registers only. The loops must not be turned back into calls of themselves:
 * NO_IDIOM.
 */
#include "sentry/base/string.h"

#include "sentry/abi/errno.h"

#if defined(__clang__)
#define NO_IDIOM __attribute__((no_builtin))
#else
#define NO_IDIOM __attribute__((optimize("no-tree-loop-distribute-patterns")))
#endif

/* From this size the microcoded string instructions win over a loop of words. */
#define STRING_INSN_MIN 256

static ALWAYS_INLINE uint64_t load64(const void *p)
{
    uint64_t v;

    __builtin_memcpy(&v, p, sizeof(v));
    return v;
}

static ALWAYS_INLINE void store64(void *p, uint64_t v)
{
    __builtin_memcpy(p, &v, sizeof(v));
}

static ALWAYS_INLINE uint32_t load32(const void *p)
{
    uint32_t v;

    __builtin_memcpy(&v, p, sizeof(v));
    return v;
}

static ALWAYS_INLINE void store32(void *p, uint32_t v)
{
    __builtin_memcpy(p, &v, sizeof(v));
}

/* n < 16. Everything is loaded before anything is stored, so overlap is fine. */
static ALWAYS_INLINE void move_small(char *d, const char *s, size_t n)
{
    if (n >= 8) {
        uint64_t head = load64(s), tail = load64(s + n - 8);

        store64(d, head);
        store64(d + n - 8, tail);
    } else if (n >= 4) {
        uint32_t head = load32(s), tail = load32(s + n - 4);

        store32(d, head);
        store32(d + n - 4, tail);
    } else if (n > 0) {
        char first = s[0], middle = s[n / 2], last = s[n - 1];

        d[0] = first;
        d[n / 2] = middle;
        d[n - 1] = last;
    }
}

/* n >= 16, ascending: sixteen bytes at a time, the last sixteen (read first) apart. */
static ALWAYS_INLINE void copy_up(char *d, const char *s, size_t n)
{
    uint64_t tail0 = load64(s + n - 16), tail1 = load64(s + n - 8), a, b;
    size_t i;

    for (i = 0; i + 16 < n; i += 16) {
        a = load64(s + i);
        b = load64(s + i + 8);
        store64(d + i, a);
        store64(d + i + 8, b);
    }
    store64(d + n - 16, tail0);
    store64(d + n - 8, tail1);
}

/* n >= 16, descending. */
static ALWAYS_INLINE void copy_down(char *d, const char *s, size_t n)
{
    uint64_t head0 = load64(s), head1 = load64(s + 8), a, b;

    for (; n > 16; n -= 16) {
        a = load64(s + n - 16);
        b = load64(s + n - 8);
        store64(d + n - 16, a);
        store64(d + n - 8, b);
    }
    store64(d, head0);
    store64(d + 8, head1);
}

/* d lies 1 to 15 bytes behind s, were they in one page: AMD's rep movsb goes byte by byte then. */
static ALWAYS_INLINE bool near_in_page(const char *d, const char *s)
{
    return (((uintptr_t)d - (uintptr_t)s) & 4095) - 1 < 15;
}

NO_IDIOM void *cv_memcpy(void *dst, const void *src, size_t n)
{
    char *d = dst;
    const char *s = src;

    if (n < 16)
        move_small(d, s, n);
    else if (n < STRING_INSN_MIN || near_in_page(d, s))
        copy_up(d, s, n);
    else
        __asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
    return dst;
}

NO_IDIOM void *cv_memmove(void *dst, const void *src, size_t n)
{
    char *d = dst;
    const char *s = src;

    if (n < 16)
        move_small(d, s, n);
    else if ((uintptr_t)d - (uintptr_t)s < n) /* the destination starts inside the source */
        copy_down(d, s, n);
    else if ((uintptr_t)s - (uintptr_t)d < n)
        copy_up(d, s, n);
    else
        cv_memcpy(d, s, n);
    return dst;
}

NO_IDIOM void *cv_memset(void *dst, int c, size_t n)
{
    char *d = dst;
    uint64_t pattern = (uint8_t)c * 0x0101010101010101UL;
    size_t i;

    if (n >= STRING_INSN_MIN) {
        __asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
        return dst;
    }
    if (n < 8) {
        for (i = 0; i < n; i++)
            d[i] = (char)c;
        return dst;
    }
    for (i = 0; i + 8 < n; i += 8)
        store64(d + i, pattern);
    store64(d + n - 8, pattern);
    return dst;
}

NO_IDIOM int cv_memcmp(const void *a, const void *b, size_t n)
{
    const uint8_t *x = a, *y = b;

    while (n >= 8 && load64(x) == load64(y)) {
        x += 8;
        y += 8;
        n -= 8;
    }
    for (; n > 0; n--, x++, y++) {
        if (*x != *y)
            return *x - *y;
    }
    return 0;
}

NO_IDIOM size_t cv_strlen(const char *s)
{
    const char *p = s;

    while (*p)
        p++;
    return (size_t)(p - s);
}

NO_IDIOM int cv_strcmp(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return (uint8_t)*a - (uint8_t)*b;
}

NO_IDIOM int cv_strncmp(const char *a, const char *b, size_t n)
{
    for (; n > 0; n--, a++, b++) {
        if (*a != *b || !*a)
            return (uint8_t)*a - (uint8_t)*b;
    }
    return 0;
}

NO_IDIOM char *cv_strchr(const char *s, int c)
{
    for (;; s++) {
        if (*s == (char)c)
            return (char *)s;
        if (!*s)
            return NULL;
    }
}

NO_IDIOM char *cv_strrchr(const char *s, int c)
{
    const char *found = NULL;

    for (;; s++) {
        if (*s == (char)c)
            found = s;
        if (!*s)
            return (char *)found;
    }
}

NO_IDIOM void *cv_memchr(const void *s, int c, size_t n)
{
    const uint8_t *p = s;

    for (; n > 0; n--, p++) {
        if (*p == (uint8_t)c)
            return (void *)p;
    }
    return NULL;
}

size_t str_copy(char *dst, const char *src, size_t size)
{
    size_t len = cv_strlen(src);

    if (size > 0) {
        size_t n = MIN(len, size - 1);

        cv_memcpy(dst, src, n);
        dst[n] = '\0';
    }
    return len;
}

bool str_starts(const char *s, const char *prefix)
{
    return cv_strncmp(s, prefix, cv_strlen(prefix)) == 0;
}

int str_to_u64(const char *s, uint64_t *out)
{
    uint64_t value = 0;

    if (!*s)
        return -EINVAL;
    for (; *s; s++) {
        if (*s < '0' || *s > '9' || __builtin_mul_overflow(value, 10UL, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*s - '0'), &value))
            return -EINVAL;
    }
    *out = value;
    return 0;
}
