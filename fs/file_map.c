/*
 * What VMAs ask of the files they map: mm_file_ops over struct file. Takes no locks of its own.
 */
#include "fs/vfs_int.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/mman.h"
#include "sentry/abi/mount.h"
#include "sentry/base/fmt.h"

static struct file *file_of(struct mm_file *m)
{
    return container_of(m, struct file, mapped);
}

struct file *file_of_mapped(struct mm_file *m)
{
    return m && ops_is(m->ops, &file_mm_ops) ? file_of(m) : NULL;
}

static void map_get(struct mm_file *m)
{
    file_get(file_of(m));
}

static void map_put(struct mm_file *m)
{
    file_put(file_of(m));
}

static int map_source(struct mm_file *m, uint64_t offset, uint64_t size, int prot, bool shared,
                      int *out_fd, uint64_t *out_offset, bool *out_close)
{
    struct file *f = file_of(m);

    if (f->mode & FMODE_PATH)
        return -EBADF;
    if (!(f->mode & FMODE_READ))
        return -EACCES;
    if (shared && (prot & LX_PROT_WRITE) && !(f->mode & FMODE_WRITE))
        return -EACCES;
    if ((prot & LX_PROT_EXEC) && f->path.mount && (f->path.mount->flags & LX_MS_NOEXEC))
        return -EPERM;
    if (!file_ops_of(f)->map_source)
        return -ENODEV;
    return file_ops_of(f)->map_source(f, offset, size, prot, shared, out_fd, out_offset, out_close);
}

static bool may_write_shared(struct mm_file *m)
{
    return file_of(m)->mode & FMODE_WRITE;
}

static void describe(struct mm_file *m, uint64_t *dev, uint64_t *ino, struct strbuf *sb)
{
    struct file *f = file_of(m);

    *dev = f->inode ? f->inode->sb->dev : 0;
    *ino = f->ino;
    if (f->inode && inode_ops_of(f->inode)->getattr) {
        struct kstat st;

        if (inode_getattr(f->inode, &st) == 0) {
            *dev = st.dev;
            *ino = st.ino;
        }
    }
    if (f->path.dentry) {
        if (path_print(&f->path, NULL, true, sb) < 0)
            strbuf_puts(sb, "?");
    } else if (file_ops_of(f)->describe) {
        file_ops_of(f)->describe(f, sb);
    }
}

static uint64_t identity(struct mm_file *m)
{
    struct file *f = file_of(m);

    return (uint64_t)(uintptr_t)(f->inode ? (void *)f->inode : (void *)f);
}

DEFINE_OPS(mm_file_ops, file_mm_ops) = {
    .get = map_get,
    .put = map_put,
    .map_source = map_source,
    .may_write_shared = may_write_shared,
    .describe = describe,
    .identity = identity,
};
