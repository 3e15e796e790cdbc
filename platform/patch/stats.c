/*
 * The counts of calls in words, to the log: totals, and the sites most calls trapped at. Hosted, as
 * all that only the sentry does. No locks.
 */
#include "platform/patch/patch.h"
#include "sentry/base/log.h"

#define TOP_SITES 12

/* The next most trapping site after one with below traps; NULL: none. */
static const struct patch_site_count *next_site(const struct patch_table *t, uint64_t below,
                                                const struct patch_site_count *last)
{
    const struct patch_site_count *all = patch_site_counts(t), *best = NULL;

    for (unsigned i = 0; i < PATCH_SITE_COUNTS; i++) {
        const struct patch_site_count *c = &all[i];
        bool later = c->by_trap < below || (c->by_trap == below && c > last);

        if (c->by_trap && later && (!best || c->by_trap > best->by_trap))
            best = c;
    }
    return best;
}

void patch_print(struct patch_table *t, uint64_t by_patch, uint64_t by_trap)
{
    const struct patch_site_count *c = NULL;
    struct patch_stats s = {0, 0, 0, 0};

    if (t)
        patch_totals(t, &s);
    log_info("calls: %llu by patched sites, %llu by traps; %u segments, %u sites in them",
             (unsigned long long)by_patch, (unsigned long long)by_trap, s.files, s.sites);
    for (unsigned i = 0; t && i < TOP_SITES; i++) {
        const struct patch_file *f;

        c = next_site(t, c ? c->by_trap : UINT64_MAX, c);
        if (!c)
            break;
        f = patch_file_at(t, c->file);
        log_info("  inode %llu offset %#llx: %llu traps, %llu patched (state %u)",
                 (unsigned long long)f->key.ino, (unsigned long long)(f->key.offset + c->at - 2),
                 (unsigned long long)c->by_trap, (unsigned long long)c->by_patch, f->state);
    }
}
