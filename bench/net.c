/*
 * The network's micro benchmarks, client and server on loopback, one static program run bare and
 * inside every platform: bench_net latency|connect. Prints a line: name and figure. bench_net
 * await ADDR PORT returns when a server listens there.
 */
#include "bench.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCHES       7
#define TURNS         2000
#define CONNECTS      1000
#define CONNECT_ROUND 5

static int listener(struct sockaddr_in *at)
{
    socklen_t size = sizeof(*at);
    int s = socket(AF_INET, SOCK_STREAM, 0);

    *at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (s < 0 || bind(s, (struct sockaddr *)at, sizeof(*at)) || listen(s, 128) ||
        getsockname(s, (struct sockaddr *)at, &size))
        die("listen");
    return s;
}

static int connected(const struct sockaddr_in *to)
{
    int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;

    if (s < 0 || connect(s, (const struct sockaddr *)to, sizeof(*to)))
        die("connect");
    if (setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
        die("TCP_NODELAY");
    return s;
}

/* The server's process: serve until the client has gone. */
static void start_server(void (*serve)(int), int listening)
{
    pid_t parent = getpid(), pid = fork();

    if (pid < 0)
        die("fork");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent)
            serve(listening);
        _exit(0);
    }
}

static void echo(int listening)
{
    int s = accept(listening, NULL, NULL), one = 1;
    char byte;

    if (s < 0 || setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
        die("accept");
    while (read(s, &byte, 1) == 1 && write(s, &byte, 1) == 1)
        ;
}

/* ns a request of one byte and its answer take: the best batch's mean. */
static void latency(void)
{
    uint64_t best = UINT64_MAX;
    struct sockaddr_in at;
    int l = listener(&at), s;
    char byte = 0;

    start_server(echo, l);
    s = connected(&at);
    for (int i = 0; i < BATCHES; i++) {
        uint64_t start = now_ns(), each;

        for (int n = 0; n < TURNS; n++) {
            if (write(s, &byte, 1) != 1 || read(s, &byte, 1) != 1)
                die("request");
        }
        each = (now_ns() - start) / TURNS;
        best = each < best ? each : best;
    }
    printf("latency-ns %llu\n", (unsigned long long)best);
}

static void accept_and_close(int listening)
{
    char byte;

    for (;;) {
        int s = accept(listening, NULL, NULL);

        if (s < 0)
            die("accept");
        if (read(s, &byte, 1) != 0)
            die("end");
        close(s);
    }
}

/* Connections opened and closed in a second: the best round's. */
static void connect_rate(void)
{
    uint64_t best = UINT64_MAX;
    struct sockaddr_in at;
    int l = listener(&at);

    start_server(accept_and_close, l);
    for (int i = 0; i < CONNECT_ROUND; i++) {
        uint64_t start = now_ns(), took;

        for (int n = 0; n < CONNECTS; n++) {
            int s = connected(&at);
            char byte;

            if (shutdown(s, SHUT_WR) || read(s, &byte, 1) != 0)
                die("close");
            close(s);
        }
        took = now_ns() - start;
        best = took < best ? took : best;
    }
    printf("connect-rate %llu\n", CONNECTS * 1000000000ULL / (unsigned long long)best);
}

/* Until somebody listens; half a minute at most. */
static int await(const char *addr, int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

    if (inet_pton(AF_INET, addr, &to.sin_addr) != 1)
        return 2;
    for (int i = 0; i < 1500; i++) {
        int s = socket(AF_INET, SOCK_STREAM, 0);

        if (s >= 0 && connect(s, (struct sockaddr *)&to, sizeof(to)) == 0)
            return 0;
        close(s);
        usleep(20000);
    }
    return 1;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    if (strcmp(what, "latency") == 0) {
        latency();
    } else if (strcmp(what, "connect") == 0) {
        connect_rate();
    } else if (strcmp(what, "await") == 0 && argc == 4) {
        return await(argv[2], atoi(argv[3]));
    } else {
        fprintf(stderr, "usage: bench_net latency|connect|await ADDR PORT\n");
        return 2;
    }
    return 0;
}
