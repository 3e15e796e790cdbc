/*
 * The timer wheel. A timer lies at the level of the highest 6-bit digit in which its tick differs
 * from now, in the slot of that digit; when now reaches the slot's start, its timers move to lower
 * levels. So arming and cancelling are O(1), and empty time is jumped over. Under the stack's lock.
 */
#include "netstack/timer.h"

#include "netstack/net_int.h"

#define TICK_NS  NS_PER_MS
#define TICK_MAX ((1UL << (6 * WHEEL_LEVELS)) - 1)

void net_wheel_init(struct net_wheel *w, uint64_t now_ns)
{
    w->now = MIN(now_ns / TICK_NS, TICK_MAX / 2);
    w->wake = UINT64_MAX;
    for (uint32_t l = 0; l < WHEEL_LEVELS; l++) {
        w->used[l] = 0;
        for (uint32_t i = 0; i < WHEEL_SLOTS; i++)
            list_init(&w->slots[l][i]);
    }
}

void net_timer_init(struct net_timer *t, const void *ops)
{
    list_init(&t->node);
    t->deadline_ns = 0;
    t->ops = ops_ref(ops);
}

static uint64_t tick_of(uint64_t ns)
{
    uint64_t tick = ns / TICK_NS + (ns % TICK_NS != 0);

    return MIN(tick, TICK_MAX);
}

static void insert(struct net_wheel *w, struct net_timer *t, uint64_t tick)
{
    uint32_t level = (63 - (uint32_t)__builtin_clzl(tick ^ w->now)) / 6;
    uint32_t slot = tick >> (6 * level) & (WHEEL_SLOTS - 1);

    w->used[level] |= 1UL << slot;
    list_add_tail(&w->slots[level][slot], &t->node);
}

/* The next tick at which something fires or moves down; UINT64_MAX: nothing is armed. */
static uint64_t next_tick(struct net_wheel *w)
{
    for (uint32_t l = 0; l < WHEEL_LEVELS; l++) {
        uint32_t digit = w->now >> (6 * l) & (WHEEL_SLOTS - 1);
        uint64_t ahead = digit == 63 ? 0 : w->used[l] & (~0UL << (digit + 1));

        while (ahead) {
            uint32_t slot = (uint32_t)__builtin_ctzl(ahead);

            if (!list_empty(&w->slots[l][slot])) {
                uint64_t above = w->now >> (6 * l) & ~(uint64_t)(WHEEL_SLOTS - 1);

                return (above | slot) << (6 * l);
            }
            w->used[l] &= ~(1UL << slot); /* all of it was cancelled */
            ahead &= ahead - 1;
        }
    }
    return UINT64_MAX;
}

uint64_t net_wheel_next(const struct net_wheel *w)
{
    uint64_t tick = next_tick((struct net_wheel *)w);

    return tick == UINT64_MAX ? UINT64_MAX : tick * TICK_NS;
}

void net_timer_arm(struct net_stack *s, struct net_timer *t, uint64_t deadline_ns)
{
    struct net_wheel *w = &s->wheel;
    uint64_t tick = MAX(tick_of(deadline_ns), w->now + 1);

    list_del(&t->node);
    t->deadline_ns = deadline_ns;
    insert(w, t, tick);
    if (tick * TICK_NS < w->wake) {
        w->wake = tick * TICK_NS;
        net_env(s)->deadline(s->env, w->wake);
    }
}

void net_timer_cancel(struct net_stack *s, struct net_timer *t)
{
    list_del(&t->node);
}

static void fire_all(struct net_stack *s, struct list *due)
{
    while (!list_empty(due)) {
        struct net_timer *t = list_first(due, struct net_timer, node);

        list_del(&t->node);
        OPS_GET(net_timer_ops, t->ops)->fire(s, t);
    }
}

void net_wheel_run(struct net_stack *s, uint64_t now_ns)
{
    struct net_wheel *w = &s->wheel;
    uint64_t now = MIN(now_ns / TICK_NS, TICK_MAX - 1), tick;

    while ((tick = next_tick(w)) <= now) {
        struct list due;

        list_init(&due);
        w->now = tick;
        /* The slots whose start this tick is, upper levels first: their timers come down. */
        for (uint32_t l = WHEEL_LEVELS; l-- > 0;) {
            struct list *slot = &w->slots[l][tick >> (6 * l) & (WHEEL_SLOTS - 1)];
            struct list moving;

            if (l > 0 && (tick & ((1UL << (6 * l)) - 1)) != 0)
                continue;
            list_init(&moving);
            list_splice_tail(&moving, slot);
            w->used[l] &= ~(1UL << (tick >> (6 * l) & (WHEEL_SLOTS - 1)));
            while (!list_empty(&moving)) {
                struct net_timer *t = list_first(&moving, struct net_timer, node);
                uint64_t at = tick_of(t->deadline_ns);

                list_del(&t->node);
                if (at <= tick)
                    list_add_tail(&due, &t->node);
                else
                    insert(w, t, at);
            }
        }
        fire_all(s, &due);
    }
    w->now = MAX(w->now, now);
    w->wake = net_wheel_next(w);
}
