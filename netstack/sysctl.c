/* The tables of settings and what a change does. Under the stack's lock. */
#include "netstack/sysctl.h"

#include "netstack/net_int.h"
#include "sentry/abi/socket.h"

static const struct net_sysctl_row rows[] = {
#define SYSCTL(path, field, def, min, max)                                                         \
    {path, offsetof(struct net_sysctl, field), 1, 0, min, max, {def, 0, 0}},
#define SYSCTL3(path, field, count, min, max, a, b, c)                                             \
    {path, offsetof(struct net_sysctl, field), count, 0, min, max, {a, b, c}},
#include "netstack/sysctl.def"
#undef SYSCTL
#undef SYSCTL3
};

static const struct net_sysctl_row conf_rows[] = {
#define CONF4(name, field, def, min, max)                                                          \
    {name, offsetof(struct net_iface_conf, field), 1, LX_AF_INET, min, max, {def, 0, 0}},
#define CONF6(name, field, def, min, max)                                                          \
    {name, offsetof(struct net_iface_conf, field), 1, LX_AF_INET6, min, max, {def, 0, 0}},
#include "netstack/ifconf.def"
#undef CONF4
#undef CONF6
};

const struct net_sysctl_row *net_sysctl_rows(uint32_t *out_count)
{
    *out_count = ARRAY_SIZE(rows);
    return rows;
}

const struct net_sysctl_row *net_iface_conf_rows(uint32_t *out_count)
{
    *out_count = ARRAY_SIZE(conf_rows);
    return conf_rows;
}

static int64_t *at(void *base, const struct net_sysctl_row *row)
{
    return (int64_t *)((char *)base + row->offset);
}

void net_sysctl_init(struct net_sysctl *s)
{
    for (uint32_t i = 0; i < ARRAY_SIZE(rows); i++)
        memcpy(at(s, &rows[i]), rows[i].def, rows[i].count * sizeof(int64_t));
}

void net_iface_conf_init(struct net_iface_conf *c)
{
    for (uint32_t i = 0; i < ARRAY_SIZE(conf_rows); i++)
        *at(c, &conf_rows[i]) = conf_rows[i].def[0];
}

int64_t *net_sysctl_values(struct net_stack *s, const struct net_sysctl_row *row)
{
    return at(&s->sysctl, row);
}

int64_t *net_conf_values(struct net_stack *s, enum net_conf_which which,
                         const struct net_sysctl_row *row)
{
    return at(which == NET_CONF_ALL ? &s->conf_all : &s->conf_default, row);
}

int64_t *net_iface_conf_values(struct net_iface *i, const struct net_sysctl_row *row)
{
    return at(&i->conf, row);
}

static bool is(const struct net_sysctl_row *row, uint32_t offset)
{
    return row->offset == offset;
}

#define CONF_OFFSET(field) offsetof(struct net_iface_conf, field)

/* ip_forward, conf/all/forwarding: to every interface and the default. */
static void set_everywhere(struct net_stack *s, uint32_t offset, int64_t value)
{
    struct net_iface *i;

    *(int64_t *)((char *)&s->conf_all + offset) = value;
    *(int64_t *)((char *)&s->conf_default + offset) = value;
    list_for_each (i, &s->ifaces, node)
        *(int64_t *)((char *)&i->conf + offset) = value;
}

/* disable_ipv6 of one interface takes its addresses, or lets it make its own again. */
static void switch_ipv6(struct net_iface *i, int64_t disable)
{
    struct net_addr *a, *next;

    if (i->conf.disable_ipv6 == disable)
        return;
    i->conf.disable_ipv6 = disable;
    if (disable) {
        list_for_each_safe (a, next, &i->addrs, node)
            if (!ip_is_v4(&a->addr))
                net_addr_free(a);
    } else if (i->flags & NET_IFF_UP) {
        net_iface_down(i);
        net_iface_up(i);
    }
}

int net_sysctl_write(struct net_stack *s, const struct net_sysctl_row *row, const int64_t *values,
                     uint32_t count)
{
    if (count > row->count)
        return -EINVAL;
    for (uint32_t i = 0; i < count; i++)
        if (values[i] < row->min || values[i] > row->max)
            return -EINVAL;
    if (is(row, offsetof(struct net_sysctl, ip_local_port_range)) &&
        (count != 2 || values[0] > values[1]))
        return -EINVAL;
    memcpy(at(&s->sysctl, row), values, count * sizeof(int64_t));
    if (is(row, offsetof(struct net_sysctl, ip_forward)))
        set_everywhere(s, CONF_OFFSET(forwarding4), s->sysctl.ip_forward);
    return 0;
}

int net_conf_write(struct net_stack *s, enum net_conf_which which, const struct net_sysctl_row *row,
                   int64_t value)
{
    struct net_iface *i;

    if (value < row->min || value > row->max)
        return -EINVAL;
    *net_conf_values(s, which, row) = value;
    if (which != NET_CONF_ALL)
        return 0;
    if (is(row, CONF_OFFSET(forwarding4)) || is(row, CONF_OFFSET(forwarding6)))
        set_everywhere(s, row->offset, value);
    if (is(row, CONF_OFFSET(forwarding4)))
        s->sysctl.ip_forward = value;
    if (is(row, CONF_OFFSET(disable_ipv6))) {
        s->conf_default.disable_ipv6 = value;
        list_for_each (i, &s->ifaces, node)
            switch_ipv6(i, value);
    }
    return 0;
}

int net_iface_conf_write(struct net_iface *i, const struct net_sysctl_row *row, int64_t value)
{
    if (value < row->min || value > row->max)
        return -EINVAL;
    if (is(row, CONF_OFFSET(disable_ipv6)))
        switch_ipv6(i, value);
    else
        *net_iface_conf_values(i, row) = value;
    return 0;
}
