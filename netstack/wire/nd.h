/* Neighbour discovery: RFC 4861 4; route information RFC 4191 2.3; nonce RFC 3971 5.3.2 (RFC 7527).
 */
#pragma once

#include "netstack/wire/icmp.h"

enum {
    ND_OPT_SOURCE = 1,
    ND_OPT_TARGET = 2,
    ND_OPT_PREFIX = 3,
    ND_OPT_REDIRECTED = 4,
    ND_OPT_MTU = 5,
    ND_OPT_NONCE = 14
};
enum { ND_NA_ROUTER = 0x80, ND_NA_SOLICITED = 0x40, ND_NA_OVERRIDE = 0x20 };
enum { ND_PREFIX_ONLINK = 0x80, ND_PREFIX_AUTO = 0x40 };

struct wire_nd_neigh { /* solicitation (flags reserved) and advertisement */
    uint8_t type, code;
    uint16_t csum;
    uint8_t flags, reserved[3];
    uint8_t target[16];
} PACKED;

struct wire_nd_ra {
    uint8_t type, code;
    uint16_t csum;
    uint8_t hop_limit, flags;
    uint16_t lifetime_be;              /* s */
    uint32_t reachable_be, retrans_be; /* ms */
} PACKED;

struct wire_nd_redirect {
    uint8_t type, code;
    uint16_t csum;
    uint32_t reserved;
    uint8_t target[16], to[16];
} PACKED;

struct wire_nd_opt {
    uint8_t type, size; /* in 8 bytes */
} PACKED;

struct wire_nd_lladdr {
    uint8_t type, size, addr[6];
} PACKED;

struct wire_nd_prefix {
    uint8_t type, size, bits, flags;
    uint32_t valid_be, preferred_be, reserved; /* s, all ones: for ever */
    uint8_t prefix[16];
} PACKED;

struct wire_nd_mtu {
    uint8_t type, size;
    uint16_t reserved;
    uint32_t mtu_be;
} PACKED;
