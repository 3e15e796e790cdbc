/* Reports of crashed guest programs (--crash-report): boot's side. */
#pragma once

#include "sentry/boot/boot_int.h"

/*
 * Starts the helper, before the sentry is locked in, and the thread that makes reports. 0 or
 * -errno.
 */
int report_start(struct boot *b) MUST_CHECK;
/* No guest is left: the helper ends, so that no child of ours does outlast the platform's. */
void report_finish(struct boot *b);
