/* Requests to the sandbox, and their replies. */
#include "runsc-cli/control_client.h"

#include "sentry/boot/control_codec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static bool send_bytes(int fd, const void *data, size_t size, const int *fds, size_t fd_count)
{
    union {
        char bytes[CMSG_SPACE(CONTROL_FDS_MAX * sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    const char *p = data;

    while (size > 0) {
        struct iovec iov = {.iov_base = (void *)(uintptr_t)p, .iov_len = size};
        struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
        ssize_t n;

        if (fd_count) {
            struct cmsghdr *h = &control.align;

            msg.msg_control = control.bytes;
            msg.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
            h->cmsg_level = SOL_SOCKET;
            h->cmsg_type = SCM_RIGHTS;
            h->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
            memcpy(CMSG_DATA(h), fds, fd_count * sizeof(int));
        }
        n = sendmsg(fd, &msg, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        fd_count = 0;
        p += n;
        size -= (size_t)n;
    }
    return true;
}

static bool read_bytes(int fd, void *out, size_t size)
{
    char *p = out;

    while (size > 0) {
        ssize_t n = read(fd, p, size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        p += n;
        size -= (size_t)n;
    }
    return true;
}

/* The text malloc'ed, without control characters but newlines. */
static bool read_reply(int fd, struct control_reply *r, char **text)
{
    *text = NULL;
    if (!read_bytes(fd, r, sizeof(*r)) || r->magic != CONTROL_MAGIC || r->size > CONTROL_REPLY_MAX)
        return false;
    *text = malloc(r->size + 1UL);
    if (!*text || !read_bytes(fd, *text, r->size)) {
        free(*text);
        *text = NULL;
        return false;
    }
    (*text)[r->size] = '\0';
    for (char *p = *text; p < *text + r->size; p++) {
        if ((unsigned char)*p < 0x20 && *p != '\n')
            *p = '?';
    }
    return true;
}

int control_send(int fd, enum control_op op, uint32_t arg)
{
    struct control_request q = {CONTROL_MAGIC, op, 0, arg};

    return send_bytes(fd, &q, sizeof(q), NULL, 0) ? 0 : -1;
}

static int take_reply(int fd, char **out_text, struct cli_error *err)
{
    struct control_reply r;
    char *text;
    int result;

    if (!read_reply(fd, &r, &text) || r.kind != CONTROL_REPLY) {
        fail(err, err->status, "container not running");
        return -ESRCH;
    }
    result = r.result;
    if (result < 0)
        fail(err, err->status, "%s", text);
    if (result >= 0 && out_text)
        *out_text = text;
    else
        free(text);
    return result;
}

/* A request with a container's id. 0, or -1 with *err. */
static int ask_about(int fd, enum control_op op, const char *id, struct cli_error *err)
{
    struct control_request q = {.magic = CONTROL_MAGIC, .op = op, .size = (uint32_t)strlen(id)};

    if (!send_bytes(fd, &q, sizeof(q), NULL, 0) || !send_bytes(fd, id, q.size, NULL, 0))
        return fail(err, err->status, "container not running");
    return take_reply(fd, NULL, err) < 0 ? -1 : 0;
}

int control_connect(const struct container *c, struct cli_error *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const char *sandbox = container_sandbox(c);
    int dir = -1, e;
    bool connected;
    char path[64];

    if (sandbox && container_valid_id(sandbox))
        dir = openat(c->root_fd, sandbox, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (sandbox)
        snprintf(path, sizeof(path), "/proc/self/fd/%d/" CONTROL_FILE, dir);
    else
        container_path(c, CONTROL_FILE, path);
    memcpy(addr.sun_path, path, strlen(path) + 1);
    connected = fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0;
    e = errno;
    if (dir >= 0)
        close(dir);
    if (connected && (!sandbox || ask_about(fd, CONTROL_OF, c->id, err) == 0))
        return fd;
    if (connected)
        ; /* ask_about has told it */
    else if (e == ENOENT || e == ECONNREFUSED)
        fail(err, err->status, "container not running");
    else
        fail_errno(err, err->status, e, "cannot reach the sandbox of %s", c->id);
    if (fd >= 0)
        close(fd);
    return -1;
}

int control_call(int fd, enum control_op op, uint32_t arg, char **out_text, struct cli_error *err)
{
    if (control_send(fd, op, arg) < 0) {
        fail(err, err->status, "container not running");
        return -ESRCH;
    }
    return take_reply(fd, out_text, err);
}

int control_request(const struct container *c, enum control_op op, uint32_t arg, char **out_text,
                    struct cli_error *err)
{
    return control_request_within(c, 0, op, arg, out_text, err);
}

int control_request_within(const struct container *c, int seconds, enum control_op op, uint32_t arg,
                           char **out_text, struct cli_error *err)
{
    struct timeval patience = {.tv_sec = seconds};
    int fd = control_connect(c, err), r;

    if (fd < 0)
        return -1;
    if (seconds)
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    r = control_call(fd, op, arg, out_text, err);
    close(fd);
    return r < 0 ? -1 : r;
}

/* ---- exec ---- */

/* A request whose payload fill() writes with a codec: 0 or more, or -1 with *err. */
static int send_described(int fd, enum control_op op, void (*fill)(struct codec *k, void *arg),
                          void *arg, struct cli_error *err)
{
    struct control_request q = {.magic = CONTROL_MAGIC, .op = op};
    struct codec k = {0};
    char *message = NULL;
    size_t size = 0;
    int r = -1;

    k.out = open_memstream(&message, &size);
    if (!k.out)
        return fail(err, err->status, "out of memory");
    fwrite(&q, sizeof(q), 1, k.out);
    fill(&k, arg);
    if (fclose(k.out) != 0 || k.failed || size > CONTROL_REQUEST_MAX) {
        free(message);
        return fail(err, err->status,
                    "the description is too long, or has more than %d descriptors",
                    CONTROL_FDS_MAX);
    }
    q.size = (uint32_t)(size - sizeof(q));
    memcpy(message, &q, sizeof(q));
    if (send_bytes(fd, message, size, k.fds, k.fd_count))
        r = take_reply(fd, NULL, err);
    else
        fail(err, err->status, "container not running");
    free(message);
    return r < 0 ? -1 : r;
}

struct exec_request {
    struct codec_exec exec;
    struct boot_process process;
};

static void fill_exec(struct codec *k, void *arg)
{
    struct exec_request *q = arg;

    codec_exec(k, &q->exec);
    codec_process(k, &q->process);
}

int control_exec(int fd, const struct boot_process *p, bool ignore_paused, struct cli_error *err)
{
    struct exec_request q = {.exec = {.ignore_paused = ignore_paused, .holder = getpid()},
                             .process = *p};

    q.process.ordinary = true;
    return send_described(fd, CONTROL_EXEC, fill_exec, &q, err);
}

struct pod_request {
    struct codec_pod names;
    struct boot_config config;
};

static void fill_pod(struct codec *k, void *arg)
{
    struct pod_request *q = arg;

    codec_pod(k, &q->names);
    codec_container(k, &q->config);
}

int control_make(int fd, const struct codec_pod *names, const struct boot_config *config,
                 struct cli_error *err)
{
    struct pod_request q = {*names, *config};

    return send_described(fd, CONTROL_CREATE, fill_pod, &q, err);
}

int control_end(const struct container *sandbox, const char *id, int seconds, struct cli_error *err)
{
    struct timeval patience = {.tv_sec = seconds};
    int fd = control_connect(sandbox, err), r;

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    r = ask_about(fd, CONTROL_END, id, err);
    close(fd);
    return r;
}

int control_next(int fd, int32_t *status)
{
    struct control_reply r;
    char *text;

    if (!read_reply(fd, &r, &text))
        return -1;
    free(text);
    *status = r.result;
    return r.kind == CONTROL_EXITED;
}

/* ---- debugging ---- */

/* Takes one message: its data to out. 1: a reply; 0: news; -1: the sandbox is gone. */
static int take_debug(int fd, struct control_reply *r, void *out, size_t room,
                      struct debug_news *news)
{
    if (!read_bytes(fd, r, sizeof(*r)) || r->magic != CONTROL_MAGIC || r->size > room ||
        !read_bytes(fd, out, r->size))
        return -1;
    news->stopped |= r->kind == CONTROL_EVENT;
    if (r->kind == CONTROL_EXITED) {
        news->exited = true;
        news->status = r->result;
    }
    return r->kind == CONTROL_REPLY;
}

int control_gdb(int fd, enum control_gdb_op op, const struct control_gdb *q, const void *data,
                size_t size, void *out, size_t room, size_t *out_size, struct debug_news *news)
{
    struct control_request head = {CONTROL_MAGIC, CONTROL_GDB, (uint32_t)(sizeof(*q) + size), op};
    struct control_reply r;
    int kind;

    if (!send_bytes(fd, &head, sizeof(head), NULL, 0) || !send_bytes(fd, q, sizeof(*q), NULL, 0) ||
        !send_bytes(fd, data, size, NULL, 0))
        return -EPIPE;
    do
        kind = take_debug(fd, &r, out, room, news);
    while (kind == 0);
    if (kind < 0)
        return -EPIPE;
    if (out_size)
        *out_size = r.size;
    return r.result;
}

int control_gdb_next(int fd, struct debug_news *news)
{
    struct control_reply r;
    char none[8];

    return take_debug(fd, &r, none, sizeof(none), news) == 0 ? 0 : -1;
}

/* ---- trace ---- */

int control_trace(int fd, const struct boot_trace *t, struct cli_error *err)
{
    const char *lists[] = {t->calls, t->pids, t->paths};
    struct control_trace m = {.json = t->json, .failed = t->failed};
    struct control_request q = {.magic = CONTROL_MAGIC, .op = CONTROL_TRACE, .size = sizeof(m)};
    bool sent;

    for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
        q.size += (uint32_t)strlen(lists[i] ? lists[i] : "") + 1;
    sent = send_bytes(fd, &q, sizeof(q), NULL, 0) && send_bytes(fd, &m, sizeof(m), NULL, 0);
    for (size_t i = 0; sent && i < ARRAY_SIZE(lists); i++) {
        const char *text = lists[i] ? lists[i] : "";

        sent = send_bytes(fd, text, strlen(text) + 1, NULL, 0);
    }
    if (!sent)
        return fail(err, err->status, "container not running");
    return take_reply(fd, NULL, err) < 0 ? -1 : 0;
}

/* ---- port-forward ---- */

int control_forward(int fd, uint16_t port, const int fds[3], struct cli_error *err)
{
    struct control_request q = {.magic = CONTROL_MAGIC, .op = CONTROL_FORWARD, .arg = port};

    if (!send_bytes(fd, &q, sizeof(q), fds, 3))
        return fail(err, err->status, "container not running");
    return take_reply(fd, NULL, err) < 0 ? -1 : 0;
}
