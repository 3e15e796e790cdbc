/*
 * Counts of system calls by number: how many, how many failed, how long they took (waiting
 * included). Off, they cost nothing: dispatch looks at kernel.watch anyway. All may be called from
 * any thread; figures of one call may be a call apart.
 */
#pragma once

#include "sentry/kernel/kernel.h"

/* buckets[i]: calls of 2^i ns and more, but less than 2^(i+1); the first and the last are open. */
#define CALL_BUCKETS 36
struct call_count {
    uint64_t calls, errors, total_ns, max_ns, buckets[CALL_BUCKETS];
};

/* From now on calls are counted; earlier counts stay. -ENOMEM. */
int syscall_stats_start(struct kernel *k) MUST_CHECK;
void syscall_stats_stop(struct kernel *k);
/* No task may be in a call any more. */
void syscall_stats_free(struct kernel *k);
/* Numbers beyond the table count as one, as nr SYSCALL_MAX. False: nothing was ever counted. */
bool syscall_stats_get(struct kernel *k, uint64_t nr, struct call_count *out);
/*
 * The time that a share of the calls did not exceed, of 1000: 500 is the median. As exact as the
 * buckets: within them calls are taken to be spread evenly. 0 without calls.
 */
uint64_t call_count_quantile(const struct call_count *c, unsigned permille);
/* For dispatch. */
void syscall_stats_add(struct kernel *k, uint64_t nr, int64_t result, uint64_t took_ns);
