/* Host calls on sockets of the host's stack, and waiting for them. */
#include <linux/eventpoll.h>

#include "platform/host/raw.h"
#include "sentry/abi/socket.h"

int64_t host_socket(int family, int type, int protocol)
{
    return raw3(__NR_socket, INT(family), INT(type | LX_SOCK_CLOEXEC | LX_SOCK_NONBLOCK),
                INT(protocol));
}

int64_t host_bind(int fd, const void *addr, uint32_t size)
{
    return raw3(__NR_bind, INT(fd), PTR(addr), size);
}

int64_t host_connect(int fd, const void *addr, uint32_t size)
{
    return raw3(__NR_connect, INT(fd), PTR(addr), size);
}

int64_t host_listen(int fd, int backlog)
{
    return raw3(__NR_listen, INT(fd), INT(backlog), 0);
}

int64_t host_accept(int fd)
{
    return raw4(__NR_accept4, INT(fd), 0, 0, LX_SOCK_CLOEXEC | LX_SOCK_NONBLOCK);
}

int64_t host_shutdown(int fd, int how)
{
    return raw3(__NR_shutdown, INT(fd), INT(how), 0);
}

int64_t host_getname(int fd, bool peer, void *addr, uint32_t *size)
{
    return raw3(peer ? __NR_getpeername : __NR_getsockname, INT(fd), PTR(addr), PTR(size));
}

int64_t host_setsockopt(int fd, int level, int name, const void *value, uint32_t size)
{
    return raw6(__NR_setsockopt, INT(fd), INT(level), INT(name), PTR(value), size, 0);
}

int64_t host_getsockopt(int fd, int level, int name, void *value, uint32_t *size)
{
    return raw6(__NR_getsockopt, INT(fd), INT(level), INT(name), PTR(value), PTR(size), 0);
}

int64_t host_sendmsg(int fd, const struct host_msg *m, uint32_t flags)
{
    return raw3(__NR_sendmsg, INT(fd), PTR(m), flags | LX_MSG_DONTWAIT | LX_MSG_NOSIGNAL);
}

int64_t host_recvmsg(int fd, struct host_msg *m, uint32_t flags)
{
    return raw3(__NR_recvmsg, INT(fd), PTR(m), flags | LX_MSG_DONTWAIT | LX_MSG_CMSG_CLOEXEC);
}

int64_t host_epoll_add(int epoll_fd, int fd, uint32_t events, uint64_t data)
{
    struct host_event e = {.events = events | (uint32_t)EPOLLET, .data = data};

    return raw4(__NR_epoll_ctl, INT(epoll_fd), EPOLL_CTL_ADD, INT(fd), PTR(&e));
}

int64_t host_epoll_wait(int epoll_fd, struct host_event *events, int count)
{
    return raw4(__NR_epoll_wait, INT(epoll_fd), PTR(events), INT(count), INT(-1));
}
