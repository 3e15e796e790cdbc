/*
 * Packets and their data: allocation, clones, the linear head and the fragments behind it.
 * Checksums and segmentation are pkt_csum.c and pkt_gso.c. No locks: a packet has one owner.
 */
#include "netstack/pkt.h"

#include "sentry/abi/errno.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"

/* Where an empty head starts: headers grow downwards from here, received frames upwards. */
#define PKT_HEADROOM 176U

/* With its header a run of eight pages: page_free gives longer ones back to the host. */
#define BLOCK_MAX (32768U - 64U)

SLAB_TYPE(pkt_slab, struct pkt);

struct net_buf *net_buf_alloc(uint32_t size)
{
    struct net_buf *b;

    if (size > NET_BUF_MAX)
        return NULL;
    b = kmalloc_raw(sizeof(*b) + size);
    if (!b)
        return NULL;
    ref_init(&b->ref);
    b->size = size;
    return b;
}

struct net_buf *net_buf_get(struct net_buf *b)
{
    ref_get(&b->ref);
    return b;
}

void net_buf_put(struct net_buf *b)
{
    if (b && ref_put(&b->ref))
        kfree(b);
}

struct pkt *pkt_alloc(void)
{
    struct pkt *p = slab_alloc(&pkt_slab);

    if (!p)
        return NULL;
    list_init(&p->node);
    p->head_off = PKT_HEADROOM;
    return p;
}

void pkt_free(struct pkt *p)
{
    if (!p)
        return;
    if (p->owner_ops.offset) {
        ops_ref_t ops = p->owner_ops;

        p->owner_ops = OPS_NONE;
        OPS_GET(pkt_owner_ops, ops)->freed(p, p->owner);
    }
    for (uint32_t i = 0; i < p->frag_count; i++)
        net_buf_put(p->frags[i].buf);
    slab_free(&pkt_slab, p);
}

struct pkt *pkt_clone(const struct pkt *p)
{
    struct pkt *c = slab_alloc(&pkt_slab);

    if (!c)
        return NULL;
    memcpy(c, p, offsetof(struct pkt, frags));
    list_init(&c->node);
    c->owner_ops = OPS_NONE;
    c->owner = NULL;
    c->charge = 0;
    for (uint32_t i = 0; i < p->frag_count; i++) {
        c->frags[i] = p->frags[i];
        (void)net_buf_get(c->frags[i].buf);
    }
    memcpy(c->head, p->head, p->head_off + p->head_size); /* with the headers pulled already */
    return c;
}

struct pkt *pkt_from_bytes(const void *bytes, uint32_t size)
{
    struct pkt *p = pkt_alloc();
    struct net_buf *b;

    if (!p)
        return NULL;
    if (size <= PKT_HEAD - PKT_HEADROOM) {
        memcpy(pkt_append(p, size), bytes, size);
        return p;
    }
    for (uint32_t at = 0, n; at < size; at += n) {
        int err;

        n = MIN(size - at, BLOCK_MAX);
        b = net_buf_alloc(n);
        if (!b) {
            pkt_free(p);
            return NULL;
        }
        memcpy(b->data, (const uint8_t *)bytes + at, n);
        err = pkt_add_frag(p, b, 0, n);
        net_buf_put(b);
        if (err) {
            pkt_free(p);
            return NULL;
        }
    }
    return p;
}

int pkt_add_frag(struct pkt *p, struct net_buf *b, uint32_t offset, uint32_t size)
{
    struct pkt_frag *last = p->frag_count ? &p->frags[p->frag_count - 1] : NULL;

    BUG_ON(offset > b->size || size > b->size - offset);
    if (size > PKT_MAX - p->size)
        return -EMSGSIZE;
    if (last && last->buf == b && last->offset + last->size == offset) {
        last->size += size;
        p->size += size;
        return 0;
    }
    if (p->frag_count == PKT_MAX_FRAGS)
        return -EMSGSIZE;
    p->frags[p->frag_count++] =
        (struct pkt_frag){.buf = net_buf_get(b), .offset = offset, .size = size};
    p->size += size;
    return 0;
}

void *pkt_push(struct pkt *p, uint32_t n)
{
    BUG_ON(n > p->head_off);
    p->head_off -= (uint16_t)n;
    p->head_size += (uint16_t)n;
    p->size += n;
    if (p->csum == PKT_CSUM_PARTIAL)
        p->csum_start += (uint16_t)n;
    return pkt_data(p);
}

void *pkt_append(struct pkt *p, uint32_t n)
{
    uint8_t *end = pkt_data(p) + p->head_size;

    BUG_ON(p->frag_count != 0 || n > PKT_HEAD - p->head_off - p->head_size);
    p->head_size += (uint16_t)n;
    p->size += n;
    return end;
}

/* Takes the first n bytes of the fragments away; n is at most what they hold. */
static void drop_frag_bytes(struct pkt *p, uint32_t n)
{
    uint32_t gone = 0;

    while (gone < p->frag_count && n >= p->frags[gone].size) {
        n -= p->frags[gone].size;
        net_buf_put(p->frags[gone++].buf);
    }
    if (n) {
        p->frags[gone].offset += n;
        p->frags[gone].size -= n;
    }
    if (gone) {
        p->frag_count -= (uint8_t)gone;
        memmove(p->frags, p->frags + gone, p->frag_count * sizeof(p->frags[0]));
    }
}

/*
 * Makes room of by bytes behind the head: it moves down with the headers before it that were pulled
 * already and are still looked at (l2, l3, l4).
 */
static bool move_down(struct pkt *p, uint32_t by)
{
    uint32_t start = p->head_off;

    if (p->l2)
        start = MIN(start, p->l2);
    if (p->l3)
        start = MIN(start, p->l3);
    if (p->l4)
        start = MIN(start, p->l4);
    if (by >= start)
        return false;
    memmove(p->head + start - by, p->head + start, p->head_off + p->head_size - start);
    p->head_off -= (uint16_t)by;
    p->l2 -= p->l2 ? (uint16_t)by : 0;
    p->l3 -= p->l3 ? (uint16_t)by : 0;
    p->l4 -= p->l4 ? (uint16_t)by : 0;
    return true;
}

void *pkt_need(struct pkt *p, uint32_t n)
{
    uint32_t more;

    if (n <= p->head_size)
        return pkt_data(p);
    if (n > p->size || n > PKT_HEAD)
        return NULL;
    more = n - p->head_size;
    if (more > PKT_HEAD - p->head_off - p->head_size &&
        !move_down(p, more - (PKT_HEAD - p->head_off - p->head_size)))
        return NULL;
    if (!pkt_read(p, p->head_size, pkt_data(p) + p->head_size, more))
        return NULL;
    drop_frag_bytes(p, more);
    p->head_size += (uint16_t)more;
    return pkt_data(p);
}

bool pkt_pull(struct pkt *p, uint32_t n)
{
    uint32_t from_head = MIN(n, p->head_size);

    if (n > p->size)
        return false;
    if (p->csum == PKT_CSUM_PARTIAL) {
        if (n > p->csum_start) /* past what it covers: the sum is of no more use */
            p->csum = PKT_CSUM_VERIFIED;
        else
            p->csum_start -= (uint16_t)n;
    }
    p->head_off += (uint16_t)from_head;
    p->head_size -= (uint16_t)from_head;
    drop_frag_bytes(p, n - from_head);
    p->size -= n;
    return true;
}

void pkt_trim(struct pkt *p, uint32_t size)
{
    uint32_t left = size;

    if (size >= p->size)
        return;
    p->size = size;
    if (left <= p->head_size) {
        p->head_size = (uint16_t)left;
        left = 0;
    } else {
        left -= p->head_size;
    }
    for (uint32_t i = 0; i < p->frag_count; i++) {
        if (left == 0) {
            for (uint32_t k = i; k < p->frag_count; k++)
                net_buf_put(p->frags[k].buf);
            p->frag_count = (uint8_t)i;
            return;
        }
        p->frags[i].size = MIN(p->frags[i].size, left);
        left -= p->frags[i].size;
    }
}

bool pkt_read(const struct pkt *p, uint32_t offset, void *to, uint32_t n)
{
    uint8_t *out = to;
    uint32_t now;

    if (n > p->size || offset > p->size - n)
        return false;
    if (offset < p->head_size) {
        now = MIN(n, p->head_size - offset);
        memcpy(out, p->head + p->head_off + offset, now);
        out += now;
        n -= now;
        offset = 0;
    } else {
        offset -= p->head_size;
    }
    for (uint32_t i = 0; i < p->frag_count && n; i++) {
        const struct pkt_frag *f = &p->frags[i];

        if (offset >= f->size) {
            offset -= f->size;
            continue;
        }
        now = MIN(n, f->size - offset);
        memcpy(out, f->buf->data + f->offset + offset, now);
        out += now;
        n -= now;
        offset = 0;
    }
    return true;
}

/* Copies size bytes of from's head to the end of to. */
static int add_head_range(struct pkt *to, const struct pkt *from, uint32_t offset, uint32_t size)
{
    const uint8_t *data = from->head + from->head_off + offset;
    struct net_buf *b;
    int err;

    if (to->frag_count == 0 && size <= PKT_HEAD - to->head_off - to->head_size) {
        memcpy(pkt_append(to, size), data, size);
        return 0;
    }
    b = net_buf_alloc(size);
    if (!b)
        return -ENOMEM;
    memcpy(b->data, data, size);
    err = pkt_add_frag(to, b, 0, size);
    net_buf_put(b);
    return err;
}

int pkt_add_range(struct pkt *to, const struct pkt *from, uint32_t offset, uint32_t size)
{
    uint32_t now;
    int err = 0;

    if (size > from->size || offset > from->size - size)
        return -EINVAL;
    if (offset < from->head_size && size) {
        now = MIN(size, from->head_size - offset);
        err = add_head_range(to, from, offset, now);
        offset += now;
        size -= now;
    }
    offset -= from->head_size;
    for (uint32_t i = 0; i < from->frag_count && size && !err; i++) {
        const struct pkt_frag *f = &from->frags[i];

        if (offset >= f->size) {
            offset -= f->size;
            continue;
        }
        now = MIN(size, f->size - offset);
        err = pkt_add_frag(to, f->buf, f->offset + offset, now);
        size -= now;
        offset = 0;
    }
    return err;
}

uint32_t pkt_truesize(const struct pkt *p)
{
    uint32_t size = sizeof(*p);

    for (uint32_t i = 0; i < p->frag_count; i++)
        size += p->frags[i].size;
    return size;
}

static int add_copy(struct pkt *p, const struct pkt_frag *frags, uint32_t count, uint32_t size)
{
    struct net_buf *b = net_buf_alloc(size);
    uint32_t at = 0;
    int err;

    if (!b)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        memcpy(b->data + at, frags[i].buf->data + frags[i].offset, frags[i].size);
        at += frags[i].size;
    }
    err = pkt_add_frag(p, b, 0, size);
    net_buf_put(b);
    return err;
}

struct pkt *pkt_from_frags(const struct pkt_frag *frags, uint32_t count)
{
    struct pkt *p = pkt_alloc();
    uint64_t size = 0;
    int err = 0;

    if (!p)
        return NULL;
    for (uint32_t i = 0; i < count; i++)
        size += frags[i].size;
    if (size > PKT_MAX)
        err = -EMSGSIZE;
    else if (count > PKT_MAX_FRAGS)
        err = add_copy(p, frags, count, (uint32_t)size);
    for (uint32_t i = 0; i < count && count <= PKT_MAX_FRAGS && !err; i++)
        if (frags[i].size)
            err = pkt_add_frag(p, frags[i].buf, frags[i].offset, frags[i].size);
    if (!err)
        return p;
    pkt_free(p);
    return NULL;
}
