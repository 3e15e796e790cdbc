/*
 * Helpers: processes that parse hostile bytes with third-party code and have no rights but to read
 * and write one socket. Their images are built as platform/patch/helper is.
 */
#pragma once

#include "sentry/base/compiler.h"

/*
 * Starts the helper whose image is embedded in this program at image, page aligned, before the
 * process is locked in. Its memory is *out_arena (a memfd: what is punched out of it is zero for
 * its next job). 0 or -errno; the caller keeps *out_pid, a child, and both descriptors.
 */
int helper_start(const char *image, const char *image_end, int64_t *out_pid, int *out_arena,
                 int *out_socket) MUST_CHECK;
