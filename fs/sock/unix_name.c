/*
 * Names of AF_UNIX sockets: in the filesystem, abstract, or none. Locks: kernel.unix_names.lock
 * (unranked leaf) for abstract ones, inode.lock for inode.sock; sock.lock for the name itself.
 */
#include "fs/sock/unix_int.h"
#include "fs/vfs.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/fcntl.h"
#include "sentry/abi/socket.h"
#include "sentry/base/fmt.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"
#include "sentry/kernel/kernel.h"

#define FAMILY_SIZE    2U
#define PATH_MAX_SIZE  108U
#define AUTOBIND_TRIES 0x100000U

static bool is_abstract(const struct sock_addr *a)
{
    return a->size > FAMILY_SIZE && a->data[FAMILY_SIZE] == 0;
}

static int check_addr(const struct sock_addr *a)
{
    uint16_t family;

    if (a->size < FAMILY_SIZE || a->size > FAMILY_SIZE + PATH_MAX_SIZE)
        return -EINVAL;
    memcpy(&family, a->data, sizeof(family));
    return family == LX_AF_UNIX ? 0 : -EINVAL;
}

/* The NUL-terminated path of a pathname address. */
static void addr_path(const struct sock_addr *a, char path[PATH_MAX_SIZE + 1])
{
    size_t n = a->size - FAMILY_SIZE;

    memcpy(path, a->data + FAMILY_SIZE, n);
    path[n] = '\0';
}

/* ---- abstract names ---- */

static bool same_name(const struct unix_sock *u, const struct sock_addr *a)
{
    return u->name->size == a->size && memcmp(u->name->data, a->data, a->size) == 0;
}

static struct unix_sock *find_locked(struct kernel *k, const struct sock_addr *a,
                                     bool (*fits)(const struct unix_sock *u,
                                                  const struct sock_addr *name))
{
    struct unix_sock *u;

    if (!k->unix_names.sockets.next)
        list_init(&k->unix_names.sockets);
    list_for_each (u, &k->unix_names.sockets, name_node) {
        if (fits(u, a))
            return u;
    }
    return NULL;
}

struct unix_sock *unix_find_name(struct kernel *k, const struct sock_addr *a,
                                 bool (*fits)(const struct unix_sock *u,
                                              const struct sock_addr *name))
{
    struct unix_sock *u;

    mutex_lock(&k->unix_names.lock);
    u = find_locked(k, a, fits);
    if (u && !ref_get_unless_zero(&u->sk.ref))
        u = NULL;
    mutex_unlock(&k->unix_names.lock);
    return u;
}

/* Gives u the name, taken over on success. */
static int set_name(struct unix_sock *u, struct sock_addr *name)
{
    int err = 0;

    mutex_lock(&u->sk.lock);
    if (u->name)
        err = -EINVAL;
    else
        u->name = name;
    mutex_unlock(&u->sk.lock);
    return err;
}

int unix_enter_name(struct kernel *k, struct unix_sock *u, struct sock_addr *name,
                    bool (*in_use)(const struct unix_sock *u, const struct sock_addr *name))
{
    int err = -EADDRINUSE;

    mutex_lock(&k->unix_names.lock);
    if (!find_locked(k, name, in_use)) {
        err = set_name(u, name);
        if (!err) {
            list_add(&k->unix_names.sockets, &u->name_node);
            u->names_of = k;
        }
    }
    mutex_unlock(&k->unix_names.lock);
    return err;
}

static int bind_abstract(struct kernel *k, struct unix_sock *u, const struct sock_addr *addr)
{
    struct sock_addr *name = (struct sock_addr *)kmemdup(addr, sizeof(*addr));
    int err = name ? unix_enter_name(k, u, name, same_name) : -ENOMEM;

    if (err)
        kfree(name);
    return err;
}

/* A bind to the bare family: some free abstract name of five hex digits. */
static int autobind(struct kernel *k, struct unix_sock *u)
{
    struct sock_addr addr = {.size = FAMILY_SIZE + 6, .data = {LX_AF_UNIX}};
    uint32_t n = (uint32_t)u->sk.ino;
    int err;

    if (u->name)
        return 0;
    for (uint32_t i = 0; i < AUTOBIND_TRIES; i++) {
        cv_snprintf((char *)addr.data + FAMILY_SIZE + 1, 6, "%05x", (n + i) & 0xfffff);
        err = bind_abstract(k, u, &addr);
        if (err != -EADDRINUSE)
            return err;
    }
    return -ENOSPC;
}

/* ---- pathnames ---- */

static int make_node(const struct vfs_ctx *ctx, const char *path, struct path *out)
{
    int err = vfs_mknod_at(ctx, NULL, path, LX_S_IFSOCK | 0777, 0);

    if (err)
        return err == -EEXIST ? -EADDRINUSE : err;
    return vfs_walk(ctx, NULL, path, 0, out);
}

static int bind_path(struct unix_sock *u, struct task *t, const struct sock_addr *addr)
{
    struct sock_addr *name = (struct sock_addr *)kmemdup(addr, sizeof(*addr));
    char path[PATH_MAX_SIZE + 1];
    struct path node;
    struct task_vfs v;
    int err;

    if (!name)
        return -ENOMEM;
    addr_path(addr, path);
    name->size = FAMILY_SIZE + (uint32_t)strlen(path) + 1;
    if (u->name) {
        kfree(name);
        return -EINVAL;
    }
    task_vfs_get(t, &v);
    err = make_node(&v.ctx, path, &node);
    task_vfs_put(&v);
    if (!err) {
        err = set_name(u, name);
        if (err)
            path_put(&node);
    }
    if (err) {
        kfree(name);
        return err;
    }
    u->path = node;
    mutex_lock(&node.dentry->inode->lock);
    node.dentry->inode->sock = &u->sk;
    mutex_unlock(&node.dentry->inode->lock);
    return 0;
}

int unix_bind(struct sock *sk, struct task *t, const struct sock_addr *addr)
{
    struct unix_sock *u = unix_of(sk);
    int err = check_addr(addr);

    if (err)
        return err;
    if (addr->size == FAMILY_SIZE)
        return autobind(t->k, u);
    return is_abstract(addr) ? bind_abstract(t->k, u, addr) : bind_path(u, t, addr);
}

void unix_unbind(struct unix_sock *u)
{
    if (u->names_of) {
        mutex_lock(&u->names_of->unix_names.lock);
        list_del(&u->name_node);
        mutex_unlock(&u->names_of->unix_names.lock);
        u->names_of = NULL;
    }
    if (u->path.dentry) {
        struct inode *inode = u->path.dentry->inode;

        mutex_lock(&inode->lock);
        if (inode->sock == &u->sk)
            inode->sock = NULL;
        mutex_unlock(&inode->lock);
        path_put(&u->path);
    }
}

static int find_path(struct task *t, const struct sock_addr *addr, struct unix_sock **out)
{
    char name[PATH_MAX_SIZE + 1];
    struct path path;
    struct inode *inode;
    struct task_vfs v;
    int err;

    addr_path(addr, name);
    task_vfs_get(t, &v);
    err = vfs_walk(&v.ctx, NULL, name, WALK_FOLLOW, &path);
    task_vfs_put(&v);
    if (err)
        return err;
    inode = path.dentry->inode;
    err = inode_permission(inode, MAY_WRITE, t->cred);
    if (!err) {
        mutex_lock(&inode->lock);
        if (inode->sock && ref_get_unless_zero(&inode->sock->ref))
            *out = unix_of(inode->sock);
        else
            err = -ECONNREFUSED;
        mutex_unlock(&inode->lock);
    }
    path_put(&path);
    return err;
}

int unix_lookup(struct task *t, const struct sock_addr *addr, int type, struct unix_sock **out)
{
    struct unix_sock *u = NULL;
    int err = check_addr(addr);

    if (err)
        return err;
    if (addr->size == FAMILY_SIZE)
        return -ECONNREFUSED;
    if (is_abstract(addr)) {
        u = unix_find_name(t->k, addr, same_name);
        err = u ? 0 : -ECONNREFUSED;
    } else {
        err = find_path(t, addr, &u);
    }
    if (err)
        return err;
    if (u->sk.type != type) {
        sock_put(&u->sk);
        return -EPROTOTYPE;
    }
    *out = u;
    return 0;
}

static void give_name(struct unix_sock *u, struct sock_addr *out)
{
    const uint16_t family = LX_AF_UNIX;

    mutex_lock(&u->sk.lock);
    if (u->name) {
        *out = *u->name;
    } else {
        out->size = FAMILY_SIZE;
        memcpy(out->data, &family, sizeof(family));
    }
    mutex_unlock(&u->sk.lock);
}

int unix_getname(struct sock *sk, bool peer, struct sock_addr *out)
{
    struct unix_sock *other;

    if (!peer) {
        give_name(unix_of(sk), out);
        return 0;
    }
    other = unix_peer_get(unix_of(sk));
    if (!other)
        return -ENOTCONN;
    give_name(other, out);
    sock_put(&other->sk);
    return 0;
}
