/* procfs: what of the kernel guests may read (and little they may change) as files. Source:
 * proc(5), kernel document proc.rst. */
#pragma once

#include "sentry/base/compiler.h"

struct kernel;
struct superblock;

/* A new instance over k; one reference for the caller. -ENOMEM. */
int procfs_create(struct kernel *k, struct superblock **out) MUST_CHECK;
