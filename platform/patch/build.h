/*
 * From a plan to an image: the helper's answer is checked against the segment's bytes, and the code
 * is written here. Hosted but without state or host calls, so that tests and fuzzers can call it.
 */
#pragma once

#include "platform/patch/patch.h"
#include "platform/patch/wire.h"

struct patch_build {
    uint8_t *text; /* the segment, size bytes: patched in place */
    uint32_t size;
    uint64_t entry;
    uint64_t *dirty; /* a bit a page, zeroed by the caller */
    uint64_t *taken; /* a bit a byte, likewise: bytes that are used */
};

/*
 * Writes the plan's code into text and marks the pages that changed. A site whose plan does not
 * stand the checks is left out: the number of those that were written; -EINVAL when the common
 * piece is not usable. pieces gets two entries a site and one more at most; *piece_count their
 * number, sorted.
 */
int64_t patch_write(struct patch_build *b, const struct patch_site *sites, uint32_t count,
                    uint32_t common, struct patch_piece *pieces, uint32_t *piece_count);

/*
 * The changed pages as at most PATCH_RUNS_MAX runs; their number. When they are most of the
 * segment, all of it, so that it can be mapped instead of the file.
 */
uint32_t patch_runs(const uint64_t *dirty, uint32_t pages, struct patch_run *out);
