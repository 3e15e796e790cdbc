/* Docker's name server for a container: whether it is asked, and a socket to it. See net_host.h. */
#include "runsc-cli/net_host.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RESOLV_CONF "/etc/resolv.conf"

/* The container's file: a mount of its own, as Docker makes it, or the image's. */
static int open_resolv_conf(const struct boot_config *c)
{
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};

    for (size_t i = c->mount_count; i-- > 0;) {
        const struct boot_mount *m = &c->mounts[i];

        if (m->type != BOOT_MOUNT_BIND || strcmp(m->destination, RESOLV_CONF) != 0 || !m->name)
            continue;
        return openat(m->fd, m->name, (int)how.flags | O_NOFOLLOW);
    }
    if (c->rootfs_fd < 0)
        return -1;
    return (int)syscall(SYS_openat2, c->rootfs_fd, RESOLV_CONF, &how, sizeof(how));
}

static bool names_it(char *text)
{
    char *line, *word, *lines = NULL, *words;

    for (line = strtok_r(text, "\n", &lines); line; line = strtok_r(NULL, "\n", &lines)) {
        word = strtok_r(line, " \t", &words);
        if (!word || strcmp(word, "nameserver") != 0)
            continue;
        word = strtok_r(NULL, " \t", &words);
        if (word && strcmp(word, "127.0.0.11") == 0)
            return true;
    }
    return false;
}

int net_docker_dns(const struct boot_config *c)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(BOOT_DNS_PORT),
                             .sin_addr.s_addr = htonl(BOOT_DNS_ADDRESS)};
    int file = open_resolv_conf(c), fd;
    struct stat st;
    char text[8192];
    ssize_t n = -1;

    if (file < 0)
        return -1;
    if (fstat(file, &st) == 0 && S_ISREG(st.st_mode))
        n = read(file, text, sizeof(text) - 1);
    close(file);
    if (n < 0)
        return -1;
    text[n] = '\0';
    if (!names_it(text))
        return -1;
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
        return fd;
    close(fd);
    return -1;
}
