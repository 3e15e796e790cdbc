/*
 * Epolls that watch epolls: no loops, and no chain longer than EPOLL_MAX_NESTS, since notifying and
 * polling recurse along it. Lock: epoll_graph.lock, held by all callers.
 */
#include "fs/epoll_int.h"
#include "sentry/abi/errno.h"

void epoll_graph_link(struct epoll_item *it)
{
    struct epoll *target = epoll_of(it->file);

    list_init(&it->inner_node);
    list_init(&it->outer_node);
    if (!target)
        return;
    list_add(&it->ep->inner, &it->inner_node);
    list_add(&target->outer, &it->outer_node);
}

void epoll_graph_unlink(struct epoll_item *it)
{
    list_del(&it->inner_node);
    list_del(&it->outer_node);
}

/* Each epoll is worked out once a generation, and chains are short: the recursion is at most
 * EPOLL_MAX_NESTS deep. */
static int chain_below(struct epoll *ep, uint64_t generation, const struct epoll *forbidden)
{
    struct epoll_item *it;
    int longest = 0;

    if (ep == forbidden)
        return -ELOOP;
    if (ep->below_seen == generation)
        return ep->below;
    list_for_each (it, &ep->inner, inner_node) {
        int n = chain_below(epoll_of(it->file), generation, forbidden);

        if (n < 0)
            return n;
        longest = MAX(longest, n + 1);
    }
    ep->below_seen = generation;
    ep->below = longest;
    return longest;
}

static int chain_above(struct epoll *ep, uint64_t generation)
{
    struct epoll_item *it;
    int longest = 0;

    if (ep->above_seen == generation)
        return ep->above;
    list_for_each (it, &ep->outer, outer_node)
        longest = MAX(longest, chain_above(it->ep, generation) + 1);
    ep->above_seen = generation;
    ep->above = longest;
    return longest;
}

int epoll_graph_check(struct epoll *ep, struct epoll *target)
{
    uint64_t generation = ++ep->graph->generation;
    int below = chain_below(target, generation, ep);

    if (below < 0)
        return below;
    return below + 1 + chain_above(ep, generation) > EPOLL_MAX_NESTS ? -ELOOP : 0;
}
