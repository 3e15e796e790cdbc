/* eventfd(2). Waiting is the system call layer's. Lock: eventfd.lock (rank OBJ); guest memory is
 * copied outside it. */
#include "fs/eventfd.h"

#include "fs/vfs.h"
#include "sentry/abi/errno.h"
#include "sentry/base/fmt.h"
#include "sentry/base/slab.h"
#include "sentry/mm/usermem.h"

#define POLL_READABLE (LX_POLLIN | LX_POLLRDNORM)
#define POLL_WRITABLE (LX_POLLOUT | LX_POLLWRNORM)

/* Owned by its file. */
struct eventfd {
    struct mutex lock;
    uint64_t count; /* never UINT64_MAX by writes */
    bool semaphore;
    struct waitq waiters;
};
SLAB_TYPE(eventfd_slab, struct eventfd);

static int64_t eventfd_read(struct file *f, struct uio *uio, int64_t *pos)
{
    struct eventfd *e = f->private_data;
    uint64_t value;
    int64_t r;

    if (uio->left < sizeof(value))
        return -EINVAL;
    mutex_lock(&e->lock);
    value = e->semaphore && e->count ? 1 : e->count;
    e->count -= value;
    mutex_unlock(&e->lock);
    if (!value)
        return -EAGAIN;
    waitq_wake(&e->waiters, POLL_WRITABLE);
    /* As in Linux the count is gone even if it can't be delivered. */
    r = uio_put(uio, &value, sizeof(value));
    return r == sizeof(value) ? r : -EFAULT;
}

static int64_t eventfd_write(struct file *f, struct uio *uio, int64_t *pos)
{
    struct eventfd *e = f->private_data;
    uint64_t value;
    bool fits;
    int64_t r;

    if (uio->left < sizeof(value))
        return -EINVAL;
    r = uio_take(uio, &value, sizeof(value));
    if (r != sizeof(value))
        return -EFAULT;
    if (value == UINT64_MAX)
        return -EINVAL;
    mutex_lock(&e->lock);
    fits = UINT64_MAX - 1 - e->count >= value;
    if (fits)
        e->count += value;
    mutex_unlock(&e->lock);
    if (!fits) {
        uio_revert(uio, sizeof(value));
        return -EAGAIN;
    }
    waitq_wake_finish(&e->waiters, POLL_READABLE);
    return sizeof(value);
}

static uint32_t eventfd_poll(struct file *f, uint32_t mask)
{
    struct eventfd *e = f->private_data;
    uint64_t count;
    uint32_t events = 0;

    mutex_lock(&e->lock);
    count = e->count;
    mutex_unlock(&e->lock);
    if (count)
        events |= POLL_READABLE;
    if (count == UINT64_MAX)
        events |= LX_POLLERR;
    if (count < UINT64_MAX - 1)
        events |= POLL_WRITABLE;
    return events & (mask | LX_POLLERR);
}

static struct waitq *eventfd_poll_queue(struct file *f)
{
    return &((struct eventfd *)f->private_data)->waiters;
}

static void eventfd_release(struct file *f)
{
    struct eventfd *e = f->private_data;

    waitq_destroy(&e->waiters);
    slab_free(&eventfd_slab, e);
}

static void eventfd_show(struct file *f, const struct pid_ns *reader, struct strbuf *out)
{
    struct eventfd *e = f->private_data;

    strbuf_printf(out, "eventfd-count: %16llx\n", (unsigned long long)READ_ONCE(e->count));
}

static void eventfd_describe(struct file *f, struct strbuf *out)
{
    strbuf_puts(out, "anon_inode:[eventfd]");
}

DEFINE_OPS(file_ops, eventfd_file_ops) = {
    .read = eventfd_read,
    .write = eventfd_write,
    .poll = eventfd_poll,
    .poll_queue = eventfd_poll_queue,
    .llseek = noop_llseek,
    .release = eventfd_release,
    .show_fdinfo = eventfd_show,
    .describe = eventfd_describe,
};

int eventfd_create(uint32_t initial, uint32_t flags, const struct cred *cred, struct file **out)
{
    struct eventfd *e = slab_alloc(&eventfd_slab);
    struct file *f;

    if (!e)
        return -ENOMEM;
    mutex_init(&e->lock, RANK_OBJ);
    waitq_init(&e->waiters);
    e->count = initial;
    e->semaphore = flags & LX_EFD_SEMAPHORE;
    f = file_alloc_anon(&eventfd_file_ops, LX_O_RDWR | (flags & LX_O_NONBLOCK), e, cred);
    if (!f) {
        slab_free(&eventfd_slab, e);
        return -ENOMEM;
    }
    *out = f;
    return 0;
}
