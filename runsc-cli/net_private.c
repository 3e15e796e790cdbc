/* The private link of `do`: TAP, addresses, nftables. See net_host.h. */
#include "runsc-cli/net_host.h"
#include "runsc-cli/net_netlink.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define SUBNET_BASE  0x64600000U /* 100.96.0.0, of the carriers' space (RFC 6598) */
#define SUBNET_COUNT 16384U      /* of /30s */
#define SUBNET_BITS  30
#define VNET_HEADER  10
#define DEFAULT_MTU  1500U

struct outside {
    uint32_t index, mtu; /* of the interface the default route leaves by; 0: there is none */
    char name[IFNAMSIZ];
};

/* ---- the TAP ---- */

static int open_tap(char name[IFNAMSIZ], struct cli_error *err)
{
    struct ifreq req = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    int header = VNET_HEADER, fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return fail(err, 1, "network: /dev/net/tun: %s", strerror(errno));
    snprintf(req.ifr_name, sizeof(req.ifr_name), "cvisor%%d");
    if (ioctl(fd, TUNSETIFF, &req) < 0 || ioctl(fd, TUNSETVNETHDRSZ, &header) < 0 ||
        ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN) < 0) {
        fail(err, 1, "network: cannot make a TAP: %s", strerror(errno));
        close(fd);
        return -1;
    }
    memcpy(name, req.ifr_name, IFNAMSIZ);
    return fd;
}

/* ---- what the host has ---- */

struct subnet_search {
    uint32_t network; /* host order */
    bool taken;
};

static int look_at_address(const struct nlmsghdr *h, void *arg)
{
    struct subnet_search *s = arg;
    const struct ifaddrmsg *m = NLMSG_DATA(h);
    const struct nlattr *attrs[IFA_MAX + 1];
    uint32_t addr, mask;

    hnl_parse(h, sizeof(*m), attrs, IFA_MAX);
    if (m->ifa_family != AF_INET || !attrs[IFA_LOCAL])
        return 0;
    memcpy(&addr, attrs[IFA_LOCAL] + 1, sizeof(addr));
    mask = m->ifa_prefixlen ? UINT32_MAX << (32 - m->ifa_prefixlen) : 0;
    mask &= UINT32_MAX << (32 - SUBNET_BITS);
    if (((__builtin_bswap32(addr) ^ s->network) & mask) == 0)
        s->taken = true;
    return 0;
}

/* A /30 that no address of the host overlaps. */
static int choose_subnet(struct hnl_socket *rt, uint32_t *out)
{
    for (int tries = 0; tries < 64; tries++) {
        struct ifaddrmsg any = {.ifa_family = AF_INET};
        struct hnl_buffer b = {.size = 0};
        struct subnet_search s = {.taken = false};
        uint32_t n = 0;
        int err;

        if (getrandom(&n, sizeof(n), 0) != sizeof(n))
            return -EIO;
        s.network = SUBNET_BASE + (n % SUBNET_COUNT) * 4;
        hnl_message(&b, RTM_GETADDR, NLM_F_DUMP, &any, sizeof(any));
        hnl_end(&b);
        err = hnl_dump(rt, &b, look_at_address, &s);
        if (err)
            return err;
        if (!s.taken) {
            *out = s.network;
            return 0;
        }
    }
    return -EADDRNOTAVAIL;
}

static int look_at_route(const struct nlmsghdr *h, void *arg)
{
    struct outside *o = arg;
    const struct rtmsg *m = NLMSG_DATA(h);
    const struct nlattr *attrs[RTA_MAX + 1];

    hnl_parse(h, sizeof(*m), attrs, RTA_MAX);
    if (m->rtm_family == AF_INET && !m->rtm_dst_len && m->rtm_type == RTN_UNICAST && !o->index &&
        attrs[RTA_OIF])
        memcpy(&o->index, attrs[RTA_OIF] + 1, sizeof(o->index));
    return 0;
}

static int find_outside(struct hnl_socket *rt, struct outside *o)
{
    struct rtmsg any = {.rtm_family = AF_INET};
    struct hnl_buffer b = {.size = 0};
    struct ifreq req = {.ifr_name = ""};
    int err, fd;

    *o = (struct outside){.mtu = DEFAULT_MTU};
    hnl_message(&b, RTM_GETROUTE, NLM_F_DUMP, &any, sizeof(any));
    hnl_end(&b);
    err = hnl_dump(rt, &b, look_at_route, o);
    if (err || !o->index || !if_indextoname(o->index, o->name))
        return err;
    memcpy(req.ifr_name, o->name, sizeof(req.ifr_name));
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && ioctl(fd, SIOCGIFMTU, &req) == 0)
        o->mtu = (uint32_t)req.ifr_mtu;
    if (fd >= 0)
        close(fd);
    return 0;
}

/* ---- making it ---- */

static int configure(struct hnl_socket *rt, const char *name, uint32_t gateway, uint32_t mtu)
{
    uint32_t index = if_nametoindex(name), be = __builtin_bswap32(gateway);
    struct ifinfomsg link = {.ifi_index = (int)index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    struct ifaddrmsg addr = {
        .ifa_family = AF_INET, .ifa_prefixlen = SUBNET_BITS, .ifa_index = index};
    struct hnl_buffer b = {.size = 0};

    hnl_message(&b, RTM_NEWLINK, NLM_F_ACK, &link, sizeof(link));
    hnl_attr_u32(&b, IFLA_MTU, mtu);
    hnl_end(&b);
    hnl_message(&b, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &addr, sizeof(addr));
    hnl_attr(&b, IFA_LOCAL, &be, sizeof(be));
    hnl_attr(&b, IFA_ADDRESS, &be, sizeof(be));
    hnl_end(&b);
    return hnl_talk(rt, &b);
}

static int forward_on(const char *iface)
{
    char path[96];
    int fd, err = 0;

    snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/forwarding", iface);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (write(fd, "1", 1) != 1)
        err = -errno;
    close(fd);
    return err;
}

/* ---- nftables: everything from the subnet that leaves by another interface is masqueraded ---- */

#define NFT(type) ((uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | (type)))

static void nft_batch(struct hnl_buffer *b, uint16_t type)
{
    struct nfgenmsg g = {.version = NFNETLINK_V0,
                         .res_id = __builtin_bswap16(NFNL_SUBSYS_NFTABLES)};

    hnl_message(b, type, 0, &g, sizeof(g));
    hnl_end(b);
}

static void nft_begin(struct hnl_buffer *b, uint16_t type, uint16_t flags)
{
    struct nfgenmsg g = {.nfgen_family = NFPROTO_IPV4, .version = NFNETLINK_V0};

    hnl_message(b, NFT(type), flags | NLM_F_ACK, &g, sizeof(g));
}

/* One expression of a rule: its name and, in between, its data. */
struct expr {
    size_t elem, data;
};

static struct expr expr_begin(struct hnl_buffer *b, const char *name)
{
    struct expr e;

    e.elem = hnl_nest(b, NFTA_LIST_ELEM);
    hnl_attr_str(b, NFTA_EXPR_NAME, name);
    e.data = hnl_nest(b, NFTA_EXPR_DATA);
    return e;
}

static void expr_end(struct hnl_buffer *b, struct expr e)
{
    hnl_nest_end(b, e.data);
    hnl_nest_end(b, e.elem);
}

static void nft_value(struct hnl_buffer *b, uint16_t type, const void *data, size_t size)
{
    size_t at = hnl_nest(b, type);

    hnl_attr(b, NFTA_DATA_VALUE, data, size);
    hnl_nest_end(b, at);
}

static void expr_compare(struct hnl_buffer *b, uint32_t op, const void *data, size_t size)
{
    struct expr e = expr_begin(b, "cmp");

    hnl_attr_be32(b, NFTA_CMP_SREG, NFT_REG_1);
    hnl_attr_be32(b, NFTA_CMP_OP, op);
    nft_value(b, NFTA_CMP_DATA, data, size);
    expr_end(b, e);
}

static void rule_masquerade(struct hnl_buffer *b, const char *table, const char *tap,
                            uint32_t network)
{
    uint32_t net_be = __builtin_bswap32(network),
             mask_be = __builtin_bswap32(UINT32_MAX << (32 - SUBNET_BITS)), zero = 0;
    char padded[IFNAMSIZ] = "";
    size_t list;
    struct expr e;

    snprintf(padded, sizeof(padded), "%s", tap);
    nft_begin(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
    hnl_attr_str(b, NFTA_RULE_TABLE, table);
    hnl_attr_str(b, NFTA_RULE_CHAIN, "out");
    list = hnl_nest(b, NFTA_RULE_EXPRESSIONS);
    e = expr_begin(b, "payload"); /* ip saddr */
    hnl_attr_be32(b, NFTA_PAYLOAD_DREG, NFT_REG_1);
    hnl_attr_be32(b, NFTA_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER);
    hnl_attr_be32(b, NFTA_PAYLOAD_OFFSET, 12);
    hnl_attr_be32(b, NFTA_PAYLOAD_LEN, 4);
    expr_end(b, e);
    e = expr_begin(b, "bitwise");
    hnl_attr_be32(b, NFTA_BITWISE_SREG, NFT_REG_1);
    hnl_attr_be32(b, NFTA_BITWISE_DREG, NFT_REG_1);
    hnl_attr_be32(b, NFTA_BITWISE_LEN, 4);
    nft_value(b, NFTA_BITWISE_MASK, &mask_be, sizeof(mask_be));
    nft_value(b, NFTA_BITWISE_XOR, &zero, sizeof(zero));
    expr_end(b, e);
    expr_compare(b, NFT_CMP_EQ, &net_be, sizeof(net_be));
    e = expr_begin(b, "meta");
    hnl_attr_be32(b, NFTA_META_KEY, NFT_META_OIFNAME);
    hnl_attr_be32(b, NFTA_META_DREG, NFT_REG_1);
    expr_end(b, e);
    expr_compare(b, NFT_CMP_NEQ, padded, sizeof(padded));
    e = expr_begin(b, "masq");
    expr_end(b, e);
    hnl_nest_end(b, list);
    hnl_end(b);
}

static int masquerade(struct hnl_socket *nf, const char *tap, uint32_t network)
{
    struct hnl_buffer b = {.size = 0};
    char table[32];
    size_t hook;

    /* Not the TAP's name: that is free again as soon as an earlier one has gone, whose table may be
     * going still. Indices are not used twice. */
    snprintf(table, sizeof(table), "cvisor-%u", if_nametoindex(tap));
    nft_batch(&b, NFNL_MSG_BATCH_BEGIN);
    nft_begin(&b, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL);
    hnl_attr_str(&b, NFTA_TABLE_NAME, table);
    hnl_attr_be32(&b, NFTA_TABLE_FLAGS, NFT_TABLE_F_OWNER);
    hnl_end(&b);
    nft_begin(&b, NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL);
    hnl_attr_str(&b, NFTA_CHAIN_TABLE, table);
    hnl_attr_str(&b, NFTA_CHAIN_NAME, "out");
    hnl_attr_str(&b, NFTA_CHAIN_TYPE, "nat");
    hook = hnl_nest(&b, NFTA_CHAIN_HOOK);
    hnl_attr_be32(&b, NFTA_HOOK_HOOKNUM, NF_INET_POST_ROUTING);
    hnl_attr_be32(&b, NFTA_HOOK_PRIORITY, 100);
    hnl_nest_end(&b, hook);
    hnl_end(&b);
    rule_masquerade(&b, table, tap, network);
    nft_batch(&b, NFNL_MSG_BATCH_END);
    return hnl_talk(nf, &b);
}

static void describe(struct boot_network *n, int tap, uint32_t network, uint32_t mtu)
{
    uint32_t guest = __builtin_bswap32(network + 2), gateway = __builtin_bswap32(network + 1);
    struct boot_link *l = &n->links[0];
    struct boot_route *r = &n->routes[0];

    *n = (struct boot_network){.loopback_up = true, .link_count = 1, .route_count = 1};
    snprintf(l->name, sizeof(l->name), "eth0");
    l->mtu = mtu;
    l->fd = tap;
    l->hw_addr[0] = 0x02; /* locally administered; the rest from the address */
    l->hw_addr[1] = 0x63;
    memcpy(l->hw_addr + 2, &guest, sizeof(guest));
    l->addr_count = 1;
    l->addrs[0] = (struct boot_ip){.family = AF_INET, .prefix = SUBNET_BITS};
    memcpy(l->addrs[0].bytes, &guest, sizeof(guest));
    r->dst.family = r->gateway.family = AF_INET;
    memcpy(r->gateway.bytes, &gateway, sizeof(gateway));
}

int net_make_private(struct boot_network *n, int *out_guard, struct cli_error *err)
{
    struct hnl_socket rt = {.fd = -1}, nf = {.fd = -1};
    struct outside outside;
    char name[IFNAMSIZ];
    uint32_t network;
    int r, tap = open_tap(name, err);

    if (tap < 0)
        return -1;
    r = hnl_open(NETLINK_ROUTE, &rt);
    if (!r)
        r = hnl_open(NETLINK_NETFILTER, &nf);
    if (!r)
        r = choose_subnet(&rt, &network);
    if (!r)
        r = find_outside(&rt, &outside);
    if (!r)
        r = configure(&rt, name, network + 1, outside.mtu);
    if (!r)
        r = forward_on(name);
    if (!r && outside.index)
        r = forward_on(outside.name);
    if (!r && outside.index)
        r = masquerade(&nf, name, network);
    hnl_close(&rt);
    if (r) {
        hnl_close(&nf);
        close(tap);
        return fail(err, 1, "network: %s: %s", name, strerror(-r));
    }
    describe(n, tap, network, outside.mtu);
    *out_guard = nf.fd;
    return 0;
}
