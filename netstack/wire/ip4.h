/* IPv4: RFC 791 3.1, options 3.1 and RFC 1122 3.2.1.8, router alert RFC 2113, DS and ECN RFC 2474,
 * 3168. */
#pragma once

#include "netstack/wire/byteorder.h"

#define IP4_HEADER     20U
#define IP4_HEADER_MAX 60U
#define IP4_MIN_MTU    68U

enum { IP4_DF = 0x4000, IP4_MF = 0x2000, IP4_OFFSET = 0x1fff };
enum {
    IP4_OPT_END = 0,
    IP4_OPT_NOP = 1,
    IP4_OPT_RR = 7,
    IP4_OPT_TS = 68,
    IP4_OPT_LSRR = 131,
    IP4_OPT_SSRR = 137,
    IP4_OPT_ALERT = 148,
    IP4_OPT_COPIED = 0x80
};
enum { IP_ECN_MASK = 3, IP_ECN_CE = 3, IP_ECN_ECT0 = 2, IP_ECN_ECT1 = 1 };

struct wire_ip4 {
    uint8_t version_size; /* 4 << 4 | header size / 4 */
    uint8_t tos;
    uint16_t size_be, id_be, frag_be;
    uint8_t ttl, proto;
    uint16_t csum;
    uint32_t from_be, to_be;
} PACKED;

static inline uint32_t ip4_header_size(const struct wire_ip4 *h)
{
    return (h->version_size & 15) * 4U;
}
