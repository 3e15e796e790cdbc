/*
 * Structures of the guest's ABI that many files share. x86-64 layouts; source: Linux uapi headers.
 */
#pragma once

#include "sentry/base/compiler.h"

struct lx_timespec {
    int64_t sec, nsec;
};

struct lx_timeval {
    int64_t sec, usec;
};

struct lx_inotify_event {
    int32_t wd;
    uint32_t mask, cookie, len; /* len bytes of name follow */
};

struct lx_itimerspec {
    struct lx_timespec interval, value;
};

struct lx_itimerval {
    struct lx_timeval interval, value;
};

struct lx_iovec {
    uint64_t base, size;
};

struct lx_rlimit {
    uint64_t cur, max;
};

#define LX_RLIMIT_COUNT 16

struct lx_rusage {
    struct lx_timeval utime, stime;
    int64_t maxrss, ixrss, idrss, isrss, minflt, majflt, nswap, inblock, oublock, msgsnd, msgrcv,
        nsignals, nvcsw, nivcsw;
};

struct lx_stat {
    uint64_t dev, ino, nlink;
    uint32_t mode, uid, gid, pad0;
    uint64_t rdev;
    int64_t size, blksize, blocks;
    int64_t atime, atime_nsec, mtime, mtime_nsec, ctime, ctime_nsec;
    int64_t unused[3];
};
_Static_assert(sizeof(struct lx_stat) == 144, "struct stat");

struct lx_pollfd {
    int32_t fd;
    int16_t events, revents;
};

#define LX_NSIG 64
typedef uint64_t lx_sigset_t; /* bit n-1: signal n */
#define LX_SIGMASK(sig) (1ULL << ((sig)-1))

struct lx_sigaction {
    uint64_t handler; /* LX_SIG_DFL, LX_SIG_IGN or an address */
    uint64_t flags;
    uint64_t restorer;
    lx_sigset_t mask;
};
#define LX_SIG_DFL 0
#define LX_SIG_IGN 1
#define LX_SA_RESTORER 0x04000000

struct lx_sigaltstack {
    uint64_t sp;
    int32_t flags, pad;
    uint64_t size;
};

/* siginfo_t: 128 bytes; the union by si_code and signo. */
struct lx_siginfo {
    int32_t signo, error, code, pad;
    union {
        uint8_t bytes[112];
        struct {
            int32_t pid;
            uint32_t uid;
            union {
                uint64_t value; /* SI_QUEUE */
                struct {
                    int32_t status; /* SIGCHLD */
                    int32_t status_pad;
                    int64_t utime, stime;
                };
            };
        };
        struct {
            int32_t timer_id, overrun;
            uint64_t timer_value;
        };
        struct {
            uint64_t addr;
        };
        struct {
            int64_t band;
            int32_t fd;
        };
        struct {
            uint64_t call_addr;
            int32_t syscall;
            uint32_t arch;
        };
    };
};
_Static_assert(sizeof(struct lx_siginfo) == 128, "siginfo_t");

struct lx_sigevent {
    uint64_t value;
    int32_t signo, notify, tid;
    int32_t pad[11];
};
_Static_assert(sizeof(struct lx_sigevent) == 64, "struct sigevent");
