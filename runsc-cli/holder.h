/*
 * Processes of the host that stand for one of a sandbox: an exec's, or a pod's container's. They
 * pass signals on, and end as it does.
 */
#pragma once

#include "sentry/base/compiler.h"

#include <stdint.h>

/*
 * Passes the signals of signal_fd (sandbox_signals) on over the connection until what it is about
 * ends: its wait status. Without the sandbox it was killed.
 */
int32_t holder_wait(int fd, int signal_fd);
/* A deadly signal is ours too, without a core of ours. */
NORETURN void holder_end_as(int32_t status);
/*
 * What is inherited does not stay open, nor what is 0, 1 and 2. Those that are kept (-1: none) get
 * other numbers.
 */
void holder_close_all_but(int *fd, int *signal_fd, int *other);
