/*
 * Mapping calls: each is the host's own call, made by the guest process in the stub. A file's
 * descriptor gets there over a socket that all guest processes have; one is on its way at a time,
 * it always becomes the same number, and the stub closes it before guest code of that thread runs
 * on: what the guest does to the message in the data page gains it nothing. Lock: descriptor lock.
 */
#include "platform/ptrace/ptrace.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

static pthread_mutex_t descriptor_lock = PTHREAD_MUTEX_INITIALIZER;

/* As it lies in the guest's data page. */
struct fd_message {
    struct msghdr header;
    struct iovec iov;
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    char byte;
};
_Static_assert(STUB_MSG_OFFSET + sizeof(struct fd_message) <= STUB_VEC_OFFSET, "the message fits");

void pt_fd_lock(void)
{
    pthread_mutex_lock(&descriptor_lock);
}

void pt_fd_unlock(void)
{
    pthread_mutex_unlock(&descriptor_lock);
}

static int status(int64_t result)
{
    return result < 0 ? (int)result : 0;
}

/* ---- files ---- */

/* m's pointers are for the address it is used at. */
static void message_init(struct fd_message *m, uint64_t at)
{
    memset(m, 0, sizeof(*m));
    m->iov.iov_base = (void *)(at + offsetof(struct fd_message, byte));
    m->iov.iov_len = 1;
    m->header.msg_iov = (void *)(at + offsetof(struct fd_message, iov));
    m->header.msg_iovlen = 1;
    m->header.msg_control = (void *)(at + offsetof(struct fd_message, control));
    m->header.msg_controllen = sizeof(m->control.bytes);
}

static int send_fd(int fd)
{
    struct fd_message m;
    struct cmsghdr *c;

    message_init(&m, (uint64_t)&m);
    c = CMSG_FIRSTHDR(&m.header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof(fd));
    return sendmsg(ptrace_globals.socket[0], &m.header, MSG_NOSIGNAL | MSG_DONTWAIT) == 1 ? 0
                                                                                          : -errno;
}

/*
 * Nobody took it: it must not reach the next process. Without room for it, a received descriptor is
 * closed.
 */
static void take_back(void)
{
    char byte;
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    while (recvmsg(ptrace_globals.socket[1], &msg, MSG_DONTWAIT) >= 0)
        ;
}

static int map_received(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot, int flags,
                        uint64_t offset)
{
    struct fd_message m;
    struct request r = {0};
    int64_t copied;
    int err;

    message_init(&m, STUB_DATA + STUB_MSG_OFFSET);
    copied =
        remote_copy(&REMOTE_PROCESS(ctx->as), STUB_DATA + STUB_MSG_OFFSET, &m, sizeof(m), true);
    if (copied != (int64_t)sizeof(m))
        return copied == -ESRCH ? -ESRCH : -EIO;
    r.regs.rsi = STUB_DATA + STUB_MSG_OFFSET;
    r.regs.rbx = addr;
    r.regs.rbp = size;
    r.regs.r12 = (unsigned long)prot;
    r.regs.r13 = (unsigned long)flags;
    r.regs.r14 = offset;
    err = pt_stub_run(ctx, STUB_MAP_FD, &r);
    if (err)
        return err;
    if (r.stop != STOP_STUB || r.regs.r15 != 1)
        return -EIO;
    return status((int64_t)r.regs.rax);
}

static int map_file(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot, int flags,
                    int fd, uint64_t offset)
{
    int err;

    pt_fd_lock();
    err = send_fd(fd);
    if (!err) {
        err = map_received(ctx, addr, size, prot, flags, offset);
        if (err)
            take_back();
    }
    pt_fd_unlock();
    return err;
}

/* ---- the calls ---- */

int ptrace_map(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot, uint32_t flags,
               int fd, uint64_t offset)
{
    int host = MAP_FIXED | (flags & PLATFORM_MAP_SHARED ? MAP_SHARED : MAP_PRIVATE);

    if (flags & PLATFORM_MAP_NORESERVE)
        host |= MAP_NORESERVE;
    if (flags & PLATFORM_MAP_POPULATE)
        host |= MAP_POPULATE;
    if (flags & PLATFORM_MAP_LOCKED)
        host |= MAP_LOCKED;
    if (fd >= 0)
        return map_file(ctx, addr, size, prot, host, fd, offset);
    if (flags & PLATFORM_MAP_SHARED)
        return -EINVAL;
    return status(pt_stub_call(ctx, SYS_mmap,
                               (uint64_t[6]){addr, size, (uint64_t)prot,
                                             (uint64_t)(host | MAP_ANONYMOUS), (uint64_t)-1, 0}));
}

int ptrace_unmap(struct platform_ctx *ctx, uint64_t addr, uint64_t size)
{
    return status(pt_stub_call(ctx, SYS_munmap, (uint64_t[6]){addr, size}));
}

int ptrace_protect(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot)
{
    return status(pt_stub_call(ctx, SYS_mprotect, (uint64_t[6]){addr, size, (uint64_t)prot}));
}

int ptrace_remap(struct platform_ctx *ctx, uint64_t old_addr, uint64_t old_size, uint64_t new_addr,
                 uint64_t new_size, bool dontunmap)
{
    uint64_t flags = 0;

    if (new_addr != old_addr)
        flags = MREMAP_MAYMOVE | MREMAP_FIXED | (dontunmap ? MREMAP_DONTUNMAP : 0);
    return status(pt_stub_call(ctx, SYS_mremap,
                               (uint64_t[6]){old_addr, old_size, new_size, flags, new_addr}));
}

int ptrace_advise(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int advice)
{
    return status(pt_stub_call(ctx, SYS_madvise, (uint64_t[6]){addr, size, (uint64_t)advice}));
}

int ptrace_msync(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int flags)
{
    return status(pt_stub_call(ctx, SYS_msync, (uint64_t[6]){addr, size, (uint64_t)flags}));
}

/* At most STUB_VEC_SIZE pages. */
static int mincore_part(struct platform_ctx *ctx, uint64_t addr, uint64_t pages, uint8_t *vec)
{
    int64_t r = pt_stub_call(ctx, SYS_mincore,
                             (uint64_t[6]){addr, pages * PAGE_SIZE, STUB_DATA + STUB_VEC_OFFSET});

    if (r < 0)
        return (int)r;
    r = remote_copy(&REMOTE_PROCESS(ctx->as), STUB_DATA + STUB_VEC_OFFSET, vec, pages, false);
    if (r < 0)
        return (int)r;
    return r == (int64_t)pages ? 0 : -EIO;
}

int ptrace_mincore(struct platform_ctx *ctx, uint64_t addr, uint64_t size, uint8_t *vec)
{
    int err = 0;

    pt_fd_lock(); /* the data page is one for all threads */
    while (size && !err) {
        uint64_t pages = MIN(size / PAGE_SIZE, (uint64_t)STUB_VEC_SIZE);

        err = mincore_part(ctx, addr, pages, vec);
        addr += pages * PAGE_SIZE;
        size -= pages * PAGE_SIZE;
        vec += pages;
    }
    pt_fd_unlock();
    return err;
}
