/* Messages between guest and sockets: addresses, control messages, and the waits of send and
 * receive. The calls are in sys_socket.c, sys_msg.c. */
#include "syscalls/msg.h"

#include "sentry/abi/signal_num.h"
#include "sentry/abi/socket.h"
#include "sentry/base/string.h"

#define CONTROL_MAX 20480U /* net.core.optmem_max */

struct lx_cmsghdr {
    uint64_t size; /* header and data */
    int32_t level, type;
};
#define CMSG_ALIGN(n) (((n) + 7) & ~7ULL)

int msg_addr_in(struct task *t, uaddr_t p, int32_t size, struct sock_addr *out)
{
    memset(out, 0, sizeof(*out));
    if (size < 0 || (uint32_t)size > SOCK_ADDR_MAX)
        return -EINVAL;
    if (copy_in(&t->us, out->data, p, (size_t)size))
        return -EFAULT;
    out->size = (uint32_t)size;
    return 0;
}

int msg_addr_out(struct task *t, const struct sock_addr *addr, uaddr_t p, uaddr_t size_p)
{
    int32_t room, size = (int32_t)addr->size;

    if (copy_in_obj(&t->us, &room, size_p))
        return -EFAULT;
    if (room < 0)
        return -EINVAL;
    if (copy_out(&t->us, p, addr->data, MIN((uint32_t)room, addr->size)))
        return -EFAULT;
    return copy_out_obj(&t->us, size_p, &size);
}

/* ---- control messages in ---- */

static int rights_in(struct task *t, const uint8_t *data, uint64_t size, struct sock_send *s)
{
    uint64_t count = size / sizeof(int32_t);

    if (count + s->file_count > SOCK_MAX_FDS)
        return -EINVAL;
    if (!s->files) {
        s->files = kmalloc(SOCK_MAX_FDS * sizeof(s->files[0]));
        if (!s->files)
            return -ENOMEM;
    }
    for (uint64_t i = 0; i < count; i++) {
        struct file *f;
        int32_t fd;

        memcpy(&fd, data + i * sizeof(fd), sizeof(fd));
        f = task_file_or_path(t, fd);
        if (!f)
            return -EBADF;
        s->files[s->file_count++] = f;
    }
    return 0;
}

/* Anyone may tell the truth; a lie takes privilege. */
static int credentials_in(struct task *t, const uint8_t *data, uint64_t size, struct sock_send *s)
{
    const struct cred *c = t->cred;
    struct lx_ucred in;
    struct task *who;

    if (size != sizeof(in))
        return -EINVAL;
    memcpy(&in, data, sizeof(in));
    if (in.pid != t->tg->own_tgid && !task_capable(t, LX_CAP_SYS_ADMIN))
        return -EPERM;
    if (in.uid != c->uid && in.uid != c->euid && in.uid != c->suid &&
        !task_capable(t, LX_CAP_SETUID))
        return -EPERM;
    if (in.gid != c->gid && in.gid != c->egid && in.gid != c->sgid &&
        !task_capable(t, LX_CAP_SETGID))
        return -EPERM;
    s->cred = (struct sock_cred){pid_mark_of(t->tg), in.uid, in.gid};
    s->explicit_cred = true;
    if (in.pid == t->tg->own_tgid)
        return 0;
    who = task_find_for(t, in.pid); /* any thread's number will do */
    if (!who)
        return -ESRCH;
    s->cred.pid = (struct pid_mark){who->tid, who->own_tid, who->tg->pid_ns->ino};
    task_put(who);
    return 0;
}

static int parse_control(struct task *t, struct sock *sk, const uint8_t *buf, uint64_t size,
                         struct sock_send *s, struct sock_ip_control *ip)
{
    uint64_t at = 0;

    while (at + sizeof(struct lx_cmsghdr) <= size) {
        struct lx_cmsghdr c;
        uint64_t data_size;
        int err = 0;

        memcpy(&c, buf + at, sizeof(c));
        if (c.size < sizeof(c) || c.size > size - at)
            return -EINVAL;
        data_size = c.size - sizeof(c);
        if (c.level == LX_SOL_SOCKET && c.type == LX_SCM_RIGHTS)
            err = rights_in(t, buf + at + sizeof(c), data_size, s);
        else if (c.level == LX_SOL_SOCKET && c.type == LX_SCM_CREDENTIALS)
            err = credentials_in(t, buf + at + sizeof(c), data_size, s);
        else if (sock_ops_of(sk)->control_in) {
            err = sock_ops_of(sk)->control_in(sk, c.level, c.type, buf + at + sizeof(c), data_size,
                                              ip);
            s->ip = ip;
        } else if (c.level == LX_SOL_SOCKET) {
            err = -EINVAL;
        }
        if (err)
            return err;
        at += CMSG_ALIGN(c.size);
    }
    return 0;
}

int msg_control_in(struct task *t, struct sock *sk, const struct lx_msghdr *h, struct sock_send *s,
                   struct sock_ip_control *ip)
{
    AUTO_KFREE uint8_t *buf = NULL;

    *ip = (struct sock_ip_control){.ttl = -1, .tos = -1};
    if (!h->control || !h->control_size)
        return 0;
    if (h->control_size > CONTROL_MAX)
        return -ENOBUFS;
    buf = kmalloc(h->control_size);
    if (!buf)
        return -ENOBUFS;
    if (copy_in(&t->us, buf, uaddr(h->control), h->control_size))
        return -EFAULT;
    return parse_control(t, sk, buf, h->control_size, s, ip);
}

void msg_control_in_done(struct sock_send *s)
{
    for (uint32_t i = 0; i < s->file_count; i++)
        file_put(s->files[i]);
    kfree(s->files);
    s->files = NULL;
    s->file_count = 0;
}

/* ---- control messages out ---- */

struct control_out {
    struct task *t;
    uaddr_t at;
    uint64_t room, used;
};

/* data NULL: the caller has written it. */
static int put_header(struct control_out *o, int type, uint64_t data_size)
{
    struct lx_cmsghdr c = {.size = sizeof(c) + data_size, .level = LX_SOL_SOCKET, .type = type};

    return copy_out_obj(&o->t->us, uaddr_add(o->at, o->used), &c);
}

static void advance(struct control_out *o, uint64_t data_size)
{
    uint64_t n = MIN(CMSG_ALIGN(sizeof(struct lx_cmsghdr) + data_size), o->room - o->used);

    o->used += n;
}

static int put_credentials(struct control_out *o, struct sock_recv *r)
{
    struct lx_ucred cred = sock_cred_for(o->t, &r->cred);
    uint64_t room = o->room - o->used, size = sizeof(cred);

    if (room < sizeof(struct lx_cmsghdr)) {
        r->out_flags |= LX_MSG_CTRUNC;
        return 0;
    }
    if (room < sizeof(struct lx_cmsghdr) + size) {
        r->out_flags |= LX_MSG_CTRUNC;
        size = room - sizeof(struct lx_cmsghdr);
    }
    if (put_header(o, LX_SCM_CREDENTIALS, size) ||
        copy_out(&o->t->us, uaddr_add(o->at, o->used + sizeof(struct lx_cmsghdr)), &cred, size))
        return -EFAULT;
    advance(o, size);
    return 0;
}

/* As many as there is room for; the rest are closed. */
static int put_rights(struct control_out *o, struct sock_recv *r)
{
    uint64_t room = o->room - o->used, fit = 0;
    uint32_t done = 0;
    int err = 0;

    if (room >= sizeof(struct lx_cmsghdr))
        fit = (room - sizeof(struct lx_cmsghdr)) / sizeof(int32_t);
    while (done < r->file_count && done < fit) {
        uaddr_t at = uaddr_add(o->at, o->used + sizeof(struct lx_cmsghdr) + done * sizeof(int32_t));
        int32_t fd =
            task_install_fd(o->t, file_get(r->files[done]), r->flags & LX_MSG_CMSG_CLOEXEC);

        if (fd < 0)
            break;
        if (copy_out_obj(&o->t->us, at, &fd)) {
            err = fdtable_close(o->t->files, fd);
            err = -EFAULT;
            break;
        }
        done++;
    }
    if (done < r->file_count)
        r->out_flags |= LX_MSG_CTRUNC;
    if (!err && done) {
        err = put_header(o, LX_SCM_RIGHTS, done * sizeof(int32_t));
        advance(o, done * sizeof(int32_t));
    }
    return err;
}

/* Those of the family are whole already; one that does not fit is left out. */
static int put_cmsgs(struct control_out *o, struct sock_recv *r)
{
    uint32_t at = 0;

    while (at < r->cmsgs->used) {
        struct lx_cmsghdr c;
        uint64_t room = o->room - o->used;

        memcpy(&c, r->cmsgs->data + at, sizeof(c));
        if (room < c.size) {
            r->out_flags |= LX_MSG_CTRUNC;
            return 0;
        }
        if (copy_out(&o->t->us, uaddr_add(o->at, o->used), r->cmsgs->data + at, c.size))
            return -EFAULT;
        advance(o, c.size - sizeof(c));
        at += (uint32_t)CMSG_ALIGN(c.size);
    }
    return 0;
}

void msg_files_drop(struct sock_recv *r)
{
    for (uint32_t i = 0; i < r->file_count; i++)
        file_put(r->files[i]);
    kfree(r->files);
    r->files = NULL;
    r->file_count = 0;
}

int msg_control_out(struct task *t, const struct lx_msghdr *h, struct sock_recv *r,
                    uint64_t *out_size)
{
    struct control_out o = {
        .t = t, .at = uaddr(h->control), .room = h->control ? h->control_size : 0};
    int err = 0;

    if (r->cmsgs && r->cmsgs->used)
        err = put_cmsgs(&o, r);
    if (!err && r->has_cred)
        err = put_credentials(&o, r);
    if (!err && r->file_count)
        err = put_rights(&o, r);
    msg_files_drop(r);
    *out_size = o.used;
    return err;
}

/* ---- the waits ---- */

struct msg_try {
    struct sock *sk;
    struct sock_send *s;
    struct sock_recv *r;
};

static int64_t try_send(void *arg)
{
    struct msg_try *m = arg;

    /* Who waits holds the socket it waits at; a try may name it again. */
    if (m->s->blocked_on) {
        struct sock *waiting_at = m->s->blocked_on;
        int64_t n;

        m->s->blocked_on = NULL;
        n = sock_ops_of(m->sk)->send(m->sk, m->s);
        if (m->s->blocked_on)
            sock_put(m->s->blocked_on);
        m->s->blocked_on = waiting_at;
        return n;
    }
    return sock_ops_of(m->sk)->send(m->sk, m->s);
}

static int64_t try_recv(void *arg)
{
    struct msg_try *m = arg;

    return sock_ops_of(m->sk)->recv(m->sk, m->r);
}

static uint64_t deadline_of(uint64_t timeout_ns)
{
    return timeout_ns == UINT64_MAX ? PARK_FOREVER : deadline_after_ns(timeout_ns);
}

static int64_t wait_to_send(struct task *t, struct msg_try *m, uint64_t deadline)
{
    struct sock *at = m->s->blocked_on ? m->s->blocked_on : m->sk;
    int64_t r = task_wait(t, &at->waiters,
                          LX_POLLOUT | LX_POLLWRNORM | LX_POLLHUP | LX_POLLERR | SOCK_POLL_DRAINED,
                          deadline, try_send, m);

    return r == -ETIMEDOUT ? -EAGAIN : r;
}

static void zerocopy_done(struct sock *sk, const struct sock_send *s)
{
    if (s->flags & LX_MSG_ZEROCOPY && sock_ops_of(sk)->zerocopy_done)
        sock_ops_of(sk)->zerocopy_done(sk);
}

int64_t msg_send(struct task *t, struct file *f, struct sock_send *s)
{
    struct msg_try m = {.sk = sock_of(f), .s = s};
    uint64_t deadline = 0;
    int64_t total = 0, r;

    s->t = t;
    s->nonblock = file_nonblock(f) || s->flags & LX_MSG_DONTWAIT;
    for (;;) {
        r = try_send(&m);
        if (r == -EAGAIN && !s->nonblock) {
            if (!deadline)
                deadline = deadline_of(READ_ONCE(m.sk->sndtimeo_ns));
            r = wait_to_send(t, &m, deadline);
        }
        if (s->blocked_on)
            sock_put(s->blocked_on);
        s->blocked_on = NULL;
        if (r < 0)
            break;
        total += r;
        if (!s->uio->left || m.sk->type != LX_SOCK_STREAM || s->nonblock || !r) {
            if (total)
                zerocopy_done(m.sk, s);
            return total;
        }
        msg_control_in_done(s); /* they went with the first part */
    }
    if (total)
        zerocopy_done(m.sk, s);
    if (r == -EPIPE && !(s->flags & LX_MSG_NOSIGNAL) && m.sk->type == LX_SOCK_STREAM)
        io_raise(t, LX_SIGPIPE);
    return total ? total : r;
}

int64_t msg_recv(struct task *t, struct file *f, struct sock_recv *r)
{
    struct msg_try m = {.sk = sock_of(f), .r = r};
    bool nonblock = file_nonblock(f) || r->flags & (LX_MSG_DONTWAIT | LX_MSG_ERRQUEUE);
    bool all =
        r->flags & LX_MSG_WAITALL && m.sk->type == LX_SOCK_STREAM && !(r->flags & LX_MSG_PEEK);
    uint64_t deadline = 0;
    int64_t total = 0, n;

    r->t = t;
    for (;;) {
        n = try_recv(&m);
        if (n == -EAGAIN && !nonblock) {
            if (!deadline)
                deadline = deadline_of(READ_ONCE(m.sk->rcvtimeo_ns));
            n = task_wait(t, &m.sk->waiters,
                          LX_POLLIN | LX_POLLRDNORM | LX_POLLRDHUP | LX_POLLHUP | LX_POLLERR,
                          deadline, try_recv, &m);
            if (n == -ETIMEDOUT)
                n = -EAGAIN;
        }
        if (n <= 0)
            return total ? total : n;
        total += n;
        r->got = (uint64_t)total;
        if (!all || nonblock || !r->uio->left || r->file_count)
            return total;
    }
}
