/* Where things lie in guest processes; found in the sentry, before the first of them. */
#pragma once

#include "platform/mpk/mpk.h"

/* The XCR0 bits a guest's state may have; 0: no XSAVE. */
uint64_t mpk_layout_fpu_features(void);
/* Fills mpk_ro's addresses and facts. The arena must exist. */
int mpk_layout_find(void) MUST_CHECK;
