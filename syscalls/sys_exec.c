/*
 * execve and execveat: argument copying; the work is kernel/exec.c. Source: execve(2), execveat(2).
 */
#include "fs/file.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/fcntl.h"
#include "sentry/abi/sched.h"
#include "sentry/base/fmt.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"
#include "sentry/loader/loader.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/process.h"
#include "syscalls/syscalls.h"

/*
 * What the program is told it was called by: the path, or a name that leads to it through the
 * descriptor.
 */
static char *name_for(int dirfd, const char *path)
{
    struct strbuf sb;

    if (dirfd == LX_AT_FDCWD || path[0] == '/')
        return kstrdup(path);
    strbuf_init(&sb);
    strbuf_printf(&sb, path[0] ? "/dev/fd/%d/%s" : "/dev/fd/%d", dirfd, path);
    if (sb.failed) {
        strbuf_free(&sb);
        return NULL;
    }
    return sb.data;
}

static int open_named(struct task *t, int dirfd, const char *path, int flags, struct file **out)
{
    uint32_t walk = flags & LX_AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW;
    struct at_base base;
    int err = task_at_base(t, dirfd, path, &base);

    if (err)
        return err;
    if (flags & LX_AT_EMPTY_PATH)
        walk |= WALK_EMPTY;
    err = task_open_exec(t, base.use, path, walk, out);
    task_at_base_put(&base);
    return err;
}

static int64_t exec_at(struct task *t, int dirfd, uaddr_t name, uaddr_t argv, uaddr_t envp,
                       int flags)
{
    struct exec_args args;
    char *path;
    int err;

    if (flags & ~(LX_AT_EMPTY_PATH | LX_AT_SYMLINK_NOFOLLOW))
        return -EINVAL;
    err = task_copy_path(t, name, flags & LX_AT_EMPTY_PATH, &path);
    if (err)
        return err;
    exec_args_init(&args, task_rlimit(t, LX_RLIMIT_STACK));
    err = open_named(t, dirfd, path, flags, &args.file);
    if (!err) {
        args.path = name_for(dirfd, path);
        err = args.path ? exec_args_copy_in(&args, &t->us, argv, envp) : -ENOMEM;
    }
    if (!err)
        err = task_exec(t, &args);
    exec_args_destroy(&args);
    kfree(path);
    return err;
}

int64_t sys_execve(struct task *t, const struct syscall_args *a)
{
    return exec_at(t, LX_AT_FDCWD, ARG_PTR(0), ARG_PTR(1), ARG_PTR(2), 0);
}

int64_t sys_execveat(struct task *t, const struct syscall_args *a)
{
    return exec_at(t, ARG_INT(0), ARG_PTR(1), ARG_PTR(2), ARG_PTR(3), ARG_INT(4));
}
