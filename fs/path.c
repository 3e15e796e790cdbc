/*
 * Paths: references and printing. Walking is namei.c. path_print takes dcache_lock and mount_lock.
 */
#include "fs/vfs_int.h"
#include "sentry/abi/errno.h"
#include "sentry/base/fmt.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"

#define PRINT_MAX (256U << 10)

struct path path_get(const struct path *p)
{
    return (struct path){p->mount ? mount_get(p->mount) : NULL,
                         p->dentry ? dentry_get(p->dentry) : NULL};
}

void path_put(struct path *p)
{
    dentry_put(p->dentry);
    mount_put(p->mount);
    p->mount = NULL;
    p->dentry = NULL;
}

/* Grows downwards from the end of buf. */
struct back_buffer {
    char *buf;
    size_t at;
};

static bool prepend(struct back_buffer *b, const char *text, size_t size)
{
    if (b->at < size)
        return false;
    b->at -= size;
    memcpy(b->buf + b->at, text, size);
    return true;
}

enum { PRINT_OK, PRINT_UNREACHABLE, PRINT_TOO_SMALL };

/* With both locks. */
static int print_back(const struct path *p, const struct path *root, struct back_buffer *b)
{
    struct dentry *d = p->dentry;
    struct mount *m = p->mount;
    bool any = false;

    for (;;) {
        if (root && d == root->dentry && m == root->mount)
            break;
        if (m && d == m->root) {
            if (!m->parent) {
                if (!any && !prepend(b, "/", 1))
                    return PRINT_TOO_SMALL;
                return root ? PRINT_UNREACHABLE : PRINT_OK;
            }
            d = m->mountpoint;
            m = m->parent;
            continue;
        }
        if (!prepend(b, d->name, d->name_size) || !prepend(b, "/", 1))
            return PRINT_TOO_SMALL;
        any = true;
        if (d->parent == d) /* in no directory, such as a memfd */
            return PRINT_OK;
        d = d->parent;
    }
    return any || prepend(b, "/", 1) ? PRINT_OK : PRINT_TOO_SMALL;
}

int path_print(const struct path *p, const struct path *root, bool mark_deleted, struct strbuf *sb)
{
    struct mutex *mounts = &vfs_state()->mount_lock;
    size_t size = 1024;
    bool deleted;
    int result;

    for (;; size *= 4) {
        struct back_buffer b = {.buf = kmalloc(size), .at = size};

        if (!b.buf)
            return -ENOMEM;
        dcache_lock();
        mutex_lock(mounts);
        result = print_back(p, root, &b);
        deleted = dentry_is_unlinked(p->dentry);
        mutex_unlock(mounts);
        dcache_unlock();
        if (result != PRINT_TOO_SMALL) {
            if (result == PRINT_UNREACHABLE)
                strbuf_puts(sb, "(unreachable)");
            strbuf_add(sb, b.buf + b.at, size - b.at);
        }
        kfree(b.buf);
        if (result != PRINT_TOO_SMALL)
            break;
        if (size >= PRINT_MAX)
            return -ENAMETOOLONG;
    }
    if (mark_deleted && deleted)
        strbuf_puts(sb, " (deleted)");
    return result == PRINT_UNREACHABLE ? -ENOENT : 0;
}
