/*
 * Message queues: opening, sending, receiving, notification. Not here: names (mqueue_fs.c), what
 * system calls decode (syscalls/sys_mqueue.c). Locks: the root's inode.lock for names; a queue's
 * own (rank OBJ) for its messages.
 */
#include "fs/task/mqueue_int.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/fcntl.h"
#include "sentry/abi/poll.h"
#include "sentry/abi/sched.h"
#include "sentry/abi/signal_num.h"
#include "sentry/base/fmt.h"
#include "sentry/base/string.h"
#include "sentry/kernel/limits.h"
#include "sentry/kernel/pid.h"
#include "sentry/kernel/wait.h"

SLAB_TYPE(mqueue_message_slab, struct mqueue_message);

/* ---- names ---- */

static int check_name(const char *name)
{
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strchr(name, '/'))
        return -EACCES;
    return strlen(name) > 255 ? -ENAMETOOLONG : 0;
}

/* The file system of t's queues, a reference, with its root locked. */
static int lock_names(struct task *t, const char *name, struct mqueue_fs **out)
{
    struct superblock *sb;
    int err = check_name(name);

    if (!err)
        err = mqueue_fs_get(t->ipc_ns, &sb);
    if (err)
        return err;
    mutex_lock(&sb->root->lock);
    *out = (struct mqueue_fs *)(void *)sb;
    return 0;
}

static int access_of(uint32_t flags)
{
    switch (flags & LX_O_ACCMODE) {
    case LX_O_RDONLY:
        return MAY_READ;
    case LX_O_WRONLY:
        return MAY_WRITE;
    default:
        return MAY_READ | MAY_WRITE;
    }
}

static int find_or_create_locked(struct task *t, struct mqueue_fs *fs, const char *name,
                                 uint32_t flags, uint32_t mode, const struct lx_mq_attr *attr,
                                 struct mqueue **out)
{
    struct mqueue *q = mqueue_find_locked(fs, name);
    int err = 0;

    if (!q) {
        if (!(flags & LX_O_CREAT))
            return -ENOENT;
        err = inode_permission(fs->sb.root, MAY_WRITE | MAY_EXEC, t->cred);
        return err ? err
                   : mqueue_create_locked(fs, name, mode & ~READ_ONCE(t->fs->umask), t->cred, attr,
                                          task_rlimit(t, LX_RLIMIT_MSGQUEUE), out);
    }
    if ((flags & LX_O_CREAT) && (flags & LX_O_EXCL))
        err = -EEXIST;
    else if ((flags & LX_O_ACCMODE) == LX_O_ACCMODE)
        err = -EINVAL;
    else
        err = inode_permission(&q->inode, access_of(flags), t->cred);
    if (err)
        inode_put(&q->inode);
    else
        *out = q;
    return err;
}

int mqueue_open(struct task *t, const char *name, uint32_t flags, uint32_t mode,
                const struct lx_mq_attr *attr, struct file **out)
{
    struct mqueue_fs *fs;
    struct mqueue *q;
    struct file *f;
    int err = lock_names(t, name, &fs);

    if (err)
        return err;
    err = find_or_create_locked(t, fs, name, flags, mode, attr, &q);
    mutex_unlock(&fs->sb.root->lock);
    sb_put(&fs->sb);
    if (err)
        return err;
    f = file_alloc_anon(&mqueue_file_ops, flags & (LX_O_ACCMODE | LX_O_NONBLOCK), NULL, t->cred);
    if (!f) {
        inode_put(&q->inode);
        return -ENOMEM;
    }
    f->inode = &q->inode;
    *out = f;
    return 0;
}

static int check_unlink(struct task *t, const struct inode *root, const struct inode *inode)
{
    if (t->cred->fsuid == inode->uid || t->cred->fsuid == root->uid)
        return 0;
    return task_capable(t, LX_CAP_FOWNER) ? 0 : -EPERM; /* the directory is sticky */
}

int mqueue_unlink(struct task *t, const char *name)
{
    struct mqueue_fs *fs;
    struct mqueue *q;
    int err = lock_names(t, name, &fs);

    if (err)
        return err;
    q = mqueue_find_locked(fs, name);
    err = q ? inode_permission(fs->sb.root, MAY_WRITE | MAY_EXEC, t->cred) : -ENOENT;
    if (!err)
        err = check_unlink(t, fs->sb.root, &q->inode);
    if (!err)
        mqueue_unname_locked(fs, q);
    mutex_unlock(&fs->sb.root->lock);
    if (q)
        inode_put(&q->inode);
    sb_put(&fs->sb);
    return err;
}

/* ---- messages ---- */

static void message_free(struct mqueue_message *m)
{
    kfree(m->data);
    slab_free(&mqueue_message_slab, m);
}

void mqueue_drop_contents(struct mqueue *q)
{
    while (!list_empty(&q->messages)) {
        struct mqueue_message *m = list_first(&q->messages, struct mqueue_message, node);

        list_del(&m->node);
        message_free(m);
    }
    if (q->notify.tg)
        thread_group_put(q->notify.tg);
}

/* Behind those of its priority. */
static void put_locked(struct mqueue *q, struct mqueue_message *m)
{
    struct mqueue_message *at;

    list_for_each (at, &q->messages, node) {
        if (at->priority < m->priority)
            break;
    }
    list_add_tail(&at->node, &m->node); /* before at, or at the end */
    q->count++;
    q->bytes += m->size;
}

struct transfer {
    struct task *t;
    struct mqueue *q;
    struct mqueue_message *m;
    struct thread_group *notify; /* whom to tell, once the lock is dropped */
    struct mqueue_event event;
};

static int64_t try_send(void *arg)
{
    struct transfer *x = arg;
    struct mqueue *q = x->q;
    int64_t r = 0;

    mutex_lock(&q->lock);
    if (q->count >= q->max_messages) {
        r = -EAGAIN;
    } else {
        put_locked(q, x->m);
        if (q->count == 1 && !q->receivers && q->notify.tg) {
            x->notify = q->notify.tg;
            x->event = q->notify.event;
            q->notify.tg = NULL;
        }
    }
    mutex_unlock(&q->lock);
    if (r == 0)
        waitq_wake(&q->waiters, LX_POLLIN | LX_POLLRDNORM);
    return r;
}

static int64_t try_receive(void *arg)
{
    struct transfer *x = arg;
    struct mqueue *q = x->q;

    mutex_lock(&q->lock);
    if (q->count) {
        x->m = list_first(&q->messages, struct mqueue_message, node);
        list_del(&x->m->node);
        q->count--;
        q->bytes -= x->m->size;
    }
    mutex_unlock(&q->lock);
    if (!x->m)
        return -EAGAIN;
    waitq_wake(&q->waiters, LX_POLLOUT | LX_POLLWRNORM);
    return 0;
}

static void tell(struct transfer *x)
{
    struct thread_group *tg = x->notify;
    const struct lx_siginfo info = {.signo = x->event.signo,
                                    .code = LX_SI_MESGQ,
                                    .pid = pid_nr_in(tg->pid_ns, x->t->tg->tgid),
                                    .uid = x->t->cred->uid,
                                    .value = x->event.value};

    if (x->event.notify == LX_SIGEV_SIGNAL)
        (void)signal_send_group(tg, x->event.signo, &info);
    thread_group_put(tg);
}

/* The queue of a file that is open for this, or NULL. */
static struct mqueue *queue_for(struct file *f, uint32_t mode)
{
    return f->mode & mode ? mqueue_of(f->inode) : NULL;
}

int64_t mqueue_message_size(struct file *f)
{
    struct mqueue *q = queue_for(f, FMODE_WRITE);

    return q ? q->message_size : -EBADF;
}

int mqueue_send(struct task *t, struct file *f, char *data, size_t size, uint32_t priority,
                uint64_t deadline_ns)
{
    struct transfer x = {.t = t, .q = queue_for(f, FMODE_WRITE)};
    int r;

    if (!x.q)
        return -EBADF;
    if ((int64_t)size > x.q->message_size)
        return -EMSGSIZE;
    x.m = slab_alloc(&mqueue_message_slab);
    if (!x.m)
        return -ENOMEM;
    *x.m = (struct mqueue_message){.data = data, .size = size, .priority = priority};
    list_init(&x.m->node);
    r = (int)(READ_ONCE(f->flags) & LX_O_NONBLOCK
                  ? try_send(&x)
                  : task_wait_exclusive(t, &x.q->waiters, LX_POLLOUT, deadline_ns, try_send, &x));
    if (r)
        slab_free(&mqueue_message_slab, x.m);
    if (x.notify)
        tell(&x);
    return r;
}

static int receive_waiting(struct task *t, struct transfer *x, uint64_t deadline_ns)
{
    int r;

    mutex_lock(&x->q->lock);
    x->q->receivers++;
    mutex_unlock(&x->q->lock);
    r = (int)task_wait_exclusive(t, &x->q->waiters, LX_POLLIN, deadline_ns, try_receive, x);
    mutex_lock(&x->q->lock);
    x->q->receivers--;
    mutex_unlock(&x->q->lock);
    return r;
}

int mqueue_receive(struct task *t, struct file *f, size_t room, uint64_t deadline_ns, char **out,
                   size_t *size, uint32_t *priority)
{
    struct transfer x = {.t = t, .q = queue_for(f, FMODE_READ)};
    int r;

    if (!x.q)
        return -EBADF;
    if (room < (size_t)x.q->message_size)
        return -EMSGSIZE;
    r = (int)try_receive(&x);
    if (r == -EAGAIN && !(READ_ONCE(f->flags) & LX_O_NONBLOCK))
        r = receive_waiting(t, &x, deadline_ns);
    if (r)
        return r;
    *out = x.m->data;
    *size = x.m->size;
    *priority = x.m->priority;
    slab_free(&mqueue_message_slab, x.m);
    return 0;
}

int mqueue_notify(struct task *t, struct file *f, const struct mqueue_event *event)
{
    struct mqueue *q = mqueue_of(f->inode);
    struct thread_group *old = NULL;
    int err = 0;

    if (!q)
        return -EBADF;
    mutex_lock(&q->lock);
    if (!event) {
        if (q->notify.tg == t->tg) {
            old = q->notify.tg;
            q->notify.tg = NULL;
        }
    } else if (q->notify.tg && !READ_ONCE(q->notify.tg->exited)) {
        err = -EBUSY;
    } else {
        old = q->notify.tg;
        q->notify.tg = thread_group_get(t->tg);
        q->notify.event = *event;
    }
    mutex_unlock(&q->lock);
    if (old)
        thread_group_put(old);
    return err;
}

int mqueue_attr(struct file *f, const struct lx_mq_attr *new, struct lx_mq_attr *old)
{
    struct mqueue *q = mqueue_of(f->inode);

    if (new && (new->flags & ~(int64_t)LX_O_NONBLOCK))
        return -EINVAL;
    if (!q)
        return -EBADF;
    mutex_lock(&q->lock);
    if (old)
        *old = (struct lx_mq_attr){.flags = READ_ONCE(f->flags) & LX_O_NONBLOCK,
                                   .max_messages = q->max_messages,
                                   .message_size = q->message_size,
                                   .messages = q->count};
    if (new)
        WRITE_ONCE(f->flags, (f->flags & ~LX_O_NONBLOCK) | (uint32_t) new->flags);
    mutex_unlock(&q->lock);
    return 0;
}

/* ---- as a file ---- */

static int64_t read(struct file *f, struct uio *uio, int64_t *pos)
{
    struct mqueue *q = mqueue_of(f->inode);
    char text[MQUEUE_FILE_SIZE + 1];
    int64_t size, r;

    mutex_lock(&q->lock);
    size = cv_snprintf(
        text, sizeof(text), "QSIZE:%-10llu NOTIFY:%-5d SIGNO:%-5d NOTIFY_PID:%-6d\n",
        (unsigned long long)q->bytes, q->notify.tg ? q->notify.event.notify : 0,
        q->notify.tg && q->notify.event.notify == LX_SIGEV_SIGNAL ? q->notify.event.signo : 0,
        q->notify.tg ? q->notify.tg->own_tgid : 0);
    mutex_unlock(&q->lock);
    if (*pos >= size)
        return 0;
    r = uio_put(uio, text + *pos, (size_t)(size - *pos));
    if (r > 0)
        *pos += r;
    return r;
}

static uint32_t poll(struct file *f, uint32_t mask)
{
    struct mqueue *q = mqueue_of(f->inode);
    uint32_t events = 0;

    mutex_lock(&q->lock);
    if (q->count)
        events |= LX_POLLIN | LX_POLLRDNORM;
    if (q->count < q->max_messages)
        events |= LX_POLLOUT | LX_POLLWRNORM;
    mutex_unlock(&q->lock);
    return events & mask;
}

static struct waitq *poll_queue(struct file *f)
{
    return &mqueue_of(f->inode)->waiters;
}

static void describe(struct file *f, struct strbuf *out)
{
    struct mqueue *q = mqueue_of(f->inode);

    strbuf_printf(out, "/%s%s", q->name, READ_ONCE(q->inode.nlink) ? "" : " (deleted)");
}

DEFINE_OPS(file_ops, mqueue_file_ops) = {
    .read = read,
    .poll = poll,
    .poll_queue = poll_queue,
    .llseek = generic_file_llseek,
    .describe = describe,
};
