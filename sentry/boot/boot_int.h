/* Shared by boot's own files. */
#pragma once

#include "fs/vfs.h"
#include "sentry/boot/boot.h"
#include "sentry/kernel/kernel.h"

struct host_io;
struct tty;

struct boot {
    const struct boot_config *config;
    struct kernel *kernel;
    struct host_io *host_io;
    struct vfs_ctx ctx; /* root's view of the new tree */
    struct mount_ns *mount_ns;
    struct tty *tty; /* over the host's terminal, or NULL */
};

/* Tells the CLI and returns status. */
int boot_fail(const struct boot *b, int status, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The text of -errno. */
const char *boot_error(int64_t r);

/* boot_fs.c: root and mounts. 0, or a status after boot_fail. */
int boot_fs_create(struct boot *b);
int boot_fs_mounts(struct boot *b);
/* boot_tty.c: the host's terminal as the guest's; its window size now. */
int boot_tty_create(struct boot *b);
void boot_tty_resize(struct tty *tty);
/* boot_init.c: credentials, descriptors, the program. */
int boot_start_init(struct boot *b);
