/* rtnetlink: routing rules (RTM_*RULE). Under the stack's lock. Source: ip-rule(8), fib_rules.h. */
#include "fs/sock/nl_route.h"
#include "netstack/route.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/socket.h"
#include "sentry/base/string.h"

struct lx_fib_rule {
    uint8_t family, dst_prefix, src_prefix, tos;
    uint8_t table, pad1, pad2, action;
    uint32_t flags;
};

enum {
    FRA_DST = 1,
    FRA_SRC,
    FRA_IIFNAME,
    FRA_PRIORITY = 6,
    FRA_FWMARK = 10,
    FRA_SUPPRESS_PREFIXLEN = 14,
    FRA_TABLE,
    FRA_FWMASK,
    FRA_OIFNAME,
    FRA_PROTOCOL = 21,
    FRA_LAST = FRA_PROTOCOL,
};

#define RULE_INVERT     2U
#define RT_TABLE_COMPAT 252

void nl_rule_fill(struct nl_request *r, uint16_t type, uint16_t flags, const struct net_rule *rule)
{
    struct lx_fib_rule *m = nl_begin(r, type, flags, sizeof(*m));

    if (!m)
        return;
    m->family = rule->family;
    m->dst_prefix = rule->to_prefix;
    m->src_prefix = rule->from_prefix;
    m->tos = rule->tos;
    m->table = rule->table < 256 ? (uint8_t)rule->table : RT_TABLE_COMPAT;
    m->action = rule->action;
    m->flags = rule->invert ? RULE_INVERT : 0;
    nl_put_u32(r, FRA_TABLE, rule->table);
    nl_put_u32(r, FRA_SUPPRESS_PREFIXLEN, (uint32_t)rule->suppress_prefix);
    nl_put_u8(r, FRA_PROTOCOL, rule->protocol);
    if (rule->priority)
        nl_put_u32(r, FRA_PRIORITY, rule->priority);
    if (rule->to_prefix)
        nl_put_ip(r, FRA_DST, &rule->to);
    if (rule->from_prefix)
        nl_put_ip(r, FRA_SRC, &rule->from);
    if (*rule->iif)
        nl_put_str(r, FRA_IIFNAME, rule->iif);
    if (*rule->oif)
        nl_put_str(r, FRA_OIFNAME, rule->oif);
    if (rule->mark_mask) {
        nl_put_u32(r, FRA_FWMARK, rule->mark);
        nl_put_u32(r, FRA_FWMASK, rule->mark_mask);
    }
    nl_end(r);
}

struct dump {
    struct nl_request *r;
    uint8_t family;
};

static void dump_one(const struct net_rule *rule, void *arg)
{
    struct dump *d = arg;

    if (!d->family || d->family == rule->family)
        nl_rule_fill(d->r, RTM_NEWRULE, NL_F_MULTI, rule);
}

int nl_rule_get(struct nl_request *r)
{
    struct dump d = {.r = r};

    if (!nl_is_dump(r))
        return -EOPNOTSUPP;
    if (r->size < sizeof(struct rtgen))
        return -EINVAL;
    d.family = *(const uint8_t *)r->payload;
    net_rule_for_each(r->ns->stack, dump_one, &d);
    return 1;
}

static int read_rule(struct nl_request *r, struct net_rule *rule)
{
    const struct nl_attr *attrs[FRA_LAST + 1];
    struct lx_fib_rule m;
    uint8_t bits;
    int err;

    if (r->size < sizeof(m))
        return -EINVAL;
    memcpy(&m, r->payload, sizeof(m));
    if (m.family != LX_AF_INET && m.family != LX_AF_INET6)
        return -EAFNOSUPPORT;
    bits = m.family == LX_AF_INET ? 32 : 128;
    if (m.dst_prefix > bits || m.src_prefix > bits)
        return -EINVAL;
    err = nl_parse(r, sizeof(m), attrs, FRA_LAST);
    if (err)
        return err;
    *rule = (struct net_rule){
        .family = m.family,
        .action = m.action,
        .protocol = nl_attr_u8(attrs[FRA_PROTOCOL], 0),
        .priority = nl_attr_u32(attrs[FRA_PRIORITY], 0),
        .table = nl_attr_u32(attrs[FRA_TABLE], m.table),
        .from_prefix = m.src_prefix,
        .to_prefix = m.dst_prefix,
        .mark = nl_attr_u32(attrs[FRA_FWMARK], 0),
        .mark_mask = attrs[FRA_FWMARK] ? nl_attr_u32(attrs[FRA_FWMASK], UINT32_MAX) : 0,
        .tos = m.tos,
        .invert = m.flags & RULE_INVERT,
        .suppress_prefix = (int32_t)nl_attr_u32(attrs[FRA_SUPPRESS_PREFIXLEN], UINT32_MAX),
    };
    err = nl_attr_ip(attrs[FRA_DST], m.family, &rule->to);
    if (!err)
        err = nl_attr_ip(attrs[FRA_SRC], m.family, &rule->from);
    if (!err && attrs[FRA_IIFNAME])
        err = nl_attr_str(attrs[FRA_IIFNAME], rule->iif, sizeof(rule->iif));
    if (!err && attrs[FRA_OIFNAME])
        err = nl_attr_str(attrs[FRA_OIFNAME], rule->oif, sizeof(rule->oif));
    return err;
}

int nl_rule_new(struct nl_request *r)
{
    struct net_rule rule;
    int err = read_rule(r, &rule);

    if (!err && (rule.action < NET_RULE_TABLE || rule.action > NET_RULE_PROHIBIT))
        err = -EINVAL;
    return err ? err : net_rule_add(r->ns->stack, &rule, r->hdr->flags & NL_F_EXCL);
}

int nl_rule_del(struct nl_request *r)
{
    struct net_rule rule;
    int err = read_rule(r, &rule);

    return err ? err : net_rule_del(r->ns->stack, &rule);
}
