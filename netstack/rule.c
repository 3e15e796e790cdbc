/* Routing rules: which tables are asked, in which order. Source: ip-rule(8). Under the stack's
 * lock. */
#include "netstack/net_int.h"
#include "netstack/route_int.h"
#include "sentry/abi/socket.h"
#include "sentry/base/slab.h"

static struct list *rules_of(struct net_stack *s, uint8_t family)
{
    return family == LX_AF_INET ? &s->routes->rules4 : &s->routes->rules6;
}

static bool same_rule(const struct net_rule *a, const struct net_rule *b)
{
    return memcmp(&a->family, &b->family, sizeof(*a) - offsetof(struct net_rule, family)) == 0;
}

/* Behind those of its priority. */
static void insert(struct net_stack *s, struct net_rule *r)
{
    struct list *before = rules_of(s, r->family);
    struct net_rule *o;

    list_for_each (o, rules_of(s, r->family), node) {
        if (o->priority > r->priority) {
            before = &o->node;
            break;
        }
    }
    list_add_tail(before, &r->node);
    s->routes->rule_count++;
    route_changed(s);
}

/* Linux's default: one before the second rule, whose first is the local table's. */
static uint32_t default_priority(struct net_stack *s, uint8_t family)
{
    struct list *rules = rules_of(s, family);
    struct net_rule *second;

    if (list_empty(rules) || rules->next->next == rules)
        return 0;
    second = list_entry(rules->next->next, struct net_rule, node);
    return second->priority ? second->priority - 1 : 0;
}

int net_rule_add(struct net_stack *s, const struct net_rule *want, uint32_t flags)
{
    struct net_rule *r, *o;

    if (want->family != LX_AF_INET && want->family != LX_AF_INET6)
        return -EAFNOSUPPORT;
    if (want->action != NET_RULE_TABLE && want->action != NET_RULE_BLACKHOLE &&
        want->action != NET_RULE_UNREACHABLE && want->action != NET_RULE_PROHIBIT)
        return -EINVAL;
    if (want->action == NET_RULE_TABLE && want->table == 0)
        return -EINVAL;
    if (want->from_prefix > 128 || want->to_prefix > 128 ||
        (want->family == LX_AF_INET && (want->from_prefix > 32 || want->to_prefix > 32)))
        return -EINVAL;
    if (s->routes->rule_count >= RULES_MAX)
        return -ENOBUFS;
    r = (struct net_rule *)kmemdup(want, sizeof(*want));
    if (!r)
        return -ENOMEM;
    list_init(&r->node);
    if (r->priority == 0)
        r->priority = default_priority(s, r->family);
    list_for_each (o, rules_of(s, r->family), node) {
        if ((flags & NET_ROUTE_F_EXCL) && same_rule(o, r)) {
            kfree(r);
            return -EEXIST;
        }
    }
    insert(s, r);
    return 0;
}

/* What a deletion names must agree; what it leaves at zero may be anything. */
static bool deleted_by(const struct net_rule *r, const struct net_rule *want)
{
    return (!want->priority || r->priority == want->priority) &&
           (!want->table || r->table == want->table) &&
           (!want->action || r->action == want->action) &&
           (!want->mark_mask || (r->mark == want->mark && r->mark_mask == want->mark_mask)) &&
           (!want->from_prefix ||
            (r->from_prefix == want->from_prefix && ip_equal(&r->from, &want->from))) &&
           (!want->to_prefix || (r->to_prefix == want->to_prefix && ip_equal(&r->to, &want->to))) &&
           (!want->tos || r->tos == want->tos) &&
           (!want->iif[0] || strncmp(r->iif, want->iif, sizeof(r->iif)) == 0) &&
           (!want->oif[0] || strncmp(r->oif, want->oif, sizeof(r->oif)) == 0);
}

static void free_rule(struct net_stack *s, struct net_rule *r)
{
    list_del(&r->node);
    s->routes->rule_count--;
    kfree(r);
}

int net_rule_del(struct net_stack *s, const struct net_rule *want)
{
    struct net_rule *r;

    if (want->family != LX_AF_INET && want->family != LX_AF_INET6)
        return -EAFNOSUPPORT;
    list_for_each (r, rules_of(s, want->family), node) {
        if (deleted_by(r, want)) {
            free_rule(s, r);
            route_changed(s);
            return 0;
        }
    }
    return -ENOENT;
}

void net_rule_for_each(struct net_stack *s, void (*fn)(const struct net_rule *r, void *arg),
                       void *arg)
{
    struct net_rule *r;

    list_for_each (r, &s->routes->rules4, node)
        fn(r, arg);
    list_for_each (r, &s->routes->rules6, node)
        fn(r, arg);
}

int rules_create(struct net_stack *s)
{
    static const struct {
        uint8_t family;
        uint32_t priority, table;
    } usual[] = {{LX_AF_INET, 0, NET_TABLE_LOCAL},
                 {LX_AF_INET, 32766, NET_TABLE_MAIN},
                 {LX_AF_INET, 32767, NET_TABLE_DEFAULT},
                 {LX_AF_INET6, 0, NET_TABLE_LOCAL},
                 {LX_AF_INET6, 32766, NET_TABLE_MAIN}};

    for (uint32_t i = 0; i < ARRAY_SIZE(usual); i++) {
        struct net_rule *r = kmalloc(sizeof(*r));

        if (!r)
            return -ENOMEM;
        r->family = usual[i].family;
        r->action = NET_RULE_TABLE;
        r->protocol = NET_PROTO_KERNEL;
        r->priority = usual[i].priority;
        r->table = usual[i].table;
        r->suppress_prefix = -1;
        insert(s, r);
    }
    return 0;
}

void rules_destroy(struct net_stack *s)
{
    while (!list_empty(&s->routes->rules4))
        free_rule(s, list_first(&s->routes->rules4, struct net_rule, node));
    while (!list_empty(&s->routes->rules6))
        free_rule(s, list_first(&s->routes->rules6, struct net_rule, node));
}
