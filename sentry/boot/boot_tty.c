/* The host's terminal as the guest's controlling one. Takes no locks of its own. */
#include "fs/devpts/tty.h"
#include "sentry/boot/boot_int.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>

int boot_tty_create(struct boot *b)
{
    int in, out, r;

    if (!b->config->tty)
        return 0;
    in = fcntl(0, F_DUPFD_CLOEXEC, 3);
    out = fcntl(0, F_DUPFD_CLOEXEC, 3);
    if (in < 0 || out < 0)
        return boot_fail(b, 1, "cannot use the terminal: %s", boot_error(-errno));
    r = tty_create_host(b->kernel, b->host_io, in, out, &b->tty);
    if (r < 0)
        return boot_fail(b, 1, "cannot use the terminal: %s", boot_error(r));
    boot_tty_resize(b->tty);
    return 0;
}

void boot_tty_resize(struct tty *tty)
{
    struct winsize ws;
    struct lx_winsize size;

    if (ioctl(0, TIOCGWINSZ, &ws) < 0)
        return;
    size = (struct lx_winsize){ws.ws_row, ws.ws_col, ws.ws_xpixel, ws.ws_ypixel};
    tty_set_winsize(tty, &size);
}
