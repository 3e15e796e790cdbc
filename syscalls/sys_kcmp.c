/* kcmp: do two tasks share something? Source: kcmp(2). */
#include "fs/file.h"
#include "sentry/abi/errno.h"
#include "sentry/base/hash.h"
#include "syscalls/syscalls.h"

enum { KCMP_FILE, KCMP_VM, KCMP_FILES, KCMP_FS, KCMP_SIGHAND, KCMP_IO, KCMP_SYSVSEM };
#define KCMP_SALT 0x6b636d70UL

/* An order that tells nothing of addresses: equality, and hashes. */
static int64_t compare(const void *a, const void *b)
{
    uint64_t x = hash_u64((uintptr_t)a, KCMP_SALT), y = hash_u64((uintptr_t)b, KCMP_SALT);

    return a == b ? 0 : x < y ? 1 : 2;
}

/* Only to be compared: the object may be gone already. */
static int pick_file(struct task *who, uint64_t fd, const void **out)
{
    struct fdtable *files = task_files_get(who);
    struct file *f;

    if (!files)
        return -EBADF;
    f = fdtable_file(files, (int)fd, true);
    fdtable_put(files);
    if (!f)
        return -EBADF;
    *out = f;
    file_put(f);
    return 0;
}

static int pick(struct task *who, int type, uint64_t index, const void **out)
{
    switch (type) {
    case KCMP_FILE:
        return pick_file(who, index, out);
    case KCMP_VM:
        *out = READ_ONCE(who->us.mm);
        return 0;
    case KCMP_FILES:
        *out = READ_ONCE(who->files);
        return 0;
    case KCMP_FS:
        *out = READ_ONCE(who->fs);
        return 0;
    case KCMP_SIGHAND:
        *out = READ_ONCE(who->tg->sighand);
        return 0;
    case KCMP_SYSVSEM:
        *out = READ_ONCE(who->sem_undo);
        return 0;
    case KCMP_IO:
        *out = NULL;
        return 0;
    default:
        return -EINVAL;
    }
}

int64_t sys_kcmp(struct task *t, const struct syscall_args *a)
{
    struct task *x = task_find_for(t, ARG_INT(0)), *y = task_find_for(t, ARG_INT(1));
    const void *p, *q;
    int64_t ret = -ESRCH;

    if (x && y) {
        ret = task_may_access(t, x) && task_may_access(t, y) ? 0 : -EPERM;
        if (!ret)
            ret = pick(x, ARG_INT(2), ARG_U64(3), &p);
        if (!ret)
            ret = pick(y, ARG_INT(2), ARG_U64(4), &q);
        if (!ret)
            ret = compare(p, q);
    }
    task_put(x);
    task_put(y);
    return ret;
}
