/*
 * Between a uio and a host descriptor, through a bounce buffer where the uio is the guest's; kernel
 * memory goes directly. Bytes (short at the end of the file or of the uio, or after an error past
 * the first byte), or -errno. Advances the uio. Takes no locks; copies guest memory, so the caller
 * holds none ranked MM or after.
 */
#pragma once

#include "sentry/mm/usermem.h"

int64_t uio_host_pread(struct uio *uio, int fd, uint64_t n, int64_t offset) MUST_CHECK;
int64_t uio_host_pwrite(struct uio *uio, int fd, uint64_t n, int64_t offset) MUST_CHECK;
/* For descriptors without a position. */
int64_t uio_host_read(struct uio *uio, int fd, uint64_t n) MUST_CHECK;
int64_t uio_host_write(struct uio *uio, int fd, uint64_t n) MUST_CHECK;
