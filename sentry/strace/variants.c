/*
 * Arguments whose meaning is in another argument: what ioctl, fcntl and prctl take by request, the
 * names and values of socket options. Tables, and their look-up. No locks. Source: strace(1), the
 * man pages of the calls.
 */
#include "sentry/abi/fcntl.h"
#include "sentry/abi/sched.h"
#include "sentry/abi/socket.h"
#include "sentry/abi/tty.h"
#include "sentry/strace/strace_int.h"

/* The kind of a call's argument (as in table.def) by the request. */
struct request {
    uint64_t value;
    const char *kind;
};

static const struct request ioctls[] = {
    {LX_TCGETS, "outstruct:termios"},
    {LX_TCSETS, "struct:termios"},
    {LX_TCSETSW, "struct:termios"},
    {LX_TCSETSF, "struct:termios"},
    {LX_TIOCGWINSZ, "outstruct:winsize"},
    {LX_TIOCSWINSZ, "struct:winsize"},
    {LX_TIOCGPGRP, "outstruct:int"},
    {LX_TIOCSPGRP, "struct:int"},
    {LX_TIOCGSID, "outstruct:int"},
    {LX_TIOCSCTTY, "int"},
    {LX_TIOCNOTTY, ""},
    {LX_TIOCEXCL, ""},
    {LX_TIOCNXCL, ""},
    {LX_TIOCGPTN, "outstruct:int"},
    {LX_TIOCSPTLCK, "struct:int"},
    {LX_TIOCGPTLCK, "outstruct:int"},
    {LX_TIOCGPTPEER, "flags:open"},
    {LX_TIOCPKT, "struct:int"},
    {LX_TIOCOUTQ, "outstruct:int"},
    {LX_TIOCSTI, "ptr"},
    {LX_TIOCGETD, "outstruct:int"},
    {LX_TIOCSETD, "struct:int"},
    {LX_TCSBRK, "int"},
    {LX_TCSBRKP, "int"},
    {LX_TCXONC, "flags:tcflow"},
    {LX_TCFLSH, "flags:tcflush"},
    {LX_FIONREAD, "outstruct:int"},
    {LX_FIONBIO, "struct:int"},
    {LX_FIOASYNC, "struct:int"},
    {LX_FIOCLEX, ""},
    {LX_FIONCLEX, ""},
    {LX_FS_IOC_GETFLAGS, "outstruct:hexint"},
    {LX_FS_IOC_SETFLAGS, "struct:hexint"},
    {LX_FS_IOC_GETVERSION, "outstruct:int"},
    {LX_FICLONE, "int"},
    {LX_SIOCATMARK, "outstruct:int"},
    {LX_SIOCGPGRP, "outstruct:int"},
    {LX_SIOCSPGRP, "struct:int"},
    {LX_SIOCGIFNAME, "outstruct:ifname"},
    {LX_SIOCGIFINDEX, "outstruct:ifname"},
    {LX_SIOCGIFCONF, "outstruct:ifconf"},
    {LX_SIOCGIFFLAGS, "outstruct:ifflags"},
    {LX_SIOCSIFFLAGS, "struct:ifflags"},
    {LX_SIOCGIFADDR, "outstruct:ifaddr"},
    {LX_SIOCSIFADDR, "struct:ifaddr"},
    {LX_SIOCGIFNETMASK, "outstruct:ifaddr"},
    {LX_SIOCSIFNETMASK, "struct:ifaddr"},
    {LX_SIOCGIFBRDADDR, "outstruct:ifaddr"},
    {LX_SIOCGIFDSTADDR, "outstruct:ifaddr"},
    {LX_SIOCGIFHWADDR, "outstruct:ifaddr"},
    {LX_SIOCGIFMTU, "outstruct:ifint"},
    {LX_SIOCSIFMTU, "struct:ifint"},
    {LX_SIOCGIFMETRIC, "outstruct:ifint"},
    {LX_SIOCGIFTXQLEN, "outstruct:ifint"},
    {LX_SIOCGSTAMP, "outstruct:timeval"},
    {LX_SIOCGSTAMPNS, "outstruct:timespec"},
};

static const struct request fcntls[] = {
    {LX_F_DUPFD, "fd"},
    {LX_F_DUPFD_CLOEXEC, "fd"},
    {LX_F_GETFD, ""},
    {LX_F_SETFD, "flags:fdflags"},
    {LX_F_GETFL, ""},
    {LX_F_SETFL, "flags:open"},
    {LX_F_GETLK, "outstruct:flock"},
    {LX_F_SETLK, "struct:flock"},
    {LX_F_SETLKW, "struct:flock"},
    {LX_F_OFD_GETLK, "outstruct:flock"},
    {LX_F_OFD_SETLK, "struct:flock"},
    {LX_F_OFD_SETLKW, "struct:flock"},
    {LX_F_GETOWN, ""},
    {LX_F_SETOWN, "pid"},
    {LX_F_GETOWN_EX, "outstruct:owner_ex"},
    {LX_F_SETOWN_EX, "struct:owner_ex"},
    {LX_F_GETSIG, ""},
    {LX_F_SETSIG, "signo"},
    {LX_F_GETLEASE, ""},
    {LX_F_SETLEASE, "flags:lcktype"},
    {LX_F_NOTIFY, "hex"},
    {LX_F_GETPIPE_SZ, ""},
    {LX_F_SETPIPE_SZ, "size"},
    {LX_F_GET_SEALS, ""},
    {LX_F_ADD_SEALS, "flags:seals"},
    {LX_F_GET_RW_HINT, "outstruct:ulong"},
    {LX_F_SET_RW_HINT, "struct:ulong"},
};

/* Of prctl: all that follow, "" being none. */
static const struct request prctls[] = {
    {LX_PR_SET_PDEATHSIG, "signo"},
    {LX_PR_GET_PDEATHSIG, "outstruct:signal"},
    {LX_PR_GET_DUMPABLE, ""},
    {LX_PR_SET_DUMPABLE, "uint"},
    {LX_PR_GET_KEEPCAPS, ""},
    {LX_PR_SET_KEEPCAPS, "uint"},
    {LX_PR_SET_NAME, "str"},
    {LX_PR_GET_NAME, "outstr"},
    {LX_PR_GET_SECCOMP, ""},
    {LX_PR_SET_SECCOMP, "flags:seccompmode,struct:sock_fprog"},
    {LX_PR_CAPBSET_READ, "flags:cap"},
    {LX_PR_CAPBSET_DROP, "flags:cap"},
    {LX_PR_GET_SECUREBITS, ""},
    {LX_PR_SET_SECUREBITS, "hex"},
    {LX_PR_SET_TIMERSLACK, "long"},
    {LX_PR_GET_TIMERSLACK, ""},
    {LX_PR_SET_CHILD_SUBREAPER, "uint"},
    {LX_PR_GET_CHILD_SUBREAPER, "outstruct:int"},
    {LX_PR_SET_NO_NEW_PRIVS, "uint,uint,uint,uint"},
    {LX_PR_GET_NO_NEW_PRIVS, "uint,uint,uint,uint"},
    {LX_PR_SET_THP_DISABLE, "uint,uint,uint,uint"},
    {LX_PR_GET_THP_DISABLE, "uint,uint,uint,uint"},
    {LX_PR_CAP_AMBIENT, "flags:ambient,flags:cap,uint,uint"},
    {LX_PR_SET_VMA, "hex,ptr,size,str"},
    {LX_PR_GET_TID_ADDRESS, "outstruct:ulong"},
};

static const char *kind_of(const struct request *list, size_t count, uint64_t value)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i].value == value)
            return list[i].kind;
    }
    return NULL;
}

/* ---- socket options ---- */

struct option {
    uint32_t level, value;
    const char *name, *layout; /* layout NULL: bytes */
};

#define SO(name, layout)  {LX_SOL_SOCKET, LX_SO_##name, "SO_" #name, layout}
#define IP(name, layout)  {LX_SOL_IP, LX_IP_##name, "IP_" #name, layout}
#define IP6(name, layout) {LX_SOL_IPV6, LX_IPV6_##name, "IPV6_" #name, layout}
#define TCP(name, layout) {LX_SOL_TCP, LX_TCP_##name, "TCP_" #name, layout}
#define UDP(name, layout) {LX_SOL_UDP, LX_UDP_##name, "UDP_" #name, layout}
#define NL(value, name)   {LX_SOL_NETLINK, value, "NETLINK_" name, "int"}

static const struct option options[] = {
    SO(DEBUG, "int"), SO(REUSEADDR, "int"), SO(TYPE, "sotype"), SO(ERROR, "soerror"),
    SO(DONTROUTE, "int"), SO(BROADCAST, "int"), SO(SNDBUF, "int"), SO(RCVBUF, "int"),
    SO(KEEPALIVE, "int"), SO(OOBINLINE, "int"), SO(NO_CHECK, "int"), SO(PRIORITY, "int"),
    SO(LINGER, "linger"), SO(BSDCOMPAT, "int"), SO(REUSEPORT, "int"), SO(PASSCRED, "int"),
    SO(PEERCRED, "ucred"), SO(RCVLOWAT, "int"), SO(SNDLOWAT, "int"), SO(RCVTIMEO, "timeval"),
    SO(SNDTIMEO, "timeval"), SO(BINDTODEVICE, NULL), SO(ATTACH_FILTER, "sock_fprog"),
    SO(DETACH_FILTER, "int"), SO(PEERNAME, NULL), SO(TIMESTAMP, "int"), SO(ACCEPTCONN, "int"),
    SO(PEERSEC, NULL), SO(SNDBUFFORCE, "int"), SO(RCVBUFFORCE, "int"), SO(PASSSEC, "int"),
    SO(TIMESTAMPNS, "int"), SO(MARK, "hexint"), SO(TIMESTAMPING, "hexint"), SO(PROTOCOL, "int"),
    SO(DOMAIN, "sofamily"), SO(RXQ_OVFL, "int"), SO(WIFI_STATUS, "int"), SO(PEEK_OFF, "int"),
    SO(NOFCS, "int"), SO(LOCK_FILTER, "int"), SO(SELECT_ERR_QUEUE, "int"), SO(BUSY_POLL, "int"),
    SO(MAX_PACING_RATE, "uint"), SO(BPF_EXTENSIONS, "int"), SO(INCOMING_CPU, "int"),
    SO(ATTACH_BPF, "int"), SO(ATTACH_REUSEPORT_CBPF, "sock_fprog"),
    SO(ATTACH_REUSEPORT_EBPF, "int"), SO(CNX_ADVICE, "int"), SO(MEMINFO, NULL),
    SO(INCOMING_NAPI_ID, "uint"), SO(COOKIE, "ulong"), SO(PEERGROUPS, NULL), SO(ZEROCOPY, "int"),
    SO(TXTIME, NULL), SO(BINDTOIFINDEX, "int"), SO(TIMESTAMP_NEW, "int"),
    SO(TIMESTAMPNS_NEW, "int"), SO(TIMESTAMPING_NEW, "hexint"), SO(RCVTIMEO_NEW, "timeval"),
    SO(SNDTIMEO_NEW, "timeval"), SO(DETACH_REUSEPORT_BPF, "int"), SO(PREFER_BUSY_POLL, "int"),
    SO(BUSY_POLL_BUDGET, "int"), SO(NETNS_COOKIE, "ulong"), SO(BUF_LOCK, "int"),
    SO(RESERVE_MEM, "int"), SO(TXREHASH, "int"), SO(RCVMARK, "int"),
    IP(TOS, "hexint"), IP(TTL, "int"), IP(HDRINCL, "int"), IP(OPTIONS, NULL),
    IP(ROUTER_ALERT, "int"), IP(RECVOPTS, "int"), IP(RETOPTS, "int"), IP(PKTINFO, "int"),
    IP(PKTOPTIONS, NULL), IP(MTU_DISCOVER, "pmtudisc"), IP(RECVERR, "int"), IP(RECVTTL, "int"),
    IP(RECVTOS, "int"), IP(MTU, "int"), IP(FREEBIND, "int"), IP(TRANSPARENT, "int"),
    IP(ORIGDSTADDR, "int"), IP(MINTTL, "int"), IP(NODEFRAG, "int"), IP(CHECKSUM, "int"),
    IP(BIND_ADDRESS_NO_PORT, "int"), IP(RECVFRAGSIZE, "int"), IP(MULTICAST_IF, "in_addr"),
    IP(MULTICAST_TTL, "int"), IP(MULTICAST_LOOP, "int"), IP(ADD_MEMBERSHIP, "mreq"),
    IP(DROP_MEMBERSHIP, "mreq"), IP(ADD_SOURCE_MEMBERSHIP, NULL),
    IP(DROP_SOURCE_MEMBERSHIP, NULL), IP(MULTICAST_ALL, "int"), IP(UNICAST_IF, "int"),
    IP6(UNICAST_HOPS, "int"), IP6(MULTICAST_IF, "int"), IP6(MULTICAST_HOPS, "int"),
    IP6(MULTICAST_LOOP, "int"), IP6(ADD_MEMBERSHIP, "mreq6"), IP6(DROP_MEMBERSHIP, "mreq6"),
    IP6(ROUTER_ALERT, "int"), IP6(MTU_DISCOVER, "pmtudisc"), IP6(MTU, "int"), IP6(RECVERR, "int"),
    IP6(V6ONLY, "int"), IP6(MULTICAST_ALL, "int"), IP6(RECVPKTINFO, "int"),
    IP6(PKTINFO, "pktinfo6"), IP6(RECVHOPLIMIT, "int"), IP6(HOPLIMIT, "int"),
    IP6(RECVTCLASS, "int"), IP6(TCLASS, "hexint"), IP6(DONTFRAG, "int"), IP6(CHECKSUM, "int"),
    IP6(AUTOFLOWLABEL, "int"), IP6(ADDR_PREFERENCES, "hexint"), IP6(TRANSPARENT, "int"),
    IP6(FREEBIND, "int"), IP6(HDRINCL, "int"), IP6(ADDRFORM, "int"), IP6(UNICAST_IF, "int"),
    TCP(NODELAY, "int"), TCP(MAXSEG, "int"), TCP(CORK, "int"), TCP(KEEPIDLE, "int"),
    TCP(KEEPINTVL, "int"), TCP(KEEPCNT, "int"), TCP(SYNCNT, "int"), TCP(LINGER2, "int"),
    TCP(DEFER_ACCEPT, "int"), TCP(WINDOW_CLAMP, "int"), TCP(INFO, "tcp_info"),
    TCP(QUICKACK, "int"), TCP(CONGESTION, NULL), TCP(MD5SIG, NULL), TCP(USER_TIMEOUT, "int"),
    TCP(FASTOPEN, "int"), TCP(TIMESTAMP, "int"), TCP(NOTSENT_LOWAT, "int"), TCP(ULP, NULL),
    TCP(FASTOPEN_CONNECT, "int"), TCP(FASTOPEN_NO_COOKIE, "int"), TCP(SAVE_SYN, "int"),
    TCP(SAVED_SYN, NULL), TCP(INQ, "int"), TCP(TX_DELAY, "int"),
    TCP(THIN_LINEAR_TIMEOUTS, "int"), TCP(THIN_DUPACK, "int"), TCP(REPAIR, "int"),
    UDP(CORK, "int"), UDP(SEGMENT, "int"), UDP(GRO, "int"), UDP(NO_CHECK6_TX, "int"),
    UDP(NO_CHECK6_RX, "int"),
    NL(1, "ADD_MEMBERSHIP"), NL(2, "DROP_MEMBERSHIP"), NL(3, "PKTINFO"), NL(4, "BROADCAST_ERROR"),
    NL(5, "NO_ENOBUFS"), NL(8, "LISTEN_ALL_NSID"), NL(10, "CAP_ACK"), NL(11, "EXT_ACK"),
    NL(12, "GET_STRICT_CHK"),
    {LX_SOL_PACKET, 1, "PACKET_ADD_MEMBERSHIP", "packet_mreq"},
    {LX_SOL_PACKET, 2, "PACKET_DROP_MEMBERSHIP", "packet_mreq"},
    {LX_SOL_PACKET, 6, "PACKET_STATISTICS", NULL},
    {LX_SOL_PACKET, 8, "PACKET_AUXDATA", "int"},
    {LX_SOL_PACKET, 10, "PACKET_VERSION", "int"},
};

static const struct option *find_option(uint64_t level, uint64_t value)
{
    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        if (options[i].value == (uint32_t)value && options[i].level == (uint32_t)level)
            return &options[i];
    }
    return NULL;
}

bool strace_print_option(struct strbuf *out, uint64_t level, uint64_t value)
{
    const struct option *o = find_option(level, value);

    if (o)
        strbuf_puts(out, o->name);
    return o != NULL;
}

/* The value of an option of at least the structure's size; a shorter one is shown as bytes. */
static void option_kind(struct strace_kind *k, const struct option *o, bool out, uint64_t size,
                        uint64_t need)
{
    if (o && o->layout && (out || size >= need)) {
        k->word = out ? "outstruct" : "struct";
        k->rest = o->layout;
        k->rest_size = strlen(o->layout);
    } else {
        k->word = out ? "outlen" : "in";
        k->rest = "4";
        k->rest_size = 1;
    }
    k->word_size = strlen(k->word);
}

void strace_resolve_option(struct strace_kind *k, const uint64_t args[6])
{
    const struct option *o = find_option(args[1], args[2]);

    option_kind(k, o, strace_kind_is(k, "getopt"), (uint32_t)args[4],
                o && o->layout ? strace_layout_size(o->layout) : 0);
}

const char *strace_request_kinds(const struct strace_kind *k, const uint64_t args[6])
{
    const char *found = NULL;

    if (strace_kind_is(k, "ioctlarg"))
        found = kind_of(ioctls, ARRAY_SIZE(ioctls), (uint32_t)args[1]);
    else if (strace_kind_is(k, "fcntlarg"))
        found = kind_of(fcntls, ARRAY_SIZE(fcntls), (uint32_t)args[1]);
    else if (strace_kind_is(k, "prctlargs"))
        found = kind_of(prctls, ARRAY_SIZE(prctls), (uint32_t)args[0]);
    else
        return NULL;
    return found ? found : strace_kind_is(k, "prctlargs") ? "hex,hex,hex,hex" : "hex";
}
