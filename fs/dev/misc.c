/* Devices of major 10: vsock, which tells this machine's address (vsock(7)). No locks. */
#include "fs/dev/dev_int.h"
#include "sentry/abi/errno.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/usermem.h"

#define IOCTL_VM_SOCKETS_GET_LOCAL_CID 0x7b9U
#define VMADDR_CID_LOCAL               1U

static int64_t vsock_ioctl(struct file *f, const struct ioctl_ctx *ctx, uint64_t request,
                           uint64_t arg)
{
    uint32_t cid = VMADDR_CID_LOCAL;

    if (request != IOCTL_VM_SOCKETS_GET_LOCAL_CID)
        return -ENOTTY;
    return copy_out_obj(ctx->us, uaddr(arg), &cid) ? -EFAULT : 0;
}

DEFINE_OPS(file_ops, vsock_dev_file_ops) = {.ioctl = vsock_ioctl};

static int misc_open(struct inode *inode, struct file *f, const struct vfs_ctx *ctx)
{
    f->ops = ops_ref(&vsock_dev_file_ops);
    return 0;
}

DEFINE_OPS(dev_ops, misc_dev_ops) = {.open = misc_open};
