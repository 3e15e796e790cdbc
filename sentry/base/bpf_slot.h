/*
 * The filter of a socket: SO_ATTACH_FILTER, SO_DETACH_FILTER, SO_LOCK_FILTER. A program is counted,
 * as a listener's goes on to the connections it accepts, and never changes. The slot is guarded by
 * its owner's lock. Sources: socket(7), kernel document filter.rst.
 */
#pragma once

#include "sentry/base/bpf.h"
#include "sentry/base/ref.h"

struct bpf_prog {
    struct ref ref;
    uint32_t count;
    struct bpf_insn insns[]; /* checked, of BPF_PACKET */
};

struct bpf_slot {
    struct bpf_prog *prog; /* one reference, or NULL */
    bool locked;           /* for good: it stays what it is */
};

enum bpf_slot_what { BPF_SLOT_SET, BPF_SLOT_LOCK, BPF_SLOT_IS_LOCKED };

/*
 * SET puts *prog there (NULL: none) and gives back what was, for bpf_prog_put outside locks: -EPERM
 * when it is locked, -ENOENT when there was nothing to take away. IS_LOCKED: 0 or 1.
 */
int bpf_slot_do(struct bpf_slot *s, enum bpf_slot_what what, struct bpf_prog **prog) MUST_CHECK;
/* For a connection that a listener made. to is empty. */
void bpf_slot_inherit(struct bpf_slot *to, const struct bpf_slot *from);
/* Its owner goes. */
void bpf_slot_clear(struct bpf_slot *s);
void bpf_prog_put(struct bpf_prog *p); /* NULL is fine */
