/*
 * State change reports and answers to queries, as IGMPv3 and MLDv2 have them alike: RFC 3376 5.1,
 * 5.2; RFC 3810 6.1, 6.2. Messages: igmp.c, mld.c. Under the stack's lock.
 *
 * Changes are told as the whole new filter (TO_IN, TO_EX), also where only sources changed: what a
 * router ends up with is the same, and the repeats need no memory of differences.
 */
#include "netstack/report.h"

#include "netstack/net_int.h"
#include "netstack/wire/igmp.h"
#include "sentry/base/slab.h"

static void arm(struct net_group *g, uint32_t max_ms)
{
    struct net_stack *s = g->iface->stack;

    net_timer_arm(s, &g->timer, net_now(s) + (1 + net_random(s) % (max_ms + 1)) * NS_PER_MS);
}

struct report_record report_current(struct net_group *g)
{
    return (struct report_record){
        g, g->mode == NET_FILTER_EXCLUDE ? GROUP_IS_EXCLUDE : GROUP_IS_INCLUDE, g->sources,
        g->source_count};
}

void report_changed(struct net_group *g, uint8_t old_mode, bool leaving, report_tell_fn tell,
                    uint32_t robustness, uint32_t max_ms)
{
    if (leaving) {
        tell(g, GROUP_TO_INCLUDE, NULL, 0); /* once: the group's memory goes */
        return;
    }
    g->change_mode = g->mode == NET_FILTER_EXCLUDE ? GROUP_TO_EXCLUDE : GROUP_TO_INCLUDE;
    tell(g, g->change_mode, g->sources, g->source_count);
    g->changes_left = (uint8_t)(robustness - 1);
    if (g->changes_left)
        arm(g, max_ms);
}

/* RFC 3376 5.2: of the sources asked about, those that would be let in. */
static void answer_sources(struct net_group *g, report_tell_fn tell)
{
    struct ip_addr wanted[NET_SOURCES_MAX];
    uint32_t count = 0;

    for (uint32_t i = 0; i < g->asked_count; i++) {
        bool listed = false;

        for (uint32_t k = 0; k < g->source_count; k++)
            listed |= ip_equal(&g->sources[k], &g->asked[i]);
        if (listed == (g->mode == NET_FILTER_INCLUDE))
            wanted[count++] = g->asked[i];
    }
    if (count)
        tell(g, GROUP_IS_INCLUDE, wanted, count);
}

static void forget_asked(struct net_group *g)
{
    kfree(g->asked);
    g->asked = NULL;
    g->asked_count = 0;
}

void report_group_fire(struct net_group *g, report_tell_fn tell, uint32_t max_ms)
{
    struct report_record r = report_current(g);

    if (g->changes_left) {
        g->changes_left--;
        tell(g, g->change_mode, g->sources, g->source_count);
        if (g->changes_left)
            arm(g, max_ms);
    } else if (g->asked_count) {
        answer_sources(g, tell);
    } else {
        tell(g, r.type, r.sources, r.count);
    }
    forget_asked(g);
}

void report_answer(struct net_group *g, uint32_t max_ms, const struct ip_addr *sources,
                   uint32_t count)
{
    struct net_stack *s = g->iface->stack;
    uint64_t at = net_now(s) + net_random(s) % (max_ms + 1) * NS_PER_MS;
    bool waiting = net_timer_armed(&g->timer);
    struct ip_addr *copy = NULL;

    if (g->changes_left)
        return; /* told anyway, soon */
    /* A second question widens the first to the whole group. */
    if (count && !waiting)
        copy = (struct ip_addr *)kmemdup(sources, count * sizeof(*sources));
    forget_asked(g);
    g->asked = copy;
    g->asked_count = copy ? count : 0;
    if (!waiting || g->timer.deadline_ns > at)
        net_timer_arm(s, &g->timer, at);
}

void mcast_iface_init(struct net_iface *i)
{
    igmp_iface_init(i);
    mld_iface_init(i);
}
