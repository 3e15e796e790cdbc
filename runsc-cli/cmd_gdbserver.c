/*
 * runsc gdbserver: waits for one gdb on a unix socket or a loopback port and lets it debug a
 * process of a running container. The protocol: gdb.h.
 */
#include "runsc-cli/gdb.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct gdbserver_options {
    const char *socket;
    int64_t port;
    bool stdio;
};

#define O(field) offsetof(struct gdbserver_options, field)
const struct opt gdbserver_opts[] = {
    {"socket", 0, OPT_STRING, O(socket), "PATH", "a unix socket, made for the user alone"},
    {"port", 0, OPT_INT, O(port), "N", "a port of 127.0.0.1: any user of this machine can connect"},
    {"stdio", 0, OPT_FLAG, O(stdio), NULL,
     "standard input and output: target remote | runsc gdbserver --stdio ID PID"},
    {0},
};

static int listen_unix(const char *path, struct cli_error *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd;
    mode_t mask;

    if (strlen(path) >= sizeof(addr.sun_path))
        return fail(err, 1, "--socket: the path is too long");
    strcpy(addr.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    mask = umask(0177);
    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 1) < 0)
        return fail_errno(err, 1, errno, "cannot listen on %s", path);
    umask(mask);
    return fd;
}

static int listen_port(int64_t port, struct cli_error *err)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd, one = 1;

    if (port > 65535)
        return fail(err, 1, "--port: a number up to 65535 is expected");
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
        bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 1) < 0)
        return fail_errno(err, 1, errno, "cannot listen on port %d", (int)port);
    return fd;
}

/* gdb's connection. */
static int accept_gdb(const struct gdbserver_options *o, int pid, struct cli_error *err)
{
    int listening = o->socket ? listen_unix(o->socket, err) : listen_port(o->port, err), fd,
        one = 1;

    if (listening < 0)
        return -1;
    if (o->socket)
        fprintf(stderr, "process %d: gdb -ex 'target remote %s'\n", pid, o->socket);
    else
        fprintf(stderr, "process %d: gdb -ex 'target remote 127.0.0.1:%d'\n", pid, (int)o->port);
    do
        fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    close(listening);
    if (o->socket)
        unlink(o->socket);
    if (fd < 0)
        return fail_errno(err, 1, errno, "no connection");
    if (!o->socket)
        (void)!setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

static int attach(struct gdb *g, struct cli_error *err)
{
    struct control_gdb q = {.tid = g->pid};
    char none[8];
    int r = gdb_call(g, CONTROL_GDB_ATTACH, &q, NULL, 0, none, sizeof(none), NULL);

    if (r == -ESRCH)
        return fail(err, 1, "there is no process %d in the container", g->pid);
    if (r < 0)
        return fail_errno(err, 1, -r, "cannot attach to process %d", g->pid);
    g->current = g->pid;
    (void)!gdb_halt(g);
    if (!gdb_thread(g, g->current) && g->thread_count)
        g->current = g->threads[0].tid;
    return 0;
}

static int answer_stop(struct gdb *g)
{
    gdb_answer_start(g);
    gdb_put_stop(g);
    return gdb_send(g);
}

/* All packets that are whole. -1: the end. */
static int serve_packets(struct gdb *g)
{
    static char packet[GDB_PACKET_MAX + 1];
    size_t size;
    int r;

    while ((r = gdb_take_packet(g, packet, &size)) > 0) {
        if (r == 2) {
            g->interrupted = g->running;
            if (g->running && answer_stop(g) < 0)
                return -1;
            continue;
        }
        if (g->running)
            continue; /* not while it runs, in all-stop mode */
        gdb_answer_start(g);
        if (gdb_command(g, packet, size) && gdb_send(g) < 0)
            return -1;
        if (g->detached || g->closed)
            return -1;
    }
    return r;
}

static void serve(struct gdb *g)
{
    for (;;) {
        struct pollfd p[2] = {{.fd = g->fd, .events = POLLIN},
                              {.fd = g->control_fd, .events = POLLIN}};

        if (serve_packets(g) < 0)
            return;
        if (g->running && (g->news.stopped || g->news.exited)) {
            if (answer_stop(g) < 0)
                return;
            continue;
        }
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return;
        if (p[1].revents && control_gdb_next(g->control_fd, &g->news) < 0) {
            g->closed = true;
            if (g->running)
                (void)!answer_stop(g);
            return;
        }
        if (p[0].revents && gdb_receive(g) < 0)
            return;
    }
}

/* Standard input and output as one socket: gdb gives a command a socket pair, or pipes. */
static int stdio_socket(struct cli_error *err)
{
    struct stat st;

    if (fstat(0, &st) == 0 && S_ISSOCK(st.st_mode))
        return 0;
    return fail(err, 1,
                "--stdio: standard input is not a socket (gdb's target remote | gives one)");
}

int cmd_gdbserver(const struct global_options *global, void *opts, int argc, char **args,
                  struct cli_error *err)
{
    const struct gdbserver_options *o = opts;
    struct gdb *g = calloc(1, sizeof(*g));
    struct container c;
    char *end;
    int r;

    if (!g)
        return fail(err, 1, "out of memory");
    if ((o->socket != NULL) + (o->port != 0) + o->stdio != 1 || o->port < 0)
        return fail(err, 1, "one of --socket PATH, --port N and --stdio is needed");
    g->pid = (int)strtol(args[1], &end, 10);
    if (*end || g->pid <= 0)
        return fail(err, 1, "%s is not a process's number (see runsc ps)", args[1]);
    if (container_open(global, args[0], UNLOCKED, &c, err) < 0)
        return -1;
    g->container = &c;
    g->control_fd = container_needs_sandbox(&c, err) < 0 ? -1 : control_connect(&c, err);
    r = g->control_fd < 0 ? -1 : attach(g, err);
    if (r == 0) {
        g->fd = o->stdio ? stdio_socket(err) : accept_gdb(o, g->pid, err);
        r = g->fd < 0 ? -1 : 0;
    }
    if (r == 0)
        serve(g);
    container_close(&c);
    free(g);
    return r;
}
