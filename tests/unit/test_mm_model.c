/* Random mapping calls against an array of pages; after each the tree, the platform's pages and the
 * counts must agree. */
#include <string.h>

#include "tests/unit/mm_fixture.h"

#define PAGES 200
#define BASE  0x40000000UL

struct page {
    bool mapped, shared, locked, dontfork;
    int prot;
    uint64_t tag; /* the first word, 0 when untouched */
};

struct model {
    struct uspace us;
    struct random rnd;
    struct page page[PAGES];
};

PLATFORM_SUITE(mm_model);

static uint64_t addr_of(unsigned page)
{
    return BASE + page * PAGE_SIZE;
}

static void pick(struct model *m, unsigned *first, unsigned *count)
{
    *first = random_below(&m->rnd, PAGES);
    *count = 1 + random_below(&m->rnd, MIN(PAGES - *first, 40U));
}

static int some_prot(struct model *m)
{
    static const int prots[] = {LX_PROT_NONE, LX_PROT_READ, RW,
                                RW,           RW,           LX_PROT_READ | LX_PROT_EXEC};

    return prots[random_below(&m->rnd, ARRAY_SIZE(prots))];
}

static void step_map(struct model *m, int fail)
{
    unsigned first, count;
    bool taken = false, noreplace = random_below(&m->rnd, 4) == 0;
    struct mm_map_args map = {.fixed = true, .noreplace = noreplace};
    uint64_t out;
    int ret;

    pick(m, &first, &count);
    map.addr = addr_of(first);
    map.size = count * PAGE_SIZE - random_below(&m->rnd, 2);
    map.prot = some_prot(m);
    map.shared = random_below(&m->rnd, 8) == 0;
    for (unsigned i = first; i < first + count; i++)
        taken |= m->page[i].mapped;
    ret = mm_map(&m->us, &no_limits, &map, &out);
    if (noreplace && taken) {
        cr_assert_eq(ret, -EEXIST);
        return;
    }
    cr_assert_eq(ret, fail, "%d not %d", ret, fail);
    for (unsigned i = first; ret == 0 && i < first + count; i++)
        m->page[i] = (struct page){.mapped = true, .shared = map.shared, .prot = map.prot};
}

static void step_unmap(struct model *m)
{
    unsigned first, count;

    pick(m, &first, &count);
    cr_assert_eq(mm_unmap(&m->us, addr_of(first), count * PAGE_SIZE), 0);
    memset(&m->page[first], 0, count * sizeof(struct page));
}

static void step_protect(struct model *m, int fail)
{
    unsigned first, count;
    int prot = some_prot(m), ret, expected = 0;
    bool changes = false;

    pick(m, &first, &count);
    for (unsigned i = first; i < first + count && expected == 0; i++) {
        if (!m->page[i].mapped)
            expected = -ENOMEM;
        else
            changes |= m->page[i].prot != prot;
    }
    if (!changes && fail)
        return;
    ret = mm_protect(&m->us, addr_of(first), count * PAGE_SIZE, prot);
    if (fail) {
        cr_assert_eq(ret, fail);
        return;
    }
    cr_assert_eq(ret, expected);
    for (unsigned i = first; i < first + count && m->page[i].mapped; i++)
        m->page[i].prot = prot;
}

static void step_write(struct model *m)
{
    unsigned i = random_below(&m->rnd, PAGES);
    uint64_t tag = random_next(&m->rnd) | 1;
    int ret = copy_out(&m->us, uaddr(addr_of(i)), &tag, sizeof(tag));
    bool ok = m->page[i].mapped && (m->page[i].prot & LX_PROT_WRITE);

    cr_assert_eq(ret, ok ? 0 : -EFAULT);
    if (ok)
        m->page[i].tag = tag;
}

static void step_flags(struct model *m)
{
    unsigned first, count, kind = random_below(&m->rnd, 4);
    int ret, expected = 0, stopped = 0;

    pick(m, &first, &count);
    for (unsigned i = first; i < first + count; i++) {
        if (!m->page[i].mapped)
            expected = -ENOMEM;
    }
    if (kind < 2)
        ret = mm_advise(&m->us, addr_of(first), count * PAGE_SIZE,
                        kind ? LX_MADV_DONTFORK : LX_MADV_DOFORK);
    else if (kind == 2)
        ret = mm_mlock(&m->us, &no_limits, addr_of(first), count * PAGE_SIZE, true);
    else
        ret = mm_munlock(&m->us, addr_of(first), count * PAGE_SIZE);
    cr_assert_eq(ret, expected);
    for (unsigned i = first; i < first + count; i++) {
        struct page *p = &m->page[i];

        stopped |= !p->mapped;
        if (!p->mapped)
            continue;
        if (kind < 2)
            p->dontfork = kind;
        else if (!stopped)
            p->locked = kind == 2;
    }
}

/* Are these pages one VMA? By prot and flags they may be; offsets decide the rest, so ask the tree.
 */
static bool one_vma(struct model *m, unsigned first, unsigned count)
{
    struct vma_info v;
    bool one = mm_vma_at_or_after(m->us.mm, addr_of(first), &v) == 0 && v.start <= addr_of(first) &&
               v.end >= addr_of(first + count);

    if (v.file)
        OPS_GET(mm_file_ops, v.file->ops)->put(v.file);
    return one;
}

static void step_move(struct model *m)
{
    unsigned from, old, to, new;
    struct page moved[PAGES];
    uint64_t out;
    int ret;

    pick(m, &from, &old);
    pick(m, &to, &new);
    if (!m->page[from].mapped || !one_vma(m, from, old))
        return;
    if (new > old && m->page[from].shared)
        new = old; /* beyond the object pages can't be touched */
    ret = mm_remap(&m->us, &no_limits, addr_of(from), old * PAGE_SIZE, new *PAGE_SIZE,
                   LX_MREMAP_MAYMOVE | LX_MREMAP_FIXED, addr_of(to), &out);
    if (from < to + new &&to < from + old) {
        cr_assert_eq(ret, -EINVAL);
        return;
    }
    cr_assert_eq(ret, 0, "mremap: %d", ret);
    cr_assert_eq(out, addr_of(to));
    for (unsigned i = 0; i < new; i++) {
        moved[i] = m->page[from + MIN(i, old - 1)];
        if (i >= old)
            moved[i].tag = 0;
    }
    memset(&m->page[from], 0, old * sizeof(struct page));
    memcpy(&m->page[to], moved, new * sizeof(struct page));
}

static void step_resize(struct model *m)
{
    unsigned from, old, new = 1 + random_below(&m->rnd, 50);
    bool room = true;
    uint64_t out;
    int ret;

    pick(m, &from, &old);
    if (!m->page[from].mapped || !one_vma(m, from, old) || m->page[from].shared ||
        from + new > PAGES)
        return;
    for (unsigned i = from + old; i < from + new; i++)
        room &= !m->page[i].mapped;
    ret = mm_remap(&m->us, &no_limits, addr_of(from), old * PAGE_SIZE, new *PAGE_SIZE, 0, 0, &out);
    cr_assert_eq(ret, room ? 0 : -ENOMEM);
    if (ret < 0)
        return;
    cr_assert_eq(out, addr_of(from));
    for (unsigned i = from + old; i < from + new; i++) {
        m->page[i] = m->page[from + old - 1];
        m->page[i].tag = 0;
    }
    for (unsigned i = from + new; i < from + old; i++)
        m->page[i] = (struct page){0};
}

/* ---- the comparison ---- */

static void check_vma(struct model *m, const struct vma_info *v)
{
    for (uint64_t at = v->start; at < v->end; at += PAGE_SIZE) {
        struct page *p = &m->page[(at - BASE) >> PAGE_SHIFT];
        uint64_t word = 0;

        cr_assert(p->mapped);
        cr_assert_eq(v->prot, p->prot);
        cr_assert_eq(!!(v->flags & VMA_SHARED), p->shared);
        cr_assert_eq(!!(v->flags & VMA_LOCKED), p->locked);
        cr_assert_eq(!!(v->flags & VMA_DONTFORK), p->dontfork);
        cr_assert_eq(fake_page_prot(m->us.mm->as, at), p->prot);
        if (p->prot & LX_PROT_READ) {
            cr_assert_eq(copy_in_obj(&m->us, &word, uaddr(at)), 0);
            cr_assert_eq(word, p->tag);
        }
    }
}

static void check(struct model *m)
{
    uint64_t total = 0, locked = 0, data = 0, exec = 0, found = 0;
    struct mm *mm = m->us.mm;
    struct vma_info v;

    for (unsigned i = 0; i < PAGES; i++) {
        struct page *p = &m->page[i];

        total += p->mapped;
        locked += p->mapped && p->locked;
        data += p->mapped && (p->prot & LX_PROT_WRITE) && !p->shared;
        exec += p->mapped && (p->prot & LX_PROT_EXEC);
    }
    for (uint64_t at = 0; mm_vma_at_or_after(mm, at, &v) == 0; at = v.end) {
        check_vma(m, &v);
        found += (v.end - v.start) >> PAGE_SHIFT;
        if (v.file)
            OPS_GET(mm_file_ops, v.file->ops)->put(v.file);
    }
    cr_assert_eq(found, total);
    cr_assert_eq(fake_page_count(mm->as), total);
    cr_assert_eq(mm->total_vm, total);
    cr_assert_eq(mm->locked_vm, locked);
    cr_assert_eq(mm->data_vm, data);
    cr_assert_eq(mm->exec_vm, exec);
    cr_assert_eq(mm->vma_count, vma_total(mm));
}

static void run(uint64_t seed, unsigned steps)
{
    struct model m = {.us = space_create(), .rnd = {seed}};

    for (unsigned i = 0; i < steps; i++) {
        int fail = 0;

        switch (random_below(&m.rnd, 10)) {
        case 0:
        case 1:
            step_map(&m, 0);
            break;
        case 2:
            step_unmap(&m);
            break;
        case 3:
        case 4:
            step_protect(&m, 0);
            break;
        case 5:
            step_write(&m);
            break;
        case 6:
            step_flags(&m);
            break;
        case 7:
            step_move(&m);
            break;
        case 8:
            step_resize(&m);
            break;
        default:
            fail = -ENOMEM;
            fake_fail(ENOMEM, 0, 1);
            if (random_below(&m.rnd, 2))
                step_map(&m, fail);
            else
                step_protect(&m, fail);
            fake_fail(0, 0, 0);
        }
        check(&m);
    }
    space_destroy(&m.us);
}

Test(mm_model, random_calls)
{
    for (uint64_t seed = 1; seed <= 8; seed++)
        run(seed, 1500);
}

/* The remembered gap never changes where a mapping goes: always the highest hole that is large
 * enough. */
Test(mm_model, placement_is_the_highest_hole)
{
    static bool used[512];
    struct uspace us = space_create();
    struct random rnd = {42};
    const uint64_t top = BASE + 512 * PAGE_SIZE;

    memset(used, 0, sizeof(used));
    mm_set_mmap_top(us.mm, top);
    for (unsigned step = 0; step < 6000; step++) {
        unsigned size = 1 + random_below(&rnd, random_below(&rnd, 3) ? 4 : 40), at, run_length = 0;
        struct mm_map_args map = {.size = size * PAGE_SIZE,
                                  .prot = random_below(&rnd, 2) ? RW : LX_PROT_READ};
        uint64_t out;

        if (random_below(&rnd, 2)) {
            at = random_below(&rnd, 512);
            size = MIN(size, 512 - at);
            cr_assert_eq(mm_unmap(&us, BASE + at * PAGE_SIZE, size * PAGE_SIZE), 0);
            memset(&used[at], 0, size);
            continue;
        }
        for (at = 512; at > 0 && run_length < size; at--)
            run_length = used[at - 1] ? 0 : run_length + 1;
        if (run_length < size)
            continue;
        cr_assert_eq(mm_map(&us, &no_limits, &map, &out), 0);
        cr_assert_eq(out, BASE + at * PAGE_SIZE, "step %u", step);
        memset(&used[at], 1, size);
    }
    space_destroy(&us);
}
