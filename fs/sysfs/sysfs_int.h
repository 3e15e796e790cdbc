/*
 * The tree is tables of struct sysfs_node in the read-only section cv_ops; an inode is a node and,
 * beneath cpuN, that CPU's number.
 */
#pragma once

#include "fs/sysfs/sysfs.h"
#include "sentry/abi/fcntl.h"
#include "sentry/base/fmt.h"
#include "sentry/base/ops.h"

struct sysfs_node {
    const char *name;
    uint32_t mode; /* with type */
    /* Files: the whole text, at most SYSFS_TEXT_MAX. 0 or -errno. */
    int (*show)(uint32_t cpu, struct strbuf *sb);
    const struct sysfs_node *children;
    uint32_t child_count;
    /* Of a directory with one entry for each CPU, named after the node ("cpu") and its number: that
     * entry. */
    const struct sysfs_node *each_cpu;
    bool not_cpu0; /* the first CPU does not have it */
} ALIGNED(16);

#define SYSFS_TEXT_MAX 4096 /* also what stat shows as size, as Linux does */

#define SYSFS_NODES(name) DEFINE_OPS(sysfs_node, name[])
#define SYSFS_DIR(n, list)                                                                         \
    {                                                                                              \
        .name = n, .mode = LX_S_IFDIR | 0555, .children = list, .child_count = ARRAY_SIZE(list)    \
    }
#define SYSFS_EMPTY(n)                                                                             \
    {                                                                                              \
        .name = n, .mode = LX_S_IFDIR | 0555                                                       \
    }
#define SYSFS_FILE(n, fn)                                                                          \
    {                                                                                              \
        .name = n, .mode = LX_S_IFREG | 0444, .show = fn                                           \
    }

DECLARE_OPS(sysfs_node, sysfs_root_node); /* tree.c */
/* CPUs of the sandbox, at least one; no more than have numbers in affinity masks. */
uint32_t sysfs_cpu_count(void);
