/*
 * AF_NETLINK: sockets, requests and answers. struct netlink_sock: counted by its struct sock; its
 * queue and groups are guarded by the stack's lock (rank NET), so that changes of the stack can be
 * told to listeners where they happen. A protocol is a request function and a group count. Sources:
 * netlink(7), rtnetlink(7), sock_diag(7), RFC 3549.
 */
#pragma once

#include "fs/sock/netns.h"
#include "fs/sock/sock.h"

#define NL_ALIGN(n) (((n) + 3) & ~3U)

struct nl_hdr {
    uint32_t size; /* header and payload */
    uint16_t type, flags;
    uint32_t seq, port;
};
_Static_assert(sizeof(struct nl_hdr) == 16, "struct nlmsghdr");

struct nl_attr {
    uint16_t size, type; /* size: header and payload */
};

enum { NL_NOOP = 1, NL_ERROR, NL_DONE, NL_OVERRUN };
enum {
    NL_F_REQUEST = 1,
    NL_F_MULTI = 2,
    NL_F_ACK = 4,
    NL_F_ECHO = 8,
    NL_F_DUMP_FILTERED = 0x20,
    NL_F_ROOT = 0x100, /* of GET: ROOT | MATCH is DUMP */
    NL_F_MATCH = 0x200,
    NL_F_DUMP = 0x300,
    NL_F_REPLACE = 0x100, /* of NEW */
    NL_F_EXCL = 0x200,
    NL_F_CREATE = 0x400,
    NL_F_APPEND = 0x800,
    NL_F_CAPPED = 0x100, /* of ERROR */
};
#define NL_TYPE_MASK   0x3fffU /* of an attribute: without NESTED and NET_BYTEORDER */
#define NL_MESSAGE_MAX 32768U

/* A datagram under construction or in a queue. */
struct nl_msg {
    struct list node;
    uint32_t size, room;
    uint32_t group; /* that it was sent to, 0: an answer */
    uint8_t data[];
};

struct netlink_sock {
    struct sock sk;
    struct netns *ns;       /* one reference */
    struct mutex recv_lock; /* rank SOCK_IO: over the copy to the guest */
    uint32_t port;          /* 0: not bound */
    uint64_t groups;        /* bit n-1: group n */
    struct list queue;      /* of nl_msg */
    uint64_t queued;        /* bytes */
    bool overrun;           /* something was lost: the next receive says ENOBUFS */
    bool pktinfo, no_enobufs, cap_ack, ext_ack, strict;
    struct bpf_slot filter; /* SO_ATTACH_FILTER; the stack's lock */
    struct list node;       /* of its namespace's sockets */
};

/* One request being answered, or an announcement being built (nl_announce). The stack's lock is
 * held.
 */
struct nl_request {
    struct netns *ns;
    struct netlink_sock *nl; /* NULL: an announcement */
    struct task *t;
    const struct nl_hdr *hdr; /* a checked copy; the payload follows it */
    const void *payload;
    uint32_t size;       /* of the payload */
    uint32_t seq, port;  /* of the answers */
    struct list answers; /* of nl_msg */
    struct nl_msg *current;
    uint32_t open; /* offset of the message being built in current */
    bool failed;   /* out of memory on the way */
};

static inline bool nl_is_dump(const struct nl_request *r)
{
    return (r->hdr->flags & NL_F_DUMP) == NL_F_DUMP;
}

/* Dispatches one request of a protocol: 0 or the errno of its acknowledgement. */
int netlink_route_request(struct nl_request *r) MUST_CHECK;
int netlink_diag_request(struct nl_request *r) MUST_CHECK;
int netlink_socket(struct task *t, int type, int protocol, struct sock **out) MUST_CHECK;
/* An announcement: begin r with it, build one message, then send it to the sockets of a protocol
 * that joined group. */
void nl_announce_begin(struct nl_request *r, struct netns *ns);
void nl_announce_send(struct nl_request *r, int protocol, uint32_t group);
/* netlink_route.c: env ops' event. */
void netlink_route_event(struct netns *ns, int what, const void *obj);

/* ---- nl_build.c: messages ---- */
/* A message of type with a fixed part of n bytes (returned, zeroed). NULL: out of memory; the later
 * calls then do nothing and the request answers ENOMEM. */
void *nl_begin(struct nl_request *r, uint16_t type, uint16_t flags, uint32_t n);
void nl_end(struct nl_request *r);
/* Drops the message begun last. */
void nl_cancel(struct nl_request *r);
void nl_put(struct nl_request *r, uint16_t type, const void *data, uint32_t size);
void nl_put_u8(struct nl_request *r, uint16_t type, uint8_t v);
void nl_put_u16(struct nl_request *r, uint16_t type, uint16_t v);
void nl_put_u32(struct nl_request *r, uint16_t type, uint32_t v);
void nl_put_u64(struct nl_request *r, uint16_t type, uint64_t v);
void nl_put_str(struct nl_request *r, uint16_t type, const char *s);
/* A nested attribute: the offset for nl_nest_end. */
uint32_t nl_nest(struct nl_request *r, uint16_t type);
void nl_nest_end(struct nl_request *r, uint32_t at);

/* Attributes of a request: by type into out[max + 1], NULL where absent. from: size of the fixed
 * part. -EINVAL when they don't fit. */
int nl_parse(const struct nl_request *r, uint32_t from, const struct nl_attr **out,
             uint32_t max) MUST_CHECK;
int nl_parse_nested(const struct nl_attr *nest, const struct nl_attr **out,
                    uint32_t max) MUST_CHECK;

static inline const void *nl_attr_data(const struct nl_attr *a)
{
    return a + 1;
}

static inline uint32_t nl_attr_size(const struct nl_attr *a)
{
    return a->size - (uint32_t)sizeof(*a);
}

/* The value when the attribute is there and has at least its size; else otherwise. */
uint32_t nl_attr_u32(const struct nl_attr *a, uint32_t otherwise);
uint8_t nl_attr_u8(const struct nl_attr *a, uint8_t otherwise);
/* A string of at most size - 1 bytes. -EINVAL. */
int nl_attr_str(const struct nl_attr *a, char *out, uint32_t size) MUST_CHECK;
