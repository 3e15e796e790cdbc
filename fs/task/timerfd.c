/*
 * timerfd. The timer is not armed again when it fires but when it is next looked at, so that a tiny
 * interval costs nothing while nobody reads. Lock: timerfd.lock (rank OBJ).
 */
#include "fs/task/timerfd.h"

#include "sentry/abi/errno.h"
#include "sentry/abi/fcntl.h"
#include "sentry/base/fmt.h"
#include "sentry/base/slab.h"

/* Owned by its file. */
struct timerfd {
    struct ktimer kt;
    struct timer_queue *queue;
    enum ktimer_clock clock;
    int32_t clock_id; /* as the guest named it */
    struct waitq waiters;
    struct mutex lock;
    /* guarded by lock: */
    uint64_t expiry_ns, interval_ns; /* expiry 0: disarmed */
    uint64_t ticks;                  /* expirations not read yet */
    bool expired;                    /* fired, not armed again yet */
    int32_t set_flags;
};
SLAB_TYPE(timerfd_slab, struct timerfd);

DECLARE_OPS(file_ops, timerfd_file_ops);
DECLARE_OPS(ktimer_ops, timerfd_timer_ops);

static void timerfd_fire(struct ktimer *kt)
{
    struct timerfd *tf = container_of(kt, struct timerfd, kt);

    mutex_lock(&tf->lock);
    /* Set anew while this turn was on its way: the new one comes later. */
    if (tf->expiry_ns && !tf->expired && tf->expiry_ns > ktimer_now(tf->clock)) {
        ktimer_arm(tf->queue, &tf->kt, tf->expiry_ns);
    } else if (tf->expiry_ns && !tf->expired) {
        tf->expired = true;
        tf->ticks++;
    }
    mutex_unlock(&tf->lock);
    waitq_wake(&tf->waiters, LX_POLLIN | LX_POLLRDNORM);
}

DEFINE_OPS(ktimer_ops, timerfd_timer_ops) = {.fire = timerfd_fire};

/* Counts the periods that have passed since it fired, and arms the next. */
static void catch_up_locked(struct timerfd *tf)
{
    uint64_t skipped;

    if (!tf->expired)
        return;
    tf->expired = false;
    if (!tf->interval_ns) {
        tf->expiry_ns = 0;
        return;
    }
    tf->expiry_ns += tf->interval_ns;
    if (tf->expiry_ns <= ktimer_now(tf->clock)) {
        tf->expiry_ns =
            timer_forward(tf->expiry_ns, tf->interval_ns, ktimer_now(tf->clock), &skipped);
        tf->ticks += skipped + 1; /* the period just added has passed as well */
    }
    ktimer_arm(tf->queue, &tf->kt, tf->expiry_ns);
}

static int64_t timerfd_read(struct file *f, struct uio *uio, int64_t *pos)
{
    struct timerfd *tf = f->private_data;
    uint64_t ticks;
    int64_t r;

    if (uio->left < sizeof(ticks))
        return -EINVAL;
    mutex_lock(&tf->lock);
    if (tf->ticks)
        catch_up_locked(tf);
    ticks = tf->ticks;
    tf->ticks = 0;
    mutex_unlock(&tf->lock);
    if (!ticks)
        return -EAGAIN;
    r = uio_put(uio, &ticks, sizeof(ticks));
    return r == sizeof(ticks) ? r : -EFAULT;
}

static uint32_t timerfd_poll(struct file *f, uint32_t mask)
{
    struct timerfd *tf = f->private_data;

    return READ_ONCE(tf->ticks) ? (LX_POLLIN | LX_POLLRDNORM) & mask : 0;
}

static struct waitq *timerfd_poll_queue(struct file *f)
{
    return &((struct timerfd *)f->private_data)->waiters;
}

static void timerfd_release(struct file *f)
{
    struct timerfd *tf = f->private_data;

    ktimer_cancel_sync(tf->queue, &tf->kt);
    waitq_destroy(&tf->waiters);
    slab_free(&timerfd_slab, tf);
}

static struct itimer_value value_locked(struct timerfd *tf)
{
    uint64_t now = ktimer_now(tf->clock);
    struct itimer_value v = {.interval_ns = tf->interval_ns};

    if (tf->expiry_ns && !tf->expired)
        v.value_ns = tf->expiry_ns > now ? tf->expiry_ns - now : 1;
    return v;
}

static void timerfd_show(struct file *f, const struct pid_ns *reader, struct strbuf *out)
{
    struct timerfd *tf = f->private_data;
    struct itimer_value v;
    uint64_t ticks;

    mutex_lock(&tf->lock);
    v = value_locked(tf);
    ticks = tf->ticks;
    mutex_unlock(&tf->lock);
    strbuf_printf(out, "clockid: %d\nticks: %llu\nsettime flags: 0%o\n", tf->clock_id,
                  (unsigned long long)ticks, (unsigned)tf->set_flags);
    strbuf_printf(out, "it_value: (%llu, %llu)\nit_interval: (%llu, %llu)\n",
                  (unsigned long long)(v.value_ns / 1000000000),
                  (unsigned long long)(v.value_ns % 1000000000),
                  (unsigned long long)(v.interval_ns / 1000000000),
                  (unsigned long long)(v.interval_ns % 1000000000));
}

static void timerfd_describe(struct file *f, struct strbuf *out)
{
    strbuf_puts(out, "anon_inode:[timerfd]");
}

DEFINE_OPS(file_ops, timerfd_file_ops) = {
    .read = timerfd_read,
    .poll = timerfd_poll,
    .poll_queue = timerfd_poll_queue,
    .llseek = noop_llseek,
    .release = timerfd_release,
    .show_fdinfo = timerfd_show,
    .describe = timerfd_describe,
};

bool timerfd_is(const struct file *f)
{
    return ops_is(f->ops, &timerfd_file_ops);
}

void timerfd_set(struct file *f, bool absolute, const struct itimer_value *new,
                 struct itimer_value *out_old)
{
    struct timerfd *tf = f->private_data;
    uint64_t now;

    ktimer_cancel_sync(tf->queue, &tf->kt);
    mutex_lock(&tf->lock);
    catch_up_locked(tf);
    if (out_old)
        *out_old = value_locked(tf);
    ktimer_cancel(tf->queue, &tf->kt);
    tf->ticks = 0;
    tf->expired = false;
    tf->interval_ns = new->interval_ns;
    tf->set_flags = absolute;
    tf->expiry_ns = new->value_ns;
    now = ktimer_now(tf->clock);
    if (new->value_ns && !absolute)
        tf->expiry_ns = __builtin_add_overflow(now, new->value_ns, &tf->expiry_ns)
                            ? INT64_MAX
                            : now + new->value_ns;
    if (tf->expiry_ns)
        ktimer_arm(tf->queue, &tf->kt, tf->expiry_ns);
    mutex_unlock(&tf->lock);
}

void timerfd_get(struct file *f, struct itimer_value *out)
{
    struct timerfd *tf = f->private_data;

    mutex_lock(&tf->lock);
    if (tf->interval_ns)
        catch_up_locked(tf);
    *out = value_locked(tf);
    mutex_unlock(&tf->lock);
}

int timerfd_create(struct kernel *k, int clock, uint32_t flags, const struct cred *cred,
                   struct file **out)
{
    int kclock = ktimer_clock_of(clock);
    struct timerfd *tf;
    struct file *f;

    if (kclock < 0)
        return kclock;
    tf = slab_alloc(&timerfd_slab);
    if (!tf)
        return -ENOMEM;
    ktimer_init(&tf->kt, &timerfd_timer_ops, (enum ktimer_clock)kclock);
    tf->queue = k->timers;
    tf->clock = (enum ktimer_clock)kclock;
    tf->clock_id = clock;
    waitq_init(&tf->waiters);
    mutex_init(&tf->lock, RANK_OBJ);
    f = file_alloc_anon(&timerfd_file_ops, LX_O_RDWR | (flags & LX_O_NONBLOCK), tf, cred);
    if (!f) {
        slab_free(&timerfd_slab, tf);
        return -ENOMEM;
    }
    *out = f;
    return 0;
}
