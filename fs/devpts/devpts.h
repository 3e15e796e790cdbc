/* devpts: the directory of pseudoterminals. All instances show the sandbox's one set. Source:
 * pts(4), kernel document devpts. */
#pragma once

#include "sentry/base/compiler.h"

struct kernel;
struct superblock;

/* One reference for the caller. -ENOMEM. */
int devpts_create(struct kernel *k, struct superblock **out) MUST_CHECK;
