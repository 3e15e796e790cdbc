/* ICMP (RFC 792, 1122 3.2.2, 1812 4.3) and ICMPv6 (RFC 4443). */
#pragma once

#include "netstack/wire/byteorder.h"

enum {
    ICMP_ECHO_REPLY = 0,
    ICMP_UNREACHABLE = 3,
    ICMP_QUENCH = 4,
    ICMP_REDIRECT = 5,
    ICMP_ECHO = 8,
    ICMP_TIME_EXCEEDED = 11,
    ICMP_PARAM_PROBLEM = 12,
    ICMP_TIMESTAMP = 13,
    ICMP_TIMESTAMP_REPLY = 14,
    ICMP_INFO = 15,
    ICMP_INFO_REPLY = 16,
    ICMP_MASK = 17,
    ICMP_MASK_REPLY = 18
};
/* Of UNREACHABLE */
enum {
    ICMP_NET = 0,
    ICMP_HOST = 1,
    ICMP_PROTOCOL = 2,
    ICMP_PORT = 3,
    ICMP_FRAG_NEEDED = 4,
    ICMP_SOURCE_ROUTE = 5,
    ICMP_ADMIN = 13
};
enum { ICMP_TTL = 0, ICMP_REASSEMBLY = 1 };

enum {
    ICMP6_UNREACHABLE = 1,
    ICMP6_TOO_BIG = 2,
    ICMP6_TIME_EXCEEDED = 3,
    ICMP6_PARAM_PROBLEM = 4,
    ICMP6_INFO = 128, /* from here on: not errors */
    ICMP6_ECHO = 128,
    ICMP6_ECHO_REPLY = 129,
    MLD_QUERY = 130,
    MLD_REPORT1 = 131,
    MLD_DONE1 = 132,
    ND_ROUTER_SOLICIT = 133,
    ND_ROUTER_ADVERT = 134,
    ND_NEIGH_SOLICIT = 135,
    ND_NEIGH_ADVERT = 136,
    ND_REDIRECT = 137,
    MLD_REPORT2 = 143
};
/* Of UNREACHABLE */
enum {
    ICMP6_NO_ROUTE = 0,
    ICMP6_PROHIBITED = 1,
    ICMP6_BEYOND_SCOPE = 2,
    ICMP6_ADDRESS = 3,
    ICMP6_PORT = 4,
    ICMP6_POLICY = 5,
    ICMP6_REJECT_ROUTE = 6
};
/* Of PARAM_PROBLEM */
enum { ICMP6_FIELD = 0, ICMP6_NEXT_HEADER = 1, ICMP6_OPTION = 2 };

struct wire_icmp {
    uint8_t type, code;
    uint16_t csum;
    union {
        struct {
            uint16_t id_be, seq_be;
        } PACKED;
        struct {
            uint16_t unused, mtu_be; /* RFC 1191 4 */
        } PACKED;
        uint32_t rest_be; /* pointer, gateway, MTU of ICMPv6 */
    };
} PACKED;
