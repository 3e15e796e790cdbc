/*
 * The notify platform's operations: systrap's, but for how calls come in. Not here: calls (call.c),
 * the listener (listener.c). No locks.
 */
#define _GNU_SOURCE
#include "platform/notify/notify.h"
#include "platform/systrap/operations.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/syscall.h>

static int lacking(char *why, size_t size, const char *what)
{
    snprintf(why, size, "notify needs %s", what);
    return -ENODEV;
}

static int probe(const struct platform_config *config, char *why, size_t size)
{
    uint32_t action = SECCOMP_RET_USER_NOTIF;
    uint64_t flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    int err = systrap_probe(config, why, size);

    if (err)
        return err;
    if (host_syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, (uint64_t)&action, 0, 0, 0))
        return lacking(why, size, "seccomp user notifications (Linux 5.0)");
    /* Known flags: then it is the filter's address that is wrong. */
    if (host_syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, 0, 0, 0, 0) != -EFAULT)
        return lacking(why, size,
                       "seccomp notifications that signals do not undo once they are received "
                       "(WAIT_KILLABLE_RECV, Linux 5.19)");
    if (notify_sizes())
        return lacking(why, size, "seccomp notifications of at most 256 bytes");
    return 0;
}

static int init(const struct platform_config *config, struct platform_facts *facts)
{
    struct platform_config ours = *config;
    int err;

    ours.no_patch = true;
    systrap.notify = true;
    err = systrap_init(&ours, facts);
    facts->name = "notify";
    return err;
}

const struct platform_ops notify_platform_ops = {
    SYSTRAP_OPERATIONS,
    .name = "notify",
    .probe = probe,
    .init = init,
    .registers = notify_registers,
};
