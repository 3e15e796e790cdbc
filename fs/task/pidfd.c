/*
 * The file behind a pidfd: readable once its process has exited. private_data is a counted thread
 * group. No locks of its own.
 */
#include "fs/task/pidfd.h"

#include "sentry/abi/errno.h"
#include "sentry/abi/fcntl.h"
#include "sentry/base/fmt.h"

static uint32_t pidfd_poll(struct file *f, uint32_t mask)
{
    struct thread_group *tg = f->private_data;

    return __atomic_load_n(&tg->exited, __ATOMIC_ACQUIRE) ? mask & (LX_POLLIN | LX_POLLRDNORM) : 0;
}

static struct waitq *pidfd_poll_queue(struct file *f)
{
    struct thread_group *tg = f->private_data;

    return &tg->exit_waiters;
}

static void pidfd_release(struct file *f)
{
    thread_group_put(f->private_data);
}

static void pidfd_show_fdinfo(struct file *f, const struct pid_ns *reader, struct strbuf *out)
{
    struct thread_group *tg = f->private_data;
    int32_t pid = READ_ONCE(tg->leader) ? tg->tgid : -1;

    strbuf_printf(out, "Pid:\t%d\nNSpid:", pid > 0 ? pid_nr_in(reader, pid) : pid);
    if (pid > 0)
        pid_print_in(reader, pid, out);
    else
        strbuf_puts(out, "\t-1");
    strbuf_putc(out, '\n');
}

static void pidfd_describe(struct file *f, struct strbuf *out)
{
    strbuf_puts(out, "anon_inode:[pidfd]");
}

DEFINE_OPS(file_ops, pidfd_ops) = {
    .poll = pidfd_poll,
    .poll_queue = pidfd_poll_queue,
    .release = pidfd_release,
    .show_fdinfo = pidfd_show_fdinfo,
    .describe = pidfd_describe,
};

struct thread_group *pidfd_group_get(struct file *f)
{
    return ops_is(f->ops, &pidfd_ops) ? thread_group_get(f->private_data) : NULL;
}

int pidfd_install(struct task *t, struct thread_group *tg, uint32_t flags)
{
    struct file *f = file_alloc_anon(&pidfd_ops, LX_O_RDWR | flags, tg, t->cred);

    if (!f)
        return -ENOMEM;
    thread_group_get(tg);
    return task_install_fd(t, f, true);
}
