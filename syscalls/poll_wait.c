/* Waiting for several files at once, temporary signal masks and timeouts of the calls that do. No
 * system call is here. */
#include "syscalls/poll_wait.h"

#include "platform/host/host.h"

#define NS_PER_SEC           1000000000ULL
#define HOST_CLOCK_MONOTONIC 1

struct poll_try {
    struct poll_entry *entries;
    uint32_t count;
};

static int64_t try_poll(void *arg)
{
    struct poll_try *p = arg;
    int64_t ready = 0;

    for (uint32_t i = 0; i < p->count; i++) {
        struct poll_entry *e = &p->entries[i];

        e->got = e->file ? file_poll(e->file, e->mask) : 0;
        if (e->got)
            ready++;
    }
    return ready ? ready : -EAGAIN;
}

int64_t poll_entries(struct task *t, struct poll_entry *entries, uint32_t count,
                     uint64_t deadline_ns)
{
    struct poll_try p = {entries, count};
    int64_t r = try_poll(&p);

    if (r != -EAGAIN)
        return r;
    if (!deadline_ns)
        return 0;
    for (uint32_t i = 0; i < count; i++) {
        struct waitq *q = entries[i].file ? file_poll_queue(entries[i].file) : NULL;

        park_waiter_init(&entries[i].waiter, &t->parker, entries[i].mask | LX_POLLERR | LX_POLLHUP);
        if (q)
            waitq_add(q, &entries[i].waiter.w);
    }
    r = task_wait(t, NULL, 0, deadline_ns, try_poll, &p);
    for (uint32_t i = 0; i < count; i++)
        waitq_remove(&entries[i].waiter.w);
    return r == -ETIMEDOUT ? 0 : r;
}

int poll_mask_set(struct task *t, uaddr_t set, uint64_t size)
{
    lx_sigset_t mask;

    if (uaddr_is_null(set))
        return 0;
    if (size != sizeof(mask))
        return -EINVAL;
    if (copy_in_obj(&t->us, &mask, set))
        return -EFAULT;
    signal_set_temporary_mask(t, mask);
    return 0;
}

void poll_mask_done(struct task *t, bool was_set, bool interrupted)
{
    if (was_set && !interrupted)
        signal_restore_mask(t);
}

int poll_deadline(struct task *t, uaddr_t timespec, uint64_t *out_deadline)
{
    struct lx_timespec ts;
    uint64_t ns;
    int err;

    if (uaddr_is_null(timespec)) {
        *out_deadline = PARK_FOREVER;
        return 0;
    }
    if (copy_in_obj(&t->us, &ts, timespec))
        return -EFAULT;
    err = timespec_to_ns(&ts, &ns);
    if (err)
        return err;
    *out_deadline = ns ? deadline_after_ns(ns) : 0;
    return 0;
}

uint64_t poll_left_ns(uint64_t deadline)
{
    uint64_t now;

    if (!deadline)
        return 0;
    now = host_clock_ns(HOST_CLOCK_MONOTONIC);
    return now < deadline ? deadline - now : 0;
}

void poll_put_left(struct task *t, uaddr_t timespec, uint64_t deadline)
{
    uint64_t left;
    struct lx_timespec ts;

    if (uaddr_is_null(timespec) || deadline == PARK_FOREVER)
        return;
    left = poll_left_ns(deadline);
    ts = (struct lx_timespec){(int64_t)(left / NS_PER_SEC), (int64_t)(left % NS_PER_SEC)};
    if (copy_out_obj(&t->us, timespec, &ts))
        return;
}
