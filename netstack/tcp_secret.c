/*
 * What a peer must not guess: initial sequence numbers (RFC 6528), timestamp offsets (RFC
 * 7323 5.4), SYN cookies (RFC 4987 3.6). All from SipHash-2-4 keyed by the stack's secret. No
 * state, no locks.
 */
#include "netstack/tcp_proto.h"

#define COOKIE_TICK (64UL * SEC)
#define COOKIE_AGE  2U /* ticks a cookie is good for */

static inline uint64_t rotl(uint64_t v, int n)
{
    return v << n | v >> (64 - n);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[0] = rotl(v[0], 32);
    v[2] += v[3];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[2] = rotl(v[2], 32);
}

/* SipHash-2-4 of whole words. */
static uint64_t siphash(const uint64_t key[2], const uint64_t *words, uint32_t count)
{
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575UL, key[1] ^ 0x646f72616e646f6dUL,
                     key[0] ^ 0x6c7967656e657261UL, key[1] ^ 0x7465646279746573UL};
    uint64_t tail = (uint64_t)count * 8 << 56;

    for (uint32_t i = 0; i <= count; i++) {
        uint64_t m = i < count ? words[i] : tail;

        v[3] ^= m;
        sip_round(v);
        sip_round(v);
        v[0] ^= m;
    }
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

enum { USE_ISN = 1, USE_TS, USE_COOKIE, USE_COOKIE_DATA };

static uint64_t keyed(const struct tcp_state *t, const struct tcp_node *n, bool ports, uint64_t use,
                      uint64_t more)
{
    uint64_t words[7];

    memcpy(words, n->local.b, 16);
    memcpy(words + 2, n->remote.b, 16);
    words[4] = ports ? (uint64_t)n->local_port << 16 | n->remote_port : 0;
    words[5] = use;
    words[6] = more;
    return siphash(t->secret, words, ARRAY_SIZE(words));
}

uint32_t tcp_isn(const struct tcp_state *t, const struct tcp_node *n)
{
    /* RFC 6528 3: M, a clock of about 4 microseconds, + F(...); here 64 ns as the net is faster. */
    return (uint32_t)(t->now_ns >> 6) + (uint32_t)keyed(t, n, true, USE_ISN, 0);
}

uint32_t tcp_ts_offset(const struct tcp_state *t, const struct tcp_node *n)
{
    /* The same for all connections of two hosts, so that TIME-WAIT reuse sees time go on. */
    return (uint32_t)keyed(t, n, false, USE_TS, 0);
}

/*
 * A cookie: hash of the addresses + the peer's ISN + (tick << 24), and in the low 24 bits, masked
 * by a second hash of the tick, data (the MSS's index).
 */
uint32_t tcp_cookie_make(const struct tcp_state *t, const struct tcp_node *n, uint32_t irs,
                         uint32_t data)
{
    uint32_t tick = (uint32_t)(t->now_ns / COOKIE_TICK);
    uint32_t mask = (uint32_t)keyed(t, n, true, USE_COOKIE_DATA, tick) + data;

    return (uint32_t)keyed(t, n, true, USE_COOKIE, 0) + irs + (tick << 24) + (mask & 0xffffff);
}

bool tcp_cookie_check(const struct tcp_state *t, const struct tcp_node *n, uint32_t irs,
                      uint32_t cookie, uint32_t *out_data)
{
    uint32_t now = (uint32_t)(t->now_ns / COOKIE_TICK);
    uint32_t rest = cookie - irs - (uint32_t)keyed(t, n, true, USE_COOKIE, 0);
    uint32_t age = (now - (rest >> 24)) & 0xff;

    if (age >= COOKIE_AGE)
        return false;
    *out_data = (rest - (uint32_t)keyed(t, n, true, USE_COOKIE_DATA, now - age)) & 0xffffff;
    return true;
}
