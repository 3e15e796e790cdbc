/* devpts: the directory of pseudoterminals. An instance shows those of one cell
 * (sentry/kernel/cell.h). Source: pts(4), kernel document devpts. */
#pragma once

#include "sentry/base/compiler.h"

struct kernel;
struct superblock;

/* One reference for the caller. -ENOMEM. */
int devpts_create(struct kernel *k, uint32_t cell, struct superblock **out) MUST_CHECK;
