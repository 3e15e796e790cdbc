/*
 * hostfs: a directory of the host, donated as a descriptor, as a filesystem. Everything is reached
 * by single names beneath directory descriptors (openat2 with symlinks refused), so nothing outside
 * the donated tree can be named. Symlinks are resolved by our own walk.
 *
 * FIFOs, sockets and device nodes found there are the guest kernel's own kind: the host's are never
 * opened.
 */
#pragma once

#include "fs/inode.h"

struct hostfs_options {
    bool readonly;   /* every change is -EROFS */
    /* the host may change it behind us: ask it on each walk. Off: what was seen once is trusted */
    bool revalidate;
    /* And on each stat and open: for a file that is mounted itself, so that no walk passes it. A
     * file the host puts in its place is what opens get from then on. */
    bool fresh;
};

/* Takes root_fd over (an O_PATH or read descriptor of a directory), also on failure. */
int hostfs_create(int root_fd, const struct hostfs_options *options,
                  struct superblock **out) MUST_CHECK;
