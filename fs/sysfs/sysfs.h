/*
 * sysfs: a small read-only tree of what is true of the sandbox: its CPUs, its one memory node, and
 * the directories programs expect. All instances show the same. Source: kernel document sysfs,
 * ABI/stable/sysfs-devices-system-cpu, -node.
 */
#pragma once

#include "sentry/base/compiler.h"

struct superblock;

/* One reference for the caller. -ENOMEM. */
int sysfs_create(struct superblock **out) MUST_CHECK;
