/* Kinds of addresses, by their bits: RFC 4291 2.4, RFC 1122 3.2.1.3, RFC 5771. No state. */
#include "netstack/addr.h"

bool ip_is_multicast(const struct ip_addr *a)
{
    return ip_is_v4(a) ? (a->b[12] & 0xf0) == 0xe0 : a->b[0] == 0xff;
}

bool ip_is_loopback(const struct ip_addr *a)
{
    if (ip_is_v4(a))
        return a->b[12] == 127;
    return a->w[0] == 0 && a->w[1] == 0 && a->w[2] == 0 && a->w[3] == __builtin_bswap32(1);
}

bool ip_is_link_local(const struct ip_addr *a)
{
    if (ip_is_v4(a))
        return a->b[12] == 169 && a->b[13] == 254;
    return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

bool ip_prefix_match(const struct ip_addr *a, const struct ip_addr *b, unsigned bits)
{
    unsigned bytes = bits / 8, rest = bits % 8;

    if (memcmp(a->b, b->b, bytes) != 0)
        return false;
    return rest == 0 || ((a->b[bytes] ^ b->b[bytes]) >> (8 - rest)) == 0;
}
