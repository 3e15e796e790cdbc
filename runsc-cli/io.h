/* What commands do with descriptors of their own. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "sentry/base/compiler.h"

/* False, with errno, when fd takes no more. */
bool write_all(int fd, const void *data, size_t size) MUST_CHECK;
