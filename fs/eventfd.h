/* eventfd(2): a 64-bit counter as a file. */
#pragma once

#include "fs/file.h"

/* flags: LX_EFD_SEMAPHORE, LX_O_NONBLOCK. */
int eventfd_create(uint32_t initial, uint32_t flags, const struct cred *cred,
                   struct file **out) MUST_CHECK;
