/* IGMP versions 1 to 3: RFC 1112 appendix I, RFC 2236 2, RFC 3376 4. MLDv2: RFC 3810 5. */
#pragma once

#include "netstack/wire/byteorder.h"

enum {
    IGMP_QUERY = 0x11,
    IGMP_REPORT1 = 0x12,
    IGMP_REPORT2 = 0x16,
    IGMP_LEAVE2 = 0x17,
    IGMP_REPORT3 = 0x22
};
/* Group record types: RFC 3376 4.2.12 and RFC 3810 5.2.12 */
enum {
    GROUP_IS_INCLUDE = 1,
    GROUP_IS_EXCLUDE = 2,
    GROUP_TO_INCLUDE = 3,
    GROUP_TO_EXCLUDE = 4,
    GROUP_ALLOW = 5,
    GROUP_BLOCK = 6
};

struct wire_igmp {
    uint8_t type, code; /* code: max response, 1/10 s */
    uint16_t csum;
    uint32_t group_be;
} PACKED;

struct wire_igmp3_query { /* after struct wire_igmp */
    uint8_t flags_qrv, qqic;
    uint16_t sources_be;
} PACKED;

struct wire_igmp3_report { /* also MLDv2's, whose type is ICMPv6's */
    uint8_t type, reserved;
    uint16_t csum, reserved2, records_be;
} PACKED;

struct wire_igmp3_record { /* sources follow */
    uint8_t type, aux;
    uint16_t sources_be;
    uint32_t group_be;
} PACKED;

struct wire_mld { /* query, MLDv1 report and done */
    uint8_t type, code;
    uint16_t csum, delay_be, reserved; /* delay: ms */
    uint8_t group[16];
} PACKED;

struct wire_mld2_record {
    uint8_t type, aux;
    uint16_t sources_be;
    uint8_t group[16];
} PACKED;
