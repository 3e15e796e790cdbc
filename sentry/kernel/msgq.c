/*
 * System V message queues. Not here: keys, ids and rights (ipc.c), what the system calls decode
 * (syscalls/sys_msgq.c). Locks: the table's (rank OBJ) to find a queue and for owners; the queue's
 * (OBJ, too: never both) for its messages and figures.
 */
#include "sentry/kernel/msgq.h"

#include "sentry/abi/errno.h"
#include "sentry/abi/poll.h"
#include "sentry/abi/sched.h"
#include "sentry/base/ref.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/namespace.h"
#include "sentry/kernel/pid.h"
#include "sentry/kernel/wait.h"

struct msg {
    struct list node;
    int64_t type;
    size_t size;
    char data[];
};

struct msg_queue {
    struct ipc_object ipc;
    struct ref ref;
    struct mutex lock;
    bool removed;
    struct lx_msqid_ds ds; /* perm, lspid, lrpid: not kept */
    struct pid_mark sender, receiver;
    struct list messages;
    struct waitq waiters; /* POLLIN: a message has come, POLLOUT: there is room */
};

struct msgq_space {
    struct ipc_table table;
    uint64_t messages, bytes; /* in all queues; atomic */
};

/* ---- messages ---- */

struct msg *msgq_alloc(int64_t type, size_t size)
{
    struct msg *m = size <= MSG_MAX_SIZE ? kmalloc(sizeof(*m) + size) : NULL;

    if (!m)
        return NULL;
    list_init(&m->node);
    m->type = type;
    m->size = size;
    return m;
}

void msgq_free(struct msg *m)
{
    kfree(m);
}

void *msgq_data(struct msg *m)
{
    return m->data;
}

size_t msgq_size(const struct msg *m)
{
    return m->size;
}

int64_t msgq_type(const struct msg *m)
{
    return m->type;
}

static void take_in_locked(struct msgq_space *s, struct msg_queue *q, struct msg *m)
{
    list_add_tail(&q->messages, &m->node);
    q->ds.bytes += m->size;
    q->ds.count++;
    __atomic_fetch_add(&s->bytes, m->size, __ATOMIC_RELAXED);
    __atomic_fetch_add(&s->messages, 1, __ATOMIC_RELAXED);
}

static void take_out_locked(struct msgq_space *s, struct msg_queue *q, struct msg *m)
{
    list_del(&m->node);
    q->ds.bytes -= m->size;
    q->ds.count--;
    __atomic_fetch_sub(&s->bytes, m->size, __ATOMIC_RELAXED);
    __atomic_fetch_sub(&s->messages, 1, __ATOMIC_RELAXED);
}

/* ---- queues ---- */

static struct msg_queue *queue_of(struct ipc_object *o)
{
    return o ? container_of(o, struct msg_queue, ipc) : NULL;
}

static void queue_put(struct msg_queue *q)
{
    if (!ref_put(&q->ref))
        return;
    waitq_destroy(&q->waiters);
    kfree(q);
}

/* Out of the table already, whose reference is dropped. */
static void end_queue(struct msgq_space *s, struct msg_queue *q)
{
    mutex_lock(&q->lock);
    q->removed = true;
    while (!list_empty(&q->messages)) {
        struct msg *m = list_first(&q->messages, struct msg, node);

        take_out_locked(s, q, m);
        msgq_free(m);
    }
    mutex_unlock(&q->lock);
    waitq_wake_all(&q->waiters, LX_POLLIN | LX_POLLOUT);
    queue_put(q);
}

/* The queue, with a reference, for who has these rights. */
static int find(struct task *t, int32_t id, uint32_t want, struct msg_queue **out)
{
    struct ipc_table *table = &t->ipc_ns->msgs->table;
    struct msg_queue *q;
    int err;

    mutex_lock(&table->lock);
    q = queue_of(ipc_find_locked(table, id));
    err = q ? ipc_check_rights(t, &q->ipc, want) : -EINVAL;
    if (!err) {
        ref_get(&q->ref);
        *out = q;
    }
    mutex_unlock(&table->lock);
    return err;
}

static int create_locked(struct task *t, int32_t key, uint32_t flags, int32_t *out_id)
{
    struct msg_queue *q = kmalloc(sizeof(*q));
    int err;

    if (!q)
        return -ENOMEM;
    ref_init(&q->ref);
    mutex_init(&q->lock, RANK_OBJ);
    list_init(&q->messages);
    waitq_init(&q->waiters);
    q->ds.ctime = ipc_now();
    q->ds.max_bytes = MSG_MAX_BYTES;
    err = ipc_add_locked(&t->ipc_ns->msgs->table, &q->ipc, t, key, flags);
    if (err) {
        queue_put(q);
        return err;
    }
    *out_id = ipc_id(&q->ipc);
    return 0;
}

int msgq_get_queue(struct task *t, int32_t key, uint32_t flags, int32_t *out_id)
{
    struct ipc_table *table = &t->ipc_ns->msgs->table;
    struct ipc_object *o = NULL;
    int err;

    mutex_lock(&table->lock);
    err = ipc_get_locked(table, key, flags, &o);
    if (err == 0) {
        err = create_locked(t, key, flags, out_id);
    } else if (err > 0) {
        err = ipc_check_rights(t, o, flags & IPC_MODE_BITS);
        *out_id = ipc_id(o);
    }
    mutex_unlock(&table->lock);
    return err;
}

/* ---- sending and receiving ---- */

struct transfer {
    struct task *t;
    struct msg_queue *q;
    struct msg *m;
    size_t size;
    int64_t type;
    uint32_t flags;
};

static int64_t try_send(void *arg)
{
    struct transfer *x = arg;
    struct msg_queue *q = x->q;
    int64_t r = 0;

    mutex_lock(&q->lock);
    if (q->removed) {
        r = -EIDRM;
    } else if (q->ds.bytes + x->m->size > q->ds.max_bytes || q->ds.count >= q->ds.max_bytes) {
        r = -EAGAIN;
    } else {
        take_in_locked(x->t->ipc_ns->msgs, q, x->m);
        q->sender = pid_mark_of(x->t->tg);
        q->ds.stime = ipc_now();
    }
    mutex_unlock(&q->lock);
    if (r == 0)
        waitq_wake_all(&q->waiters, LX_POLLIN); /* each may wait for another type */
    return r;
}

/* Once, or until it is done; a signal ends it for good. */
static int transfer(struct transfer *x, uint32_t events, wait_try_fn try)
{
    int64_t r;

    if (x->flags & LX_IPC_NOWAIT)
        return (int)try(x);
    r = task_wait(x->t, &x->q->waiters, events, PARK_FOREVER, try, x);
    return r == -ERESTARTSYS ? -EINTR : (int)r;
}

int msgq_send(struct task *t, int32_t id, struct msg *m, uint32_t flags)
{
    struct transfer x = {.t = t, .m = m, .flags = flags};
    int r = find(t, id, IPC_WRITE, &x.q);

    if (r)
        return r;
    r = transfer(&x, LX_POLLOUT, try_send);
    queue_put(x.q);
    return r;
}

static struct msg *pick_locked(const struct msg_queue *q, const struct transfer *x)
{
    int64_t most = x->type == INT64_MIN ? INT64_MAX : -x->type, n = x->type;
    struct msg *m, *best = NULL;

    list_for_each (m, &q->messages, node) {
        if (x->flags & LX_MSG_COPY) {
            if (n-- == 0)
                return m;
        } else if (x->type == 0) {
            return m;
        } else if (x->type > 0) {
            if ((m->type == x->type) != !!(x->flags & LX_MSG_EXCEPT))
                return m;
        } else if (m->type <= most && (!best || m->type < best->type)) {
            best = m;
        }
    }
    return best;
}

/* MSG_COPY: the message stays. */
static int copy_of(const struct msg *m, struct msg **out)
{
    struct msg *copy = msgq_alloc(m->type, m->size);

    if (!copy)
        return -ENOMEM;
    memcpy(copy->data, m->data, m->size);
    *out = copy;
    return 0;
}

static int64_t try_receive(void *arg)
{
    struct transfer *x = arg;
    struct msg_queue *q = x->q;
    struct msg *m;
    int64_t r = 0;
    bool taken = false;

    mutex_lock(&q->lock);
    m = pick_locked(q, x);
    if (q->removed) {
        r = -EIDRM;
    } else if (!m) {
        r = -EAGAIN;
    } else if (m->size > x->size && !(x->flags & LX_MSG_NOERROR)) {
        r = -E2BIG;
    } else if (x->flags & LX_MSG_COPY) {
        r = copy_of(m, &x->m);
    } else {
        take_out_locked(x->t->ipc_ns->msgs, q, m);
        q->receiver = pid_mark_of(x->t->tg);
        q->ds.rtime = ipc_now();
        x->m = m;
        taken = true;
    }
    mutex_unlock(&q->lock);
    if (taken)
        waitq_wake_all(&q->waiters, LX_POLLOUT);
    return r;
}

int msgq_receive(struct task *t, int32_t id, size_t size, int64_t type, uint32_t flags,
                 struct msg **out)
{
    struct transfer x = {.t = t, .size = size, .type = type, .flags = flags};
    int r;

    if ((flags & LX_MSG_COPY) && (!(flags & LX_IPC_NOWAIT) || (flags & LX_MSG_EXCEPT)))
        return -EINVAL;
    r = find(t, id, IPC_READ, &x.q);
    if (r)
        return r;
    r = transfer(&x, LX_POLLIN, try_receive);
    queue_put(x.q);
    *out = x.m;
    return r == -EAGAIN ? -ENOMSG : r;
}

/* ---- msgctl ---- */

int msgq_stat(struct task *t, int32_t id, bool by_index, bool any, struct lx_msqid_ds *out,
              int32_t *out_id)
{
    struct ipc_table *table = &t->ipc_ns->msgs->table;
    struct pid_mark sender, receiver;
    struct lx_ipc_perm perm;
    struct msg_queue *q;
    int err = -EINVAL;

    mutex_lock(&table->lock);
    q = queue_of(by_index ? ipc_at_locked(table, id) : ipc_find_locked(table, id));
    if (q)
        err = any ? 0 : ipc_check_rights(t, &q->ipc, IPC_READ);
    if (!err) {
        ref_get(&q->ref);
        perm = q->ipc.perm;
        *out_id = ipc_id(&q->ipc);
    }
    mutex_unlock(&table->lock);
    if (err)
        return err;
    mutex_lock(&q->lock);
    *out = q->ds;
    sender = q->sender;
    receiver = q->receiver;
    mutex_unlock(&q->lock);
    out->perm = perm;
    out->lspid = pid_mark_for(t, &sender);
    out->lrpid = pid_mark_for(t, &receiver);
    queue_put(q);
    return 0;
}

int msgq_set(struct task *t, int32_t id, const struct lx_msqid_ds *to)
{
    struct ipc_table *table = &t->ipc_ns->msgs->table;
    struct msg_queue *q;
    int err;

    mutex_lock(&table->lock);
    q = queue_of(ipc_find_locked(table, id));
    err = q ? ipc_check_owner(t, &q->ipc) : -EINVAL;
    if (!err && to->max_bytes > MSG_MAX_BYTES && !task_capable(t, LX_CAP_SYS_RESOURCE))
        err = -EPERM;
    if (!err)
        err = ipc_set_owner(&q->ipc, &to->perm);
    if (!err)
        ref_get(&q->ref);
    mutex_unlock(&table->lock);
    if (err)
        return err;
    mutex_lock(&q->lock);
    q->ds.max_bytes = to->max_bytes;
    q->ds.ctime = ipc_now();
    mutex_unlock(&q->lock);
    waitq_wake_all(&q->waiters, LX_POLLIN | LX_POLLOUT);
    queue_put(q);
    return 0;
}

int msgq_remove(struct task *t, int32_t id)
{
    struct msgq_space *s = t->ipc_ns->msgs;
    struct msg_queue *q;
    int err;

    mutex_lock(&s->table.lock);
    q = queue_of(ipc_find_locked(&s->table, id));
    err = q ? ipc_check_owner(t, &q->ipc) : -EINVAL;
    if (!err)
        ipc_remove_locked(&s->table, &q->ipc);
    mutex_unlock(&s->table.lock);
    if (!err)
        end_queue(s, q);
    return err;
}

/* The odd ones are what Linux works out of its limits, on every machine. */
int32_t msgq_info(struct task *t, bool usage, struct lx_msginfo *out)
{
    struct msgq_space *s = t->ipc_ns->msgs;
    int32_t highest;

    *out = (struct lx_msginfo){
        .pool = MSG_MAX_QUEUES * MSG_MAX_BYTES / 1024,
        .map = MSG_MAX_BYTES,
        .max = MSG_MAX_SIZE,
        .max_bytes = MSG_MAX_BYTES,
        .queues = MSG_MAX_QUEUES,
        .segment_size = 16,
        .headers = MSG_MAX_BYTES,
        .segments = 0xffff,
    };
    mutex_lock(&s->table.lock);
    highest = ipc_highest_locked(&s->table);
    if (usage) {
        out->pool = (int32_t)s->table.indices.used;
        out->map = (int32_t)__atomic_load_n(&s->messages, __ATOMIC_RELAXED);
        out->headers = (int32_t)__atomic_load_n(&s->bytes, __ATOMIC_RELAXED);
    }
    mutex_unlock(&s->table.lock);
    return highest;
}

/* ---- the table ---- */

int msgq_space_create(struct msgq_space **out)
{
    struct msgq_space *s = kmalloc(sizeof(*s));

    if (!s)
        return -ENOMEM;
    ipc_table_init(&s->table, MSG_MAX_QUEUES);
    *out = s;
    return 0;
}

void msgq_space_destroy(struct msgq_space *s)
{
    for (int32_t i = ipc_highest_locked(&s->table); i >= 0; i--) {
        struct msg_queue *q = queue_of(ipc_at_locked(&s->table, i));

        if (q) {
            ipc_remove_locked(&s->table, &q->ipc);
            end_queue(s, q);
        }
    }
    ipc_table_destroy(&s->table);
    kfree(s);
}
