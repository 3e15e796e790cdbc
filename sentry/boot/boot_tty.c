/* Terminals of the host as guests' controlling ones. Takes no locks of its own. */
#include "fs/devpts/tty.h"
#include "sentry/boot/boot_int.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

int boot_tty_create(struct boot_container *b, int host_fd, uint32_t uid, struct tty **out)
{
    int in = fcntl(host_fd, F_DUPFD_CLOEXEC, 3), out_fd = fcntl(host_fd, F_DUPFD_CLOEXEC, 3), r;

    r = in < 0 || out_fd < 0
            ? -errno
            : tty_create_host(b->kernel, b->host_io, b->cell->number, in, out_fd, out);
    if (r < 0) {
        if (in >= 0)
            close(in);
        if (out_fd >= 0)
            close(out_fd);
        return r;
    }
    (*out)->uid = uid;
    boot_tty_resize(*out, host_fd);
    return 0;
}

void boot_tty_resize(struct tty *tty, int host_fd)
{
    struct winsize ws;
    struct lx_winsize size;

    if (ioctl(host_fd, TIOCGWINSZ, &ws) < 0)
        return;
    size = (struct lx_winsize){ws.ws_row, ws.ws_col, ws.ws_xpixel, ws.ws_ypixel};
    tty_set_winsize(tty, &size);
}
