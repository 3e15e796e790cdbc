/* poll, ppoll, select, pselect6. epoll is in sys_epoll.c. Sources: poll(2), select(2). */
#include "sentry/abi/types.h"
#include "sentry/base/string.h"
#include "syscalls/poll_wait.h"

#define NS_PER_MS 1000000ULL
#define ON_STACK  8

/* ---- poll ---- */

/* One round over a guest's array already copied in. */
static int64_t poll_array(struct task *t, struct lx_pollfd *fds, struct poll_entry *entries,
                          uint32_t count, uint64_t deadline)
{
    int64_t r, bad = 0, ready = 0;

    for (uint32_t i = 0; i < count; i++) {
        entries[i].file = fds[i].fd >= 0 ? task_file(t, fds[i].fd) : NULL;
        entries[i].mask = (uint16_t)fds[i].events;
        bad += fds[i].fd >= 0 && !entries[i].file;
    }
    r = poll_entries(t, entries, count, bad ? 0 : deadline);
    for (uint32_t i = 0; i < count; i++) {
        fds[i].revents = (int16_t)entries[i].got;
        if (fds[i].fd >= 0 && !entries[i].file)
            fds[i].revents = LX_POLLNVAL;
        ready += fds[i].revents != 0;
        if (entries[i].file)
            file_put(entries[i].file);
    }
    return r < 0 ? r : ready;
}

static int64_t put_revents(struct task *t, uaddr_t p, const struct lx_pollfd *fds, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uaddr_t at = uaddr_add(p, i * sizeof(fds[0]) + offsetof(struct lx_pollfd, revents));

        if (copy_out_obj(&t->us, at, &fds[i].revents))
            return -EFAULT;
    }
    return 0;
}

static int64_t poll_with(struct task *t, uaddr_t p, struct lx_pollfd *fds,
                         struct poll_entry *entries, uint32_t count, uint64_t deadline)
{
    int64_t r;

    if (copy_in(&t->us, fds, p, count * sizeof(fds[0])))
        return -EFAULT;
    r = poll_array(t, fds, entries, count, deadline);
    if (r >= 0 && count <= ON_STACK && copy_out(&t->us, p, fds, count * sizeof(fds[0])))
        return -EFAULT;
    if (r >= 0 && count > ON_STACK && put_revents(t, p, fds, count))
        return -EFAULT;
    return r;
}

static int64_t do_poll(struct task *t, uaddr_t p, uint32_t count, uint64_t deadline)
{
    struct poll_entry few[ON_STACK];
    struct lx_pollfd few_fds[ON_STACK];
    struct poll_entry *entries;
    struct lx_pollfd *fds;
    int64_t r = -ENOMEM;

    if (count > task_rlimit(t, LX_RLIMIT_NOFILE))
        return -EINVAL;
    if (count <= ON_STACK)
        return poll_with(t, p, few_fds, few, count, deadline);
    entries = kmalloc(count * sizeof(entries[0]));
    fds = kmalloc(count * sizeof(fds[0]));
    if (entries && fds)
        r = poll_with(t, p, fds, entries, count, deadline);
    kfree(entries);
    kfree(fds);
    return r;
}

int64_t syscall_restart_poll(struct task *t)
{
    int64_t r =
        do_poll(t, uaddr(t->restart.arg[0]), (uint32_t)t->restart.arg[1], t->restart.arg[2]);

    return r == -ERESTARTSYS ? -ERESTART_RESTARTBLOCK : r;
}

int64_t sys_poll(struct task *t, const struct syscall_args *a)
{
    int32_t ms = ARG_INT(2);
    uint64_t deadline = ms < 0 ? PARK_FOREVER
                        : ms   ? deadline_after_ns((uint64_t)ms * NS_PER_MS)
                               : 0;
    int64_t r = do_poll(t, ARG_PTR(0), ARG_U32(1), deadline);

    if (r != -ERESTARTSYS)
        return r;
    t->restart.kind = RESTART_POLL;
    t->restart.arg[0] = a->arg[0];
    t->restart.arg[1] = ARG_U32(1);
    t->restart.arg[2] = deadline;
    return -ERESTART_RESTARTBLOCK;
}

int64_t sys_ppoll(struct task *t, const struct syscall_args *a)
{
    uint64_t deadline;
    int64_t r;
    int err = poll_deadline(t, ARG_PTR(2), &deadline);

    if (!err)
        err = poll_mask_set(t, ARG_PTR(3), ARG_U64(4));
    if (err)
        return err;
    r = do_poll(t, ARG_PTR(0), ARG_U32(1), deadline);
    if (r == -ERESTARTSYS)
        r = -ERESTARTNOHAND;
    poll_mask_done(t, a->arg[3], r == -ERESTARTNOHAND);
    poll_put_left(t, ARG_PTR(2), deadline);
    return r;
}

/* ---- select ---- */

#define SELECT_IN  (LX_POLLRDNORM | LX_POLLRDBAND | LX_POLLIN | LX_POLLHUP | LX_POLLERR)
#define SELECT_OUT (LX_POLLWRBAND | LX_POLLWRNORM | LX_POLLOUT | LX_POLLERR)
#define SELECT_EX  LX_POLLPRI

/* Three sets of words each; the results go where the requests were. */
struct select_sets {
    uint64_t *set[3]; /* in, out, exceptional; NULL: not given */
    uint32_t bits, words;
};

static const uint32_t select_events[3] = {SELECT_IN, SELECT_OUT, SELECT_EX};

static uint32_t wanted_events(const struct select_sets *s, uint32_t fd)
{
    uint32_t mask = 0;

    for (int k = 0; k < 3; k++) {
        if (s->set[k] && (s->set[k][fd / 64] >> (fd % 64) & 1))
            mask |= select_events[k];
    }
    return mask;
}

/* Entries for every descriptor named in a set; their descriptors into fds. The count, or -EBADF. */
static int64_t select_entries(struct task *t, const struct select_sets *s,
                              struct poll_entry *entries, uint32_t *fds)
{
    uint32_t count = 0;

    for (uint32_t fd = 0; fd < s->bits; fd++) {
        uint32_t mask = wanted_events(s, fd);

        if (!mask)
            continue;
        entries[count].file = task_file(t, (int)fd);
        entries[count].mask = mask;
        if (!entries[count].file) {
            while (count)
                file_put(entries[--count].file);
            return -EBADF;
        }
        fds[count++] = fd;
    }
    return count;
}

static uint32_t count_wanted(const struct select_sets *s)
{
    uint32_t n = 0;

    for (uint32_t fd = 0; fd < s->bits; fd++)
        n += wanted_events(s, fd) != 0;
    return n;
}

/* Turns the request sets into result sets. */
static int64_t select_results(struct select_sets *s, const struct poll_entry *entries,
                              const uint32_t *fds, uint32_t count)
{
    int64_t total = 0;

    for (uint32_t i = 0; i < count; i++) {
        uint64_t bit = 1ULL << (fds[i] % 64);

        for (int k = 0; k < 3; k++) {
            if (!s->set[k] || !(s->set[k][fds[i] / 64] & bit))
                continue;
            if (entries[i].got & select_events[k])
                total++;
            else
                s->set[k][fds[i] / 64] &= ~bit;
        }
    }
    return total;
}

static int64_t select_wait(struct task *t, struct select_sets *s, uint64_t deadline)
{
    uint32_t wanted = count_wanted(s);
    struct poll_entry *entries = kmalloc(MAX(wanted, 1) * sizeof(entries[0]));
    uint32_t *fds = kmalloc(MAX(wanted, 1) * sizeof(fds[0]));
    int64_t count, r = -ENOMEM;

    if (entries && fds) {
        count = r = select_entries(t, s, entries, fds);
        if (count >= 0) {
            r = poll_entries(t, entries, (uint32_t)count, deadline);
            if (r >= 0)
                r = select_results(s, entries, fds, (uint32_t)count);
            for (int64_t i = 0; i < count; i++)
                file_put(entries[i].file);
        }
    }
    kfree(entries);
    kfree(fds);
    return r;
}

static int64_t do_select(struct task *t, int32_t n, const uint64_t sets[3], uint64_t deadline)
{
    uint32_t max = READ_ONCE(t->files->capacity);
    struct select_sets s = {.bits = 0};
    uint64_t *memory;
    int64_t r = 0;

    if (n < 0)
        return -EINVAL;
    s.bits = MIN((uint32_t)n, max);
    s.words = (s.bits + 63) / 64;
    memory = kmalloc(MAX(s.words, 1) * 3 * sizeof(uint64_t));
    if (!memory)
        return -ENOMEM;
    for (int k = 0; k < 3 && !r; k++) {
        if (!sets[k])
            continue;
        s.set[k] = memory + (size_t)k * s.words;
        if (copy_in(&t->us, s.set[k], uaddr(sets[k]), s.words * sizeof(uint64_t)))
            r = -EFAULT;
    }
    if (!r)
        r = select_wait(t, &s, deadline);
    for (int k = 0; k < 3 && r >= 0; k++) {
        if (s.set[k] && copy_out(&t->us, uaddr(sets[k]), s.set[k], s.words * sizeof(uint64_t)))
            r = -EFAULT;
    }
    kfree(memory);
    return r == -ERESTARTSYS ? -ERESTARTNOHAND : r;
}

int64_t sys_select(struct task *t, const struct syscall_args *a)
{
    uint64_t deadline = PARK_FOREVER, ns;
    struct lx_timeval tv;
    int64_t r;

    if (a->arg[4]) {
        if (copy_in_obj(&t->us, &tv, ARG_PTR(4)))
            return -EFAULT;
        if (tv.sec < 0 || tv.usec < 0)
            return -EINVAL;
        if (timespec_to_ns(
                &(struct lx_timespec){tv.sec + tv.usec / 1000000, tv.usec % 1000000 * 1000}, &ns))
            return -EINVAL;
        deadline = ns ? deadline_after_ns(ns) : 0;
    }
    r = do_select(t, ARG_INT(0), &a->arg[1], deadline);
    if (a->arg[4] && deadline != PARK_FOREVER) {
        ns = poll_left_ns(deadline);
        tv = (struct lx_timeval){(int64_t)(ns / 1000000000), (int64_t)(ns % 1000000000 / 1000)};
        if (copy_out_obj(&t->us, ARG_PTR(4), &tv))
            return r;
    }
    return r;
}

int64_t sys_pselect6(struct task *t, const struct syscall_args *a)
{
    struct {
        uint64_t set, size;
    } mask = {0, 0};
    uint64_t deadline;
    int64_t r;
    int err;

    if (a->arg[5] && copy_in_obj(&t->us, &mask, ARG_PTR(5)))
        return -EFAULT;
    err = poll_deadline(t, ARG_PTR(4), &deadline);
    if (!err)
        err = poll_mask_set(t, uaddr(mask.set), mask.size);
    if (err)
        return err;
    r = do_select(t, ARG_INT(0), &a->arg[1], deadline);
    poll_mask_done(t, mask.set, r == -ERESTARTNOHAND);
    poll_put_left(t, ARG_PTR(4), deadline);
    return r;
}
