/*
 * Files that are text made on reading: the whole is made at offset 0 and served from there on, so
 * that a reader sees one moment. Small writes go to the node's store. proc_reader.lock guards the
 * snapshot pointer only; guest memory is touched without it.
 */
#include "fs/proc/proc_int.h"

struct snapshot {
    struct ref ref;
    struct strbuf text;
};

struct proc_reader {
    struct mutex lock;
    struct snapshot *snapshot; /* one reference, or NULL */
    bool may_access;
};

static void snapshot_put(struct snapshot *s)
{
    if (!s || !ref_put(&s->ref))
        return;
    strbuf_free(&s->text);
    kfree(s);
}

static int text_open(struct inode *inode, struct file *f, const struct vfs_ctx *ctx)
{
    struct proc_inode *pi = proc_inode(inode);
    const struct proc_node *node = proc_node_of(pi);
    struct proc_reader *r;
    bool may_access = true;

    if ((f->mode & FMODE_WRITE) && !node->store)
        return -EACCES;
    if (pi->tg) {
        struct task *t = proc_task(pi);

        if (!t)
            return -ESRCH;
        may_access = proc_may_access(ctx, t);
        task_put(t);
        if ((node->flags & PROC_ACCESS) && !may_access)
            return -EACCES;
    }
    r = kmalloc(sizeof(*r));
    if (!r)
        return -ENOMEM;
    r->may_access = may_access;
    f->private_data = r;
    return 0;
}

static void text_release(struct file *f)
{
    struct proc_reader *r = f->private_data;

    snapshot_put(r->snapshot);
    kfree(r);
}

/* Fills e; -ESRCH. proc_entry_end drops its task. */
static int entry_begin(struct file *f, struct task *reader, struct proc_entry *e)
{
    struct proc_inode *pi = proc_inode(f->inode);
    struct proc_reader *r = f->private_data;

    *e = (struct proc_entry){.k = proc_kernel(f->inode),
                             .ns = proc_pid_ns(f->inode),
                             .thread = pi->thread,
                             .fd = pi->fd,
                             .may_access = r->may_access,
                             .reader = reader,
                             .node = proc_node_of(pi)};
    if (!pi->tg)
        return 0;
    e->task = proc_task(pi);
    return e->task ? 0 : -ESRCH;
}

static void entry_end(struct proc_entry *e)
{
    if (e->task)
        task_put(e->task);
}

static int make_snapshot(struct file *f, struct task *reader, struct snapshot **out)
{
    struct snapshot *s;
    struct proc_entry e;
    int r = entry_begin(f, reader, &e);

    if (r)
        return r;
    s = kmalloc(sizeof(*s));
    if (!s) {
        entry_end(&e);
        return -ENOMEM;
    }
    ref_init(&s->ref);
    strbuf_init(&s->text);
    r = e.node->show ? e.node->show(&e, &s->text) : 0;
    entry_end(&e);
    if (!r && s->text.failed)
        r = -ENOMEM;
    if (r) {
        snapshot_put(s);
        return r;
    }
    *out = s;
    return 0;
}

static int64_t text_read(struct file *f, struct uio *uio, int64_t *pos)
{
    struct proc_reader *r = f->private_data;
    struct snapshot *s = NULL, *old = NULL;
    int64_t n = 0;
    int err;

    mutex_lock(&r->lock);
    if (*pos != 0 && r->snapshot) {
        s = r->snapshot;
        ref_get(&s->ref);
    }
    mutex_unlock(&r->lock);
    if (!s) {
        err = make_snapshot(f, task_of_uio(uio), &s);
        if (err)
            return err;
        ref_get(&s->ref);
        mutex_lock(&r->lock);
        old = r->snapshot;
        r->snapshot = s;
        mutex_unlock(&r->lock);
        snapshot_put(old);
    }
    if (*pos >= 0 && (uint64_t)*pos < s->text.size)
        n = uio_put_last(uio, s->text.data + *pos, MIN(s->text.size - (uint64_t)*pos, uio->left));
    if (n > 0)
        *pos += n;
    snapshot_put(s);
    return n;
}

static int64_t text_write(struct file *f, struct uio *uio, int64_t *pos)
{
    size_t size = MIN(uio->left, (uint64_t)PROC_WRITE_MAX);
    char *text AUTO_KFREE = kmalloc(size + 1);
    struct proc_entry e;
    int64_t n;
    int r;

    if (!text)
        return -ENOMEM;
    n = uio_take(uio, text, size);
    if (n < 0)
        return n;
    text[n] = '\0';
    r = entry_begin(f, task_of_uio(uio), &e);
    if (r)
        return r;
    r = e.node->store ? e.node->store(&e, text, (size_t)n) : -EINVAL;
    entry_end(&e);
    if (r)
        return r;
    *pos += n;
    return n;
}

static int64_t text_llseek(struct file *f, int64_t offset, int whence)
{
    if (whence == LX_SEEK_CUR)
        offset += f->pos;
    else if (whence != LX_SEEK_SET)
        return -EINVAL;
    if (offset < 0)
        return -EINVAL;
    f->pos = offset;
    return offset;
}

/* These files have no size and no times of their own to change; opening with O_TRUNC is fine. */
static int text_truncate(struct file *f, uint64_t size)
{
    return 0;
}

static int refuse_setattr(struct inode *inode, const struct setattr *attr)
{
    return attr->valid & ATTR_SIZE && !(attr->valid & (ATTR_MODE | ATTR_UID | ATTR_GID)) ? 0
                                                                                         : -EPERM;
}

DEFINE_OPS(inode_ops, proc_file_inode_ops) = {.open_for = text_open, .setattr = refuse_setattr};
DEFINE_OPS(file_ops, proc_text_ops) = {
    .read = text_read,
    .write = text_write,
    .llseek = text_llseek,
    .truncate = text_truncate,
    .release = text_release,
};
