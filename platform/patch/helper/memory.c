/*
 * Memory for the helper, and what capstone wants of a C library. One arena in a fixed place, given
 * anew (zeroed) for each job; freeing is for the arena's end.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/patch/helper/arena.h"
#include "platform/patch/helper/helper.h"

#define HEADER 16 /* before each malloc: its size */

static uint64_t used;

void arena_reset(void)
{
    used = 0;
}

void *arena_take(uint64_t size)
{
    uint64_t at = used;

    if (size > ARENA_SIZE - used - 16)
        arena_full();
    used += (size + 15) & ~15UL;
    return (void *)(ARENA_BASE + at);
}

void *malloc(size_t size)
{
    uint64_t *p = arena_take(size + HEADER);

    p[0] = size;
    return p + HEADER / sizeof(*p);
}

void *calloc(size_t count, size_t size)
{
    return malloc(count * size);
}

void free(void *p)
{
    (void)p;
}

void *realloc(void *old, size_t size)
{
    void *p = malloc(size);
    size_t n = old ? ((uint64_t *)old)[-2] : 0;

    if (old)
        memcpy(p, old, n < size ? n : size);
    return p;
}

void *memcpy(void *to, const void *from, size_t n)
{
    void *start = to;

    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n)::"memory");
    return start;
}

void *memmove(void *to, const void *from, size_t n)
{
    char *d = to;
    const char *s = from;

    if (d <= s)
        return memcpy(to, from, n);
    while (n-- > 0)
        d[n] = s[n];
    return to;
}

void *memset(void *to, int value, size_t n)
{
    void *start = to;

    __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(value) : "memory");
    return start;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const uint8_t *x = a, *y = b;

    for (; n; n--, x++, y++) {
        if (*x != *y)
            return *x - *y;
    }
    return 0;
}

size_t strlen(const char *s)
{
    size_t n = 0;

    while (s[n])
        n++;
    return n;
}

int strcmp(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return (uint8_t)*a - (uint8_t)*b;
}

int strncmp(const char *a, const char *b, size_t n)
{
    while (n && *a && *a == *b) {
        a++;
        b++;
        n--;
    }
    return n ? (uint8_t)*a - (uint8_t)*b : 0;
}

char *strcpy(char *to, const char *from)
{
    return memcpy(to, from, strlen(from) + 1);
}

char *strncpy(char *to, const char *from, size_t n)
{
    size_t have = strlen(from);

    memset(to, 0, n);
    return memcpy(to, from, have < n ? have : n);
}

char *strchr(const char *s, int c)
{
    for (;; s++) {
        if (*s == (char)c)
            return (char *)s;
        if (!*s)
            return NULL;
    }
}

char *strrchr(const char *s, int c)
{
    const char *found = NULL;

    for (;; s++) {
        if (*s == (char)c)
            found = s;
        if (!*s)
            return (char *)found;
    }
}

char *strstr(const char *s, const char *part)
{
    size_t n = strlen(part);

    for (; *s; s++) {
        if (strncmp(s, part, n) == 0)
            return (char *)s;
    }
    return n ? NULL : (char *)s;
}

static void swap(char *a, char *b, size_t n)
{
    while (n--) {
        char t = *a;

        *a++ = *b;
        *b++ = t;
    }
}

/* Of one small table, once. */
void qsort(void *base, size_t count, size_t size, int (*compare)(const void *, const void *))
{
    for (size_t i = 1; i < count; i++) {
        char *p = (char *)base + i * size;

        for (; p > (char *)base && compare(p - size, p) > 0; p -= size)
            swap(p - size, p, size);
    }
}

/*
 * The text of instructions is not used here: nothing is printed. A helper that prints has its own.
 */
__attribute__((weak)) int vsnprintf(char *to, size_t size, const char *format, va_list args)
{
    (void)format;
    (void)args;
    if (size)
        to[0] = 0;
    return 0;
}

int __sprintf_chk(char *to, int flag, size_t size, const char *format, ...);
__attribute__((weak)) int __sprintf_chk(char *to, int flag, size_t size, const char *format,
                                        ...)
{
    (void)flag;
    (void)format;
    if (size)
        to[0] = 0;
    return 0;
}

char *__strcpy_chk(char *to, const char *from, size_t size);
char *__strcpy_chk(char *to, const char *from, size_t size)
{
    (void)size;
    return strcpy(to, from);
}

NORETURN void __stack_chk_fail(void);
NORETURN void __stack_chk_fail(void)
{
    __builtin_trap();
}
