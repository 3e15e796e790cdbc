/* The CLI's netlink client: see the header. */
#include "runsc-cli/net_netlink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int hnl_open(int protocol, struct hnl_socket *out)
{
    struct sockaddr_nl addr = {.nl_family = AF_NETLINK};

    out->seq = 1;
    out->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    if (out->fd < 0)
        return -errno;
    if (bind(out->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
        int err = -errno;

        close(out->fd);
        return err;
    }
    return 0;
}

void hnl_close(struct hnl_socket *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

static void append(struct hnl_buffer *b, const void *data, size_t size)
{
    size_t room = NLMSG_ALIGN(size);

    if (b->size + room > sizeof(b->data))
        abort(); /* requests are made by us, of known sizes */
    memset(b->data + b->size, 0, room);
    if (size)
        memcpy(b->data + b->size, data, size);
    b->size += room;
}

/* The message begun last: the one without a size. */
static struct nlmsghdr *last(struct hnl_buffer *b)
{
    size_t at = 0;

    for (;;) {
        struct nlmsghdr *h = (struct nlmsghdr *)(b->data + at);

        if (!h->nlmsg_len)
            return h;
        at += NLMSG_ALIGN(h->nlmsg_len);
    }
}

void hnl_message(struct hnl_buffer *b, uint16_t type, uint16_t flags, const void *fixed, size_t n)
{
    struct nlmsghdr h = {.nlmsg_type = type, .nlmsg_flags = flags | NLM_F_REQUEST};

    append(b, &h, sizeof(h));
    append(b, fixed, n);
}

void hnl_attr(struct hnl_buffer *b, uint16_t type, const void *data, size_t size)
{
    struct nlattr a = {.nla_len = (uint16_t)(sizeof(a) + size), .nla_type = type};

    append(b, &a, sizeof(a));
    append(b, data, size);
}

void hnl_attr_u32(struct hnl_buffer *b, uint16_t type, uint32_t v)
{
    hnl_attr(b, type, &v, sizeof(v));
}

void hnl_attr_be32(struct hnl_buffer *b, uint16_t type, uint32_t v)
{
    hnl_attr_u32(b, type, __builtin_bswap32(v));
}

void hnl_attr_str(struct hnl_buffer *b, uint16_t type, const char *s)
{
    hnl_attr(b, type, s, strlen(s) + 1);
}

size_t hnl_nest(struct hnl_buffer *b, uint16_t type)
{
    size_t at = b->size;

    hnl_attr(b, type | NLA_F_NESTED, NULL, 0);
    return at;
}

void hnl_nest_end(struct hnl_buffer *b, size_t at)
{
    ((struct nlattr *)(b->data + at))->nla_len = (uint16_t)(b->size - at);
}

void hnl_end(struct hnl_buffer *b)
{
    struct nlmsghdr *h = last(b);

    h->nlmsg_len = (uint32_t)(b->size - (size_t)((uint8_t *)h - b->data));
}

/* Numbers the messages; how many ask for an acknowledgement. */
static unsigned number(struct hnl_socket *s, struct hnl_buffer *b)
{
    unsigned acks = 0;

    for (size_t at = 0; at < b->size;) {
        struct nlmsghdr *h = (struct nlmsghdr *)(b->data + at);

        h->nlmsg_seq = s->seq++;
        acks += (h->nlmsg_flags & NLM_F_ACK) != 0;
        at += NLMSG_ALIGN(h->nlmsg_len);
    }
    return acks;
}

static int send_all(struct hnl_socket *s, const struct hnl_buffer *b)
{
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};

    if (sendto(s->fd, b->data, b->size, 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
        return -errno;
    return 0;
}

int hnl_talk(struct hnl_socket *s, struct hnl_buffer *b)
{
    unsigned acks = number(s, b);
    int err = send_all(s, b), first = 0;
    _Alignas(8) uint8_t answer[NL_BUFFER];

    while (!err && acks) {
        ssize_t n = recv(s->fd, answer, sizeof(answer), 0);
        const struct nlmsghdr *h = (const struct nlmsghdr *)answer;

        if (n < 0)
            return -errno;
        for (; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
            const struct nlmsgerr *e = NLMSG_DATA(h);

            if (h->nlmsg_type != NLMSG_ERROR)
                continue;
            if (e->error && !first)
                first = e->error;
            /* A batch that failed is not acknowledged any further. */
            acks = e->error ? 0 : acks - 1;
            if (!acks)
                break;
        }
    }
    return err ? err : first;
}

int hnl_dump(struct hnl_socket *s, struct hnl_buffer *b,
             int (*fn)(const struct nlmsghdr *h, void *arg), void *arg)
{
    uint32_t seq = s->seq;
    _Alignas(8) uint8_t answer[32768];
    int err;

    (void)number(s, b);
    err = send_all(s, b);
    while (!err) {
        ssize_t n = recv(s->fd, answer, sizeof(answer), 0);
        const struct nlmsghdr *h = (const struct nlmsghdr *)answer;

        if (n < 0)
            return -errno;
        for (; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
            if (h->nlmsg_seq != seq)
                continue;
            if (h->nlmsg_type == NLMSG_DONE)
                return 0;
            if (h->nlmsg_type == NLMSG_ERROR)
                return ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
            err = fn(h, arg);
            if (err)
                return err;
        }
    }
    return err;
}

void hnl_parse(const struct nlmsghdr *h, size_t fixed, const struct nlattr **out, unsigned max)
{
    const uint8_t *p = (const uint8_t *)NLMSG_DATA(h) + NLMSG_ALIGN(fixed);
    size_t left = h->nlmsg_len - NLMSG_HDRLEN - NLMSG_ALIGN(fixed);

    memset(out, 0, (max + 1) * sizeof(*out));
    while (left >= sizeof(struct nlattr)) {
        const struct nlattr *a = (const struct nlattr *)p;
        unsigned type = a->nla_type & NLA_TYPE_MASK;
        size_t step = NLA_ALIGN(a->nla_len);

        if (a->nla_len < sizeof(*a) || a->nla_len > left)
            return;
        if (type <= max)
            out[type] = a;
        if (step >= left)
            return;
        p += step;
        left -= step;
    }
}
