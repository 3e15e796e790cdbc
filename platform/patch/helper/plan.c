/*
 * What to do with each syscall instruction of a segment. A site counts when decoding its function
 * from the start meets it. Of the function's own instructions one is replaced, whole, so that only
 * a jump into its middle could go astray: it is left alone when a branch of the function, or
 * whatever could be one with a 32-bit displacement anywhere in the segment, has such a target.
 */
#include "platform/patch/helper/helper.h"

#define SHORT_REACH  120
#define FAR          (1u << 30)
#define FUNCTION_MAX 65536
#define BEFORE_MAX   6
#define INNER_MAX    65536
#define NEAR         64 /* and the most that the instructions of a candidate are apart */

/* A site with what was met before it. */
struct candidate {
    uint32_t site;
    uint32_t function;
    uint32_t start[BEFORE_MAX]; /* the movable instructions right before it, nearest first */
    uint32_t count;
    bool refused; /* a jump lands inside the syscall instruction */
};

struct plan {
    const struct segment *seg;
    struct pads *pads;
    struct candidate *list;
    uint32_t count, max;
    uint32_t none; /* nowhere is room for so many bytes any more */
    struct function *inner; /* padding inside functions */
    uint32_t inner_count;
    int64_t *target; /* of the branches of the function being read */
    uint8_t *near;   /* a bit per NEAR bytes of text: a branch there may go into a candidate */
};

static void remember(struct candidate *c, uint32_t at, const struct decoded *d)
{
    if (!d->movable) {
        c->count = 0;
        return;
    }
    for (uint32_t i = BEFORE_MAX - 1; i > 0; i--)
        c->start[i] = c->start[i - 1];
    c->start[0] = at;
    if (c->count < BEFORE_MAX)
        c->count++;
}

/* A branch into the middle of an instruction: it and those before it can't be moved. */
static void branch_to(struct plan *p, uint32_t first, int64_t target)
{
    for (uint32_t i = first; i < p->count; i++) {
        struct candidate *c = &p->list[i];

        if (target == (int64_t)c->site + 1)
            c->refused = true;
        for (uint32_t k = 0; k < c->count; k++) {
            uint32_t end = k ? c->start[k - 1] : c->site;

            if (target > (int64_t)c->start[k] && target < (int64_t)end)
                c->count = k;
        }
    }
}

static bool is_syscall(const uint8_t *p)
{
    return p[0] == 0x0f && p[1] == 0x05;
}

/* Is 0x0f among the eight bytes? */
static bool may_begin(const uint8_t *p)
{
    uint64_t v;

    __builtin_memcpy(&v, p, 8);
    v ^= 0x0f0f0f0f0f0f0f0fUL;
    return (v - 0x0101010101010101UL) & ~v & 0x8080808080808080UL;
}

/* What a function is made of. */
struct reading {
    struct candidate c;
    uint32_t first;       /* its first candidate */
    uint32_t inner_first; /* its first padding */
    bool indirect;
    bool after_end; /* nothing falls into what comes next */
};

static bool note(struct plan *p, struct reading *r, uint32_t at, const struct decoded *d)
{
    r->indirect |= d->indirect;
    if (d->size == 2 && is_syscall(p->seg->text + at)) {
        if (p->count == p->max)
            return false;
        r->c.site = at;
        p->list[p->count++] = r->c;
    }
    remember(&r->c, at, d);
    if (r->after_end && d->padding && p->inner_count < INNER_MAX) {
        struct function *last =
            p->inner_count > r->inner_first ? &p->inner[p->inner_count - 1] : NULL;

        if (last && last->end == at)
            last->end += d->size;
        else
            p->inner[p->inner_count++] = (struct function){at, at + d->size};
    }
    r->after_end = d->ends || (r->after_end && d->padding);
    return true;
}

/* Padding a branch goes to, or that is too small, is of no use. */
static void inner_branch_to(struct plan *p, uint32_t first, int64_t target)
{
    for (uint32_t i = first; i < p->inner_count; i++) {
        if (target >= (int64_t)p->inner[i].start && target < (int64_t)p->inner[i].end)
            p->inner[i].end = p->inner[i].start;
    }
}

static void drop_small(struct plan *p, uint32_t first)
{
    uint32_t kept = first;

    for (uint32_t i = first; i < p->inner_count; i++) {
        if (p->inner[i].end - p->inner[i].start >= PIECE_JUMP)
            p->inner[kept++] = p->inner[i];
    }
    p->inner_count = kept;
}

/* Candidates and padding that a branch spoils. One that does not decode wholly has none. */
static void read_function(struct plan *p, uint32_t index)
{
    const struct function *f = &p->seg->functions[index];
    struct reading r = {.first = p->count, .inner_first = p->inner_count, .c.function = index};
    uint32_t targets = 0;
    struct decoded d;

    for (uint32_t at = f->start; at < f->end; at += d.size) {
        if (!decode_at(p->seg->text, at, f->end, &d) || !note(p, &r, at, &d)) {
            p->count = r.first;
            p->inner_count = r.inner_first;
            return;
        }
        if (d.branches)
            p->target[targets++] = d.target;
    }
    if (r.first == p->count || r.indirect)
        p->inner_count = r.inner_first;
    for (uint32_t i = 0; r.first < p->count && i < targets; i++) {
        branch_to(p, r.first, p->target[i]);
        inner_branch_to(p, r.inner_first, p->target[i]);
    }
    drop_small(p, r.inner_first);
}

static void find_candidates(struct plan *p)
{
    const struct segment *seg = p->seg;
    int64_t done = -1;

    for (uint32_t at = 0; at + 1 < seg->code_end; at++) {
        int64_t f;

        while (at + 8 < seg->code_end && !may_begin(seg->text + at))
            at += 8;
        if (!is_syscall(seg->text + at))
            continue;
        f = function_at(seg, at);
        if (f < 0 || f == done || seg->functions[f].end - seg->functions[f].start > FUNCTION_MAX)
            continue;
        done = f;
        read_function(p, (uint32_t)f);
    }
}

/* The candidates with index in [*first, *last) are all whose bytes a target may be in. */
static void far_branch(struct plan *p, int64_t target)
{
    uint32_t low = 0, high = p->count;

    if (target < 0 || target >= (int64_t)p->seg->code_end ||
        !(p->near[target / NEAR / 8] >> (target / NEAR % 8) & 1))
        return;
    while (low < high) {
        uint32_t middle = (low + high) / 2;

        if ((int64_t)p->list[middle].site + 2 > target)
            high = middle;
        else
            low = middle + 1;
    }
    if (low < p->count && target > (int64_t)p->list[low].site - NEAR) {
        uint32_t count = p->count;

        p->count = low + 1;
        branch_to(p, low, target);
        p->count = count;
    }
}

static void mark_near(struct plan *p)
{
    p->near = arena_take(p->seg->code_end / NEAR / 8 + 1);
    for (uint32_t i = 0; i < p->count; i++) {
        uint32_t last = (p->list[i].site + 1) / NEAR;

        for (uint32_t n = last - (last > 0); n <= last; n++)
            p->near[n / 8] |= (uint8_t)(1u << n % 8);
    }
}

/* Whatever could be a branch with a 32-bit displacement, at every byte. */
static void scan_far_branches(struct plan *p)
{
    static const uint8_t skips[256] = {[0xe8] = 1, [0xe9] = 1, [0x0f] = 2};
    const uint8_t *t = p->seg->text;
    uint32_t end = p->seg->code_end;

    if (!p->count)
        return;
    mark_near(p);
    for (uint32_t at = 0; at + 6 <= end; at++) {
        unsigned skip = skips[t[at]];
        int32_t distance;

        if (!skip || (skip == 2 && (t[at + 1] & 0xf0) != 0x80))
            continue;
        __builtin_memcpy(&distance, t + at + skip, 4);
        far_branch(p, (int64_t)at + skip + 4 + distance);
    }
}

static uint32_t clip(int64_t at, uint32_t size)
{
    return at < 1 ? 1 : at > (int64_t)size ? size : (uint32_t)at;
}

/* Room for size bytes as near to at as can be had. */
static uint32_t take_near(struct plan *p, uint32_t at, uint32_t size)
{
    uint32_t found = 0;

    if (size >= p->none)
        return 0;
    for (int64_t reach = 2048; reach <= FAR && !found; reach *= 8)
        found = pads_take(p->pads, clip((int64_t)at - reach, (uint32_t)p->seg->size),
                          clip((int64_t)at + reach, (uint32_t)p->seg->size), size);
    if (!found)
        p->none = size;
    return found;
}

/* pieces for moved bytes and the way on: in one place, or in two. */
static bool place_moved(struct plan *p, struct patch_site *s)
{
    s->piece[1] = 0;
    s->piece[0] = take_near(p, s->site, s->before + PIECE_RETURN);
    if (s->piece[0])
        return true;
    s->piece[0] = take_near(p, s->site, s->before + PIECE_JUMP);
    if (!s->piece[0])
        return false;
    s->piece[1] = take_near(p, s->site, PIECE_RETURN);
    if (s->piece[1])
        return true;
    pads_give_back(p->pads, s->piece[0], s->before + PIECE_JUMP);
    return false;
}

/* The nearest movable instruction with room for a jump. */
static bool has_before(const struct candidate *c, uint32_t *before)
{
    for (uint32_t k = 0; k < c->count; k++) {
        uint32_t end = k ? c->start[k - 1] : c->site;

        *before = c->site - c->start[k];
        if (end - c->start[k] >= PIECE_JUMP)
            return *before <= PIECE_MOVED;
    }
    return false;
}

static bool try_before(struct plan *p, const struct candidate *c, struct patch_site *s)
{
    uint32_t before;

    if (!has_before(c, &before))
        return false;
    s->tactic = PATCH_BEFORE;
    s->before = (uint8_t)before;
    return place_moved(p, s);
}

static bool try_short(struct plan *p, const struct candidate *c, struct patch_site *s)
{
    uint32_t size = (uint32_t)p->seg->size;
    uint32_t low = clip((int64_t)c->site - SHORT_REACH, size),
             high = clip((int64_t)c->site + SHORT_REACH, size);

    s->tactic = PATCH_SHORT;
    s->before = 0;
    s->piece[1] = 0;
    s->piece[0] = pads_take(p->pads, low, high, PIECE_RETURN);
    if (s->piece[0])
        return true;
    s->piece[0] = pads_take(p->pads, low, high, PIECE_JUMP);
    if (!s->piece[0])
        return false;
    s->piece[1] = take_near(p, c->site, PIECE_RETURN);
    if (s->piece[1])
        return true;
    pads_give_back(p->pads, s->piece[0], PIECE_JUMP);
    return false;
}

static bool choose(struct plan *p, const struct candidate *c, struct patch_site *s)
{
    *s = (struct patch_site){.site = c->site};
    return !c->refused && (try_before(p, c, s) || try_short(p, c, s));
}

uint32_t plan_segment(const struct segment *seg, struct patch_site *out, uint32_t max,
                      uint32_t *common)
{
    struct plan plan = {.seg = seg, .max = max, .none = UINT32_MAX};
    uint32_t count = 0;

    plan.list = arena_take(max * sizeof(*plan.list));
    plan.inner = arena_take(INNER_MAX * sizeof(*plan.inner));
    plan.target = arena_take(FUNCTION_MAX * sizeof(*plan.target));
    find_candidates(&plan);
    scan_far_branches(&plan);
    if (!plan.count)
        return 0;
    plan.pads = pads_find(seg, plan.inner, plan.inner_count);
    *common = take_near(&plan, plan.list[0].site, PIECE_COMMON);
    if (!*common)
        return 0;
    /* Those that need padding near by choose first. */
    for (uint32_t turn = 0; turn < 2; turn++) {
        for (uint32_t i = 0; i < plan.count; i++) {
            uint32_t before;

            if (has_before(&plan.list[i], &before) == (turn == 1) &&
                choose(&plan, &plan.list[i], &out[count]))
                count++;
        }
    }
    return count;
}
