/*
 * What a call from a patched site will have the sentry read first, a path or a small struct, is
 * read into the slot before the call is posted: that saves a hand-over. A bad address is left to
 * the kernel to find.
 */
#include "platform/systrap/stub/stub.h"
#include <linux/fcntl.h>
#include <linux/unistd.h>

#define PAGE 4096UL

enum kind {
    NOTHING,
    PATH_FIRST,  /* the first argument is a path */
    PATH_SECOND, /* after a directory */
    LOCK,        /* fcntl */
    DATA,        /* the second argument, as many bytes as the third says */
    VECTOR,      /* ... as many iovecs */
    POLLED,      /* the first, as many pollfds as the second says */
    SIGNALS,     /* the second, a set of signals */
    ACTION,      /* ... what to do at a signal */
};

static const uint8_t kinds[] = {
    [__NR_stat] = PATH_FIRST,
    [__NR_open] = PATH_FIRST,
    [__NR_lstat] = PATH_FIRST,
    [__NR_access] = PATH_FIRST,
    [__NR_unlink] = PATH_FIRST,
    [__NR_mkdir] = PATH_FIRST,
    [__NR_rmdir] = PATH_FIRST,
    [__NR_readlink] = PATH_FIRST,
    [__NR_chdir] = PATH_FIRST,
    [__NR_openat] = PATH_SECOND,
    [__NR_newfstatat] = PATH_SECOND,
    [__NR_unlinkat] = PATH_SECOND,
    [__NR_faccessat] = PATH_SECOND,
    [__NR_readlinkat] = PATH_SECOND,
    [__NR_statx] = PATH_SECOND,
    [__NR_mkdirat] = PATH_SECOND,
    [__NR_fcntl] = LOCK,
    [__NR_pwrite64] = DATA,
    [__NR_write] = DATA,            [__NR_readv] = VECTOR,           [__NR_writev] = VECTOR,
    [__NR_poll] = POLLED,           [__NR_rt_sigprocmask] = SIGNALS, [__NR_rt_sigaction] = ACTION,
};

/* As many bytes of a path as come without another page. */
static uint64_t path_room(uint64_t addr)
{
    uint64_t room = PAGE - addr % PAGE;

    return room < STUB_AHEAD ? room : STUB_AHEAD;
}

static uint64_t wanted(const struct stub_regs *r, uint64_t *addr)
{
    switch (r->rax < sizeof(kinds) ? kinds[r->rax] : NOTHING) {
    case PATH_FIRST:
        *addr = r->rdi;
        return path_room(*addr);
    case PATH_SECOND:
        *addr = r->rsi;
        return path_room(*addr);
    case LOCK:
        *addr = r->rdx;
        return r->rsi >= F_GETLK && r->rsi <= F_SETLKW ? STUB_LOCK_SIZE : 0;
    case DATA:
        *addr = r->rsi;
        return r->rdx <= STUB_BUFFER_SIZE ? r->rdx : 0;
    case VECTOR:
        *addr = r->rsi;
        return r->rdx <= STUB_AHEAD / STUB_IOVEC_SIZE ? r->rdx * STUB_IOVEC_SIZE : 0;
    case POLLED:
        *addr = r->rdi;
        return r->rsi <= STUB_AHEAD / STUB_POLLFD_SIZE ? r->rsi * STUB_POLLFD_SIZE : 0;
    case SIGNALS:
        *addr = r->rsi;
        return r->rsi ? STUB_SIGSET_SIZE : 0;
    case ACTION:
        *addr = r->rsi;
        return r->rsi ? STUB_SIGACTION_SIZE : 0;
    }
    return 0;
}

void stub_read_ahead(struct stub_slot *slot)
{
    uint64_t addr = 0, n = wanted(&slot->regs, &addr);
    char *to = n <= STUB_AHEAD ? slot->ahead : slot->buffer;

    if (n && stub_copy(to, (const void *)addr, n))
        n = 0;
    slot->ahead_addr = addr;
    slot->ahead_size = (uint32_t)n;
}
