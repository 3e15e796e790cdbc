/* UDP: RFC 768. */
#pragma once

#include "netstack/wire/byteorder.h"

#define UDP_HEADER 8U

struct wire_udp {
    uint16_t from_be, to_be, size_be, csum;
} PACKED;
