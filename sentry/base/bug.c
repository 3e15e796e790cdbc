/* The end of a kernel whose own invariant is broken. Runs with any locks held, so it takes none. */
#include "platform/host/host.h"
#include "sentry/base/arena.h"
#include "sentry/base/log.h"

#define BUG_EXIT_STATUS 134 /* as a shell shows SIGABRT */

void bug(const char *file, int line, const char *what)
{
    log_write(LOG_ERROR, "kernel bug at %s:%d: %s (host thread %d, called from %p)", file, line,
              what, (int)host_gettid(), __builtin_return_address(0));
    if (ro_globals.trap_on_bug)
        __builtin_trap(); /* the report of crashes adds the stack */
    host_exit(BUG_EXIT_STATUS);
}
