/*
 * Options of the host's sockets: those on the list go to the host as copies, any other is
 * ENOPROTOOPT. Lock: sk.lock for SO_LINGER.
 */
#include "fs/sock/host_inet.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/socket.h"
#include "sentry/base/string.h"

struct row {
    int32_t level, name;
    uint16_t max;
    bool set;
};

#define SOCKET_GET(n, m)  {LX_SOL_SOCKET, n, m, false},
#define SOCKET_BOTH(n, m) {LX_SOL_SOCKET, n, m, true},
#define OPT_GET(l, n, m)  {l, n, m, false},
#define OPT_BOTH(l, n, m) {l, n, m, true},
static const struct row rows[] = {
#include "fs/sock/host_opt.def"
};

static const struct row *find(int level, int name)
{
    for (uint32_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].level == level && rows[i].name == name)
            return &rows[i];
    }
    return NULL;
}

/*
 * To the host it is only ever to drop what is unsent, or not: a close that waits would wait on the
 * host, where no signal could end it.
 */
static int set_linger(struct sock *sk, const void *value, uint32_t size)
{
    struct lx_linger given, on_host = {0};
    int err;

    if (size < sizeof(given))
        return -EINVAL;
    memcpy(&given, value, sizeof(given));
    on_host.on = given.on && !given.seconds;
    mutex_lock(&sk->lock);
    err = (int)host_setsockopt(host_inet_of(sk)->fd, LX_SOL_SOCKET, LX_SO_LINGER, &on_host,
                               sizeof(on_host));
    if (!err)
        sk->linger = (struct lx_linger){given.on != 0, given.seconds};
    mutex_unlock(&sk->lock);
    return err;
}

int host_inet_setsockopt(struct sock *sk, struct task *t, int level, int name, const void *value,
                         uint32_t size)
{
    const struct row *r = find(level, name);

    if (level == LX_SOL_SOCKET && name == LX_SO_LINGER)
        return set_linger(sk, value, size);
    if (!r || !r->set)
        return -ENOPROTOOPT;
    return (int)host_setsockopt(host_inet_of(sk)->fd, level, name, value, MIN(size, r->max));
}

/* IPv4 tells a level it does not know from a name, IPv6 does not. */
static bool level_known(const struct sock *sk, int level)
{
    return sk->family != LX_AF_INET || level == LX_SOL_SOCKET || level == LX_SOL_IP ||
           (level == LX_SOL_TCP && sk->type == LX_SOCK_STREAM) ||
           (level == LX_SOL_UDP && sk->protocol == LX_IPPROTO_UDP);
}

int host_inet_getsockopt(struct sock *sk, struct task *t, int level, int name, void *value,
                         uint32_t *size)
{
    const struct row *r = find(level, name);
    struct host_inet *h = host_inet_of(sk);
    uint32_t room;
    int32_t late;
    int64_t err;

    if (!r)
        return level_known(sk, level) ? -ENOPROTOOPT : -EOPNOTSUPP;
    room = MIN(*size, (uint32_t)r->max);
    err = host_getsockopt(h->fd, level, name, value, &room);
    if (err)
        return (int)err;
    *size = MIN(room, *size);
    if (level == LX_SOL_SOCKET && name == LX_SO_ERROR && *size == sizeof(late)) {
        late = host_inet_late_error(h);
        if (late)
            memcpy(value, &late, sizeof(late));
    }
    return 0;
}
