/* See build.h. */
#include "platform/patch/build.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "platform/patch/shapes.h"

#define SHORT_JUMP 2
#define SMALL_GAP  (16 * PAGE_SIZE) /* cheaper copied than mapped apart */

static bool bit(const uint64_t *map, uint32_t i)
{
    return map[i / 64] >> (i % 64) & 1;
}

static void set_bits(uint64_t *map, uint32_t from, uint32_t count)
{
    for (uint32_t i = from; i < from + count; i++)
        map[i / 64] |= 1UL << (i % 64);
}

static bool in_text(const struct patch_build *b, uint32_t at, uint32_t size)
{
    return at && at < b->size && size <= b->size - at;
}

static bool unused(const struct patch_build *b, uint32_t at, uint32_t size)
{
    for (uint32_t i = at; i < at + size; i++) {
        if (bit(b->taken, i))
            return false;
    }
    return true;
}

/* Room for a piece: padding, or the zeroes at the end, that no other has. */
static bool piece_ok(const struct patch_build *b, uint32_t at, uint32_t size)
{
    return in_text(b, at, size) && unused(b, at, size) && shape_padding_bytes(b->text + at, size);
}

/* The bytes before a syscall are whole instructions that may move, the first as long as a jump. */
static bool movable(const uint8_t *p, uint32_t size)
{
    bool first = true;

    while (size) {
        unsigned n = shape_movable(p, size);

        if (!n || (first && n < PIECE_JUMP))
            return false;
        p += n;
        size -= n;
        first = false;
    }
    return true;
}

static bool site_ok(const struct patch_build *b, const struct patch_site *s)
{
    int64_t distance;

    if (!in_text(b, s->site, SHORT_JUMP) || b->text[s->site] != 0x0f ||
        b->text[s->site + 1] != 0x05)
        return false;
    if (s->tactic == PATCH_SHORT) {
        distance = (int64_t)s->piece[0] - s->site - SHORT_JUMP;
        return unused(b, s->site, SHORT_JUMP) && distance >= INT8_MIN && distance <= INT8_MAX;
    }
    return s->tactic == PATCH_BEFORE && s->before >= PIECE_JUMP && s->before <= PIECE_MOVED &&
           s->before < s->site && unused(b, s->site - s->before, s->before + SHORT_JUMP) &&
           movable(b->text + s->site - s->before, s->before);
}

static bool pieces_ok(const struct patch_build *b, const struct patch_site *s)
{
    uint32_t first = patch_piece_size(s, 0);

    if (!piece_ok(b, s->piece[0], first))
        return false;
    if (!s->piece[1])
        return true;
    if (!piece_ok(b, s->piece[1], PIECE_RETURN))
        return false;
    return s->piece[1] >= s->piece[0] + first || s->piece[0] >= s->piece[1] + PIECE_RETURN;
}

static void touch(struct patch_build *b, uint32_t at, uint32_t size)
{
    set_bits(b->taken, at, size);
    set_bits(b->dirty, at / PAGE_SIZE,
             (uint32_t)((at + size - 1) / PAGE_SIZE - at / PAGE_SIZE + 1));
}

static uint32_t put_relative(struct patch_build *b, uint32_t at, const uint8_t *opcode,
                             unsigned size, uint32_t target)
{
    int32_t distance = (int32_t)((int64_t)target - (at + size + 4));

    memcpy(b->text + at, opcode, size);
    memcpy(b->text + at + size, &distance, 4);
    return at + size + 4;
}

static uint32_t put_jump(struct patch_build *b, uint32_t at, uint32_t target)
{
    return put_relative(b, at, (const uint8_t[]){0xe9}, 1, target);
}

/* lea after(%rip), %rcx; jmp common */
static void put_return(struct patch_build *b, uint32_t at, uint32_t after, uint32_t common)
{
    at = put_relative(b, at, (const uint8_t[]){0x48, 0x8d, 0x0d}, 3, after);
    put_jump(b, at, common);
}

static void put_common(struct patch_build *b, uint32_t at)
{
    touch(b, at, PIECE_COMMON);
    memcpy(b->text + at, "\x49\xbb", 2); /* mov $entry, %r11 */
    memcpy(b->text + at + 2, &b->entry, 8);
    memcpy(b->text + at + 10, "\x41\xff\xe3", 3); /* jmp *%r11 */
}

static void put_site(struct patch_build *b, const struct patch_site *s, uint32_t common)
{
    uint32_t start = s->site - s->before, after = s->site + SHORT_JUMP;
    uint32_t at = s->piece[0], first;

    touch(b, s->piece[0], patch_piece_size(s, 0));
    if (s->piece[1])
        touch(b, s->piece[1], PIECE_RETURN);
    touch(b, start, s->before + SHORT_JUMP);
    memcpy(b->text + at, b->text + start, s->before);
    at += s->before;
    if (s->piece[1]) {
        put_jump(b, at, s->piece[1]);
        put_return(b, s->piece[1], after, common);
    } else {
        put_return(b, at, after, common);
    }
    if (s->tactic == PATCH_SHORT) {
        b->text[s->site] = 0xeb;
        b->text[s->site + 1] = (uint8_t)(s->piece[0] - after);
        return;
    }
    first = shape_movable(b->text + start, s->before);
    put_jump(b, start, s->piece[0]);
    memset(b->text + start + PIECE_JUMP, 0x90, first - PIECE_JUMP);
}

static int by_place(const void *a, const void *b)
{
    const struct patch_piece *x = a, *y = b;

    return x->piece < y->piece ? -1 : x->piece > y->piece;
}

static void note_pieces(const struct patch_site *s, struct patch_piece *pieces, uint32_t *count)
{
    uint32_t start = s->site - s->before;

    pieces[(*count)++] =
        (struct patch_piece){s->piece[0], patch_piece_size(s, 0), start, s->before};
    if (s->piece[1])
        pieces[(*count)++] = (struct patch_piece){s->piece[1], PIECE_RETURN, s->site, 0};
}

int64_t patch_write(struct patch_build *b, const struct patch_site *sites, uint32_t count,
                    uint32_t common, struct patch_piece *pieces, uint32_t *piece_count)
{
    int64_t written = 0;

    if (!piece_ok(b, common, PIECE_COMMON))
        return -EINVAL;
    put_common(b, common);
    pieces[0] = (struct patch_piece){common, PIECE_COMMON, PATCH_BACK_RCX, 0};
    *piece_count = 1;
    for (uint32_t i = 0; i < count; i++) {
        const struct patch_site *s = &sites[i];

        if ((s->tactic == PATCH_SHORT && s->before) || !site_ok(b, s) || !pieces_ok(b, s))
            continue;
        put_site(b, s, common);
        note_pieces(s, pieces, piece_count);
        written++;
    }
    qsort(pieces, *piece_count, sizeof(*pieces), by_place);
    return written;
}

/* Joins the two runs with the least between them. */
static void join_nearest(struct patch_run *run, uint32_t count)
{
    uint32_t best = 0, least = UINT32_MAX;

    for (uint32_t i = 0; i + 1 < count; i++) {
        uint32_t gap = run[i + 1].offset - run[i].offset - run[i].size;

        if (gap < least) {
            least = gap;
            best = i;
        }
    }
    run[best].size = run[best + 1].offset + run[best + 1].size - run[best].offset;
    memmove(&run[best + 1], &run[best + 2], (count - best - 2) * sizeof(*run));
}

uint32_t patch_runs(const uint64_t *dirty, uint32_t pages, struct patch_run *out)
{
    struct patch_run run[PATCH_RUNS_MAX + 1];
    uint32_t count = 0, covered = 0, end;

    for (uint32_t i = 0; i < pages; i++) {
        if (!bit(dirty, i))
            continue;
        end = count ? run[count - 1].offset + run[count - 1].size : 0;
        if (count && i * PAGE_SIZE - end <= SMALL_GAP) {
            run[count - 1].size += (uint32_t)(i * PAGE_SIZE - end + PAGE_SIZE);
            continue;
        }
        if (count == PATCH_RUNS_MAX + 1)
            join_nearest(run, count--);
        run[count++] = (struct patch_run){(uint32_t)(i * PAGE_SIZE), PAGE_SIZE};
    }
    if (count > PATCH_RUNS_MAX)
        join_nearest(run, count--);
    for (uint32_t i = 0; i < count; i++)
        covered += run[i].size;
    if (covered >= pages * PAGE_SIZE / 2) {
        run[0] = (struct patch_run){0, (uint32_t)(pages * PAGE_SIZE)};
        count = 1;
    }
    memcpy(out, run, count * sizeof(*run));
    return count;
}
