/*
 * /proc/PID/fd and fdinfo: a link and a text file for each open descriptor. A link leads to the
 * file's own path; a file without one (a pipe, an eventfd) gets a nameless inode here, which says
 * what it is and opens pipes and host streams anew. Takes the fd table's lock.
 */
#include "fs/fdtable.h"
#include "fs/mount.h"
#include "fs/pipe.h"
#include "fs/proc/proc_pid.h"
#include "fs/vfs_int.h"

DECLARE_OPS(inode_ops, fd_link_ops);
DECLARE_OPS(inode_ops, anon_inode_ops);

DEFINE_OPS(proc_node,
           fd_link_node) = {.name = "FD", .mode = LX_S_IFLNK | 0700, .inode_ops = &fd_link_ops};
DEFINE_OPS(proc_node, fd_info_node) = {.name = "FDINFO",
                                       .mode = LX_S_IFREG | 0444,
                                       .show = proc_show_pid_fdinfo,
                                       .flags = PROC_ACCESS};
DEFINE_OPS(proc_node,
           anon_node) = {.name = "", .mode = LX_S_IFREG | 0600, .inode_ops = &anon_inode_ops};

static struct file *file_of(struct task *t, int fd)
{
    struct fdtable *files = task_files_get(t);
    struct file *f;

    if (!files)
        return NULL;
    f = fdtable_file(files, fd, true);
    fdtable_put(files);
    return f;
}

/* The open file behind an fd/N inode, counted. -ENOENT, -EACCES. */
static int file_get_of(struct inode *inode, const struct vfs_ctx *ctx, struct file **out)
{
    struct proc_inode *pi = proc_inode(inode);
    struct task *t = proc_task(pi);

    if (!t)
        return -ENOENT;
    if (!proc_may_access(ctx, t)) {
        task_put(t);
        return -EACCES;
    }
    *out = file_of(t, pi->fd);
    task_put(t);
    return *out ? 0 : -ENOENT;
}

/* ---- the directories ---- */

static int lookup(struct inode *dir, const char *name, bool info, struct inode **out)
{
    struct proc_inode *pi = proc_inode(dir);
    uint32_t mode = 0;
    struct task *t;
    struct file *f;
    int32_t fd;
    int r = proc_parse_id(name, &fd);

    if (r)
        return r;
    t = proc_task(pi);
    if (!t)
        return -ENOENT;
    f = file_of(t, fd);
    task_put(t);
    if (!f)
        return -ENOENT;
    if (f->mode & FMODE_READ)
        mode |= 0500;
    if (f->mode & FMODE_WRITE)
        mode |= 0300;
    file_put(f);
    r = proc_new_child(dir, info ? &fd_info_node : &fd_link_node, out);
    if (r)
        return r;
    proc_inode(*out)->fd = fd;
    if (!info)
        (*out)->mode = LX_S_IFLNK | mode;
    return 0;
}

static int fd_lookup(struct inode *dir, const char *name, struct inode **out)
{
    return lookup(dir, name, false, out);
}

static int fdinfo_lookup(struct inode *dir, const char *name, struct inode **out)
{
    return lookup(dir, name, true, out);
}

static int fd_readdir(struct file *f, struct dir_filler *df, uint64_t *pos)
{
    struct task *t = proc_task(proc_inode(f->inode));
    bool info = ops_is(f->inode->ops, &proc_fdinfo_dir_ops);
    struct fdtable *files;
    char name[12];
    int fd;

    if (!t)
        return -ENOENT;
    files = task_files_get(t);
    task_put(t);
    if (!proc_emit_dots(f, df, pos) || !files)
        goto out;
    while ((fd = fdtable_next(files, (int)(*pos - 2))) >= 0) {
        uint64_t next = 2 + (uint64_t)fd;

        cv_snprintf(name, sizeof(name), "%d", fd);
        if (!proc_emit(df, name, next + 1, info ? LX_S_IFREG : LX_S_IFLNK, &next))
            break;
        *pos = next;
    }
out:
    if (files)
        fdtable_put(files);
    return 0;
}

DEFINE_OPS(inode_ops, proc_fd_dir_ops) = {.lookup = fd_lookup};
DEFINE_OPS(inode_ops, proc_fdinfo_dir_ops) = {.lookup = fdinfo_lookup};
DEFINE_OPS(file_ops, proc_fd_dir_file_ops) = {.readdir = fd_readdir, .llseek = proc_dir_llseek};

int proc_show_pid_fdinfo(const struct proc_entry *e, struct strbuf *sb)
{
    struct fdtable *files = task_files_get(e->task);
    struct file *f = files ? fdtable_file(files, e->fd, true) : NULL;
    uint32_t flags;

    if (f) {
        flags = f->flags | (fdtable_get_cloexec(files, e->fd) > 0 ? LX_O_CLOEXEC : 0);
        strbuf_printf(sb, "pos:\t%ld\nflags:\t0%o\nmnt_id:\t%u\nino:\t%lu\n", MAX(f->pos, 0L),
                      flags, f->path.mount ? f->path.mount->id : 0,
                      f->inode ? f->inode->ino : f->ino);
        if (f->ops.offset && file_ops_of(f)->show_fdinfo)
            file_ops_of(f)->show_fdinfo(f, e->ns, sb);
        file_put(f);
    }
    if (files)
        fdtable_put(files);
    return f ? 0 : -ENOENT;
}

/* ---- links ---- */

static int64_t fd_readlink(struct inode *inode, const struct vfs_ctx *ctx, char *buf, size_t size)
{
    struct strbuf text;
    struct file *f;
    int64_t n = file_get_of(inode, ctx, &f);

    if (n)
        return n;
    strbuf_init(&text);
    if (f->path.dentry && ctx)
        (void)path_print(&f->path, &ctx->root, true, &text);
    else if (f->ops.offset && file_ops_of(f)->describe)
        file_ops_of(f)->describe(f, &text);
    else
        strbuf_puts(&text, "anon_inode:[unknown]");
    file_put(f);
    n = text.failed ? -ENOMEM : (int64_t)MIN(text.size, size);
    if (n > 0)
        memcpy(buf, text.data, (size_t)n);
    strbuf_free(&text);
    return n;
}

/* A path to an inode that stands for f. Takes over the caller's reference of f. */
static int anon_path(struct inode *link, struct file *f, struct path *out)
{
    struct inode *inode;
    int r = proc_new_inode(link->sb, &anon_node, NULL, 0, false, &inode);

    if (r) {
        file_put(f);
        return r;
    }
    proc_inode(inode)->anon = f;
    if (pipe_of(f)) {
        inode->mode = LX_S_IFIFO | 0600;
        inode->fifo = pipe_of(f);
    }
    if (f->cred) {
        inode->uid = f->cred->fsuid;
        inode->gid = f->cred->fsgid;
    }
    return proc_nameless_path(inode, "", out);
}

static int fd_follow(struct inode *inode, const struct vfs_ctx *ctx, struct path *out)
{
    struct file *f;
    int r = file_get_of(inode, ctx, &f);

    if (r)
        return r;
    if (!f->path.dentry)
        return anon_path(inode, f, out);
    *out = path_get(&f->path);
    file_put(f);
    return 0;
}

DEFINE_OPS(inode_ops, fd_link_ops) = {.readlink_for = fd_readlink, .follow = fd_follow};

/* ---- nameless inodes ---- */

static int anon_getattr(struct inode *inode, struct kstat *out)
{
    struct file *f = proc_inode(inode)->anon;

    if (f->inode)
        return inode_getattr(f->inode, out);
    *out = (struct kstat){
        .dev = inode->sb->dev,
        .ino = f->ino,
        .nlink = 1,
        .mode = f->anon_mode ? f->anon_mode : 0600,
        .uid = inode->uid,
        .gid = inode->gid,
        .blksize = 4096,
        .atime_ns = inode->atime_ns,
        .mtime_ns = inode->mtime_ns,
        .ctime_ns = inode->ctime_ns,
    };
    return 0;
}

/*
 * Host streams given as standard input and output: the new file is a door to the old one. To a
 * regular file, it has a position of its own.
 */
static bool is_positioned(const struct file *to)
{
    return to->inode && (to->inode->mode & LX_S_IFMT) == LX_S_IFREG;
}

static int proxy_size(struct file *to, int64_t *out)
{
    struct kstat st;
    int r = inode_ops_of(to->inode)->getattr(to->inode, &st);

    if (r == 0)
        *out = (int64_t)st.size;
    return r;
}

static int64_t proxy_read(struct file *f, struct uio *uio, int64_t *pos)
{
    struct file *to = f->private_data;

    return file_ops_of(to)->read(to, uio, pos);
}

static int64_t proxy_write(struct file *f, struct uio *uio, int64_t *pos)
{
    struct file *to = f->private_data;
    int r = is_positioned(to) && (f->flags & LX_O_APPEND) ? proxy_size(to, pos) : 0;

    return r < 0 ? r : file_ops_of(to)->write(to, uio, pos);
}

static int64_t proxy_llseek(struct file *f, int64_t offset, int whence)
{
    struct file *to = f->private_data;
    int64_t size = 0;
    int r = proxy_size(to, &size);

    if (r < 0)
        return r;
    WRITE_ONCE(f->inode->size, (uint64_t)size);
    return generic_file_llseek(f, offset, whence);
}

static uint32_t proxy_poll(struct file *f, uint32_t mask)
{
    return file_poll(f->private_data, mask);
}

static struct waitq *proxy_poll_queue(struct file *f)
{
    return file_poll_queue(f->private_data);
}

static int64_t proxy_ioctl(struct file *f, const struct ioctl_ctx *ctx, uint64_t request,
                           uint64_t arg)
{
    struct file *to = f->private_data;

    return file_ops_of(to)->ioctl ? file_ops_of(to)->ioctl(to, ctx, request, arg) : -ENOTTY;
}

/* O_TRUNC means something for a host's regular file alone. */
static int proxy_truncate(struct file *f, uint64_t size)
{
    struct file *to = f->private_data;
    struct setattr attr = {.valid = ATTR_SIZE, .size = size};

    if (is_positioned(to) && !file_ops_of(to)->truncate)
        return inode_ops_of(to->inode)->setattr(to->inode, &attr);
    return file_ops_of(to)->truncate ? file_ops_of(to)->truncate(to, size) : 0;
}

static void proxy_release(struct file *f)
{
    file_put(f->private_data);
}

DEFINE_OPS(file_ops, proxy_ops) = {
    .read = proxy_read,
    .write = proxy_write,
    .llseek = proxy_llseek,
    .poll = proxy_poll,
    .poll_queue = proxy_poll_queue,
    .ioctl = proxy_ioctl,
    .truncate = proxy_truncate,
    .release = proxy_release,
};

/* Pipes are opened by the VFS (the inode is a FIFO); sockets, eventfds and the like can't be:
 * ENXIO. */
static int anon_open(struct inode *inode, struct file *f, const struct vfs_ctx *ctx)
{
    struct file *to = proc_inode(inode)->anon;
    uint32_t want = f->mode & (FMODE_READ | FMODE_WRITE);
    uint32_t type = (to->inode ? to->inode->mode : to->anon_mode) & LX_S_IFMT;

    if (type != LX_S_IFIFO && type != LX_S_IFCHR && type != LX_S_IFREG)
        return -ENXIO;
    if ((to->mode & want) != want || ((want & FMODE_READ) && !file_ops_of(to)->read) ||
        ((want & FMODE_WRITE) && !file_ops_of(to)->write))
        return -EACCES;
    f->private_data = file_get(to);
    f->ops = ops_ref(&proxy_ops);
    if (!is_positioned(to))
        f->mode = (f->mode & ~(uint32_t)FMODE_SEEK) | FMODE_STREAM;
    return 0;
}

DEFINE_OPS(inode_ops, anon_inode_ops) = {.getattr = anon_getattr, .open_for = anon_open};
