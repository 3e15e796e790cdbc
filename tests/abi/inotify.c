/*
 * inotify(7): which events come of which calls, in which order, and how a queue is read.
 */
#include "abi.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static int in;

static void show_mask(uint32_t mask)
{
    static const char *const names[] = {"ACCESS",        "MODIFY",  "ATTRIB",      "CLOSE_WRITE",
                                        "CLOSE_NOWRITE", "OPEN",    "MOVED_FROM",  "MOVED_TO",
                                        "CREATE",        "DELETE",  "DELETE_SELF", "MOVE_SELF",
                                        "0x1000",        "UNMOUNT", "Q_OVERFLOW",  "IGNORED"};

    for (unsigned i = 0; i < 16; i++) {
        if (mask >> i & 1)
            printf(" %s", names[i]);
    }
    if (mask & IN_ISDIR)
        printf(" ISDIR");
}

/* All that is queued. Cookies are shown as the first, second ... of this show. */
static void show(const char *what)
{
    static char buf[65536] __attribute__((aligned(16)));
    uint32_t cookies[16];
    unsigned known = 0;
    ssize_t n;

    printf("-- %s\n", what);
    while ((n = read(in, buf, sizeof(buf))) > 0) {
        for (ssize_t at = 0; at < n;) {
            struct inotify_event *e = (struct inotify_event *)(buf + at);
            unsigned k = 0;

            printf("   wd %d", e->wd);
            show_mask(e->mask);
            while (e->cookie && k < known && cookies[k] != e->cookie)
                k++;
            if (e->cookie && k == known && known < 16)
                cookies[known++] = e->cookie;
            if (e->cookie)
                printf(" cookie %u", k);
            if (e->len)
                printf(" '%s' (%u)", e->name, e->len);
            printf("\n");
            at += (ssize_t)(sizeof(*e) + e->len);
        }
    }
    if (errno != EAGAIN)
        printf("   read: %s\n", strerrorname_np(errno));
}

static void put(const char *name, const char *text)
{
    int fd = open(name, O_WRONLY | O_CREAT, 0644);

    if (write(fd, text, strlen(text)) < 0)
        perror("write");
    close(fd);
}

static void files(void)
{
    char buf[100];
    int fd, wd;

    SHOW(wd = inotify_add_watch(in, "d", IN_ALL_EVENTS));
    fd = open("d/a", O_RDWR | O_CREAT, 0644);
    show("create");
    SHOW(write(fd, "0123456789", 10));
    SHOW(write(fd, "0123456789", 10));
    show("two writes are one event");
    SHOW(pread(fd, buf, 5, 0));
    SHOW(pread(fd, buf, 5, 100));
    show("read, and a read of nothing");
    SHOW(ftruncate(fd, 3));
    SHOW(fchmod(fd, 0600));
    SHOW(fsync(fd));
    show("truncate, chmod");
    close(fd);
    fd = open("d/a", O_RDONLY);
    close(fd);
    show("close both ways");
    fd = open("d/a", O_WRONLY | O_TRUNC);
    close(fd);
    show("O_TRUNC");
    fd = open("d/a", O_PATH);
    close(fd);
    show("O_PATH");
    SHOW(truncate("d/a", 100));
    SHOW(chmod("d/a", 0644));
    SHOW(chown("d/a", 0, 0));
    SHOW(utimensat(AT_FDCWD, "d/a", NULL, 0));
    show("by path");
    struct timespec times[2] = {{1, 0}, {0, UTIME_OMIT}};
    SHOW(utimensat(AT_FDCWD, "d/a", times, 0));
    times[0].tv_nsec = UTIME_OMIT;
    times[1] = (struct timespec){5, 0};
    SHOW(utimensat(AT_FDCWD, "d/a", times, 0));
    show("one time each");
    SHOW(setxattr("d/a", "user.x", "1", 1, 0));
    SHOW(removexattr("d/a", "user.x"));
    show("attributes");
    SHOW(stat("d/a", &(struct stat){0}));
    SHOW(access("d/a", R_OK));
    show("nothing of stat and access");
    SHOW(inotify_rm_watch(in, wd));
    show("removed");
    SHOW(inotify_rm_watch(in, wd));
}

static void names(void)
{
    struct sockaddr_un sun = {AF_UNIX, "d/sock"};
    int fd, wd;

    SHOW(wd = inotify_add_watch(in, "d", IN_ALL_EVENTS & ~(IN_OPEN | IN_CLOSE | IN_ACCESS)));
    SHOW(mkdir("d/sub", 0755));
    SHOW(symlink("a", "d/sym"));
    SHOW(link("d/a", "d/hard"));
    SHOW(mkfifo("d/fifo", 0644));
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    SHOW(bind(fd, (struct sockaddr *)&sun, sizeof(sun)));
    close(fd);
    show("made");
    SHOW(rename("d/sym", "d/a name of 16 chr"));
    SHOW(rename("d/hard", "outside"));
    SHOW(rename("outside", "d/back"));
    SHOW(rename("d/sub", "d/dir"));
    show("moved");
    put("d/new", "x");
    SHOW(rename("d/new", "d/back"));
    SHOW(syscall(SYS_renameat2, AT_FDCWD, "d/back", AT_FDCWD, "d/fifo", 2));
    show("over another, and exchanged");
    SHOW(unlink("d/back"));
    SHOW(unlink("d/fifo"));
    SHOW(rmdir("d/dir"));
    SHOW(unlink("d/sock"));
    SHOW(unlink("d/a name of 16 chr"));
    SHOW(unlink("d/none"));
    show("removed");
    SHOW(inotify_rm_watch(in, wd));
    show("end");
}

/* A directory and what is in it watched at once. */
static void both(void)
{
    int fd;

    put("d/b", "x");
    SHOW(mkdir("d/sub", 0755));
    SHOW(inotify_add_watch(in, "d", IN_ALL_EVENTS) > 0);
    SHOW(inotify_add_watch(in, "d/b", IN_ALL_EVENTS) > 0);
    SHOW(inotify_add_watch(in, "d/sub", IN_ALL_EVENTS) > 0);
    put("d/b", "y");
    put("d/sub/c", "z");
    fd = open("d/b", O_RDONLY);
    SHOW(unlink("d/sub/c"));
    SHOW(rmdir("d/sub"));
    SHOW(rename("d/b", "d/c"));
    SHOW(unlink("d/c"));
    show("still open");
    close(fd);
    show("closed");
    put("d/b", "x");
    SHOW(inotify_add_watch(in, "d/b", IN_ALL_EVENTS) > 0);
    SHOW(unlink("d/b"));
    show("removed at once");
}

static void selves(void)
{
    int file, dir, fd;

    put("f", "x");
    SHOW(mkdir("e", 0755));
    SHOW(file = inotify_add_watch(in, "f", IN_ALL_EVENTS) > 0);
    SHOW(dir = inotify_add_watch(in, "e", IN_ALL_EVENTS) > 0);
    fd = open("f", O_RDONLY);
    SHOW(rename("f", "g"));
    show("open and moved");
    SHOW(link("g", "h"));
    SHOW(unlink("g"));
    show("one name less");
    SHOW(unlink("h"));
    show("no name left, but open");
    close(fd);
    show("and closed");
    SHOW(rename("e", "e2"));
    SHOW(rmdir("e2"));
    show("a directory");
    put("f", "x");
    put("g", "y");
    SHOW(inotify_add_watch(in, "f", IN_DELETE_SELF | IN_ATTRIB) > 0);
    SHOW(rename("g", "f"));
    show("replaced");
    SHOW(unlink("f"));
}

static void flags(void)
{
    int wd, fd;

    put("f", "x");
    SHOW(symlink("f", "s"));
    SHOW(inotify_add_watch(in, "f", IN_ONLYDIR | IN_OPEN));
    SHOW(inotify_add_watch(in, "none", IN_OPEN));
    SHOW(inotify_add_watch(in, "f", 0));
    SHOW(inotify_add_watch(99, "f", IN_OPEN));
    SHOW(inotify_add_watch(0, "f", IN_OPEN));
    SHOW(inotify_add_watch(in, "f", IN_OPEN | IN_MASK_ADD | IN_MASK_CREATE));
    wd = inotify_add_watch(in, "f", IN_OPEN);
    SHOW(inotify_add_watch(in, "s", IN_OPEN) == wd);
    SHOW(inotify_add_watch(in, "f", IN_OPEN | IN_MASK_CREATE));
    SHOW(inotify_add_watch(in, "f", IN_CLOSE | IN_MASK_ADD) == wd);
    close(open("s", O_RDONLY));
    SHOW(inotify_add_watch(in, "f", IN_MODIFY) == wd);
    close(open("s", O_RDONLY));
    SHOW(inotify_rm_watch(in, wd));
    wd = inotify_add_watch(in, "s", IN_DONT_FOLLOW | IN_DELETE_SELF | IN_ATTRIB);
    SHOW(unlink("s"));
    SHOW(inotify_add_watch(in, "f", IN_OPEN | IN_ONESHOT) > wd);
    close(open("f", O_RDONLY));
    close(open("f", O_RDONLY));
    show("masks");
    SHOW(mkdir("x", 0755));
    fd = open("x/u", O_CREAT | O_WRONLY, 0644);
    SHOW(wd = inotify_add_watch(in, "x", IN_MODIFY | IN_EXCL_UNLINK) > 0);
    SHOW(write(fd, "a", 1));
    SHOW(unlink("x/u"));
    SHOW(write(fd, "b", 1));
    close(fd);
    show("IN_EXCL_UNLINK");
    SHOW(rmdir("x"));
    SHOW(unlink("f"));
    show("gone");
    SHOW(inotify_init1(1));
    SHOW(syscall(SYS_inotify_init1, 0xffffffff));
}

static void queue(void)
{
    struct pollfd p = {.events = POLLIN};
    char buf[64];
    int n, other;

    SHOW(other = inotify_init1(IN_NONBLOCK | IN_CLOEXEC) > 0);
    SHOW(fcntl(in, F_GETFD));
    SHOW(fcntl(in, F_GETFL) & O_NONBLOCK ? 1 : 0);
    p.fd = in;
    SHOW(poll(&p, 1, 0));
    SHOW(inotify_add_watch(in, "d", IN_OPEN) > 0);
    close(open("d/a", O_RDONLY));
    close(open("d", O_RDONLY));
    SHOW(poll(&p, 1, 0));
    SHOW(ioctl(in, FIONREAD, &n));
    printf("queued %d\n", n);
    SHOW(read(in, buf, 15));
    SHOW(read(in, buf, 16));
    SHOW(read(in, buf, 32));
    SHOW(read(in, NULL, 4096));
    SHOW(write(in, buf, 1));
    SHOW(lseek(in, 0, SEEK_SET));
    show("rest");
    for (int i = 0; i < 20000; i++)
        close(open(i & 1 ? "d/a" : "d", O_RDONLY));
    SHOW(ioctl(in, FIONREAD, &n));
    printf("queued %d\n", n);
    n = 0;
    for (ssize_t got, last = 0; (got = read(in, buf, 32)) > 0; last = got) {
        struct inotify_event *e = (struct inotify_event *)buf;

        n++;
        if (e->wd == -1)
            printf("overflow after %d: %x %u %zd\n", n - 1, e->mask, e->len, last);
    }
    close(open("d/a", O_RDONLY));
    show("and on");
}

static void blocking(void)
{
    int fd = inotify_init(), status;
    char buf[64];

    SHOW(inotify_add_watch(fd, "d", IN_CREATE));
    if (fork() == 0) {
        usleep(20000);
        put("d/late", "");
        _exit(0);
    }
    SHOW(read(fd, buf, sizeof(buf)));
    printf("'%s'\n", ((struct inotify_event *)buf)->name);
    wait(&status);
    close(fd);
}

static void mounts(void)
{
    SHOW(mkdir("m", 0755));
    if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
        printf("no mount namespace\n");
    }
    SHOW(mount("t", "m", "tmpfs", 0, NULL));
    put("m/f", "x");
    SHOW(inotify_add_watch(in, "m/f", IN_OPEN) > 0);
    SHOW(inotify_add_watch(in, "m", IN_OPEN) > 0);
    SHOW(umount("m"));
    show("unmount ends them");
    SHOW(rmdir("m"));
}

static void limits(void)
{
    int fds[200], n = 0;

    while (n < 200 && (fds[n] = inotify_init1(0)) >= 0)
        n++;
    printf("instances more than 50: %s, then %s\n", n > 50 ? "yes" : "no", strerrorname_np(errno));
    while (n)
        close(fds[--n]);
}

int main(void)
{
    char dir[] = "inotify.XXXXXX";

    if (!mkdtemp(dir) || chdir(dir) || mkdir("d", 0755))
        return 1;
    in = inotify_init1(IN_NONBLOCK);
    put("d/a", "text");
    files();
    names();
    both();
    selves();
    flags();
    queue();
    blocking();
    mounts();
    limits();
    return 0;
}
