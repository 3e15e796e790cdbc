/*
 * runsc port-forward: ports of this machine's loopback, whose connections arrive at ports of a
 * running container, as if from its own loopback. A process for each connection, which the sandbox
 * is joined to by pipes.
 */
#include "runsc-cli/cli.h"
#include "runsc-cli/control_client.h"
#include "runsc-cli/io.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORTS_MAX 32

const struct opt port_forward_opts[] = {{0}};

struct pair {
    uint16_t local, remote;
};

struct listener {
    int fd;
    uint16_t remote;
};

struct forwarding {
    struct container container;
    struct pair pairs[PORTS_MAX];
    struct listener list[2 * PORTS_MAX]; /* IPv4 and IPv6 */
    size_t count;
};

/* ---- one connection ---- */

/* Both directions of one. in, out and life: our ends of CONTROL_FORWARD's. */
struct relay {
    int client, in, out, life;
    bool refused; /* the guest took no more */
};

/* Until from ends: true; or it fails, or to takes no more. */
static bool copy(int from, int to, bool *out_refused)
{
    char bytes[32768];

    for (;;) {
        ssize_t n = read(from, bytes, sizeof(bytes));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0;
        if (!write_all(to, bytes, (size_t)n)) {
            *out_refused = true;
            return false;
        }
    }
}

static void *copy_in(void *arg)
{
    struct relay *r = arg;

    if (!copy(r->client, r->in, &r->refused) && !r->refused) {
        (void)!write(r->life, "r", 1); /* the client's reset */
        _exit(0);
    }
    close(r->in);
    return NULL;
}

static void reset_at_close(int fd)
{
    static const struct linger at_once = {.l_onoff = 1};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

static void carry(struct relay *r)
{
    bool refused = false;
    pthread_t in;
    char byte;

    if (pthread_create(&in, NULL, copy_in, r) != 0) {
        reset_at_close(r->client);
        return;
    }
    if (!copy(r->out, r->client, &refused))
        return; /* the client takes no more */
    if (recv(r->life, &byte, 1, MSG_DONTWAIT) == 1) {
        reset_at_close(r->client);
        return;
    }
    shutdown(r->client, SHUT_WR);
    pthread_join(in, NULL);
    if (r->refused)
        reset_at_close(r->client);
    /* What went in last is still on its way. */
    shutdown(r->life, SHUT_WR);
    (void)!read(r->life, &byte, 1);
}

/* Asks for the connection: 0, or -1 with *err. */
static int join_sandbox(const struct container *c, uint16_t port, struct relay *r,
                        struct cli_error *err)
{
    int in[2], out[2], life[2], fd, n;
    int32_t result;

    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, life) < 0)
        return fail_errno(err, 1, errno, "pipe");
    fd = control_connect(c, err);
    if (fd < 0 || control_forward(fd, port, (int[]){in[0], out[1], life[0]}, err) < 0)
        return -1;
    close(fd);
    close(in[0]);
    close(out[1]);
    close(life[0]);
    r->in = in[1];
    r->out = out[0];
    r->life = life[1];
    n = (int)read(r->out, &result, sizeof(result));
    if (n != sizeof(result))
        return fail(err, 1, "container not running");
    return result ? fail(err, 1, "%s", strerror(-result)) : 0;
}

static NORETURN void serve(const struct container *c, int client, uint16_t port)
{
    struct cli_error err = {.status = 1};
    struct relay r = {.client = client};
    int one = 1;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (join_sandbox(c, port, &r, &err) < 0) {
        fprintf(stderr, "runsc: port %u of %s: %s\n", port, c->id, err.message);
        reset_at_close(client);
        _exit(1);
    }
    carry(&r);
    _exit(0);
}

/* ---- listening ---- */

static int listen_on(int family, uint16_t *port)
{
    struct sockaddr_in6 six = {
        .sin6_family = AF_INET6, .sin6_port = htons(*port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in four = {
        .sin_family = AF_INET, .sin_port = htons(*port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr *at = family == AF_INET ? (struct sockaddr *)&four : (struct sockaddr *)&six;
    socklen_t size = family == AF_INET ? sizeof(four) : sizeof(six);
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, at, size) < 0 || listen(fd, 128) < 0 || getsockname(fd, at, &size) < 0) {
        int e = errno;

        close(fd);
        errno = e;
        return -1;
    }
    *port = ntohs(family == AF_INET ? four.sin_port : six.sin6_port);
    return fd;
}

/* On both loopbacks; where the host has no IPv6, on one. */
static int add_listeners(struct forwarding *w, const struct pair *p, struct cli_error *err)
{
    uint16_t local = p->local, remote = p->remote;
    int fd = listen_on(AF_INET, &local);

    if (fd < 0)
        return fail_errno(err, 1, errno, "cannot listen on 127.0.0.1:%u", local);
    w->list[w->count++] = (struct listener){fd, remote};
    printf("Forwarding from 127.0.0.1:%u -> %u\n", local, remote);
    fd = listen_on(AF_INET6, &local);
    if (fd < 0 && errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL)
        return fail_errno(err, 1, errno, "cannot listen on [::1]:%u", local);
    if (fd < 0)
        return 0;
    w->list[w->count++] = (struct listener){fd, remote};
    printf("Forwarding from [::1]:%u -> %u\n", local, remote);
    return 0;
}

static bool parse_port(const char *text, const char *end, long least, uint16_t *out)
{
    char *stop;
    long n = strtol(text, &stop, 10);

    if (*text < '0' || *text > '9' || stop != end || n < least || n > 65535)
        return false;
    *out = (uint16_t)n;
    return true;
}

/* LOCAL:REMOTE, or PORT for both; LOCAL 0: any free one. */
static int parse_pair(struct pair *p, const char *arg, struct cli_error *err)
{
    const char *colon = strchr(arg, ':'), *end = arg + strlen(arg);
    bool ok = parse_port(colon ? colon + 1 : arg, end, 1, &p->remote);

    p->local = p->remote;
    if (ok && colon)
        ok = parse_port(arg, colon, 0, &p->local);
    return ok ? 0 : fail(err, 1, "%s: LOCAL:REMOTE is expected, port numbers", arg);
}

static void accept_one(struct forwarding *w, const struct listener *l)
{
    int client = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);

    if (client < 0)
        return;
    if (fork() == 0) {
        for (size_t i = 0; i < w->count; i++)
            close(w->list[i].fd);
        serve(&w->container, client, l->remote);
    }
    close(client);
}

/* Until the sandbox ends. */
static void wait_for_clients(struct forwarding *w, int control)
{
    struct pollfd fds[2 * PORTS_MAX + 1];

    for (;;) {
        fds[0] = (struct pollfd){.fd = control, .events = POLLIN};
        for (size_t i = 0; i < w->count; i++)
            fds[i + 1] = (struct pollfd){.fd = w->list[i].fd, .events = POLLIN};
        if (poll(fds, w->count + 1, -1) < 0)
            continue;
        if (fds[0].revents)
            return;
        for (size_t i = 0; i < w->count; i++) {
            if (fds[i + 1].revents)
                accept_one(w, &w->list[i]);
        }
    }
}

int cmd_port_forward(const struct global_options *global, void *opts, int argc, char **args,
                     struct cli_error *err)
{
    static struct forwarding w;
    int control;

    if (argc - 1 > PORTS_MAX)
        return fail(err, 1, "at most %d ports can be forwarded", PORTS_MAX);
    for (int i = 1; i < argc; i++) {
        if (parse_pair(&w.pairs[i - 1], args[i], err) < 0)
            return -1;
    }
    if (container_open(global, args[0], UNLOCKED, &w.container, err) < 0)
        return -1;
    control = control_connect(&w.container, err);
    if (control < 0)
        return -1;
    signal(SIGCHLD, SIG_IGN); /* nobody waits for them */
    for (int i = 1; i < argc; i++) {
        if (add_listeners(&w, &w.pairs[i - 1], err) < 0)
            return -1;
    }
    fflush(stdout);
    wait_for_clients(&w, control);
    return 0;
}
