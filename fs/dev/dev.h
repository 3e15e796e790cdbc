/* /dev: the memory devices' drivers, and a tmpfs with the usual nodes. Terminals' drivers are
 * fs/devpts's. Source: null(4), random(4). */
#pragma once

#include "sentry/base/compiler.h"

struct kernel;
struct superblock;

/* Registers the drivers; once at boot, also when no devfs is mounted (the root may have nodes of
 * its own). -ENOSPC. */
int dev_init(struct kernel *k) MUST_CHECK;
/* A tmpfs with null zero full random urandom tty console ptmx, the links fd stdin stdout stderr,
 * and the directories pts and shm; with all: vsock. One reference for the caller. Registers the
 * drivers on first use. */
int devfs_create(struct kernel *k, bool all, struct superblock **out) MUST_CHECK;
