/* inotify(7): a queue of file events as a file. What fills it is fs/fsnotify.h. */
#pragma once

#include "fs/file.h"

/* Limits of a user, and of an instance's queue, as a fresh Linux has them. */
#define INOTIFY_MAX_INSTANCES 128U
#define INOTIFY_MAX_WATCHES   65536U
#define INOTIFY_MAX_EVENTS    16384U

/* flags: LX_O_NONBLOCK. -EMFILE: the user has too many. */
int inotify_create(uint32_t flags, const struct cred *cred, struct file **out) MUST_CHECK;
bool inotify_is(const struct file *f);
bool inotify_mask_is_valid(uint32_t mask);
/*
 * f: an instance; mask: LX_IN_*, a valid one. The watch's number, an old one when inode was
 * watched already. -EEXIST, -ENOSPC, -ENOMEM.
 */
int64_t inotify_add_watch(struct file *f, struct inode *inode, uint32_t mask) MUST_CHECK;
/* -EINVAL: no such watch. */
int inotify_rm_watch(struct file *f, int32_t wd) MUST_CHECK;
