/* Between slab.c and kmalloc.c. */
#pragma once

#include "sentry/base/arena_int.h"
#include "sentry/base/slab.h"

struct slab_state *slab_state_of(const struct slab_type *type);
/* The cache of a live object; NULL when p is not in a slab. */
const struct slab_type *slab_type_of(const void *p);
