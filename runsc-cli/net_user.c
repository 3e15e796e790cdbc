/*
 * The network without root: starting the gateway (sentry/boot/nat), and what the guest has of it.
 * See net_host.h.
 */
#include "runsc-cli/net_host.h"

#include "sentry/boot/nat/nat.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define RESOLV_CONF "/etc/resolv.conf"
#define LINK_BUFFER (4 << 20) /* what the host allows of it */

/* ---- what the host has ---- */

/* An address with a scope other than this host and its links. */
static bool host_has_ipv6(void)
{
    FILE *f = fopen("/proc/net/if_inet6", "re");
    char line[128];
    unsigned scope;
    bool found = false;

    while (f && !found && fgets(line, sizeof(line), f))
        found = sscanf(line, "%*32s %*x %*x %x", &scope) == 1 && scope != 0x10 && scope != 0x20;
    if (f)
        fclose(f);
    return found;
}

/* ADDRESS or ADDRESS%INTERFACE */
static bool parse_server(char *word, struct boot_ip *out, uint32_t *scope)
{
    char *percent = strchr(word, '%');

    *scope = 0;
    if (percent) {
        *percent = '\0';
        *scope = if_nametoindex(percent + 1);
    }
    *out = (struct boot_ip){.family = AF_INET};
    if (inet_pton(AF_INET, word, out->bytes) == 1)
        return true;
    out->family = AF_INET6;
    return inet_pton(AF_INET6, word, out->bytes) == 1;
}

/*
 * The host's resolv.conf: its servers into c, and as the guest is to see it. Without one, resolvers
 * ask this host.
 */
static char *read_resolv_conf(struct nat_config *c)
{
    FILE *f = fopen(RESOLV_CONF, "re"), *out;
    char line[1024], *text = NULL;
    size_t size;

    out = open_memstream(&text, &size);
    if (!out)
        return NULL;
    while (f && fgets(line, sizeof(line), f)) {
        char copy[sizeof(line)], *words, *word;

        memcpy(copy, line, sizeof(line));
        word = strtok_r(copy, " \t\r\n", &words);
        if (!word || strcmp(word, "nameserver") != 0) {
            fputs(line, out);
            continue;
        }
        word = strtok_r(NULL, " \t\r\n", &words);
        if (word && c->server_count < NAT_DNS_MAX &&
            parse_server(word, &c->servers[c->server_count], &c->scopes[c->server_count]))
            c->server_count++;
    }
    if (f)
        fclose(f);
    if (!c->server_count)
        c->servers[c->server_count++] =
            (struct boot_ip){.family = AF_INET, .bytes = {127, 0, 0, 1}};
    for (uint32_t i = 0; i < c->server_count; i++) {
        struct in_addr a = {htonl(NAT_DNS4 + i)};

        fprintf(out, "nameserver %s\n", inet_ntoa(a));
    }
    fclose(out);
    return text;
}

/* ---- the gateway's process ---- */

/* It has nothing of the caller's but the link: not even its standard error. */
static NORETURN void become_gateway(struct nat_config *c)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC), keep[2] = {c->fd, c->ready_fd}, err;
    sigset_t none;

    setsid();
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int fd = 0; fd < 3 && null >= 0; fd++) {
        if (fd != keep[0] && fd != keep[1] && fd != null)
            dup2(null, fd);
    }
    /* As socketpair and pipe gave them: the link's number is the lower one. */
    syscall(SYS_close_range, 3, keep[0] - 1, 0);
    if (keep[1] > keep[0] + 1)
        syscall(SYS_close_range, keep[0] + 1, keep[1] - 1, 0);
    syscall(SYS_close_range, keep[1] + 1, ~0U, 0);
    err = nat_run(c);
    if (err)
        (void)!write(c->ready_fd, &err, sizeof(err));
    _exit(err ? 1 : 0);
}

/* Until it serves. 0 or -errno. */
static int await_gateway(int ready_fd)
{
    int err;
    ssize_t n;

    do
        n = read(ready_fd, &err, sizeof(err));
    while (n < 0 && errno == EINTR);
    return n == sizeof(err) ? err : -ECHILD;
}

static int start_gateway(struct nat_config *c, int *out_link)
{
    int ends[2], ready[2], size = LINK_BUFFER, err;
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    if (pipe2(ready, O_CLOEXEC) < 0) {
        err = -errno;
        close(ends[0]);
        close(ends[1]);
        return err;
    }
    for (int i = 0; i < 2; i++)
        (void)setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    c->fd = ends[1];
    c->ready_fd = ready[1];
    pid = fork();
    if (pid == 0)
        become_gateway(c);
    err = pid < 0 ? -errno : 0;
    close(ends[1]);
    close(ready[1]);
    if (!err)
        err = await_gateway(ready[0]);
    close(ready[0]);
    if (err && pid > 0)
        waitpid(pid, NULL, 0);
    if (err)
        close(ends[0]);
    else
        *out_link = ends[0];
    return err;
}

/* ---- the guest's side ---- */

static struct boot_ip address4(uint32_t a)
{
    struct boot_ip ip = {.family = AF_INET, .prefix = NAT_PREFIX4};
    uint32_t be = htonl(a);

    memcpy(ip.bytes, &be, sizeof(be));
    return ip;
}

static struct boot_ip address6(uint8_t last)
{
    struct boot_ip ip = {.family = AF_INET6, .prefix = NAT_PREFIX6};

    memcpy(ip.bytes, NAT_NET6, 8);
    ip.bytes[15] = last;
    return ip;
}

static void describe(struct boot_network *n, int link, bool v6)
{
    static const uint8_t hw[6] = {0x02, 0x63, 0, 0, 0, 100};
    struct boot_link *l = &n->links[0];

    *n = (struct boot_network){.loopback_up = true, .link_count = 1, .route_count = 1};
    snprintf(l->name, sizeof(l->name), "eth0");
    memcpy(l->hw_addr, hw, sizeof(hw));
    l->mtu = NAT_MTU;
    l->fd = link;
    l->addrs[l->addr_count++] = address4(NAT_GUEST4);
    n->routes[0].gateway = address4(NAT_GATEWAY4);
    n->routes[0].dst.family = AF_INET;
    if (!v6)
        return;
    l->addrs[l->addr_count++] = address6(NAT_GUEST6);
    n->routes[n->route_count].gateway = address6(NAT_GATEWAY6);
    n->routes[n->route_count++].dst.family = AF_INET6;
}

static bool has_mount(const struct boot_config *c, const char *destination)
{
    for (size_t i = 0; i < c->mount_count; i++) {
        if (strcmp(c->mounts[i].destination, destination) == 0)
            return true;
    }
    return false;
}

/* A link in the container's files that leads nowhere: there is nothing to mount on. */
static bool dangles(const struct boot_config *c, const char *path)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};
    int fd = (int)syscall(SYS_openat2, c->rootfs_fd, path, &how, sizeof(how));
    bool missing = fd < 0;

    if (fd >= 0)
        close(fd);
    how.flags |= O_NOFOLLOW;
    fd = missing ? (int)syscall(SYS_openat2, c->rootfs_fd, path, &how, sizeof(how)) : -1;
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* A file of the guest's own with text, unless its configuration has one there. */
static int give_file(struct boot_config *c, const char *destination, const char *text)
{
    struct boot_mount *mounts;
    size_t size = strlen(text);
    int fd;

    if (has_mount(c, destination) || dangles(c, destination))
        return 0;
    fd = memfd_create("resolv.conf", MFD_CLOEXEC);
    if (fd < 0 || write(fd, text, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) < 0)
        return -errno;
    mounts = calloc(c->mount_count + 1, sizeof(*mounts));
    if (!mounts)
        return -ENOMEM;
    if (c->mount_count)
        memcpy(mounts, c->mounts, c->mount_count * sizeof(*mounts));
    mounts[c->mount_count++] = (struct boot_mount){.type = BOOT_MOUNT_DATA,
                                                   .source = "resolv.conf",
                                                   .destination = destination,
                                                   .name = "resolv.conf", /* a file */
                                                   .fd = fd,
                                                   .mode = 0644};
    c->mounts = mounts;
    return 0;
}

int net_make_user(struct boot_network *n, struct boot_config *guest, bool host_loopback,
                  struct cli_error *err)
{
    struct nat_config c = {.v6 = host_has_ipv6(), .host_loopback = host_loopback};
    char *resolv_conf = read_resolv_conf(&c);
    int r = resolv_conf ? start_gateway(&c, &n->links[0].fd) : -ENOMEM;

    if (r == 0) {
        describe(n, n->links[0].fd, c.v6);
        r = guest ? give_file(guest, RESOLV_CONF, resolv_conf) : 0;
    }
    free(resolv_conf);
    return r ? fail(err, 1, "network: cannot start the gateway: %s", strerror(-r)) : 0;
}
