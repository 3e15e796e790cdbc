/*
 * The control server: one thread that takes requests of the CLI on the sandbox's socket. What it
 * reads may be anything: sizes are bounded, descriptors counted and closed, peers that are neither
 * root nor the sandbox's own user are turned away. Takes no locks of its own; the kernel functions
 * it calls take theirs.
 */
#include "sentry/boot/control_int.h"

#include "fs/devpts/tty.h"
#include "sentry/base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define SEND_SECONDS 2
#define OVERFLOW_UID 65534 /* who is nobody in our user namespace: the host's root, from ours */

/* In the poll list, behind a slot for each connection. */
enum { SLOT_LISTEN = CONTROL_CONNECTIONS, SLOT_POKE, SLOT_COUNT };

void control_publish(const struct boot_container *b, enum control_state state, int32_t status)
{
    struct control_status s = {.magic = CONTROL_MAGIC, .state = state, .status = status};

    if (b->config->status_fd >= 0 && pwrite(b->config->status_fd, &s, sizeof(s), 0) < 0)
        log_warn("cannot write the status file");
}

/* sendmsg is on the jail's list anyway, send is not. */
int64_t boot_send(int fd, const void *data, size_t size)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    return sendmsg(fd, &msg, MSG_NOSIGNAL);
}

static bool send_all(int fd, const void *data, size_t size)
{
    const char *p = data;

    while (size > 0) {
        ssize_t n = boot_send(fd, p, size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        p += n;
        size -= (size_t)n;
    }
    return true;
}

int control_reply(struct control_conn *c, enum control_kind kind, int32_t result, const char *text,
                  size_t size)
{
    struct control_reply r = {CONTROL_MAGIC, kind, (uint32_t)size, result};

    return send_all(c->fd, &r, sizeof(r)) && send_all(c->fd, text, size) ? 0 : -1;
}

struct codec control_codec(const struct control_conn *c)
{
    struct codec k = {.at = (const char *)c->payload,
                      .end = (const char *)c->payload + c->head.size,
                      .fd_count = (size_t)c->fd_count};

    memcpy(k.fds, c->fds, sizeof(k.fds));
    return k;
}

static int reply_result(struct control_conn *c, int result)
{
    const char *text = result < 0 ? boot_error(result) : "";

    return control_reply(c, CONTROL_REPLY, result, text, strlen(text));
}

/* ---- requests ---- */

static int do_start(struct control *s, struct control_conn *c)
{
    struct boot_container *b = c->of;
    bool own = b == &s->boot->own;
    struct boot_failure why = {.status = 1, .text = "out of memory"};

    if (load_acquire(&b->started) || load_acquire(&b->ended))
        return reply_result(c, -EBUSY);
    store_release(&b->started, 1);
    control_publish(b, CONTROL_RUNNING, 0);
    b->cell->held = b->config->start_hook_count > 0;
    if (boot_start_process(b, &b->config->init, b->tty, &b->kernel->control_parker,
                           own ? NULL : &b->init, &why) == 0 &&
        control_run_hooks(b, own ? b->kernel->init : b->init, &why) == 0 &&
        (own || control_pod_watch(b)))
        return reply_result(c, 0);
    log_error("%s", why.text);
    (void)!control_reply(c, CONTROL_REPLY, -ENOEXEC, why.text, strlen(why.text));
    if (!own) {
        control_pod_finish(s, b, wait_status_exited(why.status));
        return 0;
    }
    b->end_status = wait_status_exited(why.status);
    store_release(&b->ended, 1);
    unpark(&b->kernel->boot_parker);
    return 0;
}

/* As boot_signal_init, for a container beside the sandbox's own. */
static int signal_beside(struct control *s, struct boot_container *b, int signo)
{
    if (b->ended || (b->started && !b->init))
        return -ESRCH;
    if (b->started)
        return signal_send_outside(b->init, signo);
    if (boot_signal_is_deadly(signo))
        control_pod_finish(s, b, signo);
    return 0;
}

static int do_signal(struct control *s, struct control_conn *c)
{
    int signo = (int)c->head.arg;

    if (signo < 0 || signo > LX_NSIG)
        return reply_result(c, -EINVAL);
    if (c->head.op == CONTROL_SIGNAL_ALL && load_acquire(&c->of->started))
        return reply_result(c, signo ? cell_signal_all(c->of->cell, signo) : 0);
    if (signo && c->exec)
        return reply_result(c, signal_send_outside(c->exec->tg, signo));
    if (signo && c->of != &s->boot->own)
        return reply_result(c, signal_beside(s, c->of, signo));
    if (signo)
        boot_signal_init(c->of, signo);
    return reply_result(c, 0);
}

static int do_pause(struct control *s, struct control_conn *c, bool on)
{
    struct boot_container *b = c->of;

    if (!load_acquire(&b->started) || load_acquire(&b->ended) ||
        load_acquire(&b->kernel->init_done))
        return reply_result(c, -ESRCH);
    cell_pause(b->cell, on);
    control_publish(b, on ? CONTROL_PAUSED : CONTROL_RUNNING, 0);
    return reply_result(c, 0);
}

static int do_resize(struct control *s, struct control_conn *c)
{
    struct tty *tty = c->exec ? c->exec->tty : c->of->tty;
    int fd = c->exec ? c->exec->tty_fd : c->of->config->init.tty_fd;
    struct lx_winsize size = {.rows = (uint16_t)(c->head.arg >> 16), .cols = (uint16_t)c->head.arg};

    if (!tty)
        return reply_result(c, -ENOTTY);
    if (c->head.arg)
        tty_set_winsize(tty, &size);
    else
        boot_tty_resize(tty, fd);
    return reply_result(c, 0);
}

static int serve(struct control *s, struct control_conn *c)
{
    if (!c->of && c->head.op != CONTROL_OF)
        return reply_result(c, -ESRCH);
    switch (c->head.op) {
    case CONTROL_OF:
        return control_do_of(s, c);
    case CONTROL_CREATE:
        return control_do_create(s, c);
    case CONTROL_END:
        return control_do_end(s, c);
    case CONTROL_START:
        return do_start(s, c);
    case CONTROL_SIGNAL:
    case CONTROL_SIGNAL_ALL:
        return do_signal(s, c);
    case CONTROL_EXEC:
        return control_do_exec(s, c);
    case CONTROL_PS:
        return control_do_ps(s, c);
    case CONTROL_HOLDERS:
        return control_do_holders(s, c);
    case CONTROL_PAUSE:
    case CONTROL_RESUME:
        return do_pause(s, c, c->head.op == CONTROL_PAUSE);
    case CONTROL_STATS:
        return control_do_stats(s, c);
    case CONTROL_DEBUG:
        return control_do_debug(s, c);
    case CONTROL_FIGURES:
        return control_do_figures(s, c);
    case CONTROL_GDB:
        return control_do_gdb(s, c);
    case CONTROL_TRACE:
        return control_do_trace(s, c);
    case CONTROL_FORWARD:
        return control_do_forward(s, c);
    case CONTROL_RESIZE:
        return do_resize(s, c);
    default:
        return reply_result(c, -ENOSYS);
    }
}

/* ---- connections ---- */

static void drop_request(struct control_conn *c)
{
    for (int i = 0; i < c->fd_count; i++) {
        if (c->fds[i] >= 0)
            close(c->fds[i]);
    }
    c->fd_count = 0;
    free(c->payload);
    c->payload = NULL;
    c->have = 0;
}

static void close_conn(struct control *s, struct control_conn *c)
{
    drop_request(c);
    close(c->fd);
    c->fd = -1;
    if (c->trace)
        boot_trace_detach(s->boot, c->trace - 1);
    c->trace = 0;
    if (c->exec)
        control_exec_forget(c->exec);
    c->exec = NULL;
    if (c->debug)
        control_gdb_end(c->debug);
    c->debug = NULL;
    if (c->holds)
        control_pod_close(s, c->holds);
    c->holds = c->awaits = NULL;
}

static void take_fds(struct control_conn *c, struct msghdr *msg)
{
    for (struct cmsghdr *h = CMSG_FIRSTHDR(msg); h; h = CMSG_NXTHDR(msg, h)) {
        size_t n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; i < n; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(fd));
            if (c->fd_count < CONTROL_FDS_MAX)
                c->fds[c->fd_count++] = fd;
            else
                close(fd);
        }
    }
}

/* 1: something came; 0: not now; -1: the end. */
static int receive(struct control_conn *c)
{
    union {
        char bytes[CMSG_SPACE(CONTROL_FDS_MAX * sizeof(int))];
        struct cmsghdr align;
    } control;
    bool in_head = c->have < sizeof(c->head);
    struct iovec iov = {.iov_base = in_head ? (uint8_t *)&c->head + c->have
                                            : c->payload + (c->have - sizeof(c->head)),
                        .iov_len = in_head ? sizeof(c->head) - c->have
                                           : c->head.size - (c->have - sizeof(c->head))};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof(control.bytes)};
    ssize_t n = recvmsg(c->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    take_fds(c, &msg);
    if (n == 0 || (msg.msg_flags & MSG_CTRUNC))
        return -1;
    c->have += (size_t)n;
    return 1;
}

/* The header is whole: is it one, and is there room for what follows? */
static bool accept_head(struct control_conn *c)
{
    if (c->head.magic != CONTROL_MAGIC || c->head.size > CONTROL_REQUEST_MAX)
        return false;
    c->payload = malloc(c->head.size + 1);
    if (!c->payload)
        return false;
    c->payload[c->head.size] = '\0';
    return true;
}

static void conn_ready(struct control *s, struct control_conn *c)
{
    int r;

    while ((r = receive(c)) > 0) {
        if (c->have == sizeof(c->head) && !c->payload && !accept_head(c))
            r = -1;
        if (r > 0 && c->payload && c->have == sizeof(c->head) + c->head.size) {
            r = serve(s, c) < 0 ? -1 : 1;
            drop_request(c);
        }
        if (r < 0)
            break;
    }
    if (r < 0)
        close_conn(s, c);
}

static bool peer_allowed(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == 0 || peer.uid == getauxval(AT_EUID) || peer.uid == OVERFLOW_UID);
}

static void accept_conn(struct control *s)
{
    struct timeval patience = {.tv_sec = SEND_SECONDS};
    int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC), i = 0;

    if (fd < 0)
        return;
    while (i < CONTROL_CONNECTIONS && s->conns[i].fd >= 0)
        i++;
    if (i == CONTROL_CONNECTIONS || !peer_allowed(fd) ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0) {
        close(fd);
        return;
    }
    s->conns[i] = (struct control_conn){.fd = fd, .of = &s->boot->own};
}

static void poked(struct control *s)
{
    uint64_t count;

    if (read(s->poke_fd, &count, sizeof(count)) < 0)
        return;
    for (int i = 0; i < CONTROL_CONNECTIONS; i++) {
        if (s->conns[i].fd >= 0 && s->conns[i].exec)
            control_exec_check(s, &s->conns[i]);
        if (s->conns[i].fd >= 0 && s->conns[i].debug)
            control_gdb_check(&s->conns[i]);
    }
    control_pods_check(s);
}

static void control_thread(void *arg)
{
    struct control *s = arg;
    struct pollfd list[SLOT_COUNT];

    for (;;) {
        for (int i = 0; i < CONTROL_CONNECTIONS; i++)
            list[i] = (struct pollfd){.fd = s->conns[i].fd, .events = POLLIN};
        list[SLOT_LISTEN] = (struct pollfd){.fd = s->listen_fd, .events = POLLIN};
        list[SLOT_POKE] = (struct pollfd){.fd = s->poke_fd, .events = POLLIN};
        if (poll(list, SLOT_COUNT, -1) < 0)
            continue;
        for (int i = 0; i < CONTROL_CONNECTIONS; i++) {
            if (list[i].fd >= 0 && list[i].revents)
                conn_ready(s, &s->conns[i]);
        }
        if (list[SLOT_POKE].revents)
            poked(s);
        if (list[SLOT_LISTEN].revents)
            accept_conn(s);
    }
}

void control_poke(struct control *s)
{
    uint64_t one = 1;

    (void)!write(s->poke_fd, &one, sizeof(one));
}

int control_create(struct boot *b)
{
    struct control *s = calloc(1, sizeof(*s));

    if (!s)
        return -1;
    s->boot = b;
    s->listen_fd = b->config->control_fd;
    s->poke_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    for (int i = 0; i < CONTROL_CONNECTIONS; i++)
        s->conns[i].fd = -1;
    if (s->poke_fd < 0)
        return -1; /* the sandbox ends */
    b->control = s;
    return 0;
}

int control_serve(struct boot *b)
{
    return boot_start_thread(control_thread, b->control);
}
