/*
 * The object of an address space: its slots' memfd, the socket to its stubs, its references. A few
 * without a process yet are made ahead of need (kits), so that a fork does not wait for them. Lock:
 * the kit lock, a leaf.
 */
#define _GNU_SOURCE
#include "platform/systrap/patched.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define KITS     8
#define KITS_LOW 2

static struct {
    pthread_mutex_t lock;
    struct platform_as *as[KITS];
    int fds[KITS][2];
    atomic_uint count;
} kits = {.lock = PTHREAD_MUTEX_INITIALIZER};

void as_hold(struct platform_as *as)
{
    atomic_fetch_add(&as->holds, 1);
}

void as_release(struct platform_as *as)
{
    if (atomic_fetch_sub(&as->holds, 1) != 1)
        return;
    if (as->socket >= 0)
        host_close(as->socket);
    if (as->slots)
        window_unmap(&as->window);
    pthread_rwlock_destroy(&as->life);
    pthread_mutex_destroy(&as->fd_lock);
    pthread_mutex_destroy(&as->lock);
    pthread_mutex_destroy(&as->patch_lock);
    patched_free(as);
    free(as);
}

/* The memfd of an address space's slots, which nobody can shrink under the sentry's feet. */
static int make_slots(struct platform_as *as)
{
    int64_t fd = host_memfd_create("slots", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int64_t err;

    if (fd < 0)
        return (int)fd;
    err = host_ftruncate((int)fd, ZONE_SHARED_SIZE);
    if (!err)
        err = host_fcntl((int)fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    if (!err)
        err = window_map((int)fd, &as->window);
    if (err) {
        host_close((int)fd);
        return (int)err;
    }
    as->slots = as->window.at;
    return (int)fd;
}

/* fds: the memfd and the stub's end of the socket, for the new process; the caller closes them. */
int as_alloc(struct platform_as **out, int fds[2])
{
    struct platform_as *as = calloc(1, sizeof(*as));
    int pair[2];
    int64_t r;

    if (!as)
        return -ENOMEM;
    as->socket = -1;
    atomic_store(&as->refs, 1);
    atomic_store(&as->holds, 1);
    pthread_rwlock_init(&as->life, NULL);
    pthread_mutex_init(&as->fd_lock, NULL);
    pthread_mutex_init(&as->lock, NULL);
    pthread_mutex_init(&as->patch_lock, NULL);
    as->reaped = true; /* no process yet */
    fds[0] = make_slots(as);
    if (fds[0] < 0) {
        as_release(as);
        return fds[0];
    }
    r = host_syscall(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, (uint64_t)pair, 0,
                     0);
    if (r) {
        host_close(fds[0]);
        as_release(as);
        return (int)r;
    }
    as->socket = pair[0];
    fds[1] = pair[1];
    *out = as;
    return 0;
}

int as_send_fds(struct platform_as *as, const int *fds, unsigned count)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(STUB_BATCH_FDS * sizeof(int))];
    } control;
    char byte = 0;
    struct iovec iov = {&byte, 1};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control};
    struct cmsghdr *head;
    int64_t r;

    memset(&control, 0, sizeof(control));
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(head), fds, count * sizeof(int));
    r = host_syscall(SYS_sendmsg, (uint64_t)as->socket, (uint64_t)&message,
                     MSG_NOSIGNAL | MSG_DONTWAIT, 0, 0, 0);
    if (r < 0)
        return r == -EPIPE || r == -ECONNRESET ? -ESRCH : (int)r;
    return 0;
}

/* ---- kits ---- */

bool kits_low(void)
{
    return atomic_load(&kits.count) <= KITS_LOW;
}

int kits_fill(void)
{
    struct platform_as *as;
    int fds[2], err;
    bool room = true;

    while (room && atomic_load(&kits.count) < KITS) {
        err = as_alloc(&as, fds);
        if (err)
            return err;
        /* Most processes use slot 0: its first pages now. */
        as->slots[0].turn = TURN_GONE;
        pthread_mutex_lock(&kits.lock);
        room = kits.count < KITS;
        if (room) {
            kits.as[kits.count] = as;
            memcpy(kits.fds[kits.count], fds, sizeof(fds));
            kits.count++;
        }
        pthread_mutex_unlock(&kits.lock);
        if (!room) {
            host_close(fds[0]);
            host_close(fds[1]);
            as_release(as);
        }
    }
    return 0;
}

int kit_take(struct platform_as **out, int fds[2])
{
    bool found;

    pthread_mutex_lock(&kits.lock);
    found = kits.count > 0;
    if (found) {
        *out = kits.as[--kits.count];
        memcpy(fds, kits.fds[kits.count], 2 * sizeof(int));
    }
    pthread_mutex_unlock(&kits.lock);
    return found ? 0 : as_alloc(out, fds);
}

void kits_drop(void)
{
    while (kits.count) {
        kits.count--;
        host_close(kits.fds[kits.count][0]);
        host_close(kits.fds[kits.count][1]);
        as_release(kits.as[kits.count]);
    }
}
