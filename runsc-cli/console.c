/* Pseudoterminals: made, handed to a console socket, or copied from and to our own stdio. */
#include "runsc-cli/console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

int console_open(struct console *c, const struct spec_terminal *size, struct cli_error *err)
{
    struct winsize ws = {.ws_row = size->rows, .ws_col = size->cols};
    struct termios raw;
    int unlock = 0;

    *c = (struct console){.master = -1, .slave = -1};
    c->master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (c->master < 0 || ioctl(c->master, TIOCSPTLCK, &unlock) < 0)
        return fail_errno(err, err->status, errno, "cannot make a pseudoterminal");
    c->slave = ioctl(c->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (c->slave < 0 || tcgetattr(c->slave, &raw) < 0)
        return fail_errno(err, err->status, errno, "cannot make a pseudoterminal");
    cfmakeraw(&raw);
    tcsetattr(c->slave, TCSANOW, &raw);
    if (size->rows && size->cols)
        ioctl(c->slave, TIOCSWINSZ, &ws);
    return 0;
}

int send_descriptor(const char *path, int fd, const char *text, struct cli_error *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof(control.bytes)};
    int sock, r = 0;

    if (strlen(path) >= sizeof(addr.sun_path))
        return fail(err, err->status, "the socket's path %s is too long", path);
    memcpy(addr.sun_path, path, strlen(path) + 1);
    control.align.cmsg_level = SOL_SOCKET;
    control.align.cmsg_type = SCM_RIGHTS;
    control.align.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
    sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (sock < 0 || connect(sock, (struct sockaddr *)&addr, sizeof(addr)) < 0)
        r = fail_errno(err, err->status, errno, "cannot connect to the socket %s", path);
    else if (sendmsg(sock, &msg, MSG_NOSIGNAL) < 0)
        r = fail_errno(err, err->status, errno, "cannot send to the socket %s", path);
    if (sock >= 0)
        close(sock);
    return r;
}

int console_send(struct console *c, const char *path, struct cli_error *err)
{
    char name[64];

    if (ttyname_r(c->slave, name, sizeof(name)) != 0)
        strcpy(name, "/dev/ptmx");
    if (send_descriptor(path, c->master, name, err) < 0)
        return -1;
    close(c->master);
    c->master = -1;
    return 0;
}

/* ---- relaying ---- */

static bool copy(int from, int to)
{
    char buf[4096];
    ssize_t n = read(from, buf, sizeof(buf)), done = 0;

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return true;
    if (n <= 0)
        return false;
    while (done < n) {
        ssize_t w = write(to, buf + done, (size_t)(n - done));

        if (w < 0 && errno != EINTR)
            return false;
        done += w > 0 ? w : 0;
    }
    return true;
}

static void *relay_thread(void *arg)
{
    struct console *c = arg;
    struct pollfd p[2] = {{.fd = c->master, .events = POLLIN},
                          {.fd = STDIN_FILENO, .events = POLLIN}};
    char eof = 4; /* ^D: what our stdin's end means to a terminal */

    for (;;) {
        if (poll(p, 2, -1) < 0)
            continue;
        if (p[0].revents && !copy(c->master, STDOUT_FILENO))
            return NULL;
        if (p[1].revents && !copy(STDIN_FILENO, c->master)) {
            (void)!write(c->master, &eof, 1);
            p[1].fd = -1;
        }
    }
}

int console_relay(struct console *c, struct cli_error *err)
{
    pthread_t *thread = malloc(sizeof(*thread));
    int r = thread ? pthread_create(thread, NULL, relay_thread, c) : ENOMEM;

    if (r != 0) {
        free(thread);
        return fail_errno(err, err->status, r, "cannot copy the terminal");
    }
    c->relay = thread;
    return 0;
}

void console_finish(struct console *c)
{
    if (c->relay)
        pthread_join(*(pthread_t *)c->relay, NULL);
    free(c->relay);
    if (c->master >= 0)
        close(c->master);
    if (c->slave >= 0)
        close(c->slave);
    *c = (struct console){.master = -1, .slave = -1};
}
