/*
 * What all sockets share: the file around one, references, and SOL_SOCKET options. Families are in
 * unix*.c. Lock: sock.lock (rank OBJ).
 */
#include "fs/sock/sock.h"

#include "fs/inode.h"
#include "fs/sock/netns.h"
#include "fs/vfs.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "sentry/abi/socket.h"
#include "sentry/base/fmt.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"

#define NS_PER_SEC      1000000000ULL
#define SOCK_MIN_SNDBUF 4608U
#define SOCK_MIN_RCVBUF 2304U

DECLARE_OPS(file_ops, sock_file_ops);

void sock_init(struct sock *sk, const void *ops, int family, int type, int protocol)
{
    ref_init(&sk->ref);
    sk->ops = ops_ref(ops);
    sk->family = family;
    sk->type = type;
    sk->protocol = protocol;
    waitq_init(&sk->waiters);
    mutex_init(&sk->lock, RANK_OBJ);
    sk->sndbuf = SOCK_DEFAULT_BUF;
    sk->rcvbuf = SOCK_DEFAULT_BUF;
    sk->sndtimeo_ns = sk->rcvtimeo_ns = UINT64_MAX;
    sk->rcvlowat = 1;
    sk->peer_cred = (struct sock_cred){.uid = UINT32_MAX, .gid = UINT32_MAX};
    sk->ino = vfs_next_anon_ino();
}

struct sock *sock_get(struct sock *sk)
{
    ref_get(&sk->ref);
    return sk;
}

void sock_put(struct sock *sk)
{
    if (!ref_put(&sk->ref))
        return;
    waitq_destroy(&sk->waiters);
    sock_ops_of(sk)->destroy(sk);
}

struct sock *sock_of(const struct file *f)
{
    return ops_is(f->ops, &sock_file_ops) ? f->private_data : NULL;
}

uint64_t sock_timeout_ns(const struct file *f, bool send)
{
    struct sock *sk = sock_of(f);

    if (!sk)
        return UINT64_MAX;
    return send ? READ_ONCE(sk->sndtimeo_ns) : READ_ONCE(sk->rcvtimeo_ns);
}

void sock_cmsg_add(struct sock_recv *r, int level, int type, const void *data, uint32_t size)
{
    struct {
        uint64_t size;
        int32_t level, type;
    } h = {sizeof(h) + size, level, type};
    uint32_t whole = (uint32_t)((sizeof(h) + size + 7) & ~7UL);
    struct sock_cmsgs *c = r->cmsgs;

    if (!c || c->used + whole > sizeof(c->data))
        return;
    memset(c->data + c->used, 0, whole);
    memcpy(c->data + c->used, &h, sizeof(h));
    memcpy(c->data + c->used + sizeof(h), data, size);
    c->used += whole;
}

struct sock_cred sock_cred_of(const struct task *t)
{
    return (struct sock_cred){
        .pid = pid_mark_of(t->tg), .uid = t->cred->euid, .gid = t->cred->egid};
}

struct lx_ucred sock_cred_for(const struct task *reader, const struct sock_cred *c)
{
    return (struct lx_ucred){.pid = pid_mark_for(reader, &c->pid), .uid = c->uid, .gid = c->gid};
}

/* ---- as a file: read and write are recv and send without flags ---- */

static int64_t sock_read(struct file *f, struct uio *uio, int64_t *pos)
{
    struct sock *sk = f->private_data;
    struct sock_recv r = {.t = task_of_uio(uio), .uio = uio};
    int64_t n = sock_ops_of(sk)->recv(sk, &r);

    for (uint32_t i = 0; i < r.file_count; i++)
        file_put(r.files[i]);
    kfree(r.files);
    return n;
}

static int64_t sock_write(struct file *f, struct uio *uio, int64_t *pos)
{
    struct sock *sk = f->private_data;
    struct sock_send s = {
        .t = task_of_uio(uio), .uio = uio, .nonblock = READ_ONCE(f->flags) & LX_O_NONBLOCK};
    int64_t n = sock_ops_of(sk)->send(sk, &s);

    if (s.blocked_on)
        sock_put(s.blocked_on);
    return n;
}

static uint32_t sock_poll(struct file *f, uint32_t mask)
{
    struct sock *sk = f->private_data;

    return sock_ops_of(sk)->poll(sk) & (mask | LX_POLLERR | LX_POLLHUP);
}

static struct waitq *sock_poll_queue(struct file *f)
{
    return &((struct sock *)f->private_data)->waiters;
}

static int64_t sock_ioctl(struct file *f, const struct ioctl_ctx *ctx, uint64_t request,
                          uint64_t arg)
{
    struct sock *sk = f->private_data;
    int64_t r = -ENOTTY;

    if (sock_ops_of(sk)->ioctl)
        r = sock_ops_of(sk)->ioctl(sk, ctx, request, arg);
    if (r == -ENOTTY && ctx->task && ctx->task->k->netns)
        r = netdev_ioctl(ctx->task->k->netns, ctx, request, arg);
    return r;
}

static void sock_release(struct file *f)
{
    struct sock *sk = f->private_data;

    sock_ops_of(sk)->close(sk);
    sock_put(sk);
}

static void sock_describe(struct file *f, struct strbuf *out)
{
    struct sock *sk = f->private_data;

    strbuf_printf(out, "socket:[%llu]", (unsigned long long)sk->ino);
}

static int sock_map_source(struct file *f, uint64_t offset, uint64_t size, int prot, bool shared,
                           int *out_fd, uint64_t *out_offset, bool *out_close)
{
    struct sock *sk = f->private_data;

    if (!sock_ops_of(sk)->map_source)
        return -ENODEV;
    *out_offset = offset;
    *out_close = false;
    return sock_ops_of(sk)->map_source(sk, offset, size, out_fd);
}

DEFINE_OPS(file_ops, sock_file_ops) = {
    .map_source = sock_map_source,
    .read = sock_read,
    .write = sock_write,
    .poll = sock_poll,
    .poll_queue = sock_poll_queue,
    .ioctl = sock_ioctl,
    .release = sock_release,
    .describe = sock_describe,
};

struct file *sock_file(struct sock *sk, uint32_t flags, const struct cred *cred)
{
    struct file *f = file_alloc_anon(&sock_file_ops, LX_O_RDWR | (flags & LX_O_NONBLOCK), sk, cred);

    if (!f)
        return NULL;
    if (sk->type == LX_SOCK_STREAM)
        f->mode |= FMODE_WRITE_ALL;
    f->ino = sk->ino;
    f->anon_mode = LX_S_IFSOCK | 0777;
    return f;
}

/* ---- options ---- */

static int timeout_from(const struct lx_timeval *tv, uint64_t *out)
{
    if (tv->usec < 0 || tv->usec >= 1000000)
        return -EDOM;
    if (tv->sec < 0)
        *out = 0;
    else if (tv->sec == 0 && tv->usec == 0)
        *out = UINT64_MAX;
    else if ((uint64_t)tv->sec > UINT64_MAX / 4 / NS_PER_SEC)
        *out = UINT64_MAX;
    else
        *out = (uint64_t)tv->sec * NS_PER_SEC + (uint64_t)tv->usec * 1000;
    return 0;
}

static struct lx_timeval timeout_to(uint64_t ns)
{
    if (ns == UINT64_MAX)
        return (struct lx_timeval){0, 0};
    return (struct lx_timeval){(int64_t)(ns / NS_PER_SEC), (int64_t)(ns % NS_PER_SEC / 1000)};
}

static int set_timeout(struct sock *sk, int name, const void *value, uint32_t size)
{
    struct lx_timeval tv;
    uint64_t ns;
    int err;

    if (size < sizeof(tv))
        return -EINVAL;
    memcpy(&tv, value, sizeof(tv));
    err = timeout_from(&tv, &ns);
    if (err)
        return err;
    if (name == LX_SO_RCVTIMEO_OLD || name == LX_SO_RCVTIMEO_NEW)
        WRITE_ONCE(sk->rcvtimeo_ns, ns);
    else
        WRITE_ONCE(sk->sndtimeo_ns, ns);
    return 0;
}

static int set_bufsize(struct sock *sk, struct task *t, int name, int32_t v)
{
    bool send = name == LX_SO_SNDBUF || name == LX_SO_SNDBUFFORCE;
    bool force = name == LX_SO_SNDBUFFORCE || name == LX_SO_RCVBUFFORCE;
    uint32_t size = v < 0 ? 0 : (uint32_t)v;

    if (force && !task_capable(t, LX_CAP_NET_ADMIN))
        return -EPERM;
    if (!force)
        size = MIN(size, SOCK_MAX_BUF);
    size = MIN(size, (uint32_t)INT32_MAX / 2) * 2;
    if (send)
        sk->sndbuf = MAX(size, SOCK_MIN_SNDBUF);
    else
        sk->rcvbuf = MAX(size, SOCK_MIN_RCVBUF);
    return 0;
}

static int set_int_locked(struct sock *sk, struct task *t, int name, int32_t v)
{
    switch (name) {
    case LX_SO_PASSCRED:
        sk->passcred = v;
        return 0;
    case LX_SO_REUSEADDR:
        sk->reuseaddr = v;
        return 0;
    case LX_SO_KEEPALIVE:
        sk->keepalive = v;
        return 0;
    case LX_SO_BROADCAST:
        sk->broadcast = v;
        return 0;
    case LX_SO_REUSEPORT:
        sk->reuseport = v;
        return 0;
    case LX_SO_OOBINLINE:
        sk->oobinline = v;
        return 0;
    case LX_SO_DONTROUTE:
        sk->dontroute = v;
        return 0;
    case LX_SO_RCVLOWAT:
        sk->rcvlowat = v < 0 ? INT32_MAX : v ? (uint32_t)v : 1;
        return 0;
    case LX_SO_SNDBUF:
    case LX_SO_RCVBUF:
    case LX_SO_SNDBUFFORCE:
    case LX_SO_RCVBUFFORCE:
        return set_bufsize(sk, t, name, v);
    case LX_SO_PRIORITY:
        if ((v < 0 || v > 6) && !task_capable(t, LX_CAP_NET_ADMIN))
            return -EPERM;
        sk->priority = v;
        return 0;
    default:
        return -ENOPROTOOPT;
    }
}

int sock_setsockopt(struct sock *sk, struct task *t, int level, int name, const void *value,
                    uint32_t size)
{
    int32_t v;
    int err;

    if (level != LX_SOL_SOCKET)
        return sock_ops_of(sk)->setsockopt
                   ? sock_ops_of(sk)->setsockopt(sk, t, level, name, value, size)
                   : -EOPNOTSUPP;
    if (name == LX_SO_RCVTIMEO_OLD || name == LX_SO_SNDTIMEO_OLD || name == LX_SO_RCVTIMEO_NEW ||
        name == LX_SO_SNDTIMEO_NEW)
        return set_timeout(sk, name, value, size);
    if (sock_ops_of(sk)->own_options)
        return sock_ops_of(sk)->setsockopt(sk, t, level, name, value, size);
    /* A name, of any size. */
    if (name == LX_SO_BINDTODEVICE && sock_ops_of(sk)->setsockopt)
        return sock_ops_of(sk)->setsockopt(sk, t, level, name, value, size);
    if (size < sizeof(v))
        return -EINVAL;
    if (name == LX_SO_LINGER) {
        if (size < sizeof(sk->linger))
            return -EINVAL;
        mutex_lock(&sk->lock);
        memcpy(&sk->linger, value, sizeof(sk->linger));
        mutex_unlock(&sk->lock);
        return 0;
    }
    err = sock_filter_setsockopt(sk, t, name, value, size);
    if (err != -ENOPROTOOPT)
        return err;
    memcpy(&v, value, sizeof(v));
    mutex_lock(&sk->lock);
    err = set_int_locked(sk, t, name, v);
    if (!err && sock_ops_of(sk)->options_changed)
        sock_ops_of(sk)->options_changed(sk);
    mutex_unlock(&sk->lock);
    if (err == -ENOPROTOOPT && sock_ops_of(sk)->setsockopt)
        err = sock_ops_of(sk)->setsockopt(sk, t, level, name, value, size);
    /* Linux knows it everywhere, and who can't do it. */
    return err == -ENOPROTOOPT && name == LX_SO_ZEROCOPY ? -EOPNOTSUPP : err;
}

static int get_int_locked(struct sock *sk, int name, int32_t *out)
{
    switch (name) {
    case LX_SO_TYPE:
        *out = sk->type;
        return 0;
    case LX_SO_DOMAIN:
        *out = sk->family;
        return 0;
    case LX_SO_PROTOCOL:
        *out = sk->protocol;
        return 0;
    case LX_SO_ERROR:
        if (sock_ops_of(sk)->take_error) {
            *out = sock_ops_of(sk)->take_error(sk);
            return 0;
        }
        *out = sk->error;
        sk->error = 0;
        return 0;
    case LX_SO_ACCEPTCONN:
        *out = sk->listening;
        return 0;
    case LX_SO_PASSCRED:
        *out = sk->passcred;
        return 0;
    case LX_SO_REUSEADDR:
        *out = sk->reuseaddr;
        return 0;
    case LX_SO_KEEPALIVE:
        *out = sk->keepalive;
        return 0;
    case LX_SO_BROADCAST:
        *out = sk->broadcast;
        return 0;
    case LX_SO_SNDBUF:
        *out = (int32_t)sk->sndbuf;
        return 0;
    case LX_SO_RCVBUF:
        *out = (int32_t)sk->rcvbuf;
        return 0;
    case LX_SO_RCVLOWAT:
        *out = (int32_t)sk->rcvlowat;
        return 0;
    case LX_SO_SNDLOWAT:
        *out = 1;
        return 0;
    case LX_SO_PRIORITY:
        *out = sk->priority;
        return 0;
    case LX_SO_REUSEPORT:
        *out = sk->reuseport;
        return 0;
    case LX_SO_OOBINLINE:
        *out = sk->oobinline;
        return 0;
    case LX_SO_DONTROUTE:
        *out = sk->dontroute;
        return 0;
    case LX_SO_DEBUG:
        *out = 0;
        return 0;
    default:
        return -ENOPROTOOPT;
    }
}

static void give(void *value, uint32_t *size, const void *from, uint32_t from_size)
{
    *size = MIN(*size, from_size);
    memcpy(value, from, *size);
}

int sock_getsockopt(struct sock *sk, struct task *t, int level, int name, void *value,
                    uint32_t *size)
{
    struct lx_timeval tv;
    struct lx_ucred peer;
    int32_t v;
    int err;

    if (level != LX_SOL_SOCKET)
        return sock_ops_of(sk)->getsockopt
                   ? sock_ops_of(sk)->getsockopt(sk, t, level, name, value, size)
                   : -EOPNOTSUPP;
    switch (name) {
    case LX_SO_RCVTIMEO_OLD:
    case LX_SO_RCVTIMEO_NEW:
    case LX_SO_SNDTIMEO_OLD:
    case LX_SO_SNDTIMEO_NEW:
        tv = timeout_to(name == LX_SO_RCVTIMEO_OLD || name == LX_SO_RCVTIMEO_NEW ? sk->rcvtimeo_ns
                                                                                 : sk->sndtimeo_ns);
        give(value, size, &tv, sizeof(tv));
        return 0;
    case LX_SO_LINGER:
        give(value, size, &sk->linger, sizeof(sk->linger));
        return 0;
    case LX_SO_PEERCRED:
        peer = sock_cred_for(t, &sk->peer_cred);
        give(value, size, &peer, sizeof(peer));
        return 0;
    case LX_SO_LOCK_FILTER:
        if (!sock_ops_of(sk)->filter)
            return -ENOPROTOOPT;
        v = sock_ops_of(sk)->filter(sk, BPF_SLOT_IS_LOCKED, NULL);
        give(value, size, &v, sizeof(v));
        return 0;
    default:
        break;
    }
    if (sock_ops_of(sk)->own_options)
        return sock_ops_of(sk)->getsockopt(sk, t, level, name, value, size);
    mutex_lock(&sk->lock);
    err = get_int_locked(sk, name, &v);
    mutex_unlock(&sk->lock);
    if (!err)
        give(value, size, &v, sizeof(v));
    else if (sock_ops_of(sk)->getsockopt)
        err = sock_ops_of(sk)->getsockopt(sk, t, level, name, value, size);
    return err;
}
