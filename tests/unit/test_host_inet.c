/*
 * The host's sockets as the kernel's (fs/sock/host_*.c), on this machine's loopback: waits end by
 * the thread that watches, descriptors that are used again wake their new holder only.
 */
#include "fs/sock/host_inet.h"
#include "fs/vfs.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/socket.h"
#include "sentry/mm/usermem.h"
#include "tests/unit/fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct hostnet *net;
static pthread_t watcher;
static int stop_fd;

static void *watch(void *arg)
{
    hostnet_thread(arg);
    return NULL;
}

static void start(void)
{
    int epoll_fd = (int)syscall(SYS_epoll_create1, 0);

    fixture_setup();
    cr_assert_eq(vfs_init(), 0);
    stop_fd = eventfd(0, 0);
    cr_assert_eq(host_epoll_add(epoll_fd, stop_fd, LX_POLLIN, HOSTNET_STOP), 0);
    cr_assert_eq(hostnet_create(epoll_fd, &net), 0);
    cr_assert_eq(pthread_create(&watcher, NULL, watch, net), 0);
}

static void stop(void)
{
    uint64_t one = 1;

    cr_assert_eq(write(stop_fd, &one, sizeof(one)), sizeof(one));
    pthread_join(watcher, NULL);
    close(stop_fd);
    hostnet_destroy(net);
    vfs_destroy();
    fixture_teardown();
}

TestSuite(host_inet, .init = start, .fini = stop);

static struct sock_addr loopback(uint16_t port)
{
    struct sockaddr_in in = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sock_addr a = {.size = sizeof(in)};

    memcpy(a.data, &in, sizeof(in));
    return a;
}

static struct sock *make(int type)
{
    struct sock *sk;

    cr_assert_eq(host_inet_socket(net, LX_AF_INET, type, 0, &sk), 0);
    return sk;
}

/* Bound to a port of the host's choice, which is the result's. */
static struct sock_addr bound(struct sock *sk)
{
    struct sock_addr a = loopback(0);

    cr_assert_eq(sock_ops_of(sk)->bind(sk, NULL, &a), 0);
    cr_assert_eq(sock_ops_of(sk)->getname(sk, false, &a), 0);
    return a;
}

static void drop(struct sock *sk)
{
    sock_ops_of(sk)->close(sk);
    sock_put(sk);
}

/* Sleeps until one of events is there: as task_wait does. */
static void await(struct sock *sk, uint32_t events)
{
    struct parker parker = {0};
    struct park_waiter w;

    park_waiter_init(&w, &parker, events);
    waitq_add(&sk->waiters, &w.w);
    while (!(sock_ops_of(sk)->poll(sk) & events))
        (void)!park(&parker, PARK_FOREVER);
    waitq_remove(&w.w);
}

static int64_t send_text(struct sock *sk, const char *text, const struct sock_addr *to)
{
    struct uio uio;
    struct sock_send s = {.uio = &uio, .to = to};

    uio_init_kernel(&uio, (void *)text, strlen(text));
    return sock_ops_of(sk)->send(sk, &s);
}

/* What comes, at most size bytes of it: waits. */
static int64_t recv_some(struct sock *sk, char *out, size_t size)
{
    struct uio uio;
    struct sock_recv r = {.uio = &uio};
    int64_t n;

    for (;;) {
        uio_init_kernel(&uio, out, size);
        n = sock_ops_of(sk)->recv(sk, &r);
        if (n != -EAGAIN)
            return n;
        await(sk, LX_POLLIN);
    }
}

static int connect_to(struct sock *sk, const struct sock_addr *to)
{
    struct sock *none = NULL;
    int err = sock_ops_of(sk)->connect(sk, NULL, to, &none);

    while (err == -EINPROGRESS || err == -EAGAIN) {
        await(sk, LX_POLLOUT | LX_POLLERR | LX_POLLHUP);
        err = sock_ops_of(sk)->connect_done(sk);
    }
    return err;
}

Test(host_inet, stream)
{
    struct sock *l = make(LX_SOCK_STREAM), *a = make(LX_SOCK_STREAM), *b;
    struct sock_addr at = bound(l), name;
    char text[8];

    cr_assert_eq(sock_ops_of(l)->accept(l, &b), -EINVAL, "it does not listen");
    cr_assert_eq(sock_ops_of(l)->listen(l, NULL, 4), 0);
    cr_assert_eq(sock_ops_of(l)->accept(l, &b), -EAGAIN);
    cr_assert_eq(connect_to(a, &at), 0);
    await(l, LX_POLLIN);
    cr_assert_eq(sock_ops_of(l)->accept(l, &b), 0);
    cr_assert_eq(sock_ops_of(a)->getname(a, true, &name), 0);
    cr_assert_eq(memcmp(name.data, at.data, 8), 0);
    cr_assert_eq(send_text(a, "there", NULL), 5);
    cr_assert_eq(recv_some(b, text, 3), 3);
    cr_assert_eq(recv_some(b, text + 3, 5), 2);
    cr_assert_eq(memcmp(text, "there", 5), 0);
    cr_assert_eq(sock_ops_of(b)->shutdown(b, LX_SHUT_WR), 0);
    cr_assert_eq(recv_some(a, text, 1), 0);
    drop(a);
    drop(b);
    drop(l);
}

Test(host_inet, refused)
{
    struct sock *l = make(LX_SOCK_STREAM), *a = make(LX_SOCK_STREAM);
    struct sock_addr at = bound(l); /* nobody else's, and it does not listen */

    cr_assert_eq(connect_to(a, &at), -ECONNREFUSED);
    drop(a);
    drop(l);
}

Test(host_inet, options)
{
    struct sock *sk = make(LX_SOCK_STREAM);
    int32_t v = 1;
    uint32_t size = sizeof(v);

    cr_assert_eq(sock_setsockopt(sk, NULL, LX_SOL_TCP, LX_TCP_NODELAY, &v, size), 0);
    v = 0;
    cr_assert_eq(sock_getsockopt(sk, NULL, LX_SOL_TCP, LX_TCP_NODELAY, &v, &size), 0);
    cr_assert_eq(v, 1);
    cr_assert_eq(sock_setsockopt(sk, NULL, LX_SOL_SOCKET, LX_SO_MARK, &v, size), -ENOPROTOOPT);
    cr_assert_eq(sock_setsockopt(sk, NULL, LX_SOL_TCP, LX_TCP_ULP, &v, size), -ENOPROTOOPT);
    cr_assert_eq(sock_setsockopt(sk, NULL, LX_SOL_SOCKET, LX_SO_TYPE, &v, size), -ENOPROTOOPT);
    cr_assert_eq(sock_getsockopt(sk, NULL, LX_SOL_RAW, 1, &v, &size), -EOPNOTSUPP);
    drop(sk);
}

/* Datagrams to itself, each awaited, on descriptors that go round between threads. */
static void *go_round(void *arg)
{
    for (int i = 0; i < 300; i++) {
        struct sock *sk = make(LX_SOCK_DGRAM);
        struct sock_addr at = bound(sk);
        char text[4] = "";

        cr_assert_eq(send_text(sk, "me", &at), 2);
        await(sk, LX_POLLIN);
        cr_assert_eq(recv_some(sk, text, sizeof(text)), 2);
        cr_assert_eq(memcmp(text, "me", 2), 0);
        drop(sk);
    }
    return arg;
}

Test(host_inet, descriptors_used_again)
{
    pthread_t threads[3];

    for (int i = 0; i < 3; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, go_round, NULL), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
}
