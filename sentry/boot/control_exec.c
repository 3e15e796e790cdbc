/*
 * Processes beside init: decoding the request, starting one, and telling its connection of its end.
 * Runs on the control thread only.
 */
#include "sentry/boot/control_int.h"

#include "fs/devpts/tty.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/poll.h"
#include "sentry/base/slab.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int refuse(struct control_conn *c, int error, const char *text)
{
    return control_reply(c, CONTROL_REPLY, error, text, strlen(text));
}

/* To be woken, by way of boot's main thread, when it ends. */
static bool watch(struct control *s, struct control_exec *e)
{
    e->waiter = kmalloc(sizeof(*e->waiter));
    if (!e->waiter)
        return false;
    park_waiter_init(e->waiter, &s->boot->kernel->boot_parker, LX_POLLIN);
    waitq_add(&e->tg->exit_waiters, &e->waiter->w);
    return true;
}

static void free_exec(struct control_exec *e)
{
    if (e->waiter) {
        waitq_remove(&e->waiter->w);
        kfree(e->waiter);
    }
    if (e->tty)
        tty_release_host(e->tty);
    if (e->tty_fd >= 0)
        close(e->tty_fd);
    free(e);
}

/* Nobody asks any more; the process goes on. */
void control_exec_forget(struct control_exec *e)
{
    struct thread_group *tg = thread_group_get(e->tg);

    kernel_forget_process(e->tg);
    free_exec(e);
    thread_group_put(tg);
}

void control_exec_check(struct control *s, struct control_conn *c)
{
    struct control_exec *e = c->exec;
    struct thread_group *tg;
    int32_t status;

    if (!load_acquire(&e->tg->exited))
        return;
    tg = thread_group_get(e->tg);
    status = kernel_reap_process(e->tg);
    c->exec = NULL;
    free_exec(e);
    thread_group_put(tg);
    (void)!control_reply(c, CONTROL_EXITED, status, "", 0);
}

static int start(struct control *s, struct control_conn *c, struct control_exec *e,
                 const struct boot_process *p)
{
    struct boot_container *b = c->of;
    struct boot_failure why;

    if (e->tty_fd >= 0 && boot_tty_create(b, e->tty_fd, p->uid, &e->tty) < 0) {
        for (size_t i = 0; i < p->fd_count; i++)
            close(p->fds[i]);
        free_exec(e);
        return refuse(c, -ENOTTY, "cannot use the terminal");
    }
    if (boot_start_process(b, p, e->tty, &b->kernel->control_parker, &e->tg, &why) < 0) {
        int r = control_reply(c, CONTROL_REPLY, -why.status, why.text, strlen(why.text));

        free_exec(e);
        return r;
    }
    if (!watch(s, e)) {
        control_exec_forget(e);
        return refuse(c, -ENOMEM, "out of memory");
    }
    c->exec = e;
    if (control_reply(c, CONTROL_REPLY, e->tg->tgid, "", 0) < 0)
        return -1;
    control_exec_check(s, c);
    return 0;
}

/* Looked at, the process may start: 0, or -errno with *why. */
static int check_exec(const struct boot_container *b, const struct codec_exec *x, const char **why)
{
    *why = "container not running";
    if (load_acquire(&b->ended) || load_acquire(&b->kernel->init_done))
        return -ESRCH;
    *why = "cannot exec in a container of a pod that is not running";
    if (b != &b->boot->own && !b->init)
        return -ESRCH;
    *why = "cannot exec in a paused container (use --ignore-paused to override)";
    return b->cell->paused && !x->ignore_paused ? -EAGAIN : 0;
}

int control_do_exec(struct control *s, struct control_conn *c)
{
    struct boot_container *b = c->of;
    struct codec k = control_codec(c);
    struct boot_process p = {0};
    struct control_exec *e = NULL;
    struct codec_exec x;
    const char *why;
    int r;

    if (c->exec)
        return -1;
    codec_exec(&k, &x);
    codec_process(&k, &p);
    p.ordinary = true;
    r = check_exec(b, &x, &why);
    if (r < 0) {
        r = refuse(c, r, why);
    } else if (!codec_done(&k) || !(e = calloc(1, sizeof(*e)))) {
        r = refuse(c, -EINVAL, "malformed process description");
    } else {
        c->fd_count = 0; /* theirs now */
        e->tty_fd = p.tty_fd;
        e->holder = x.holder;
        r = start(s, c, e, &p);
    }
    codec_free(&k);
    return r;
}
