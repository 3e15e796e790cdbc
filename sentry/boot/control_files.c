/*
 * Files of the guest for a debugger outside: programs and libraries as the debugged process names
 * them. Regular files only, for reading, with the process's own root. Takes the locks of the VFS.
 */
#include "sentry/boot/control_session.h"

#include "sentry/abi/fcntl.h"
#include "sentry/mm/usermem.h"

#include <errno.h>

/* Where the process's paths start; its mount namespace's root once it is gone. */
static struct vfs_ctx view(struct control_session *d, struct path *root)
{
    struct task *t = task_find(d->boot->kernel, d->tg->tgid);
    struct fs_context *fs = t ? task_fs_get(t) : NULL;
    struct vfs_ctx ctx = d->boot->own.ctx;

    if (fs) {
        mutex_lock(&fs->lock);
        *root = path_get(&fs->root);
        mutex_unlock(&fs->lock);
        fs_context_put(fs);
    } else {
        *root = path_get(&ctx.root);
    }
    if (t)
        task_put(t);
    ctx.root = ctx.cwd = *root;
    return ctx;
}

int session_open(struct control_session *d, const char *path)
{
    struct vfs_ctx ctx;
    struct path root;
    struct kstat st;
    struct file *f;
    int i = 0, r;

    while (i < SESSION_FILES && d->files[i])
        i++;
    if (i == SESSION_FILES)
        return -EMFILE;
    ctx = view(d, &root);
    r = vfs_open_at(&ctx, NULL, path, LX_O_RDONLY | LX_O_NONBLOCK | LX_O_NOCTTY, 0, 0, &f);
    path_put(&root);
    if (r < 0)
        return r;
    r = vfs_getattr(&f->path, &st);
    if (r == 0 && (st.mode & LX_S_IFMT) != LX_S_IFREG)
        r = -EACCES;
    if (r < 0) {
        file_put(f);
        return r;
    }
    d->files[i] = f;
    return i;
}

static struct file *find(struct control_session *d, int number)
{
    return number >= 0 && number < SESSION_FILES ? d->files[number] : NULL;
}

int session_pread(struct control_session *d, const struct control_gdb *q,
                  struct session_reply *out)
{
    struct file *f = find(d, q->tid);
    int64_t pos = (int64_t)q->addr, n;
    struct uio uio;

    if (!f)
        return -EBADF;
    if (pos < 0 || q->size > CONTROL_GDB_DATA_MAX)
        return -EINVAL;
    uio_init_kernel(&uio, out->data, q->size);
    n = file_read(f, &uio, &pos);
    uio_destroy(&uio);
    if (n > 0)
        out->size = (uint32_t)n;
    return n < 0 ? (int)n : 0;
}

int session_close(struct control_session *d, int number)
{
    struct file *f = find(d, number);

    if (!f)
        return -EBADF;
    d->files[number] = NULL;
    file_put(f);
    return 0;
}

void session_close_all(struct control_session *d)
{
    for (int i = 0; i < SESSION_FILES; i++) {
        if (d->files[i])
            (void)!session_close(d, i);
    }
}
