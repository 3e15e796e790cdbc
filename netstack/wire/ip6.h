/* IPv6: RFC 8200 3, extension headers 4, options 4.2; router alert RFC 2711; jumbograms (RFC 2675)
 * are refused. */
#pragma once

#include "netstack/wire/byteorder.h"

#define IP6_HEADER  40U
#define IP6_MIN_MTU 1280U

enum {
    IP6_HOPOPTS = 0,
    IP6_ROUTING = 43,
    IP6_FRAGMENT = 44,
    IP6_ESP = 50,
    IP6_AUTH = 51,
    IP6_NONE = 59,
    IP6_DSTOPTS = 60
};
enum { IP6_OPT_PAD1 = 0, IP6_OPT_PADN = 1, IP6_OPT_ALERT = 5, IP6_OPT_JUMBO = 0xc2 };

struct wire_ip6 {
    uint32_t flow_be; /* version 4, class 8, label 20 bits */
    uint16_t size_be; /* of the payload */
    uint8_t next, hop_limit;
    uint8_t from[16], to[16];
} PACKED;

/* RFC 8200 4.3, 4.4, 4.6 */
struct wire_ip6_ext {
    uint8_t next, size; /* size: in 8 bytes, the first 8 not counted */
} PACKED;

struct wire_ip6_routing {
    uint8_t next, size, type, segments_left;
} PACKED;

/* RFC 8200 4.5 */
struct wire_ip6_frag {
    uint8_t next, reserved;
    uint16_t offset_be; /* in bytes with the low 3 bits: 1 = more */
    uint32_t id_be;
} PACKED;
