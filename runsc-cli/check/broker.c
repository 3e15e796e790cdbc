/* Outside of the jail: opens files within a root, for whoever reads them. No locks. */
#include "runsc-cli/check/libraries.h"
#include "runsc-cli/compat/text.h"

#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CONF_MAX   (1U << 20)
#define CONF_DEPTH 4

int open_within(int root, const char *path)
{
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
    struct stat st;

    if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static void add_dir(struct library_dirs *d, const char *path)
{
    if (*path == '/' && d->count < CHECK_DIRS)
        d->items[d->count++] = copy_string(path);
}

static void read_conf(int root, const char *path, struct library_dirs *out, int depth);

/* A pattern is resolved in the root's own directory, and what it finds is opened within it. */
static void include(int root, const char *pattern, struct library_dirs *out, int depth)
{
    char link[64], base[PATH_MAX];
    char *full;
    ssize_t n;
    glob_t g;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", root);
    n = readlink(link, base, sizeof(base) - 1);
    if (n < 0 || depth <= 0)
        return;
    base[n == 1 ? 0 : n] = '\0';
    full = format_string("%s/%s%s", base, *pattern == '/' ? "" : "etc/", pattern);
    if (glob(full, 0, NULL, &g) == 0) {
        for (size_t i = 0; i < g.gl_pathc; i++)
            read_conf(root, g.gl_pathv[i] + strlen(base), out, depth - 1);
        globfree(&g);
    }
    free(full);
}

static void read_conf(int root, const char *path, struct library_dirs *out, int depth)
{
    int fd = open_within(root, path);
    char *text = alloc_zeroed(CONF_MAX + 1), *rest = text, *line;

    if (fd < 0 || read(fd, text, CONF_MAX) < 0)
        *text = '\0';
    while ((line = strsep(&rest, "\n"))) {
        char *end = line + strcspn(line, "#\r");

        line += strspn(line, " \t");
        while (end > line && (end[-1] == ' ' || end[-1] == '\t'))
            end--;
        if (end <= line)
            continue;
        *end = '\0';
        if (strncmp(line, "include", 7) == 0 && (line[7] == ' ' || line[7] == '\t'))
            include(root, line + 8 + strspn(line + 8, " \t"), out, depth);
        else
            add_dir(out, line);
    }
    free(text);
    if (fd >= 0)
        close(fd);
}

void dirs_read(int root, struct library_dirs *out)
{
    static const char *const usual[] = {
        "/lib/x86_64-linux-gnu",
        "/usr/lib/x86_64-linux-gnu",
        "/lib64",
        "/usr/lib64",
        "/lib",
        "/usr/local/lib",
        "/usr/lib",
    };

    read_conf(root, "/etc/ld.so.conf", out, CONF_DEPTH);
    for (size_t i = 0; i < ARRAY_SIZE(usual); i++)
        add_dir(out, usual[i]);
}

static void answer(int socket, int fd)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    char found = fd >= 0;
    struct iovec part = {.iov_base = &found, .iov_len = 1};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};

    if (fd >= 0) {
        m.msg_control = control.space;
        m.msg_controllen = sizeof(control.space);
        control.header = (struct cmsghdr){
            .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
    }
    sendmsg(socket, &m, MSG_NOSIGNAL);
    if (fd >= 0)
        close(fd);
}

void broker_serve(int socket, int root)
{
    char path[PATH_MAX];
    ssize_t n;

    while ((n = recv(socket, path, sizeof(path) - 1, 0)) > 0) {
        path[n] = '\0';
        answer(socket, open_within(root, path));
    }
}

int broker_open(int socket, const char *path)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    char found = 0;
    struct iovec part = {.iov_base = &found, .iov_len = 1};
    struct msghdr m = {.msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = control.space,
                       .msg_controllen = sizeof(control.space)};
    size_t n = strlen(path);
    int fd = -1;

    if (n == 0 || n >= PATH_MAX || send(socket, path, n, MSG_NOSIGNAL) != (ssize_t)n ||
        recvmsg(socket, &m, MSG_CMSG_CLOEXEC) != 1 || !found)
        return -1;
    if (m.msg_controllen >= CMSG_LEN(sizeof(int)) && control.header.cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
    return fd;
}
