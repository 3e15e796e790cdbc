/*
 * overlay: a changeable tree (upper, in memory) over one that the guest never changes (lower; where
 * its superblock has SB_REVALIDATE the host may, and is asked as hostfs.h says). Names removed
 * from lower are hidden by whiteouts (character device 0:0 in upper); directories made over hidden
 * ones are opaque (xattr trusted.overlay.opaque = "y"). What is changed is copied up first. Source:
 * Documentation/filesystems/overlayfs.rst.
 *
 * Differs from Linux's overlayfs: st_dev and st_ino are the overlay's own for every file and do not
 * change on copy-up; renaming a directory that exists in lower is EXDEV, as there without
 * redirect_dir.
 */
#pragma once

#include "fs/inode.h"

/* References of both are taken. upper must be a tmpfs. */
int overlay_create(struct superblock *upper, struct superblock *lower,
                   struct superblock **out) MUST_CHECK;
