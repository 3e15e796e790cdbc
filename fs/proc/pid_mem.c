/* /proc/PID/mem: the process's memory as a file, for debuggers and the process itself. Reads and
 * writes ignore page protections. */
#include "fs/proc/proc_pid.h"
#include "sentry/mm/mm.h"

#define CHUNK 4096

static int mem_open(struct inode *inode, struct file *f, const struct vfs_ctx *ctx)
{
    struct task *t = proc_task(proc_inode(inode));
    int r = 0;

    if (!t)
        return -ESRCH;
    if (proc_may_access(ctx, t))
        f->private_data = task_mm_get(t); /* NULL once it has exited: reads give 0 */
    else
        r = -EACCES;
    task_put(t);
    return r;
}

static void mem_release(struct file *f)
{
    if (f->private_data)
        mm_put(f->private_data);
}

/* One page at a time through a kernel copy: the two address spaces may be different hosts'
 * processes. */
static int64_t mem_move(struct file *f, struct uio *uio, int64_t *pos, bool write)
{
    char *chunk AUTO_KFREE = kmalloc(CHUNK);
    struct mm *mm = f->private_data;
    int64_t done = 0, n = 0;

    if (!chunk)
        return -ENOMEM;
    while (mm && uio->left) {
        uint64_t at = (uint64_t)*pos;
        size_t size = MIN(uio->left, CHUNK - at % CHUNK);

        n = write ? uio_take(uio, chunk, size) : mm_read(mm, chunk, at, size, true);
        if (n <= 0)
            break;
        n = write ? mm_write(mm, at, chunk, (size_t)n, true) : uio_put(uio, chunk, (size_t)n);
        if (n <= 0)
            break;
        *pos += n;
        done += n;
    }
    if (done)
        return done;
    return n == -EFAULT && !uio->left ? -EFAULT : n < 0 ? -EIO : 0;
}

static int64_t mem_read(struct file *f, struct uio *uio, int64_t *pos)
{
    return mem_move(f, uio, pos, false);
}

static int64_t mem_write(struct file *f, struct uio *uio, int64_t *pos)
{
    return mem_move(f, uio, pos, true);
}

static int64_t mem_llseek(struct file *f, int64_t offset, int whence)
{
    if (whence == LX_SEEK_CUR)
        offset += f->pos;
    else if (whence != LX_SEEK_SET)
        return -EINVAL;
    f->pos = offset; /* any address */
    return offset;
}

static int mem_truncate(struct file *f, uint64_t size)
{
    return 0;
}

DEFINE_OPS(inode_ops, proc_mem_inode_ops) = {.open_for = mem_open};
DEFINE_OPS(file_ops, proc_mem_ops) = {
    .read = mem_read,
    .write = mem_write,
    .llseek = mem_llseek,
    .truncate = mem_truncate,
    .release = mem_release,
};
