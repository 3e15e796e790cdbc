/* For lock.c: what debug builds do around taking and releasing a mutex. */
#pragma once

#include "sentry/base/lock.h"

#ifdef CVISOR_DEBUG_LOCKS
/*
 * BUG when the calling thread holds m, or a ranked lock not below it. same_rank: an equal rank is
 * fine.
 */
void lock_debug_check(struct mutex *m, bool same_rank);
void lock_debug_taken(struct mutex *m);
/* BUG when the calling thread does not hold m. */
void lock_debug_released(struct mutex *m);
#else
static inline void lock_debug_check(struct mutex *m, bool same_rank)
{
}

static inline void lock_debug_taken(struct mutex *m)
{
}

static inline void lock_debug_released(struct mutex *m)
{
}
#endif
