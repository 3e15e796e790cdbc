/*
 * Containers beside the sandbox's own: a pod's. Each has a tree, processes and, as it is asked for,
 * namespaces of its own; its end is that of the connection that made it, which a process of the
 * host holds that stands for it. Runs on the control thread. Takes no locks of its own.
 */
#include "sentry/boot/control_int.h"

#include "fs/devpts/tty.h"
#include "sentry/base/slab.h"
#include "sentry/kernel/namespace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct control_pod {
    struct boot_container c; /* first */
    struct boot_config config;
    struct codec codec; /* what config's strings and lists lie in, as does payload */
    uint8_t *payload;
    struct codec_pod names;
    struct park_waiter *waiter;  /* kmalloc: on c.init's exit_waiters */
    struct control_conn *holder; /* NULL: gone, or not there yet */
};

static struct control_pod *pod_of(struct boot_container *b)
{
    return b == &b->boot->own ? NULL : (struct control_pod *)b;
}

static int refuse(struct control_conn *c, int error, const char *text)
{
    return control_reply(c, CONTROL_REPLY, error, text, strlen(text));
}

static struct control_pod *find(struct control *s, const char *id)
{
    for (int i = 0; i < CONTROL_CONTAINERS; i++) {
        if (s->pods[i] && strcmp(s->pods[i]->names.id, id) == 0)
            return s->pods[i];
    }
    return NULL;
}

/* ---- the end ---- */

static void close_if(int fd)
{
    if (fd >= 0)
        close(fd);
}

static void close_descriptors(struct control_pod *p)
{
    const struct boot_process *init = &p->config.init;

    for (size_t i = 0; i < init->fd_count && !p->c.started; i++)
        close_if(init->fds[i]);
    close_if(init->tty_fd);
    close_if(p->config.status_fd);
    close_if(p->config.error_fd);
}

static void stop_watching(struct control_pod *p)
{
    if (p->waiter) {
        waitq_remove(&p->waiter->w);
        kfree(p->waiter);
        p->waiter = NULL;
    }
}

static void free_pod(struct control_pod *p)
{
    struct boot_container *b = &p->c;

    if (b->tty)
        tty_release_host(b->tty);
    if (b->mount_ns) {
        path_put(&b->ctx.root);
        path_put(&b->ctx.cwd);
        mount_ns_put(b->mount_ns);
    }
    cred_put(b->ctx.cred);
    pid_ns_put(b->pid_ns);
    uts_ns_put(b->uts_ns);
    ipc_ns_put(b->ipc_ns);
    cell_put(b->cell);
    close_descriptors(p);
    codec_free(&p->codec);
    free(p->payload);
    free(p);
}

void control_pod_finish(struct control *s, struct boot_container *b, int32_t status)
{
    struct control_pod *p = pod_of(b);

    if (b->ended)
        return;
    b->end_status = status;
    store_release(&b->ended, 1);
    control_publish(b, CONTROL_STOPPED, status);
    if (p->holder)
        (void)!control_reply(p->holder, CONTROL_EXITED, status, "", 0);
}

void control_pod_close(struct control *s, struct control_pod *p)
{
    p->holder = NULL;
    cell_close(p->c.cell);
    /* What it still has is ended, and with it all. */
    control_poke(s);
}

/* Nobody is left in it: no connection is about it any more, and who waits for this is told. */
static void forget(struct control *s, int slot)
{
    struct control_pod *p = s->pods[slot];

    s->pods[slot] = NULL;
    for (int i = 0; i < CONTROL_CONNECTIONS; i++) {
        struct control_conn *c = &s->conns[i];

        if (c->of == &p->c)
            c->of = NULL;
        if (c->awaits != p)
            continue;
        c->awaits = NULL;
        if (c->fd >= 0)
            (void)!control_reply(c, CONTROL_REPLY, 0, "", 0);
    }
    free_pod(p);
}

void control_pods_check(struct control *s)
{
    for (int i = 0; i < CONTROL_CONTAINERS; i++) {
        struct control_pod *p = s->pods[i];
        struct thread_group *init = p ? p->c.init : NULL;

        if (init && load_acquire(&init->exited)) {
            stop_watching(p);
            p->c.init = NULL;
            control_pod_finish(s, &p->c, kernel_reap_process(init));
        }
        if (p && !p->c.init && !p->holder && cell_empty(p->c.cell)) {
            control_pod_finish(s, &p->c, LX_SIGKILL);
            forget(s, i);
        }
    }
}

bool control_pod_watch(struct boot_container *b)
{
    struct control_pod *p = pod_of(b);

    p->waiter = kmalloc(sizeof(*p->waiter));
    if (!p->waiter)
        return false;
    park_waiter_init(p->waiter, &b->kernel->boot_parker, LX_POLLIN);
    waitq_add(&b->init->exit_waiters, &p->waiter->w);
    unpark(&b->kernel->boot_parker); /* it may have exited before */
    return true;
}

int control_do_end(struct control *s, struct control_conn *c)
{
    struct control_pod *p = find(s, (const char *)c->payload);

    if (!p)
        return refuse(c, 0, "");
    c->awaits = p;
    cell_close(p->c.cell);
    if (!p->c.started)
        control_pod_finish(s, &p->c, LX_SIGKILL);
    control_poke(s);
    return 0;
}

int control_do_of(struct control *s, struct control_conn *c)
{
    struct control_pod *p = find(s, (const char *)c->payload);

    if (c->exec || c->holds)
        return -1;
    c->of = p ? &p->c : NULL;
    return refuse(c, p ? 0 : -ESRCH, p ? "" : "container not running");
}

/* ---- making one ---- */

/* The namespaces that it is to be in: 0, or -errno with *why. */
static int join(struct control *s, struct control_pod *p, const char **why)
{
    struct boot_container *b = &p->c, *own = &s->boot->own;
    struct control_pod *other = NULL;
    int r = 0;

    *why = "out of memory";
    if (p->names.pids_of && *p->names.pids_of && !(other = find(s, p->names.pids_of))) {
        *why = "the container whose pid namespace is to be joined has ended";
        return -ESRCH;
    }
    if (!p->names.pids_of) {
        r = pid_ns_create(b->kernel, own->pid_ns, &b->pid_ns);
        if (!r)
            b->pid_ns->apart = true;
    } else {
        b->pid_ns = pid_ns_get(other ? other->c.pid_ns : own->pid_ns);
    }
    if (!r && p->names.own_uts)
        r = uts_ns_create(b->kernel, own->uts_ns, &b->uts_ns);
    else if (!r)
        b->uts_ns = uts_ns_get(own->uts_ns);
    if (!r && p->names.own_ipc)
        r = ipc_ns_create(b->kernel, false, &b->ipc_ns);
    else if (!r)
        b->ipc_ns = ipc_ns_get(own->ipc_ns);
    if (!r)
        r = cell_create(b->kernel, &b->cell);
    if (!r)
        boot_set_names(b->uts_ns, &p->config);
    return r;
}

/* Its tree, terminal and program: 0, or a status after boot_fail. */
static int furnish(struct control_pod *p)
{
    struct boot_container *b = &p->c;
    struct boot_failure why;
    char *program;
    int status = boot_fs_create(b);

    if (status)
        boot_fs_drop(&p->config, 0);
    else
        status = boot_fs_mounts(b);
    if (!status)
        status = boot_paths_setup(b);
    if (!status)
        status = boot_fs_seal(b);
    if (!status && p->config.init.tty_fd >= 0 &&
        boot_tty_create(b, p->config.init.tty_fd, p->config.init.uid, &b->tty) < 0)
        status = boot_fail(&p->config, 1, "cannot use the terminal");
    if (status)
        return status;
    if (boot_find_program(b, &p->config.init, &program, &why) < 0)
        return boot_fail(&p->config, why.status, "%s", why.text);
    free(program);
    return 0;
}

/* The request's; takes its payload and descriptors over when that is well formed. */
static struct control_pod *read_request(struct control *s, struct control_conn *c)
{
    struct control_pod *p = calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    p->config = (struct boot_config){.coredump_fd = -1, .control_fd = -1, .commit_fd = -1};
    p->codec = control_codec(c);
    codec_pod(&p->codec, &p->names);
    codec_container(&p->codec, &p->config);
    if (!codec_done(&p->codec)) {
        codec_free(&p->codec);
        free(p);
        return NULL;
    }
    c->fd_count = 0;
    p->payload = c->payload;
    c->payload = NULL;
    p->c = (struct boot_container){.boot = s->boot,
                                   .config = &p->config,
                                   .kernel = s->boot->kernel,
                                   .host_io = s->boot->host_io};
    return p;
}

static int make(struct control *s, struct control_conn *c, struct control_pod *p, int slot)
{
    const char *why;
    int r = join(s, p, &why);

    if (r < 0) {
        boot_fs_drop(&p->config, 0);
        close_if(p->config.rootfs_fd);
    } else if (furnish(p)) {
        r = -EIO;
        why = ""; /* boot_fail has told it */
    }
    if (r < 0) {
        free_pod(p);
        return refuse(c, r, why);
    }
    close(p->config.error_fd);
    p->config.error_fd = -1;
    p->holder = c;
    s->pods[slot] = p;
    c->holds = p;
    c->of = &p->c;
    control_publish(&p->c, CONTROL_CREATED, 0);
    return refuse(c, 0, "");
}

int control_do_create(struct control *s, struct control_conn *c)
{
    struct boot_container *own = &s->boot->own;
    struct control_pod *p;
    int slot = 0;

    if (c->exec || c->holds)
        return -1;
    if (!s->boot->config->pod)
        return refuse(c, -EPERM, "the sandbox was not made for a pod");
    if (!load_acquire(&own->started) || load_acquire(&own->kernel->init_done))
        return refuse(c, -ESRCH, "the sandbox's own container is not running");
    while (slot < CONTROL_CONTAINERS && s->pods[slot])
        slot++;
    if (slot == CONTROL_CONTAINERS)
        return refuse(c, -ENOSPC, "the sandbox has as many containers as it can");
    p = read_request(s, c);
    if (!p)
        return refuse(c, -EINVAL, "malformed description of a container");
    if (find(s, p->names.id)) {
        boot_fs_drop(&p->config, 0);
        close_if(p->config.rootfs_fd);
        free_pod(p);
        return refuse(c, -EEXIST, "the sandbox has a container of this id");
    }
    return make(s, c, p, slot);
}
