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

/*
 * What is believed of names and attributes seen before, a file's size among them: reads end there.
 * The bytes of files are the host's own in every case. A descriptor of a file that was read may be
 * kept for its next open.
 */
enum hostfs_cache {
    HOSTFS_EXCLUSIVE, /* nobody but the guest changes the tree: what was seen once is trusted */
    HOSTFS_TIMED,     /* the host may: what was seen within the last second (VFS_TRUST_TICKS) is */
    HOSTFS_SHARED,    /* the host may: it is asked on each walk */
};

struct hostfs_options {
    bool readonly; /* every change is -EROFS */
    enum hostfs_cache cache;
    uint32_t keep_files; /* descriptors kept for a next open, at most; none with HOSTFS_SHARED */
    /* And on each stat and open: for a file that is mounted itself, so that no walk passes it. A
     * file the host puts in its place is what opens get from then on. */
    bool fresh;
    const char *root_name; /* copied: what the directory is called, for mountinfo; or NULL */
};

/* Takes root_fd over (an O_PATH or read descriptor of a directory), also on failure. */
int hostfs_create(int root_fd, const struct hostfs_options *options,
                  struct superblock **out) MUST_CHECK;
