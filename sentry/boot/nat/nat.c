/*
 * The gateway's life: its stack and addresses, then frames, sockets and timers in turn, in one
 * thread, until the sandbox's end of the link goes. Every address that is not the guest's is the
 * stack's own: a route of type local is the default.
 */
#include "sentry/boot/nat/nat_int.h"

#include "platform/host/host.h"
#include "sentry/abi/socket.h"
#include "sentry/abi/time_num.h"
#include "sentry/base/arena.h"
#include "sentry/base/log.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ARENA_SIZE  (512UL << 20) /* sparse */
#define TCP_PAGES   32768         /* 128 MiB in all connections */
#define EVENTS      256
#define FRAMES      64U
#define RETRY_MS    20
#define MS          1000000UL
#define DESCRIPTORS 16U /* besides the flows' */

/* ---- the stack's surroundings ---- */

static uint64_t env_now(void *env)
{
    return host_clock_ns(LX_CLOCK_MONOTONIC);
}

static uint64_t env_real(void *env)
{
    return host_clock_ns(LX_CLOCK_REALTIME);
}

static void env_random(void *env, void *out, uint32_t size)
{
    BUG_ON(host_getrandom(out, size) != (int64_t)size);
}

static void env_deadline(void *env, uint64_t ns)
{
    ((struct nat *)env)->deadline_ns = ns;
}

static DEFINE_OPS(net_env_ops, nat_env_ops) = {
    .now_ns = env_now, .real_ns = env_real, .random = env_random, .deadline = env_deadline};

/* libc's function has the name of one of the kernel's. */
int nat_watch(struct nat *n, int op, int fd, struct epoll_event *e)
{
    return (int)syscall(SYS_epoll_ctl, n->epoll, op, fd, e);
}

/* ---- set up ---- */

static struct ip_addr address6(uint8_t last)
{
    struct ip_addr a = {.b = {[15] = last}};

    memcpy(a.b, NAT_NET6, 8);
    return a;
}

static int add_address(struct nat *n, struct ip_addr a, uint8_t prefix)
{
    struct net_addr_config c = {.addr = a,
                                .prefix = prefix,
                                .flags = NET_ADDR_PERMANENT | NET_ADDR_NODAD,
                                .valid_s = NET_FOREVER,
                                .preferred_s = NET_FOREVER};

    return net_addr_add(n->eth, &c, NULL);
}

static int take_everything(struct nat *n, int family)
{
    struct ip_addr any = family == LX_AF_INET ? ip_from_v4(0) : IP_ADDR_ANY6;
    struct net_route r = {.family = (uint8_t)family,
                          .type = NET_ROUTE_LOCAL,
                          .scope = NET_SCOPE_HOST,
                          .protocol = NET_PROTO_BOOT,
                          .table = NET_TABLE_MAIN,
                          .dst = any,
                          .gateway = any,
                          .prefsrc = any,
                          .iface = n->stack->lo};

    return net_route_add(n->stack, &r, NET_ROUTE_F_CREATE);
}

static int configure(struct nat *n)
{
    struct net_sysctl *c = &n->stack->sysctl;
    int err = net_iface_set_flags(n->stack->lo, NET_IFF_UP, NET_IFF_UP);

    c->tcp_mem[0] = c->tcp_mem[1] = c->tcp_mem[2] = TCP_PAGES;
    if (!err)
        err = nat_link_add(n);
    if (err)
        return err;
    n->eth->conf.accept_dad = n->eth->conf.router_solicitations = 0;
    net_iface_set_carrier(n->eth, true);
    err = net_iface_set_flags(n->eth, NET_IFF_UP, NET_IFF_UP);
    if (!err)
        err = add_address(n, ip_from_v4(htonl(NAT_GATEWAY4)), NAT_PREFIX4);
    for (uint32_t i = 0; !err && i < NAT_DNS_MAX; i++)
        err = add_address(n, ip_from_v4(htonl(NAT_DNS4 + i)), NAT_PREFIX4);
    if (!err)
        err = take_everything(n, LX_AF_INET);
    if (!err)
        err = add_address(n, address6(NAT_GATEWAY6), NAT_PREFIX6);
    if (!err)
        err = take_everything(n, LX_AF_INET6);
    return err ? err : nat_echo_create(n);
}

static int start_memory(void)
{
    int err = arena_init(0, ARENA_SIZE);

    ro_globals.log_fd = -1;
    ro_globals.log_level = LOG_ERROR;
    ro_globals.trap_on_bug = 1;
    ro_globals.cpu_count = 1;
    ro_globals.vdso_clock = host_vdso_clock(getauxval(AT_SYSINFO_EHDR));
    if (!err && getrandom(&ro_globals.hash_seed, sizeof(ro_globals.hash_seed), 0) < 0)
        err = -errno;
    return err;
}

/* As many flows as there may be descriptors for. */
static uint32_t flow_count(void)
{
    struct rlimit rl;

    if (getrlimit(RLIMIT_NOFILE, &rl) < 0 || rl.rlim_cur <= DESCRIPTORS)
        return 0;
    return (uint32_t)MIN(rl.rlim_cur - DESCRIPTORS, (rlim_t)NAT_FLOWS);
}

static int start_flows(struct nat *n)
{
    uint32_t count = flow_count();

    list_init(&n->free);
    list_init(&n->active);
    list_init(&n->ready);
    list_init(&n->waiting);
    list_init(&n->accepts);
    n->flows = calloc(count, sizeof(*n->flows));
    if (!n->flows)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++)
        list_add_tail(&n->free, &n->flows[i].node);
    return 0;
}

static int start(struct nat *n)
{
    struct epoll_event e = {.events = EPOLLIN}; /* data.ptr NULL: the link */
    int err = start_memory();

    if (!err)
        err = start_flows(n);
    if (!err)
        err = net_stack_create(&nat_env_ops, n, &n->stack);
    if (err)
        return err;
    n->salt = ro_globals.hash_seed;
    n->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (n->epoll < 0 || nat_watch(n, EPOLL_CTL_ADD, n->config.fd, &e) < 0)
        return -errno;
    net_lock(n->stack);
    err = configure(n);
    net_unlock(n->stack);
    return err;
}

/* ---- serving ---- */

/* false: the sandbox is gone. */
static bool read_frames(struct nat *n)
{
    bool ended = false;

    for (uint32_t i = 0; i < FRAMES; i++) {
        struct pkt *p = nat_link_read(n, &ended);

        if (!p)
            break;
        nat_input(n, p);
    }
    return !ended;
}

static void pump_all(struct nat *n)
{
    struct list turn;

    nat_accept(n);
    if (n->echo_ready)
        nat_echo_requests(n);
    list_init(&turn);
    list_splice_tail(&turn, &n->ready);
    while (!list_empty(&turn)) {
        struct nat_flow *f = list_first(&turn, struct nat_flow, ready);

        list_del(&f->ready);
        nat_pump(f);
    }
    nat_link_flush(n);
}

static int wait_ms(const struct nat *n)
{
    uint64_t until = MIN(n->deadline_ns, n->expire_ns);

    if (!list_empty(&n->ready) || !list_empty(&n->accepts) || n->echo_ready)
        return 0;
    if (!list_empty(&n->waiting))
        until = MIN(until, n->now_ns + RETRY_MS * MS);
    if (until == UINT64_MAX)
        return -1;
    return until <= n->now_ns ? 0 : (int)MIN((until - n->now_ns + MS - 1) / MS, 60000UL);
}

static void run_timers(struct nat *n)
{
    n->now_ns = env_now(n);
    if (n->now_ns >= n->deadline_ns)
        net_stack_run(n->stack);
    n->deadline_ns = net_stack_deadline(n->stack);
    if (n->now_ns >= n->expire_ns)
        nat_expire(n);
    if (!n->congested)
        list_splice_tail(&n->ready, &n->waiting);
}

static int serve(struct nat *n)
{
    static struct epoll_event events[EVENTS];
    bool alive = true;

    while (alive) {
        int count;

        run_timers(n);
        count = epoll_wait(n->epoll, events, EVENTS, wait_ms(n));
        n->now_ns = env_now(n);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr)
                nat_event(events[i].data.ptr, events[i].events);
            else if (events[i].events & ~(uint32_t)EPOLLOUT)
                alive = read_frames(n);
        }
        pump_all(n);
    }
    pump_all(n); /* what it sent last */
    return 0;
}

int nat_run(const struct nat_config *config)
{
    struct nat *n =
        mmap(NULL, sizeof(*n), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int err;

    if (n == MAP_FAILED)
        return -errno;
    n->config = *config;
    n->deadline_ns = n->expire_ns = UINT64_MAX;
    err = nat_jail_root();
    if (!err)
        err = start(n);
    if (!err && write(config->ready_fd, &err, sizeof(err)) != sizeof(err))
        err = -EPIPE;
    if (!err && close(config->ready_fd) == 0)
        err = nat_jail_calls();
    return err ? err : serve(n);
}
