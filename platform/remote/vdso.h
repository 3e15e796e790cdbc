/* Where the host put the vDSO in this process, which processes cloned from it inherit. */
#pragma once

#include "platform/platform.h"

/*
 * Fills vdso_* and vvar_* of facts; all 0 where the data pages and the code are not one range that
 * ends at or below limit. 0, or -errno when /proc/self/maps can't be read.
 */
int remote_find_vdso(struct platform_facts *facts, uint64_t limit) MUST_CHECK;
