/* procfs: what of the kernel guests may read (and little they may change) as files. Source:
 * proc(5), kernel document proc.rst. */
#pragma once

#include "sentry/base/compiler.h"

struct pid_ns;
struct superblock;
struct file;
struct thread_group;
struct namespaces;

/* A new instance that shows what ns has; one reference for the caller. -ENOMEM. */
int procfs_create(struct pid_ns *ns, struct superblock **out) MUST_CHECK;

/* The process of an open /proc/PID directory (pidfd_send_signal takes one), counted; NULL: f is
 * something else. */
struct thread_group *proc_dir_group_get(const struct file *f) MUST_CHECK;

/*
 * What an open file of /proc/PID/ns/ names: kind is one of LX_CLONE_NEW*. *out: a reference where a
 * namespace of that kind can be another than the caller's. False: f is something else.
 */
bool proc_namespace_get(const struct file *f, uint64_t *kind, struct namespaces *out) MUST_CHECK;
