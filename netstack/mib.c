/* The table of counters, for who shows them. No locks. */
#include "netstack/mib.h"

#include "netstack/net_int.h"

static const struct net_mib_row rows[] = {
#define NET_MIB(group, name, field) {#group, #name, offsetof(struct net_mib, field)},
#include "netstack/mib.def"
#undef NET_MIB
};

const struct net_mib_row *net_mib_rows(uint32_t *out_count)
{
    *out_count = ARRAY_SIZE(rows);
    return rows;
}

const struct net_mib *net_mib_of(const struct net_stack *s)
{
    return &s->mib;
}
