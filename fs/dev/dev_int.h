/* Device numbers shared by the driver and the node table. */
#pragma once

#include "fs/dev/dev.h"
#include "fs/vfs.h"

#define MEM_MAJOR  1
#define TTY_MAJOR  5
#define MISC_MAJOR 10
enum { MEM_NULL = 3, MEM_ZERO = 5, MEM_FULL = 7, MEM_RANDOM = 8, MEM_URANDOM = 9 };
enum { TTY_MINOR_TTY = 0, TTY_MINOR_CONSOLE = 1, TTY_MINOR_PTMX = 2 };
#define DEV_NUMBER(major, minor) ((uint64_t)(major) << 8 | (minor))

enum { MISC_VSOCK = 121 }; /* a dynamic number of the host's kernel */

DECLARE_OPS(dev_ops, mem_dev_ops);
DECLARE_OPS(dev_ops, misc_dev_ops);
