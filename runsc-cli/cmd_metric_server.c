/*
 * runsc metric-server: the metrics of all sandboxes under --root by HTTP, GET /metrics. Each
 * connection is served by a process of its own, bounded in number and by time, so that nobody holds
 * up anybody else; a request is bounded in size. Listens on a unix socket (its owner's only) or an
 * address, which is loopback unless one is given. No authentication: who reaches the socket may
 * read.
 */
#include "runsc-cli/cli.h"
#include "runsc-cli/control_client.h"
#include "runsc-cli/metrics_merge.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define REQUEST_MAX     8192
#define SECONDS_MAX     10 /* a connection's */
#define SANDBOX_SECONDS 2  /* for a sandbox to answer */
#define CONNECTIONS_MAX 16

struct metric_server_options {
    const char *socket;
};

const struct opt metric_server_opts[] = {
    {"metric-socket", 0, OPT_STRING, offsetof(struct metric_server_options, socket),
     "PATH|ADDR:PORT", "where to listen: a unix socket, or an address (PORT alone: 127.0.0.1)"},
    {0},
};

/* ---- what is told ---- */

static bool add_sandbox(const struct global_options *global, struct metrics *m, const char *id)
{
    struct cli_error err = {.status = 1};
    struct container c;
    char *text = NULL;
    int r = -1;

    if (container_open(global, id, UNLOCKED, &c, &err) < 0)
        return true; /* it has just gone */
    if (container_sandbox(&c)) {
        container_close(&c); /* its sandbox is asked */
        return true;
    }
    if (container_alive(&c))
        r = control_request_within(&c, SANDBOX_SECONDS, CONTROL_FIGURES, CONTROL_FIGURES_PROMETHEUS,
                                   &text, &err);
    container_close(&c);
    if (!metrics_add_gauge(m, "cvisor_up", "Whether the sandbox answered.", id, r < 0 ? 0 : 1))
        return false;
    r = r < 0 || metrics_add(m, id, text);
    free(text);
    return r;
}

static char *collect(const struct global_options *global, size_t *size)
{
    struct cli_error err = {.status = 1};
    struct metrics m = {0};
    char **ids = NULL, *text;
    size_t count = 0;
    bool ok = container_list(global, &ids, &count, &err) == 0;

    for (size_t i = 0; ok && i < count; i++)
        ok = add_sandbox(global, &m, ids[i]);
    text = metrics_finish(&m, size);
    if (!ok) {
        free(text);
        return NULL;
    }
    return text;
}

/* ---- HTTP ---- */

static void send_all(int fd, const char *p, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, p, size, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        p += n;
        size -= (size_t)n;
    }
}

static void answer(int fd, const char *status, const char *more, const char *body, size_t size,
                   bool head_only)
{
    char head[512];
    int n = snprintf(head, sizeof(head),
                     "HTTP/1.1 %s\r\n%sContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
                     "Content-Length: %zu\r\nConnection: close\r\n\r\n",
                     status, more, size);

    send_all(fd, head, (size_t)n);
    if (!head_only)
        send_all(fd, body, size);
}

static void refuse(int fd, const char *status, const char *more)
{
    char body[64];
    int n = snprintf(body, sizeof(body), "%s\n", status);

    answer(fd, status, more, body, (size_t)n, false);
}

/* Up to the empty line. NULL: whole; else the status that tells why not. */
static const char *read_request(int fd, char text[REQUEST_MAX + 1])
{
    size_t have = 0;

    text[0] = '\0';
    while (!strstr(text, "\r\n\r\n") && !strstr(text, "\n\n")) {
        ssize_t n = have < REQUEST_MAX ? recv(fd, text + have, REQUEST_MAX - have, 0) : 0;

        if (have == REQUEST_MAX)
            return "431 Request Header Fields Too Large";
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return "400 Bad Request";
        if (memchr(text + have, 0, (size_t)n))
            return "400 Bad Request";
        have += (size_t)n;
        text[have] = '\0';
    }
    return NULL;
}

static void serve(const struct global_options *global, int fd)
{
    char text[REQUEST_MAX + 1], method[16], path[256], version[16], *body;
    const char *wrong = read_request(fd, text);
    size_t size = 0;

    if (wrong) {
        refuse(fd, wrong, "");
        return;
    }
    if (sscanf(text, "%15s %255s %15s", method, path, version) != 3 ||
        strncmp(version, "HTTP/1.", 7) != 0) {
        refuse(fd, "400 Bad Request", "");
        return;
    }
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        refuse(fd, "405 Method Not Allowed", "Allow: GET, HEAD\r\n");
        return;
    }
    path[strcspn(path, "?")] = '\0';
    if (strcmp(path, "/metrics") != 0) {
        refuse(fd, "404 Not Found", "");
        return;
    }
    body = collect(global, &size);
    if (body)
        answer(fd, "200 OK", "", body, size, strcmp(method, "HEAD") == 0);
    else
        refuse(fd, "500 Internal Server Error", "");
    free(body);
}

/* ---- listening ---- */

static int listen_unix(const char *path, struct cli_error *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct stat st;
    mode_t old;
    int r;

    if (strlen(path) >= sizeof(addr.sun_path))
        return fail(err, 1, "the path %s is too long for a socket", path);
    memcpy(addr.sun_path, path, strlen(path) + 1);
    /* What an earlier server left, but nothing else, makes room. */
    if (fd >= 0 && stat(path, &st) == 0 && S_ISSOCK(st.st_mode) &&
        connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 && errno == ECONNREFUSED)
        unlink(path);
    old = umask(0177);
    r = fd < 0 ? -1 : bind(fd, (struct sockaddr *)&addr, sizeof(addr));
    umask(old);
    if (r < 0 || listen(fd, CONNECTIONS_MAX) < 0)
        return fail_errno(err, 1, errno, "cannot listen on %s", path);
    return fd;
}

/* "PORT", ":PORT", "ADDR:PORT", "[ADDR]:PORT" as numbers. False: none of these. */
static bool parse_address(const char *text, struct sockaddr_storage *out, socklen_t *size)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    const char *colon = strrchr(text, ':'), *digits = colon ? colon + 1 : text;
    size_t n = colon ? (size_t)(colon - text) : 0;
    char host[64] = "127.0.0.1", *end;
    unsigned long port = strtoul(digits, &end, 10);
    bool is_v6 = n > 1 && text[0] == '[' && text[n - 1] == ']';

    *out = (struct sockaddr_storage){0};
    if (*digits < '0' || *digits > '9' || *end || port > 65535 || n >= sizeof(host))
        return false;
    if (n)
        snprintf(host, sizeof(host), "%.*s", (int)(n - (is_v6 ? 2 : 0)), text + is_v6);
    if (is_v6) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        *size = sizeof(*v6);
        return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1;
    }
    v4->sin_family = AF_INET;
    v4->sin_port = htons((uint16_t)port);
    *size = sizeof(*v4);
    return inet_pton(AF_INET, host, &v4->sin_addr) == 1;
}

static int listen_address(const char *text, struct cli_error *err)
{
    struct sockaddr_storage addr;
    socklen_t size;
    int one = 1, fd;

    if (!parse_address(text, &addr, &size))
        return fail(err, 1, "invalid metric-socket %s: a path or [ADDR:]PORT is expected", text);
    fd = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, size) < 0 || listen(fd, CONNECTIONS_MAX) < 0)
        return fail_errno(err, 1, errno, "cannot listen on %s", text);
    return fd;
}

static volatile sig_atomic_t stopped;

static void stop(int signo)
{
    stopped = 1;
}

/* Those that have ended make room; with all in use, waits for one. */
static int reap(int running)
{
    while (running > 0 && waitpid(-1, NULL, running >= CONNECTIONS_MAX ? 0 : WNOHANG) > 0)
        running--;
    return running;
}

static void accept_all(const struct global_options *global, int listener)
{
    int running = 0;

    while (!stopped) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        pid_t pid;

        if (fd < 0)
            continue;
        running = reap(running);
        pid = fork();
        if (pid == 0) {
            signal(SIGTERM, SIG_DFL);
            signal(SIGINT, SIG_DFL);
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            alarm(SECONDS_MAX);
            serve(global, fd);
            _exit(0);
        }
        running += pid > 0;
        close(fd);
    }
}

int cmd_metric_server(const struct global_options *global, void *opts, int argc, char **args,
                      struct cli_error *err)
{
    const char *where = ((struct metric_server_options *)opts)->socket;
    struct sigaction sa = {.sa_handler = stop}; /* no SA_RESTART: accept ends */
    bool local = where && strchr(where, '/');
    int fd;

    if (!where || !*where)
        return fail(err, 1, "--metric-socket says where to listen: a path, or ADDR:PORT");
    fd = local ? listen_unix(where, err) : listen_address(where, err);
    if (fd < 0)
        return -1;
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGINT, &sa, NULL);
    accept_all(global, fd);
    if (local)
        unlink(where);
    return 0;
}
