/* TCP: RFC 9293 3.1. */
#pragma once

#include "netstack/wire/byteorder.h"

#define TCP_HEADER     20U
#define TCP_HEADER_MAX 60U

enum {
    TCP_FIN = 1,
    TCP_SYN = 2,
    TCP_RST = 4,
    TCP_PSH = 8,
    TCP_ACK = 0x10,
    TCP_URG = 0x20,
    TCP_ECE = 0x40,
    TCP_CWR = 0x80
};

struct wire_tcp {
    uint16_t from_be, to_be;
    uint32_t seq_be, ack_be;
    uint8_t size; /* header size / 4 << 4 */
    uint8_t flags;
    uint16_t window_be, csum, urgent_be;
} PACKED;

static inline uint32_t tcp_header_size(const struct wire_tcp *h)
{
    return (h->size >> 4) * 4U;
}
