/*
 * Memory and string functions for freestanding code (string.c defines them under cv_ names; the
 * kernel's partial link renames the compiler's implicit memcpy and friends to these, so no libc
 * vector code runs here).
 */
#pragma once

#include "sentry/base/compiler.h"

#ifdef CVISOR_HOSTED
#include <string.h>
#else
#define memcpy __builtin_memcpy
#define memmove __builtin_memmove
#define memset __builtin_memset
#define memcmp __builtin_memcmp
#define strlen cv_strlen
#define strcmp cv_strcmp
#define strncmp cv_strncmp
#define strchr cv_strchr
#define strrchr cv_strrchr
#define memchr cv_memchr
#endif

void *cv_memcpy(void *dst, const void *src, size_t n);
void *cv_memmove(void *dst, const void *src, size_t n);
void *cv_memset(void *dst, int c, size_t n);
int cv_memcmp(const void *a, const void *b, size_t n);
size_t cv_strlen(const char *s);
int cv_strcmp(const char *a, const char *b);
int cv_strncmp(const char *a, const char *b, size_t n);
char *cv_strchr(const char *s, int c);
char *cv_strrchr(const char *s, int c);
void *cv_memchr(const void *s, int c, size_t n);

/*
 * Copies at most size-1 bytes and always terminates; returns the length of src (truncated if >=
 * size).
 */
size_t str_copy(char *dst, const char *src, size_t size);
bool str_starts(const char *s, const char *prefix);
/* Decimal digits only, whole string, no sign; -EINVAL otherwise or on overflow. */
int str_to_u64(const char *s, uint64_t *out) MUST_CHECK;
