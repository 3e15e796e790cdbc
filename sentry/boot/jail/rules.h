/* calls.def as a table, shared by the generator and the tests. */
#pragma once

#include "sentry/abi/socket.h"
#include "sentry/boot/jail/jail.h"

#include <asm/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/memfd.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U
#define MFD_EXEC        0x10U
#endif
#ifndef CLONE_DETACHED
#define CLONE_DETACHED 0x400000
#endif

/* pthread_create's; the words it asks to be written are its own. */
#define THREAD_FLAGS                                                                               \
    (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM | CLONE_SIGHAND | CLONE_THREAD |            \
     CLONE_SETTLS)

struct jail_arg {
    uint8_t index;
    uint64_t mask, value; /* mask 0: nothing is asked */
};

#define JAIL_ARGS 3
struct jail_rule {
    const char *name;
    int nr;
    unsigned when;                   /* 0: always; else any of these bits */
    int refuse;                      /* errno; 0: allowed */
    struct jail_arg args[JAIL_ARGS]; /* all that are asked must be so */
};

#define ALWAYS                0
#define SYSTRAP               JAIL_SYSTRAP
#define PTRACE                JAIL_PTRACE
#define MPK                   JAIL_MPK
#define NOTIFY                JAIL_NOTIFY
#define WRITABLE              JAIL_WRITABLE
#define NETWORK               JAIL_NETWORK
#define HOSTNET               JAIL_HOSTNET
#define DNS                   JAIL_DNS
#define INT                   0xffffffffULL
#define ANY(call, w)          {#call, __NR_##call, w, 0, {{0, 0, 0}}},
#define REFUSE(call, w, e)    {#call, __NR_##call, w, e, {{0, 0, 0}}},
#define ARG(call, w, n, m, v) {#call, __NR_##call, w, 0, {{n, (uint64_t)(m), (uint64_t)(v)}}},
#define ARGS(call, w, ...)    {#call, __NR_##call, w, 0, {__VA_ARGS__}},
/* fs/sock/host_opt.def: SOL_SOCKET is open anyway. */
#define SOCKET_GET(n, max)
#define SOCKET_BOTH(n, max)
#define OPT_GET(l, n, max) ARGS(getsockopt, HOSTNET, {1, INT, l}, {2, INT, n})
#define OPT_BOTH(l, n, max)                                                                        \
    OPT_GET(l, n, max)                                                                             \
    ARGS(setsockopt, HOSTNET, {1, INT, l}, {2, INT, n})
static const struct jail_rule jail_rules[] = {
#include "fs/sock/host_opt.def"
#include "sentry/boot/jail/calls.def"
};
#define JAIL_RULES (sizeof(jail_rules) / sizeof(jail_rules[0]))

static inline bool jail_rule_applies(const struct jail_rule *r, unsigned what)
{
    return !r->when || r->when & what;
}

/* Does the rule let its call through with these? */
static inline bool jail_rule_takes(const struct jail_rule *r, const uint64_t args[6])
{
    for (int i = 0; i < JAIL_ARGS; i++) {
        if ((args[r->args[i].index] & r->args[i].mask) != r->args[i].value)
            return false;
    }
    return true;
}
