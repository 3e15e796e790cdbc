/* procfs: what of the kernel guests may read (and little they may change) as files. Source:
 * proc(5), kernel document proc.rst. */
#pragma once

#include "sentry/base/compiler.h"

struct kernel;
struct superblock;
struct file;
struct thread_group;

/* A new instance over k; one reference for the caller. -ENOMEM. */
int procfs_create(struct kernel *k, struct superblock **out) MUST_CHECK;

/* The process of an open /proc/PID directory (pidfd_send_signal takes one), counted; NULL: f is
 * something else. */
struct thread_group *proc_dir_group_get(const struct file *f) MUST_CHECK;
