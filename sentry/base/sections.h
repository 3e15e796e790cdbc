/* For base only: the bounds of the kernel's named sections, which the linker defines. */
#pragma once

#include "sentry/base/compiler.h"

#define SECTION_BOUNDS(name)                                                                       \
    extern const char __start_##name[] __attribute__((visibility("hidden")));                     \
    extern const char __stop_##name[] __attribute__((visibility("hidden")))

SECTION_BOUNDS(cv_ops);   /* operation tables, ops.h */
SECTION_BOUNDS(cv_slabs); /* cache descriptors, slab.h */
SECTION_BOUNDS(cv_ro);    /* written by boot, then sealed */
