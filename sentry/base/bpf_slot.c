/* A socket's filter: setting, locking, inheriting. The owner's lock is held. */
#include "sentry/base/bpf_slot.h"

#include "sentry/abi/errno.h"
#include "sentry/base/slab.h"

int bpf_slot_do(struct bpf_slot *s, enum bpf_slot_what what, struct bpf_prog **prog)
{
    struct bpf_prog *old = s->prog;

    if (what == BPF_SLOT_IS_LOCKED)
        return s->locked;
    if (what == BPF_SLOT_LOCK) {
        s->locked = true;
        return 0;
    }
    if (s->locked)
        return -EPERM;
    if (!old && !*prog)
        return -ENOENT;
    s->prog = *prog;
    *prog = old;
    return 0;
}

void bpf_slot_inherit(struct bpf_slot *to, const struct bpf_slot *from)
{
    if (from->prog)
        ref_get(&from->prog->ref);
    *to = *from;
}

void bpf_slot_clear(struct bpf_slot *s)
{
    bpf_prog_put(s->prog);
    s->prog = NULL;
}

void bpf_prog_put(struct bpf_prog *p)
{
    if (p && ref_put(&p->ref))
        kfree(p);
}
