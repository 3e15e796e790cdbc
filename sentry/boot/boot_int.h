/* Shared by boot's own files. */
#pragma once

#include "fs/vfs.h"
#include "sentry/boot/boot.h"
#include "sentry/kernel/kernel.h"

struct host_io;

struct boot {
    const struct boot_config *config;
    struct kernel *kernel;
    struct host_io *host_io;
    struct vfs_ctx ctx; /* root's view of the new tree */
    struct mount_ns *mount_ns;
};

/* Tells the CLI and returns status. */
int boot_fail(const struct boot *b, int status, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The text of -errno. */
const char *boot_error(int64_t r);

/* boot_fs.c: root and mounts. 0, or a status after boot_fail. */
int boot_fs_create(struct boot *b);
int boot_fs_mounts(struct boot *b);
/* boot_init.c: credentials, descriptors, the program. */
int boot_start_init(struct boot *b);
