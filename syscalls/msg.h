/* struct msghdr of the guest: names, vectors and control messages, between the guest and fs/sock.
 */
#pragma once

#include "fs/sock/sock.h"
#include "syscalls/io.h"

struct lx_msghdr {
    uint64_t name;
    int32_t name_size;
    uint32_t pad0;
    uint64_t iov, iov_count, control, control_size;
    uint32_t flags, pad1;
};
_Static_assert(sizeof(struct lx_msghdr) == 56, "struct msghdr");

/* An address argument: -EFAULT, -EINVAL. */
int msg_addr_in(struct task *t, uaddr_t p, int32_t size, struct sock_addr *out) MUST_CHECK;
/* An address result with its value-result size (an int at size_p). */
int msg_addr_out(struct task *t, const struct sock_addr *addr, uaddr_t p,
                 uaddr_t size_p) MUST_CHECK;

/* SCM_RIGHTS and SCM_CREDENTIALS of a message to send, files with references, and into ip (which
 * must outlive the send) what sk's family reads. -EINVAL, -EBADF, -EPERM, -ENOMEM, -ENOBUFS. */
int msg_control_in(struct task *t, struct sock *sk, const struct lx_msghdr *h, struct sock_send *s,
                   struct sock_ip_control *ip) MUST_CHECK;
void msg_control_in_done(struct sock_send *s);
/* What came with a message to the guest's control buffer: installs descriptors. Sets *out_size to
 * the bytes used, and MSG_CTRUNC in r->out_flags when some did not fit. Drops r's files. */
int msg_control_out(struct task *t, const struct lx_msghdr *h, struct sock_recv *r,
                    uint64_t *out_size) MUST_CHECK;
void msg_files_drop(struct sock_recv *r);

/* One message each way with the wait; flags LX_MSG_*. */
int64_t msg_send(struct task *t, struct file *f, struct sock_send *s) MUST_CHECK;
int64_t msg_recv(struct task *t, struct file *f, struct sock_recv *r) MUST_CHECK;
