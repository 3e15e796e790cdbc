/*
 * Descriptor tables. struct fdtable: counted; holders are tasks (CLONE_FILES shares one). Its lock
 * guards the slots. Lookups return counted files.
 */
#pragma once

#include "sentry/base/idalloc.h"
#include "sentry/base/lock.h"
#include "sentry/base/ref.h"

struct file;

struct fd_slot {
    struct file *file; /* one reference; NULL: free */
    bool cloexec;
};

struct fdtable {
    struct ref ref;
    struct mutex lock;
    struct fd_slot *slots; /* kmalloc */
    uint32_t capacity;
    uint32_t first_free; /* no free slot below it */
    uint32_t open_count;
};

struct fdtable *fdtable_create(void) MUST_CHECK;
struct fdtable *fdtable_get(struct fdtable *t);
/* The last put closes every file (flush + put; POSIX locks of owner are dropped). */
void fdtable_put(struct fdtable *t);
int fdtable_copy(struct fdtable *t, struct fdtable **out) MUST_CHECK;

/* The file with a reference, or NULL (EBADF). O_PATH files only when allow_path. */
struct file *fdtable_file(struct fdtable *t, int fd, bool allow_path) MUST_CHECK;
/* The lowest free descriptor >= floor gets f (reference taken over on success): the number,
 * -EMFILE, -ENOMEM. limit: RLIMIT_NOFILE. */
int fdtable_install(struct fdtable *t, struct file *f, int floor, bool cloexec,
                    uint64_t limit) MUST_CHECK;
/* dup2/dup3: puts f (reference taken over) at exactly fd, closing what was there. -EBADF above
 * limit. */
int fdtable_replace(struct fdtable *t, int fd, struct file *f, bool cloexec,
                    uint64_t limit) MUST_CHECK;
/* -EBADF, or flush's result. */
int fdtable_close(struct fdtable *t, int fd) MUST_CHECK;
/* close_range(2) [first,last]; only marks cloexec when set_cloexec. */
void fdtable_close_range(struct fdtable *t, uint32_t first, uint32_t last, bool set_cloexec);
void fdtable_close_on_exec(struct fdtable *t);
int fdtable_get_cloexec(struct fdtable *t, int fd) MUST_CHECK;
int fdtable_set_cloexec(struct fdtable *t, int fd, bool on) MUST_CHECK;
/* The lowest used descriptor >= from, or -1; for /proc/PID/fd. */
int fdtable_next(struct fdtable *t, int from);
