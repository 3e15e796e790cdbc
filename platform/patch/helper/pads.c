/*
 * Padding: room for pieces of code. A gap between functions counts when it is nothing but nops or
 * int3 and nothing falls into it: the function before it ends with a jump, a return or a trap. The
 * zeroes behind the last function, up to the end of its page, count as well, and what plan.c found
 * inside functions.
 */
#include "platform/patch/helper/helper.h"
#include "platform/patch/shapes.h"

#define GAP_MAX     4096
#define SMALLEST    PIECE_JUMP
#define UNCHECKED   0
#define FREE        1
#define UNUSABLE    2
#define TAIL_MARGIN 16
#define PAGE        4096

struct pad {
    uint32_t start, end; /* what is left of it */
    uint32_t function;   /* the one before it */
    uint32_t state;
};

struct pads {
    const struct segment *seg;
    struct pad *pad;
    uint32_t count;
};

static bool is_padding(const uint8_t *text, uint32_t at, uint32_t end)
{
    while (at < end) {
        unsigned n = shape_padding(text + at, end - at);

        if (!n)
            return false;
        at += n;
    }
    return true;
}

static bool is_zero(const uint8_t *text, uint32_t at, uint32_t end)
{
    while (at < end) {
        if (text[at++])
            return false;
    }
    return true;
}

static void add_gaps(struct pads *p)
{
    const struct segment *seg = p->seg;

    for (uint32_t i = 0; i + 1 < seg->function_count; i++) {
        uint32_t start = seg->functions[i].end, end = seg->functions[i + 1].start;

        if (end - start >= SMALLEST && end - start <= GAP_MAX && end <= seg->code_end &&
            is_padding(seg->text, start, end))
            p->pad[p->count++] = (struct pad){start, end, i, UNCHECKED};
    }
}

/* Both lists are sorted and have nothing in common. */
static void merge(struct pads *p, const struct function *more, uint32_t count)
{
    uint32_t from = p->count, at = p->count + count;

    p->count = at;
    while (count) {
        const struct function *m = &more[count - 1];

        if (from && p->pad[from - 1].start > m->start) {
            p->pad[--at] = p->pad[--from];
        } else {
            p->pad[--at] = (struct pad){m->start, m->end, 0, FREE};
            count--;
        }
    }
}

struct pads *pads_find(const struct segment *seg, const struct function *more, uint32_t count)
{
    struct pads *p = arena_take(sizeof(*p));
    uint32_t tail = seg->code_end + TAIL_MARGIN;

    p->seg = seg;
    p->pad = arena_take((seg->function_count + count + 1UL) * sizeof(*p->pad));
    add_gaps(p);
    merge(p, more, count);
    if (tail < seg->size && seg->size - tail < PAGE &&
        is_zero(seg->text, seg->code_end, (uint32_t)seg->size))
        p->pad[p->count++] = (struct pad){tail, (uint32_t)seg->size, 0, FREE};
    return p;
}

/* Does nothing fall through the end of the function before it? */
static bool usable(struct pads *p, struct pad *pad)
{
    const struct function *f = &p->seg->functions[pad->function];
    struct decoded d = {0};
    uint32_t at = f->start;

    if (pad->state != UNCHECKED)
        return pad->state == FREE;
    pad->state = UNUSABLE;
    while (at < f->end) {
        if (!decode_at(p->seg->text, at, f->end, &d))
            return false;
        at += d.size;
    }
    if (d.ends)
        pad->state = FREE;
    return d.ends;
}

/* The first pad that ends above at. */
static uint32_t find(const struct pads *p, uint32_t at)
{
    uint32_t low = 0, high = p->count;

    while (low < high) {
        uint32_t middle = (low + high) / 2;

        if (p->pad[middle].end > at)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

uint32_t pads_take(struct pads *p, uint32_t low, uint32_t high, uint32_t size)
{
    for (uint32_t i = find(p, low); i < p->count; i++) {
        struct pad *pad = &p->pad[i];
        uint32_t at = pad->start > low ? pad->start : low;

        if (at > high)
            break;
        /* Used from the front only. */
        if (at != pad->start || pad->end - at < size || !usable(p, pad))
            continue;
        pad->start += size;
        return at;
    }
    return 0;
}

void pads_give_back(struct pads *p, uint32_t at, uint32_t size)
{
    for (uint32_t i = find(p, at); i < p->count; i++) {
        if (p->pad[i].start == at + size) {
            p->pad[i].start = at;
            return;
        }
    }
}
