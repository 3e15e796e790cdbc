/*
 * tmpfs: a filesystem in memory. Directories, names and small files live in the arena; larger or
 * mapped files in a host memfd each. Source: tmpfs(5), memfd_create(2), fcntl(2) (seals).
 */
#pragma once

#include "fs/inode.h"

struct tmpfs_options {
    uint64_t size;           /* bytes of file data; 0: no limit */
    uint64_t nr_inodes;      /* 0: no limit */
    uint32_t mode, uid, gid; /* of the root directory */
};

/* "size=64m,mode=1777,nr_inodes=1k,uid=0": changes what is named in *out. -EINVAL for anything else
 * but what Linux's tmpfs ignores. */
int tmpfs_parse_options(const char *options, struct tmpfs_options *out) MUST_CHECK;
/* One reference for the caller. */
int tmpfs_create(const struct tmpfs_options *options, struct superblock **out) MUST_CHECK;
/* memfd_create(2): flags LX_MFD_*; the descriptor's close-on-exec is the caller's business. */
int tmpfs_create_memfd(const char *name, uint32_t flags, const struct cred *cred,
                       struct file **out) MUST_CHECK;
/* Fills an empty regular file with size bytes at offset of a host file. For a file nobody else can
 * reach yet. */
int tmpfs_fill_from_host(struct inode *inode, int host_fd, uint64_t offset,
                         uint64_t size) MUST_CHECK;
