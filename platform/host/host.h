/*
 * Every host call the sentry can make, one wrapper each: this list is the sentry's seccomp filter.
 * Raw calls, no libc, no errno: results are the kernel's, >= 0 or -errno. EINTR is not retried here
 * unless said. Kernel code uses host structs only through the types below.
 */
#pragma once

#include "sentry/base/compiler.h"

/* Any call by number: only for wrappers in host/ and the platforms, never for the kernel. */
int64_t host_syscall(uint64_t nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                     uint64_t f);

/* ---- sleeping ---- */
/*
 * FUTEX_WAIT_BITSET shared, absolute CLOCK_MONOTONIC deadline or UINT64_MAX. 0, -EAGAIN,
 * -ETIMEDOUT, -EINTR.
 */
int64_t host_futex_wait(uint32_t *word, uint32_t expected, uint64_t deadline_ns);
int64_t host_futex_wake(uint32_t *word, int count);
/* Who sleeps on from, one at most, sleeps on to from now on, while from is expected: how many. */
int64_t host_futex_move(uint32_t *from, uint32_t expected, uint32_t *to);
/* Until one of two words is woken or differs; the rest as host_futex_wait. -ENOSYS before 5.16. */
int64_t host_futex_wait_two(uint32_t *a, uint32_t expected_a, uint32_t *b, uint32_t expected_b,
                            uint64_t deadline_ns);

/* ---- time ---- */
/* clock ids as clock_gettime(2); ns since its epoch. May use the vDSO. */
uint64_t host_clock_ns(int clock);
/*
 * The address of clock_gettime in the vDSO image at ehdr (getauxval(AT_SYSINFO_EHDR)), for boot to
 * put into ro_globals.vdso_clock; 0 when it has none.
 */
uint64_t host_vdso_clock(uint64_t ehdr);

/* ---- files: descriptors are the sentry's own ---- */
struct host_stat {
    uint64_t dev, ino, nlink, size, blocks, rdev; /* blocks of 512 bytes */
    uint32_t mode, uid, gid, blksize;
    int64_t atime_ns, mtime_ns, ctime_ns;
};
/*
 * openat2 beneath dirfd: RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS always;
 * O_CLOEXEC added.
 */
int64_t host_open_beneath(int dirfd, const char *path, int flags, uint32_t mode);
int64_t host_close(int fd);
int64_t host_read(int fd, void *buf, size_t n);
int64_t host_write(int fd, const void *buf, size_t n);
struct host_iovec {
    const void *base;
    size_t size;
};
int64_t host_writev(int fd, const struct host_iovec *iov, uint32_t count);
int64_t host_pread(int fd, void *buf, size_t n, int64_t offset);
int64_t host_pwrite(int fd, const void *buf, size_t n, int64_t offset);
int64_t host_fstat(int fd, struct host_stat *out);
/* One name in dirfd, never followed; empty name: dirfd itself. */
int64_t host_statat(int dirfd, const char *name, struct host_stat *out);
int64_t host_readlinkat(int dirfd, const char *name, char *buf, size_t size);
/* Raw linux_dirent64 records. */
int64_t host_getdents(int fd, void *buf, size_t size);
int64_t host_lseek(int fd, int64_t offset, int whence);
int64_t host_ftruncate(int fd, int64_t size);
int64_t host_fallocate(int fd, int mode, int64_t offset, int64_t size);
int64_t host_fsync(int fd, bool data_only);
int64_t host_mkdirat(int dirfd, const char *name, uint32_t mode);
int64_t host_mknodat(int dirfd, const char *name, uint32_t mode, uint64_t dev);
int64_t host_unlinkat(int dirfd, const char *name, int flags);
int64_t host_linkat(int olddir, const char *old, int newdir, const char *new, int flags);
int64_t host_symlinkat(const char *target, int dirfd, const char *name);
int64_t host_renameat2(int olddir, const char *old, int newdir, const char *new, uint32_t flags);
int64_t host_fchmod(int fd, uint32_t mode);
int64_t host_fchownat(int dirfd, const char *name, uint32_t uid, uint32_t gid, int flags);
/* sec,nsec pairs or NULL */
int64_t host_utimensat(int dirfd, const char *name, const int64_t times[4], int flags);
struct host_statfs {
    uint64_t type, bsize, blocks, bfree, bavail, files, ffree, namelen, frsize;
};
int64_t host_fstatfs(int fd, struct host_statfs *out);
int64_t host_memfd_create(const char *name, uint32_t flags);
int64_t host_fcntl(int fd, int cmd, uint64_t arg);
/*
 * A memory file that nobody has mapped to write: from here on its size and content stay. Never
 * EBUSY, whoever holds its pages at the time.
 */
int64_t host_memfd_seal(int fd);
int64_t host_ioctl(int fd, uint64_t request, void *arg);
int64_t host_copy_file_range(int in, int64_t *in_off, int out, int64_t *out_off, size_t n);

/* ---- readiness of host descriptors (terminal, pipes given as stdio) ---- */
struct host_pollfd {
    int32_t fd;
    int16_t events, revents;
};
int64_t host_poll(struct host_pollfd *fds, uint32_t count, int timeout_ms);

/* ---- sockets of the host's stack, for --network=host: never blocking, closed on exec ---- */
struct host_msg { /* struct msghdr */
    void *name;
    uint32_t name_size, pad;
    struct host_iovec *iov;
    uint64_t iov_count;
    void *control;
    uint64_t control_size;
    uint32_t flags, pad2;
};
int64_t host_socket(int family, int type, int protocol);
int64_t host_bind(int fd, const void *addr, uint32_t size);
int64_t host_connect(int fd, const void *addr, uint32_t size);
int64_t host_listen(int fd, int backlog);
int64_t host_accept(int fd);
int64_t host_shutdown(int fd, int how);
/* *size: in the room, out the name's size. */
int64_t host_getname(int fd, bool peer, void *addr, uint32_t *size);
int64_t host_setsockopt(int fd, int level, int name, const void *value, uint32_t size);
int64_t host_getsockopt(int fd, int level, int name, void *value, uint32_t *size);
/* MSG_DONTWAIT and MSG_NOSIGNAL are added. */
int64_t host_sendmsg(int fd, const struct host_msg *m, uint32_t flags);
int64_t host_recvmsg(int fd, struct host_msg *m, uint32_t flags);
/* Edge-triggered; data comes back with each event. A closed descriptor is forgotten by itself. */
struct host_event {
    uint32_t events;
    uint64_t data;
} __attribute__((packed));
int64_t host_epoll_add(int epoll_fd, int fd, uint32_t events, uint64_t data);
int64_t host_epoll_wait(int epoll_fd, struct host_event *events, int count);

/* ---- memory of the sentry itself ---- */
int64_t host_mmap(void *addr, size_t size, int prot, int flags, int fd, uint64_t offset);
int64_t host_munmap(void *addr, size_t size);
int64_t host_mprotect(void *addr, size_t size, int prot);
int64_t host_madvise(void *addr, size_t size, int advice);

/* ---- facts ---- */
int64_t host_getrandom(void *buf, size_t n);
int64_t host_gettid(void);
uint32_t host_cpu_count(void);
struct host_sysinfo {
    uint64_t uptime_s, total_ram, free_ram; /* seconds, bytes, bytes */
    uint64_t loads[3];                      /* load averages times 65536 */
};
int64_t host_sysinfo(struct host_sysinfo *out);

/* Ends the whole sandbox at once. */
NORETURN void host_exit(int status);
