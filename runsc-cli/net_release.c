/*
 * Letting the private link go without waiting for it. See net_host.h. The host takes 15 ms to take
 * a TAP down and as much for an nftables table, in the exit of whoever closes them last. Files that
 * are registered with an io_uring are closed by a worker of the host instead, once the ring's
 * process has ended. Where there is no io_uring, the exit takes longer.
 */
#include "runsc-cli/net_host.h"

#include <linux/io_uring.h>
#include <sys/syscall.h>
#include <unistd.h>

void net_release_at_exit(const struct boot_network *n, int guard)
{
    struct io_uring_params params = {.flags = 0};
    int fds[BOOT_LINK_MAX + 1], ring;
    unsigned count = 0;

    for (uint32_t i = 0; i < n->link_count; i++)
        fds[count++] = n->links[i].fd;
    if (guard >= 0)
        fds[count++] = guard;
    ring = (int)syscall(SYS_io_uring_setup, 1, &params);
    if (ring < 0)
        return;
    if (syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, fds, count) < 0) {
        close(ring);
        return;
    }
    for (unsigned i = 0; i < count; i++)
        close(fds[i]); /* the ring stays open until the end */
}
