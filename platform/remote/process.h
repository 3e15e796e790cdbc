/*
 * Guest processes as the sentry sees them from outside: their memory by process_vm_readv and
 * writev, what the host counts for them by /proc. The life lock is taken for reading around each
 * use of the pid.
 */
#pragma once

#include <pthread.h>
#include <sys/types.h>

#include "platform/platform.h"

struct remote_process {
    pid_t pid;
    bool *reaped; /* the pid may be another's; guarded by life, held for writing */
    pthread_rwlock_t *life;
    int proc; /* /proc of our pid namespace; -1: none */
};

/* Between local and guest memory, to the guest if out. Bytes copied; when none were, -errno. */
int64_t remote_copy(const struct remote_process *p, uint64_t guest, void *local, size_t n,
                    bool out);
/* Resident pages, and how many of them are shared (may be NULL); 0 when unknown. */
uint64_t remote_rss(const struct remote_process *p, uint64_t *shared_pages);
/* CPU time of all its threads, ns; 0 when it is gone. */
uint64_t remote_process_time(const struct remote_process *p);
/* Of one thread; false: /proc cannot tell. */
bool remote_thread_time(const struct remote_process *p, pid_t tid, uint64_t *out_ns);
