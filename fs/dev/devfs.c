/* The /dev tree: a tmpfs filled from a table. Takes the root directory's lock while filling. */
#include "fs/dev/dev_int.h"
#include "fs/tmpfs/tmpfs.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/fcntl.h"
#include "sentry/base/cred.h"
#include "sentry/kernel/kernel.h"

struct node {
    const char *name;
    uint32_t mode;
    uint64_t rdev;
    const char *target;
};

static const struct node nodes[] = {
    {"null", LX_S_IFCHR | 0666, DEV_NUMBER(MEM_MAJOR, MEM_NULL), NULL},
    {"zero", LX_S_IFCHR | 0666, DEV_NUMBER(MEM_MAJOR, MEM_ZERO), NULL},
    {"full", LX_S_IFCHR | 0666, DEV_NUMBER(MEM_MAJOR, MEM_FULL), NULL},
    {"random", LX_S_IFCHR | 0666, DEV_NUMBER(MEM_MAJOR, MEM_RANDOM), NULL},
    {"urandom", LX_S_IFCHR | 0666, DEV_NUMBER(MEM_MAJOR, MEM_URANDOM), NULL},
    {"tty", LX_S_IFCHR | 0666, DEV_NUMBER(TTY_MAJOR, TTY_MINOR_TTY), NULL},
    {"console", LX_S_IFCHR | 0600, DEV_NUMBER(TTY_MAJOR, TTY_MINOR_CONSOLE), NULL},
    {"ptmx", LX_S_IFLNK | 0777, 0, "pts/ptmx"},
    {"fd", LX_S_IFLNK | 0777, 0, "/proc/self/fd"},
    {"stdin", LX_S_IFLNK | 0777, 0, "/proc/self/fd/0"},
    {"stdout", LX_S_IFLNK | 0777, 0, "/proc/self/fd/1"},
    {"stderr", LX_S_IFLNK | 0777, 0, "/proc/self/fd/2"},
    {"pts", LX_S_IFDIR | 0755, 0, NULL},
    {"shm", LX_S_IFDIR | 01777, 0, NULL},
    {"vsock", LX_S_IFCHR | 0666, DEV_NUMBER(MISC_MAJOR, MISC_VSOCK), NULL},
};
#define USUAL (ARRAY_SIZE(nodes) - 1) /* what containers have everywhere */

int dev_init(struct kernel *k)
{
    int r;

    if (k->dev_data)
        return 0;
    k->dev_data = k; /* a mark: the drivers are registered */
    r = vfs_register_chrdev(MEM_MAJOR, 0, 256, &mem_dev_ops);
    return r ? r : vfs_register_chrdev(MISC_MAJOR, MISC_VSOCK, 1, &misc_dev_ops);
}

static int make(struct inode *dir, const struct node *n, const struct cred *cred)
{
    const struct inode_ops *ops = OPS_GET(inode_ops, dir->ops);
    struct inode *made = NULL;
    int r;

    if (n->target)
        r = ops->symlink(dir, n->name, n->target, cred, &made);
    else if ((n->mode & LX_S_IFMT) == LX_S_IFDIR)
        r = ops->mkdir(dir, n->name, n->mode, cred, &made);
    else
        r = ops->create(dir, n->name, n->mode, n->rdev, cred, &made);
    if (!r)
        inode_put(made);
    return r;
}

int devfs_create(struct kernel *k, bool all, struct superblock **out)
{
    struct tmpfs_options options = {.mode = 0755};
    struct superblock *sb = NULL;
    struct cred *cred;
    int r = dev_init(k);

    if (!r)
        r = tmpfs_create(&options, &sb);
    if (r)
        return r;
    cred = cred_alloc_root();
    r = cred ? 0 : -ENOMEM;
    mutex_lock(&sb->root->lock);
    for (size_t i = 0; !r && i < (all ? ARRAY_SIZE(nodes) : USUAL); i++)
        r = make(sb->root, &nodes[i], cred);
    mutex_unlock(&sb->root->lock);
    if (cred)
        cred_put(cred);
    if (r) {
        sb_put(sb);
        return r;
    }
    *out = sb;
    return 0;
}
