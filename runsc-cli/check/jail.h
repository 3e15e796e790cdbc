/* The jail of the process that reads the files to be checked. */
#pragma once

#include "sentry/base/compiler.h"

/* For good: CPU time, memory, and the calls it may make. 0 or -errno. */
int check_jail(int64_t seconds);
