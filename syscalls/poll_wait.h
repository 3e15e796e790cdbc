/* Waiting for several files at once: what poll and select are made of. */
#pragma once

#include "syscalls/io.h"

struct poll_entry {
    struct file *file; /* one reference, or NULL: never ready */
    uint32_t mask;     /* POLL* wanted; ERR and HUP always count */
    uint32_t got;
    struct park_waiter waiter;
};

/* Until one entry is ready: their number; 0 when deadline_ns (absolute host CLOCK_MONOTONIC; 0: do
 * not wait) has passed; -ERESTARTSYS. */
int64_t poll_entries(struct task *t, struct poll_entry *entries, uint32_t count,
                     uint64_t deadline_ns) MUST_CHECK;

/* A signal mask for the time of one call. size must be 8 when set is not null. */
int poll_mask_set(struct task *t, uaddr_t set, uint64_t size) MUST_CHECK;
/* Puts the old one back unless interrupted: then it is put back after the handler. */
void poll_mask_done(struct task *t, bool was_set, bool interrupted);

/* A timeout's deadline: a null pointer is forever. -EFAULT, -EINVAL. 0 means "do not wait". */
int poll_deadline(struct task *t, uaddr_t timespec, uint64_t *out_deadline) MUST_CHECK;
/* What is left of a deadline, written back to the guest's timespec; faults are ignored as in Linux.
 */
void poll_put_left(struct task *t, uaddr_t timespec, uint64_t deadline);
uint64_t poll_left_ns(uint64_t deadline);
