/*
 * Credentials: reference-counted, immutable once shared. Checks of who may become what are the
 * kernel's, not here. Takes no locks.
 */
#include "sentry/base/cred.h"

#include "sentry/abi/errno.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"

SLAB_TYPE(cred_slab, struct cred);

struct cred *cred_alloc_root(void)
{
    struct cred *c = slab_alloc(&cred_slab);

    if (!c)
        return NULL;
    ref_init(&c->ref);
    c->cap_permitted = CRED_CAP_FULL;
    c->cap_effective = CRED_CAP_FULL;
    c->cap_bounding = CRED_CAP_FULL;
    return c;
}

struct cred *cred_copy(const struct cred *c)
{
    struct cred *copy = slab_alloc(&cred_slab);

    if (!copy)
        return NULL;
    *copy = *c;
    ref_init(&copy->ref);
    copy->groups = NULL;
    copy->group_count = 0;
    if (cred_set_groups(copy, c->groups, c->group_count) < 0) {
        slab_free(&cred_slab, copy);
        return NULL;
    }
    return copy;
}

struct cred *cred_get(const struct cred *c)
{
    struct cred *shared = (struct cred *)c; /* only the count changes */

    ref_get(&shared->ref);
    return shared;
}

void cred_put(const struct cred *c)
{
    struct cred *shared = (struct cred *)c;

    if (!c || !ref_put(&shared->ref))
        return;
    kfree(shared->groups);
    slab_free(&cred_slab, shared);
}

bool cred_in_group(const struct cred *c, uint32_t gid)
{
    uint32_t low = 0, high = c->group_count;

    if (c->fsgid == gid)
        return true;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (c->groups[middle] == gid)
            return true;
        if (c->groups[middle] < gid)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

bool cred_capable(const struct cred *c, int cap)
{
    return (c->cap_effective >> cap) & 1;
}

static void sift_down(uint32_t *v, uint32_t root, uint32_t count)
{
    for (;;) {
        uint32_t child = 2 * root + 1, value;

        if (child >= count)
            return;
        if (child + 1 < count && v[child + 1] > v[child])
            child++;
        if (v[root] >= v[child])
            return;
        value = v[root];
        v[root] = v[child];
        v[child] = value;
        root = child;
    }
}

/* Heapsort: up to 65536 guest-chosen values, so no quadratic worst case. */
static void sort_groups(uint32_t *v, uint32_t count)
{
    for (uint32_t i = count / 2; i-- > 0;)
        sift_down(v, i, count);
    for (uint32_t end = count; end > 1; end--) {
        uint32_t value = v[0];

        v[0] = v[end - 1];
        v[end - 1] = value;
        sift_down(v, 0, end - 1);
    }
}

int cred_set_groups(struct cred *c, const uint32_t *groups, uint32_t count)
{
    uint32_t *copy = NULL;

    if (count > CRED_MAX_GROUPS)
        return -EINVAL;
    if (count > 0) {
        copy = (uint32_t *)kmemdup(groups, count * sizeof(*groups));
        if (!copy)
            return -ENOMEM;
        sort_groups(copy, count);
    }
    kfree(c->groups);
    c->groups = copy;
    c->group_count = count;
    return 0;
}
