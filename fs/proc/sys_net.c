/*
 * /proc/sys/net: the stack's settings (netstack/sysctl.def, ifconf.def) as files. A directory is a
 * path prefix over the rows; conf/ has a directory for all, default and each interface. Lock: the
 * stack's. Writing takes CAP_NET_ADMIN. Source: kernel document ip-sysctl.rst.
 */
#include "fs/proc/net.h"
#include "fs/sock/netns.h"
#include "netstack/iface.h"
#include "netstack/sysctl.h"
#include "sentry/abi/sched.h"
#include "sentry/abi/socket.h"

#define WHICH_ALL     (-1) /* proc_inode.fd of a directory or file beneath conf/; else an index */
#define WHICH_DEFAULT (-2)
#define VALUES_MAX    3U

DECLARE_OPS(inode_ops, conf_dir_ops);
DECLARE_OPS(file_ops, conf_dir_file_ops);
DECLARE_OPS(inode_ops, conf_iface_ops);
DECLARE_OPS(file_ops, conf_iface_file_ops);

static int show_row(const struct proc_entry *e, struct strbuf *sb);
static int store_row(const struct proc_entry *e, char *text, size_t size);
static int show_conf(const struct proc_entry *e, struct strbuf *sb);
static int store_conf(const struct proc_entry *e, char *text, size_t size);

/* A node a row, in the tables' order: the node's place is the row's. */
static PROC_NODES(row_nodes) = {
#define SYSCTL(path, field, def, min, max)             PROC_RW(path, show_row, store_row),
#define SYSCTL3(path, field, count, min, max, a, b, c) PROC_RW(path, show_row, store_row),
#include "netstack/sysctl.def"
#undef SYSCTL
#undef SYSCTL3
};

static PROC_NODES(conf_nodes) = {
#define CONF4(name, field, def, min, max) PROC_RW(name, show_conf, store_conf),
#define CONF6(name, field, def, min, max) PROC_RW(name, show_conf, store_conf),
#include "netstack/ifconf.def"
#undef CONF4
#undef CONF6
};

#define DIR(path)                                                                                  \
    {                                                                                              \
        .name = path, .mode = LX_S_IFDIR | 0555, .inode_ops = &proc_sys_net_ops,                   \
        .file_ops = &proc_sys_net_file_ops                                                         \
    }
#define CONF_DIR(path)                                                                             \
    {                                                                                              \
        .name = path, .mode = LX_S_IFDIR | 0555, .inode_ops = &conf_dir_ops,                       \
        .file_ops = &conf_dir_file_ops                                                             \
    }

/* Full paths; "net" itself is in sys.c. */
static PROC_NODES(dir_nodes) = {
    DIR("net/core"),       DIR("net/ipv4"),
    DIR("net/ipv4/neigh"), DIR("net/ipv4/neigh/default"),
    DIR("net/ipv4/route"), CONF_DIR("net/ipv4/conf"),
    DIR("net/ipv6"),       DIR("net/ipv6/icmp"),
    DIR("net/ipv6/route"), CONF_DIR("net/ipv6/conf"),
};

/* An interface's directory, of each family. */
DEFINE_OPS(proc_node, conf4_node) = {.name = "conf4",
                                     .mode = LX_S_IFDIR | 0555,
                                     .inode_ops = &conf_iface_ops,
                                     .file_ops = &conf_iface_file_ops};
DEFINE_OPS(proc_node, conf6_node) = {.name = "conf6",
                                     .mode = LX_S_IFDIR | 0555,
                                     .inode_ops = &conf_iface_ops,
                                     .file_ops = &conf_iface_file_ops};

/* The last part of path when the rest is dir, else NULL. */
static const char *name_in(const char *dir, const char *path)
{
    size_t n = strlen(dir);

    if (!str_starts(path, dir) || path[n] != '/' || strchr(path + n + 1, '/'))
        return NULL;
    return path + n + 1;
}

/* ---- plain directories ---- */

/* The n'th entry of a directory: its node; NULL: there are no more. */
static const struct proc_node *entry_at(const char *dir, uint64_t n, const char **out_name)
{
    for (uint32_t i = 0; i < ARRAY_SIZE(dir_nodes) + ARRAY_SIZE(row_nodes); i++) {
        const struct proc_node *node =
            i < ARRAY_SIZE(dir_nodes) ? &dir_nodes[i] : &row_nodes[i - ARRAY_SIZE(dir_nodes)];
        const char *name = name_in(dir, node->name);

        if (name && !n--) {
            *out_name = name;
            return node;
        }
    }
    return NULL;
}

static int dir_lookup(struct inode *dir, const char *name, struct inode **out)
{
    const char *path = proc_node_of(proc_inode(dir))->name, *found;
    const struct proc_node *node;

    for (uint64_t n = 0; (node = entry_at(path, n, &found)); n++) {
        if (strcmp(found, name) == 0)
            return proc_new_child(dir, node, out);
    }
    return -ENOENT;
}

static int dir_readdir(struct file *f, struct dir_filler *df, uint64_t *pos)
{
    const char *path = proc_node_of(proc_inode(f->inode))->name, *name;
    const struct proc_node *node;

    if (!proc_emit_dots(f, df, pos))
        return 0;
    while ((node = entry_at(path, *pos - 2, &name))) {
        uint64_t next = *pos;

        if (!proc_emit(df, name, *pos + 1, node->mode, &next))
            break;
        *pos = next;
    }
    return 0;
}

DEFINE_OPS(inode_ops, proc_sys_net_ops) = {.lookup = dir_lookup};
DEFINE_OPS(file_ops, proc_sys_net_file_ops) = {.readdir = dir_readdir, .llseek = proc_dir_llseek};

/* ---- conf/ ---- */

static bool is_v6(const struct proc_node *node)
{
    return node == &conf6_node || strcmp(node->name, "net/ipv6/conf") == 0;
}

static int conf_lookup(struct inode *dir, const char *name, struct inode **out)
{
    struct netns *ns = proc_kernel(dir)->netns;
    const struct proc_node *node = proc_node_of(proc_inode(dir));
    struct net_iface *i;
    int32_t which = 0;
    int err;

    if (strcmp(name, "all") == 0) {
        which = WHICH_ALL;
    } else if (strcmp(name, "default") == 0) {
        which = WHICH_DEFAULT;
    } else {
        netns_lock(ns);
        i = net_iface_by_name(ns->stack, name);
        which = i ? (int32_t)i->index : 0;
        netns_unlock(ns);
    }
    if (!which)
        return -ENOENT;
    err = proc_new_child(dir, is_v6(node) ? &conf6_node : &conf4_node, out);
    if (!err)
        proc_inode(*out)->fd = which;
    return err;
}

/* The n'th name in conf/; false: there are no more. */
static bool conf_name(struct netns *ns, uint64_t n, char name[16])
{
    struct net_iface *i = NULL;

    if (n < 2) {
        str_copy(name, n ? "default" : "all", 16);
        return true;
    }
    netns_lock(ns);
    while ((i = net_iface_next(ns->stack, i))) {
        if (n-- == 2) {
            str_copy(name, i->name, 16);
            break;
        }
    }
    netns_unlock(ns);
    return i != NULL;
}

static int conf_readdir(struct file *f, struct dir_filler *df, uint64_t *pos)
{
    struct netns *ns = proc_kernel(f->inode)->netns;
    char name[16];

    if (!proc_emit_dots(f, df, pos))
        return 0;
    while (conf_name(ns, *pos - 2, name)) {
        uint64_t next = *pos;

        if (!proc_emit(df, name, *pos + 1, LX_S_IFDIR | 0555, &next))
            break;
        *pos = next;
    }
    return 0;
}

DEFINE_OPS(inode_ops, conf_dir_ops) = {.lookup = conf_lookup};
DEFINE_OPS(file_ops, conf_dir_file_ops) = {.readdir = conf_readdir, .llseek = proc_dir_llseek};

/* ---- conf/IFACE ---- */

static uint8_t row_family(uint32_t n)
{
    uint32_t count;

    return net_iface_conf_rows(&count)[n].family;
}

static uint8_t dir_family(const struct inode *dir)
{
    return is_v6(proc_node_of(proc_inode((struct inode *)dir))) ? LX_AF_INET6 : LX_AF_INET;
}

static int iface_lookup(struct inode *dir, const char *name, struct inode **out)
{
    for (uint32_t n = 0; n < ARRAY_SIZE(conf_nodes); n++) {
        int err;

        if (row_family(n) != dir_family(dir) || strcmp(conf_nodes[n].name, name) != 0)
            continue;
        err = proc_new_child(dir, &conf_nodes[n], out);
        if (!err)
            proc_inode(*out)->fd = proc_inode(dir)->fd;
        return err;
    }
    return -ENOENT;
}

static int iface_readdir(struct file *f, struct dir_filler *df, uint64_t *pos)
{
    if (!proc_emit_dots(f, df, pos))
        return 0;
    for (; *pos - 2 < ARRAY_SIZE(conf_nodes); ++*pos) {
        const struct proc_node *node = &conf_nodes[*pos - 2];
        uint64_t next = *pos;

        if (row_family((uint32_t)(*pos - 2)) == dir_family(f->inode) &&
            !proc_emit(df, node->name, *pos + 1, node->mode, &next))
            break;
    }
    return 0;
}

DEFINE_OPS(inode_ops, conf_iface_ops) = {.lookup = iface_lookup};
DEFINE_OPS(file_ops, conf_iface_file_ops) = {.readdir = iface_readdir, .llseek = proc_dir_llseek};

/* ---- values ---- */

/* count decimal numbers between blanks. */
static int parse_values(const char *text, int64_t *out, uint32_t count)
{
    for (uint32_t n = 0; n < count; n++) {
        bool negative = false;
        uint64_t v = 0;

        while (*text == ' ' || *text == '\t')
            text++;
        if (*text == '-') {
            negative = true;
            text++;
        }
        if (*text < '0' || *text > '9')
            return -EINVAL;
        for (; *text >= '0' && *text <= '9'; text++) {
            v = v * 10 + (uint64_t)(*text - '0');
            if (v > UINT32_MAX)
                return -EINVAL;
        }
        out[n] = negative ? -(int64_t)v : (int64_t)v;
    }
    while (*text == ' ' || *text == '\t' || *text == '\n')
        text++;
    return *text ? -EINVAL : 0;
}

static bool may_write(const struct proc_entry *e)
{
    return !e->reader || netns_may_change(e->reader);
}

static int show_row(const struct proc_entry *e, struct strbuf *sb)
{
    uint32_t count;
    const struct net_sysctl_row *row = &net_sysctl_rows(&count)[e->node - row_nodes];
    const int64_t *values;

    netns_lock(e->k->netns);
    values = net_sysctl_values(e->k->netns->stack, row);
    for (uint32_t n = 0; n < row->count; n++)
        strbuf_printf(sb, n ? "\t%ld" : "%ld", values[n]);
    netns_unlock(e->k->netns);
    strbuf_putc(sb, '\n');
    return 0;
}

static int store_row(const struct proc_entry *e, char *text, size_t size)
{
    uint32_t count;
    const struct net_sysctl_row *row = &net_sysctl_rows(&count)[e->node - row_nodes];
    int64_t values[VALUES_MAX];
    int err;

    if (!may_write(e))
        return -EPERM;
    err = parse_values(text, values, row->count);
    if (err)
        return err;
    netns_lock(e->k->netns);
    err = net_sysctl_write(e->k->netns->stack, row, values, row->count);
    netns_unlock(e->k->netns);
    return err;
}

static int show_conf(const struct proc_entry *e, struct strbuf *sb)
{
    uint32_t count;
    const struct net_sysctl_row *row = &net_iface_conf_rows(&count)[e->node - conf_nodes];
    struct netns *ns = e->k->netns;
    struct net_iface *i;
    int64_t v = 0;
    int err = 0;

    netns_lock(ns);
    if (e->fd < 0) {
        v = *net_conf_values(ns->stack, e->fd == WHICH_ALL ? NET_CONF_ALL : NET_CONF_DEFAULT, row);
    } else {
        i = net_iface_by_index(ns->stack, (uint32_t)e->fd);
        if (i)
            v = *net_iface_conf_values(i, row);
        else
            err = -ENOENT;
    }
    netns_unlock(ns);
    if (!err)
        strbuf_printf(sb, "%ld\n", v);
    return err;
}

static int store_conf(const struct proc_entry *e, char *text, size_t size)
{
    uint32_t count;
    const struct net_sysctl_row *row = &net_iface_conf_rows(&count)[e->node - conf_nodes];
    struct netns *ns = e->k->netns;
    struct net_iface *i;
    int64_t v;
    int err;

    if (!may_write(e))
        return -EPERM;
    err = parse_values(text, &v, 1);
    if (err)
        return err;
    netns_lock(ns);
    if (e->fd < 0) {
        err =
            net_conf_write(ns->stack, e->fd == WHICH_ALL ? NET_CONF_ALL : NET_CONF_DEFAULT, row, v);
    } else {
        i = net_iface_by_index(ns->stack, (uint32_t)e->fd);
        err = i ? net_iface_conf_write(i, row, v) : -ENOENT;
    }
    netns_unlock(ns);
    return err;
}
