/*
 * What sockets carry beside data: addresses of all families, messages with their control parts, the
 * headers of netlink's messages. No locks.
 */
#include "sentry/abi/errno.h"
#include "sentry/abi/socket.h"
#include "sentry/strace/strace_int.h"

#define SHOWN_CONTROLS 8
#define SHOWN_RIGHTS   16
#define SHOWN_NETLINK  4
#define SOCKADDR_MAX   128
#define IPPROTO_IPV6_  41

static uint16_t be16(const unsigned char *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

void strace_print_ipv4(struct strbuf *out, const unsigned char *a)
{
    strbuf_printf(out, "inet_addr(\"%u.%u.%u.%u\")", a[0], a[1], a[2], a[3]);
}

/* As RFC 5952: the longest run of zeros, two or more, is left out. */
void strace_print_ipv6(struct strbuf *out, const unsigned char *a)
{
    int start = 8, length = 1;

    for (int i = 0; i < 8; i++) {
        int n = 0;

        while (i + n < 8 && !be16(a + 2 * (i + n)))
            n++;
        if (n > length) {
            start = i;
            length = n;
        }
    }
    strbuf_putc(out, '"');
    for (int i = 0; i < 8; i++) {
        if (i == start) {
            strbuf_puts(out, "::");
            i += length - 1;
            continue;
        }
        if (i && i != start + length)
            strbuf_putc(out, ':');
        strbuf_hex(out, be16(a + 2 * i));
    }
    strbuf_putc(out, '"');
}

/* The n bytes behind the family: a path, a name that starts with a NUL, or nothing. */
static void print_unix(struct strbuf *out, const unsigned char *p, size_t n)
{
    bool abstract = n > 1 && !p[0];
    const unsigned char *end = abstract || !n ? NULL : memchr(p, 0, n);

    if (!n)
        return;
    strbuf_puts(out, abstract ? ", sun_path=@" : ", sun_path=");
    if (abstract)
        strace_print_escaped(out, p + 1, n - 1);
    else
        strace_print_escaped(out, p, end ? (size_t)(end - p) : n);
}

static void print_family_part(struct strbuf *out, uint16_t family, const unsigned char *a, size_t n)
{
    uint32_t word[3];

    if (family == LX_AF_UNIX) {
        print_unix(out, a + 2, n - 2);
    } else if (family == LX_AF_INET && n >= 8) {
        strbuf_printf(out, ", sin_port=htons(%u), sin_addr=", be16(a + 2));
        strace_print_ipv4(out, a + 4);
    } else if (family == LX_AF_INET6 && n >= 24) {
        memcpy(word, a + 4, 4);
        strbuf_printf(out, ", sin6_port=htons(%u), sin6_flowinfo=htonl(%u), inet_pton(AF_INET6, ",
                      be16(a + 2), __builtin_bswap32(word[0]));
        strace_print_ipv6(out, a + 8);
        strbuf_puts(out, ", &sin6_addr)");
        if (n >= 28)
            memcpy(word, a + 24, 4);
        if (n >= 28)
            strbuf_printf(out, ", sin6_scope_id=%u", word[0]);
    } else if (family == LX_AF_NETLINK && n >= 12) {
        memcpy(word, a, 12);
        strbuf_printf(out, ", nl_pid=%u, nl_groups=%08x", word[1], word[2]);
    } else if (family == LX_AF_PACKET && n >= 12) {
        memcpy(word, a, 12);
        strbuf_printf(out,
                      ", sll_protocol=htons(0x%x), sll_ifindex=%u, sll_hatype=%u, sll_pkttype=%u",
                      be16(a + 2), word[1], word[2] & 0xffff, a[10]);
        if (n >= 12U + a[11] && a[11] <= 8)
            strbuf_printf(out, ", sll_halen=%u", a[11]);
    } else if (n > 2) {
        strbuf_puts(out, ", sa_data=");
        strace_print_escaped(out, a + 2, MIN(n - 2, 14UL));
    }
}

void strace_print_sockaddr_at(struct strbuf *out, const unsigned char *a, size_t n)
{
    uint16_t family;

    memcpy(&family, a, 2);
    strbuf_puts(out, "{sa_family=");
    strace_print_set(out, strace_find_set("family", 6), family);
    print_family_part(out, family, a, n);
    strbuf_putc(out, '}');
}

void strace_print_sockaddr(struct strbuf *out, struct task *t, uint64_t addr, uint64_t size)
{
    unsigned char a[SOCKADDR_MAX];
    size_t n = MIN(size, sizeof(a));

    if (!addr || n < 2 || peek_in(&t->us, a, uaddr(addr), n))
        strace_print_address(out, addr);
    else
        strace_print_sockaddr_at(out, a, n);
}

/* ---- control messages ---- */

struct control {
    uint64_t size;
    int32_t level, type;
};

static void print_rights(struct strbuf *out, struct task *t, uint64_t at, uint64_t size)
{
    int32_t fd;

    strbuf_putc(out, '[');
    for (uint64_t i = 0; i < size / 4; i++) {
        strbuf_puts(out, i ? ", " : "");
        if (i == SHOWN_RIGHTS || peek_in_obj(&t->us, &fd, uaddr(at + 4 * i))) {
            strbuf_puts(out, "...");
            break;
        }
        strbuf_dec(out, fd);
    }
    strbuf_putc(out, ']');
}

/* The data of a control message, by its level and type. */
static const struct {
    int32_t level, type;
    uint32_t size;
    const char *name, *layout;
} controls[] = {
    {LX_SOL_SOCKET, 1, 0, "SCM_RIGHTS", NULL},
    {LX_SOL_SOCKET, 2, 12, "SCM_CREDENTIALS", "ucred"},
    {LX_SOL_SOCKET, 4, 4, "SCM_PIDFD", "int"},
    {LX_SOL_SOCKET, 29, 16, "SO_TIMESTAMP", "timeval"},
    {LX_SOL_SOCKET, 35, 16, "SO_TIMESTAMPNS", "timespec"},
    {LX_SOL_SOCKET, 37, 48, "SO_TIMESTAMPING", "timespec"},
    {LX_SOL_SOCKET, 40, 4, "SO_RXQ_OVFL", "uint"},
    {0, 1, 4, "IP_TOS", "hexint"},
    {0, 2, 4, "IP_TTL", "int"},
    {0, 8, 12, "IP_PKTINFO", "pktinfo"},
    {0, 11, 16, "IP_RECVERR", NULL},
    {IPPROTO_IPV6_, 25, 16, "IPV6_RECVERR", NULL},
    {IPPROTO_IPV6_, 50, 20, "IPV6_PKTINFO", "pktinfo6"},
    {IPPROTO_IPV6_, 52, 4, "IPV6_HOPLIMIT", "int"},
    {IPPROTO_IPV6_, 67, 4, "IPV6_TCLASS", "hexint"},
    {17, 103, 2, "UDP_SEGMENT", NULL},
    {17, 104, 4, "UDP_GRO", "int"},
};

static void print_control(struct strbuf *out, struct task *t, const struct control *c, uint64_t at)
{
    uint64_t size = c->size - sizeof(*c);
    size_t i = 0;

    while (i < ARRAY_SIZE(controls) &&
           (controls[i].level != c->level || controls[i].type != c->type))
        i++;
    strbuf_printf(out, "{cmsg_len=%llu, cmsg_level=", (unsigned long long)c->size);
    strace_print_set(out, strace_find_set("sol", 3), (uint32_t)c->level);
    strbuf_puts(out, ", cmsg_type=");
    if (i < ARRAY_SIZE(controls))
        strbuf_puts(out, controls[i].name);
    else
        strbuf_printf(out, "0x%x", (uint32_t)c->type);
    strbuf_puts(out, ", cmsg_data=");
    if (i == 0)
        print_rights(out, t, at, size);
    else if (i < ARRAY_SIZE(controls) && controls[i].layout && size >= controls[i].size)
        strace_print_struct(out, t, controls[i].layout, strlen(controls[i].layout), at);
    else
        strace_print_buffer(out, t, at, size);
    strbuf_putc(out, '}');
}

static void print_controls(struct strbuf *out, struct task *t, uint64_t addr, uint64_t size)
{
    struct control c;

    strbuf_puts(out, ", msg_control=");
    if (!addr || size < sizeof(c)) {
        strace_print_address(out, addr);
        return;
    }
    strbuf_putc(out, '[');
    for (unsigned n = 0; size >= sizeof(c); n++) {
        uint64_t step;

        strbuf_puts(out, n ? ", " : "");
        if (n == SHOWN_CONTROLS || peek_in_obj(&t->us, &c, uaddr(addr)) || c.size < sizeof(c) ||
            c.size > size) {
            strbuf_puts(out, "...");
            break;
        }
        print_control(out, t, &c, addr + sizeof(c));
        step = MIN((c.size + 7) & ~7ULL, size);
        addr += step;
        size -= step;
    }
    strbuf_putc(out, ']');
}

/* ---- messages ---- */

/* As struct msghdr. */
struct message {
    uint64_t name;
    uint32_t name_size, pad;
    uint64_t iov, iov_count, control, control_size;
    uint32_t flags, pad2;
};

bool strace_is_netlink(struct task *t, uint64_t addr, uint64_t size)
{
    uint16_t family;

    return addr && size >= sizeof(family) && !peek_in_obj(&t->us, &family, uaddr(addr)) &&
           family == LX_AF_NETLINK;
}

/* nlmsghdrs, one behind the other; limit: bytes that hold data. */
void strace_print_netlink(struct strbuf *out, struct task *t, uint64_t addr, uint64_t limit)
{
    uint32_t size;

    strbuf_putc(out, '[');
    for (unsigned n = 0; limit >= 16; n++) {
        strbuf_puts(out, n ? ", " : "");
        if (n == SHOWN_NETLINK || peek_in_obj(&t->us, &size, uaddr(addr)) || size < 16) {
            strbuf_puts(out, "...");
            break;
        }
        strace_print_struct(out, t, "nlmsghdr", 8, addr);
        size = (uint32_t)MIN((size + 3ULL) & ~3ULL, limit);
        addr += size;
        limit -= size;
    }
    strbuf_putc(out, ']');
}

void strace_print_message(struct strbuf *out, struct task *t, uint64_t addr, uint64_t limit)
{
    struct message m;
    struct lx_iovec v;

    if (!addr || peek_in_obj(&t->us, &m, uaddr(addr))) {
        strace_print_address(out, addr);
        return;
    }
    strbuf_puts(out, "{msg_name=");
    strace_print_sockaddr(out, t, m.name, m.name_size);
    strbuf_printf(out, ", msg_namelen=%u, msg_iov=", m.name_size);
    if (strace_is_netlink(t, m.name, m.name_size) && m.iov_count == 1 &&
        !peek_in_obj(&t->us, &v, uaddr(m.iov))) {
        strbuf_puts(out, "[{iov_base=");
        strace_print_netlink(out, t, v.base, MIN(limit, v.size));
        strbuf_printf(out, ", iov_len=%llu}]", (unsigned long long)v.size);
    } else {
        strace_print_iovec(out, t, m.iov, m.iov_count, limit);
    }
    strbuf_printf(out, ", msg_iovlen=%llu", (unsigned long long)m.iov_count);
    if (m.control_size)
        print_controls(out, t, m.control, m.control_size);
    strbuf_printf(out, ", msg_controllen=%llu, msg_flags=", (unsigned long long)m.control_size);
    strace_print_set(out, strace_find_set("msg", 3), m.flags);
    strbuf_putc(out, '}');
}
