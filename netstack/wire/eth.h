/* Ethernet II and ARP. RFC 894, RFC 826, RFC 5227. Multi-byte fields in network order. */
#pragma once

#include "netstack/wire/byteorder.h"

#define ETH_HEADER 14U

enum {
    ETH_P_IP4 = 0x0800,
    ETH_P_ARP = 0x0806,
    ETH_P_IP6 = 0x86dd,
    ETH_P_ALL = 3,
    ETH_P_VLAN = 0x8100
};

/* ARPHRD_* of if_arp.h */
enum { NET_HW_ETHER = 1, NET_HW_LOOPBACK = 772, NET_HW_NONE = 0xfffe };

struct wire_eth {
    uint8_t dst[6], src[6];
    uint16_t type_be; /* below 0x600: an 802.3 length */
} PACKED;

enum { ARP_REQUEST = 1, ARP_REPLY = 2 };

/* RFC 826, hardware Ethernet (1), protocol IPv4 */
struct wire_arp {
    uint16_t hw_be, proto_be;
    uint8_t hw_size, proto_size;
    uint16_t op_be;
    uint8_t sender_hw[6];
    uint32_t sender_be;
    uint8_t target_hw[6];
    uint32_t target_be;
} PACKED;
