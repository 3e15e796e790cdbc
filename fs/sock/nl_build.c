/* Netlink messages: building answers, reading attributes of requests. No locks of its own. */
#include "fs/sock/netlink.h"
#include "sentry/abi/errno.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"

#define DATAGRAM_ROOM 4096U /* of answers: more are begun as needed */

/* Room for n more bytes in the current datagram, growing it for a message that is being built. */
static bool reserve(struct nl_request *r, uint32_t n)
{
    struct nl_msg *m = r->current, *bigger;
    uint32_t room;

    if (r->failed || !m)
        return false;
    if (m->size + n <= m->room)
        return true;
    room = MAX(m->room * 2, m->size + n);
    if (room > NL_MESSAGE_MAX) {
        r->failed = true;
        return false;
    }
    bigger = kmalloc(sizeof(*bigger) + room);
    if (!bigger) {
        r->failed = true;
        return false;
    }
    memcpy(bigger->data, m->data, m->size);
    bigger->size = m->size;
    bigger->room = room;
    list_insert_between(&bigger->node, m->node.prev, &m->node);
    list_del(&m->node);
    kfree(m);
    r->current = bigger;
    return true;
}

static bool new_datagram(struct nl_request *r)
{
    struct nl_msg *m = kmalloc(sizeof(*m) + DATAGRAM_ROOM);

    if (!m) {
        r->failed = true;
        return false;
    }
    m->room = DATAGRAM_ROOM;
    list_add_tail(&r->answers, &m->node);
    r->current = m;
    return true;
}

void *nl_begin(struct nl_request *r, uint16_t type, uint16_t flags, uint32_t n)
{
    struct nl_hdr h = {.type = type, .flags = flags, .seq = r->seq, .port = r->port};
    void *fixed;

    if (r->failed)
        return NULL;
    /* Messages of a dump share datagrams while these have some room left. */
    if ((!r->current || r->current->size > r->current->room / 2) && !new_datagram(r))
        return NULL;
    if (!reserve(r, (uint32_t)sizeof(h) + NL_ALIGN(n)))
        return NULL;
    r->open = r->current->size;
    memcpy(r->current->data + r->open, &h, sizeof(h));
    fixed = r->current->data + r->open + sizeof(h);
    memset(fixed, 0, NL_ALIGN(n));
    r->current->size += (uint32_t)sizeof(h) + NL_ALIGN(n);
    return fixed;
}

void nl_end(struct nl_request *r)
{
    uint32_t size;

    if (r->failed || !r->current)
        return;
    size = r->current->size - r->open;
    memcpy(r->current->data + r->open, &size, sizeof(size));
}

void nl_cancel(struct nl_request *r)
{
    if (!r->failed && r->current)
        r->current->size = r->open;
}

void nl_put(struct nl_request *r, uint16_t type, const void *data, uint32_t size)
{
    struct nl_attr a = {.size = (uint16_t)(sizeof(a) + size), .type = type};
    uint8_t *at;

    if (!reserve(r, NL_ALIGN((uint32_t)sizeof(a) + size)))
        return;
    at = r->current->data + r->current->size;
    memset(at, 0, NL_ALIGN((uint32_t)sizeof(a) + size));
    memcpy(at, &a, sizeof(a));
    if (size)
        memcpy(at + sizeof(a), data, size);
    r->current->size += NL_ALIGN((uint32_t)sizeof(a) + size);
}

void nl_put_u8(struct nl_request *r, uint16_t type, uint8_t v)
{
    nl_put(r, type, &v, sizeof(v));
}

void nl_put_u16(struct nl_request *r, uint16_t type, uint16_t v)
{
    nl_put(r, type, &v, sizeof(v));
}

void nl_put_u32(struct nl_request *r, uint16_t type, uint32_t v)
{
    nl_put(r, type, &v, sizeof(v));
}

void nl_put_u64(struct nl_request *r, uint16_t type, uint64_t v)
{
    nl_put(r, type, &v, sizeof(v));
}

void nl_put_str(struct nl_request *r, uint16_t type, const char *s)
{
    nl_put(r, type, s, (uint32_t)strlen(s) + 1);
}

uint32_t nl_nest(struct nl_request *r, uint16_t type)
{
    uint32_t at = r->current ? r->current->size : 0;

    nl_put(r, type, NULL, 0);
    return at;
}

void nl_nest_end(struct nl_request *r, uint32_t at)
{
    uint16_t size;

    if (r->failed || !r->current)
        return;
    size = (uint16_t)(r->current->size - at);
    memcpy(r->current->data + at, &size, sizeof(size));
}

/* ---- reading ---- */

static int parse(const uint8_t *p, uint32_t left, const struct nl_attr **out, uint32_t max)
{
    memset(out, 0, (max + 1) * sizeof(out[0]));
    while (left >= sizeof(struct nl_attr)) {
        const struct nl_attr *a = (const struct nl_attr *)p;
        uint32_t type = a->type & NL_TYPE_MASK, step = NL_ALIGN(a->size);

        if (a->size < sizeof(*a) || a->size > left)
            return -EINVAL;
        if (type <= max)
            out[type] = a;
        if (step >= left)
            break;
        p += step;
        left -= step;
    }
    return 0;
}

int nl_parse(const struct nl_request *r, uint32_t from, const struct nl_attr **out, uint32_t max)
{
    from = NL_ALIGN(from);
    if (r->size < from) {
        memset(out, 0, (max + 1) * sizeof(out[0]));
        return 0;
    }
    return parse((const uint8_t *)r->payload + from, r->size - from, out, max);
}

int nl_parse_nested(const struct nl_attr *nest, const struct nl_attr **out, uint32_t max)
{
    return parse(nl_attr_data(nest), nl_attr_size(nest), out, max);
}

uint32_t nl_attr_u32(const struct nl_attr *a, uint32_t otherwise)
{
    uint32_t v;

    if (!a || nl_attr_size(a) < sizeof(v))
        return otherwise;
    memcpy(&v, nl_attr_data(a), sizeof(v));
    return v;
}

uint8_t nl_attr_u8(const struct nl_attr *a, uint8_t otherwise)
{
    return a && nl_attr_size(a) ? *(const uint8_t *)nl_attr_data(a) : otherwise;
}

int nl_attr_str(const struct nl_attr *a, char *out, uint32_t size)
{
    uint32_t n = nl_attr_size(a);
    const char *s = nl_attr_data(a);

    while (n && !s[n - 1])
        n--;
    if (n >= size)
        return -EINVAL;
    memcpy(out, s, n);
    out[n] = 0;
    return 0;
}
