/* flock(2) and fcntl(2)'s record locks: decoding and the wait; the locks themselves are
 * fs/filelock.c. */
#include "fs/filelock.h"
#include "syscalls/fcntl_lock.h"
#include "syscalls/io.h"

struct lx_flock {
    int16_t type, whence;
    int32_t pad0;
    int64_t start, size;
    int32_t pid, pad1;
};
_Static_assert(sizeof(struct lx_flock) == 32, "struct flock");

struct lock_try {
    struct file *f;
    struct task *t;
    enum filelock_kind kind;
    const struct filelock_range *range;
    struct filelock_wait **wait;
    int operation; /* flock */
};

static int64_t try_record(void *arg)
{
    struct lock_try *l = arg;

    return filelock_set(l->f, l->t->files, l->kind, l->range, l->wait);
}

static int64_t try_flock(void *arg)
{
    struct lock_try *l = arg;

    return filelock_flock(l->f, l->operation);
}

static int64_t wait_for_lock(struct task *t, struct lock_try *l, wait_try_fn try)
{
    int64_t r = try(l);

    if (r != -EAGAIN)
        return r;
    return task_wait(t, filelock_queue(l->f->inode), LX_POLLIN, PARK_FOREVER, try, l);
}

/* The guest's start and length as an inclusive range. */
static int range_from(struct file *f, const struct lx_flock *in, struct filelock_range *out)
{
    int64_t base = 0, start, end;
    struct kstat st;
    int err;

    switch (in->whence) {
    case LX_SEEK_SET:
        break;
    case LX_SEEK_CUR:
        base = READ_ONCE(f->pos);
        break;
    case LX_SEEK_END:
        err = file_getattr(f, &st);
        if (err)
            return err;
        base = (int64_t)st.size;
        break;
    default:
        return -EINVAL;
    }
    if (__builtin_add_overflow(base, in->start, &start))
        return -EOVERFLOW;
    if (start < 0)
        return -EINVAL;
    if (in->size > 0) {
        if (__builtin_add_overflow(start, in->size - 1, &end))
            return -EOVERFLOW;
    } else if (in->size < 0) {
        end = start - 1;
        if (__builtin_add_overflow(start, in->size, &start) || start < 0)
            return -EINVAL;
    } else {
        end = INT64_MAX;
    }
    *out = (struct filelock_range){.type = in->type, .start = start, .end = end};
    return 0;
}

static int64_t get_lock(struct task *t, struct file *f, enum filelock_kind kind,
                        struct lx_flock *fl, struct filelock_range *range, uaddr_t out)
{
    int err;

    if (fl->type != LX_F_RDLCK && fl->type != LX_F_WRLCK)
        return -EINVAL;
    err = filelock_test(f, t->files, kind, range);
    if (err)
        return err;
    fl->type = (int16_t)range->type;
    if (range->type != LX_F_UNLCK) {
        fl->whence = LX_SEEK_SET;
        fl->start = range->start;
        fl->size = range->end == INT64_MAX ? 0 : range->end - range->start + 1;
        fl->pid = range->pid == -1 ? -1 : pid_nr_for(t, range->pid);
    }
    return copy_out_obj(&t->us, out, fl);
}

int64_t fcntl_lock(struct task *t, struct file *f, int cmd, uaddr_t p)
{
    bool ofd = cmd == LX_F_OFD_GETLK || cmd == LX_F_OFD_SETLK || cmd == LX_F_OFD_SETLKW;
    enum filelock_kind kind = ofd ? FILELOCK_OFD : FILELOCK_POSIX;
    struct filelock_wait *wait = NULL;
    struct filelock_range range;
    struct lock_try l = {.f = f, .t = t, .kind = kind, .range = &range};
    struct lx_flock fl;
    int64_t r;
    int err;

    if (!f->inode)
        return -EINVAL;
    if (copy_in_obj(&t->us, &fl, p))
        return -EFAULT;
    if (ofd && fl.pid)
        return -EINVAL;
    err = range_from(f, &fl, &range);
    if (err)
        return err;
    range.pid = ofd ? -1 : t->tg->tgid;
    if (cmd == LX_F_GETLK || cmd == LX_F_OFD_GETLK)
        return get_lock(t, f, kind, &fl, &range, p);
    if (fl.type != LX_F_RDLCK && fl.type != LX_F_WRLCK && fl.type != LX_F_UNLCK)
        return -EINVAL;
    if (cmd == LX_F_SETLK || cmd == LX_F_OFD_SETLK)
        return try_record(&l);
    l.wait = &wait;
    r = wait_for_lock(t, &l, try_record);
    filelock_wait_end(&wait);
    return r;
}

int64_t sys_flock(struct task *t, const struct syscall_args *a)
{
    AUTO_FILE f = task_file(t, ARG_INT(0));
    int operation = ARG_INT(1) & ~LX_LOCK_NB;
    struct lock_try l = {.f = f, .operation = operation};

    if (operation != LX_LOCK_SH && operation != LX_LOCK_EX && operation != LX_LOCK_UN)
        return -EINVAL;
    if (!f)
        return -EBADF;
    if (!f->inode)
        return -EINVAL;
    return ARG_INT(1) & LX_LOCK_NB ? try_flock(&l) : wait_for_lock(t, &l, try_flock);
}
