/* Cells as objects: making, counting. What is done to them from outside: outside.c. */
#include "sentry/kernel/cell.h"

#include "sentry/abi/errno.h"
#include "sentry/base/slab.h"
#include "sentry/kernel/kernel.h"

SLAB_TYPE(cell_slab, struct cell);

int cell_create(struct kernel *k, struct cell **out)
{
    struct cell *c = slab_alloc(&cell_slab);

    if (!c)
        return -ENOMEM;
    ref_init(&c->ref);
    c->k = k;
    c->number = __atomic_fetch_add(&k->next_cell, 1, __ATOMIC_RELAXED);
    *out = c;
    return 0;
}

void cell_put(struct cell *c)
{
    if (!c || !ref_put(&c->ref))
        return;
    BUG_ON(c->processes);
    slab_free(&cell_slab, c);
}

void cell_count_locked(struct cell *c, bool more)
{
    c->processes += more ? 1 : -1U;
    if (c->closed && !c->processes)
        unpark(&c->k->boot_parker);
}

uint32_t cell_number_of(const struct task *t)
{
    return t ? t->tg->cell->number : 0;
}
