/* The Internet checksum: RFC 1071, 1624. No locks. */
#include "netstack/pkt.h"

#include "sentry/base/string.h"

static uint64_t add_carry(uint64_t a, uint64_t b)
{
    uint64_t sum = a + b;

    return sum + (sum < a);
}

static uint16_t fold(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

/* Of words as they lie in memory, which RFC 1071 2(B) allows; 32 bytes a round. */
static uint64_t sum_bytes(const uint8_t *p, size_t size, uint64_t sum)
{
    uint64_t w[4];
    uint64_t tail = 0;

    for (; size >= 32; size -= 32, p += 32) {
        memcpy(w, p, 32);
        sum = add_carry(sum, w[0]);
        sum = add_carry(sum, w[1]);
        sum = add_carry(sum, w[2]);
        sum = add_carry(sum, w[3]);
    }
    for (; size >= 8; size -= 8, p += 8) {
        memcpy(w, p, 8);
        sum = add_carry(sum, w[0]);
    }
    if (size) {
        memcpy(&tail, p, size);
        sum = add_carry(sum, tail);
    }
    return sum;
}

uint16_t net_sum(const void *data, uint32_t size, uint32_t sum)
{
    return fold(sum_bytes(data, size, sum));
}

uint16_t pkt_sum(const struct pkt *p, uint32_t offset, uint32_t size)
{
    uint64_t sum = 0;
    bool odd = false; /* bytes so far: a piece at an odd place counts with its bytes swapped */

    if (size > p->size || offset > p->size - size)
        size = offset > p->size ? 0 : p->size - offset;
    for (int32_t i = -1; i < (int32_t)p->frag_count && size; i++) {
        const uint8_t *data =
            i < 0 ? p->head + p->head_off : p->frags[i].buf->data + p->frags[i].offset;
        uint32_t have = i < 0 ? p->head_size : p->frags[i].size, now;
        uint16_t part;

        if (offset >= have) {
            offset -= have;
            continue;
        }
        now = MIN(have - offset, size);
        part = fold(sum_bytes(data + offset, now, 0));
        sum += odd ? __builtin_bswap16(part) : part;
        odd ^= now & 1;
        size -= now;
        offset = 0;
    }
    return fold(sum);
}

uint16_t net_pseudo_sum(const struct ip_addr *from, const struct ip_addr *to, uint8_t proto,
                        uint32_t size)
{
    uint32_t start = ip_is_v4(from) && ip_is_v4(to) ? 12 : 0;
    uint64_t sum = (uint64_t)__builtin_bswap32(size) + ((uint64_t)proto << 8);

    sum = sum_bytes(from->b + start, 16 - start, sum);
    return fold(sum_bytes(to->b + start, 16 - start, sum));
}

void pkt_csum_finish(struct pkt *p)
{
    uint32_t at = (uint32_t)p->csum_start + p->csum_offset;
    uint16_t sum;

    if (p->csum != PKT_CSUM_PARTIAL)
        return;
    p->csum = PKT_CSUM_NONE;
    if (at + 2 > p->size || !pkt_need(p, at + 2))
        return; /* a link's wrong word about where it is */
    sum = (uint16_t)~pkt_sum(p, p->csum_start, p->size - p->csum_start);
    if (sum == 0 && p->ip_proto == 17) /* RFC 768: zero says there is none */
        sum = 0xffff;
    memcpy(pkt_data(p) + at, &sum, 2);
}
