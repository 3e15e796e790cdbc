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

#define MAX_STRINGS 65536
#define MAX_GROUPS  65536

/* count strings from *at on into a NULL-terminated malloc'ed list; NULL when they are not there. */
static const char **take_strings(const char **at, const char *end, size_t count)
{
    const char **list = calloc(count + 1, sizeof(*list));

    for (size_t i = 0; list && i < count; i++) {
        const char *nul = memchr(*at, '\0', (size_t)(end - *at));

        if (!nul) {
            free(list);
            return NULL;
        }
        list[i] = *at;
        *at = nul + 1;
    }
    return list;
}

/* What decode() allocated. */
struct decoded {
    struct boot_process p;
    uint32_t *groups;
    struct bpf_insn *seccomp;
    const char **cwd, **argv, **envp;
};

static void free_decoded(struct decoded *d)
{
    free(d->groups);
    free(d->seccomp);
    free(d->cwd);
    free(d->argv);
    free(d->envp);
}

static void fill_process(struct boot_process *p, const struct control_process *m)
{
    *p = (struct boot_process){
        .uid = m->uid,
        .gid = m->gid,
        .umask = m->umask & 0777,
        .group_count = m->group_count,
        .no_new_privs = m->no_new_privs != 0,
        .oom_score_adj = m->oom_score_adj,
        .nice = m->nice,
        .personality = m->personality,
        .ioprio = m->ioprio,
        .sched_policy = m->sched_policy,
        .sched_priority = m->sched_priority,
        .ordinary = true,
        .tty_fd = -1,
    };
    memcpy(p->caps, m->caps, sizeof(p->caps));
    memcpy(p->rlimits, m->rlimits, sizeof(p->rlimits));
}

static bool take_filter(uint32_t count, const char **at, const char *end, struct decoded *d)
{
    size_t size = count * sizeof(*d->seccomp);

    if (count > BPF_INSNS_MAX || (size_t)(end - *at) < size || !(d->seccomp = malloc(size)))
        return false;
    memcpy(d->seccomp, *at, size);
    *at += size;
    d->p.seccomp = d->seccomp;
    d->p.seccomp_count = count;
    return true;
}

static bool decode(const struct control_conn *c, struct control_process *m, struct decoded *d)
{
    const char *at = (const char *)c->payload, *end = at + c->head.size;
    size_t groups;

    if (c->head.size < sizeof(*m))
        return false;
    memcpy(m, at, sizeof(*m));
    at += sizeof(*m);
    groups = m->group_count * sizeof(uint32_t);
    if (m->argc < 1 || m->argc > MAX_STRINGS || m->envc > MAX_STRINGS ||
        m->group_count > MAX_GROUPS || (size_t)(end - at) < groups)
        return false;
    fill_process(&d->p, m);
    d->groups = malloc(groups + 1);
    if (!d->groups)
        return false;
    memcpy(d->groups, at, groups);
    at += groups;
    if (m->seccomp_count && !take_filter(m->seccomp_count, &at, end, d))
        return false;
    d->cwd = take_strings(&at, end, 1);
    d->argv = d->cwd ? take_strings(&at, end, m->argc) : NULL;
    d->envp = d->argv ? take_strings(&at, end, m->envc) : NULL;
    if (!d->envp || d->cwd[0][0] != '/')
        return false;
    d->p.groups = d->groups;
    d->p.cwd = d->cwd[0];
    d->p.argv = d->argv;
    d->p.envp = d->envp;
    return true;
}

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
    struct boot_container *b = &s->boot->own;
    struct boot_failure why;

    c->fd_count = 0; /* theirs now */
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

int control_do_exec(struct control *s, struct control_conn *c)
{
    struct boot_container *b = &s->boot->own;
    struct control_process m;
    struct decoded d = {0};
    struct control_exec *e;
    int r;

    if (c->exec)
        return -1;
    if (load_acquire(&b->ended) || load_acquire(&b->kernel->init_done))
        return refuse(c, -ESRCH, "container not running");
    e = decode(c, &m, &d) ? calloc(1, sizeof(*e)) : NULL;
    if (!e) {
        free_decoded(&d);
        return refuse(c, -EINVAL, "malformed process description");
    }
    e->tty_fd = -1;
    e->holder = m.holder;
    d.p.fds = c->fds;
    d.p.fd_count = (size_t)c->fd_count;
    if (b->cell->paused && !m.ignore_paused) {
        r = refuse(c, -EAGAIN,
                   "cannot exec in a paused container (use --ignore-paused to override)");
        free(e);
    } else if (m.terminal &&
               (c->fd_count < 1 || (e->tty_fd = fcntl(c->fds[0], F_DUPFD_CLOEXEC, 3)) < 0 ||
                boot_tty_create(b, e->tty_fd, &e->tty) < 0)) {
        r = refuse(c, -ENOTTY, "cannot use the terminal");
        free_exec(e);
    } else {
        d.p.tty_fd = e->tty_fd;
        r = start(s, c, e, &d.p);
    }
    free_decoded(&d);
    return r;
}
