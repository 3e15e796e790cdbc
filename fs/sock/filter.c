/*
 * Socket filters of every family: programs are copied and checked here; where one lies, runs and is
 * locked is the family's. Lock: none; the family's in its operation. Sources: socket(7), kernel
 * document filter.rst.
 */
#include "fs/sock/sock.h"
#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/socket.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"
#include "sentry/mm/usermem.h"

struct lx_sock_fprog {
    uint16_t count;
    uint64_t prog;
};

struct flat_view {
    struct bpf_packet b;
    const uint8_t *data;
};

static bool flat_read(const struct bpf_packet *b, int32_t at, uint8_t *to, uint32_t n)
{
    if (at < 0 || n > b->size || (uint32_t)at > b->size - n)
        return false;
    memcpy(to, container_of(b, struct flat_view, b)->data + at, n);
    return true;
}

static uint32_t flat_told(const struct bpf_packet *b, enum bpf_told what)
{
    uint32_t v = 0;

    if (what == BPF_TOLD_RANDOM && host_getrandom(&v, sizeof(v)) != sizeof(v))
        v = 0;
    return v;
}

uint32_t sock_filter_run(const struct bpf_slot *f, const void *data, uint32_t size)
{
    struct flat_view v = {.b = {.read = flat_read,
                                .told = flat_told,
                                .size = size,
                                .link = BPF_NO_HEADER,
                                .net = BPF_NO_HEADER},
                          .data = data};

    return f->prog ? bpf_run_packet(f->prog->insns, &v.b) : UINT32_MAX;
}

static int load(struct task *t, const struct lx_sock_fprog *from, struct bpf_prog **out)
{
    struct bpf_prog *p;
    int err;

    if (!from->count || from->count > BPF_INSNS_MAX || !from->prog)
        return -EINVAL;
    p = kmalloc(sizeof(*p) + from->count * sizeof(p->insns[0]));
    if (!p)
        return -ENOMEM;
    ref_init(&p->ref);
    p->count = from->count;
    err = copy_in(&t->us, p->insns, uaddr(from->prog), p->count * sizeof(p->insns[0]));
    if (!err)
        err = bpf_check(p->insns, p->count, BPF_PACKET, 0);
    if (err) {
        bpf_prog_put(p);
        return err;
    }
    *out = p;
    return 0;
}

static int attach(struct sock *sk, struct task *t, const void *value, uint32_t size)
{
    struct lx_sock_fprog from;
    struct bpf_prog *p = NULL;
    int err;

    if (size != sizeof(from))
        return -EINVAL;
    memcpy(&from, value, sizeof(from));
    if (sock_ops_of(sk)->filter(sk, BPF_SLOT_IS_LOCKED, NULL)) /* before all else, as Linux */
        return -EPERM;
    err = load(t, &from, &p);
    if (err)
        return err;
    err = sock_ops_of(sk)->filter(sk, BPF_SLOT_SET, &p);
    bpf_prog_put(p);
    return err;
}

int sock_filter_setsockopt(struct sock *sk, struct task *t, int name, const void *value,
                           uint32_t size)
{
    struct bpf_prog *none = NULL;
    int32_t v;
    int err;

    if (name != LX_SO_ATTACH_FILTER && name != LX_SO_DETACH_FILTER && name != LX_SO_LOCK_FILTER)
        return -ENOPROTOOPT;
    if (!sock_ops_of(sk)->filter)
        return -ENOPROTOOPT;
    memcpy(&v, value, sizeof(v));
    switch (name) {
    case LX_SO_ATTACH_FILTER:
        return attach(sk, t, value, size);
    case LX_SO_DETACH_FILTER:
        err = sock_ops_of(sk)->filter(sk, BPF_SLOT_SET, &none);
        bpf_prog_put(none);
        return err;
    default:
        if (v)
            return sock_ops_of(sk)->filter(sk, BPF_SLOT_LOCK, NULL);
        return sock_ops_of(sk)->filter(sk, BPF_SLOT_IS_LOCKED, NULL) ? -EPERM : 0;
    }
}
