/* Instructions that can open a protection key: finding their bytes, at every offset. */
#pragma once

#include "sentry/base/compiler.h"

#define SCAN_TAIL 2 /* bytes of a hit behind its first */
/* What one wants to see around a hit to tell what it is. */
#define SCAN_BEFORE 128
#define SCAN_AFTER  32

/*
 * Offsets in p[0, size) where WRPKRU or XRSTOR's bytes begin, ascending, at most max of them into
 * hits. Returns how many there are. Bytes are looked at whatever instructions they belong to.
 */
size_t scan_find(const uint8_t *p, size_t size, uint32_t *hits, size_t max);

/*
 * The instruction is meant: the hit at p[at] is at an instruction's beginning or behind prefixes of
 * its. Its second byte may then be made SCAN_TRAP: UD0, which leaves the rest readable for who
 * emulates it.
 */
#define SCAN_TRAP 0xff
bool scan_is_meant(const uint8_t *p, size_t size, size_t at);
