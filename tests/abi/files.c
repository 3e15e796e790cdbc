/*
 * Opens, creation, links, renames, attributes, directories, descriptors, locks: results and errors.
 */
#include "abi.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static void show_stat(const char *name)
{
    struct stat st;

    if (lstat(name, &st) < 0)
        printf("%s: %s\n", name, strerrorname_np(errno));
    else
        printf("%s: mode %o nlink %lu size %ld uid %u\n", name, st.st_mode,
               S_ISDIR(st.st_mode) ? 0 : (unsigned long)st.st_nlink,
               S_ISDIR(st.st_mode) ? 0 : (long)st.st_size, st.st_uid);
}

static void opens(void)
{
    int fd;

    umask(022);
    SHOW_OK(fd = open("f", O_RDWR | O_CREAT | O_EXCL, 0666));
    SHOW(open("f", O_RDWR | O_CREAT | O_EXCL, 0666));
    SHOW(open("nope", O_RDONLY));
    SHOW(open("f/x", O_RDONLY));
    SHOW(open("f/", O_RDONLY));
    SHOW(open(".", O_RDWR));
    SHOW(open("", O_RDONLY));
    SHOW(open("f", O_RDONLY | O_DIRECTORY));
    SHOW(symlink("loop", "loop"));
    SHOW(open("loop", O_RDONLY));
    SHOW(open("loop", O_RDONLY | O_NOFOLLOW));
    SHOW(write(fd, "hello world", 11));
    SHOW(lseek(fd, -5, SEEK_END));
    char b[16] = "";
    SHOW(read(fd, b, 16));
    puts(b);
    SHOW(pwrite(fd, "HE", 2, 0));
    SHOW(pread(fd, b, 5, 0));
    printf("%.5s\n", b);
    SHOW(lseek(fd, -1, SEEK_SET));
    SHOW(lseek(fd, 0, 77));
    SHOW(ftruncate(fd, 100000));
    SHOW(ftruncate(fd, -1));
    SHOW(lseek(fd, 0, SEEK_END));
    SHOW(pread(fd, b, 4, 99998));
    SHOW(read(99, b, 1));
    SHOW(read(fd, (char *)1, 1));
    SHOW(pread(fd, (char *)1, 1, 0));
    SHOW(write(fd, (char *)1, 1));
    struct iovec v[2] = {{"ab", 2}, {"cd", 2}};
    SHOW(pwritev(fd, v, 2, 10));
    SHOW(writev(fd, v, 2000));
    close(fd);
    SHOW(fd = open("f", O_WRONLY | O_APPEND | O_TRUNC) < 0);
    fd = open("f", O_WRONLY | O_APPEND);
    SHOW(write(fd, "xyz", 3));
    SHOW(pwrite(fd, "1", 1, 0));
    SHOW(read(fd, b, 1));
    show_stat("f");
    close(fd);
    fd = open(".", O_TMPFILE | O_RDWR, 0600);
    SHOW(write(fd, "tmp", 3));
    char name[64];
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    SHOW(linkat(AT_FDCWD, name, AT_FDCWD, "linked", AT_SYMLINK_FOLLOW));
    show_stat("linked");
    close(fd);
    fd = open("f", O_PATH);
    SHOW(read(fd, b, 1));
    SHOW(fchmod(fd, 0600));
    close(fd);
}

static void tree(void)
{
    SHOW(mkdir("d", 0755));
    SHOW(mkdir("d", 0755));
    SHOW(mkdir("d/e", 0700));
    SHOW(rmdir("d"));
    SHOW(unlink("d"));
    SHOW(rmdir("f"));
    SHOW(link("f", "g"));
    SHOW(link("d", "h"));
    show_stat("g");
    SHOW(rename("g", "d/e/g"));
    SHOW(rename("d", "d/e/x"));
    SHOW(rename("d", "f"));
    SHOW(rename("f", "d"));
    SHOW(rename("nope", "x"));
    SHOW(mkdir("empty", 0755));
    SHOW(rename("empty", "d"));
    SHOW(rename("d/e", "empty"));
    show_stat("empty/g");
    SHOW(syscall(SYS_renameat2, AT_FDCWD, "f", AT_FDCWD, "linked", 1));
    SHOW(syscall(SYS_renameat2, AT_FDCWD, "f", AT_FDCWD, "linked", 8));
    SHOW(symlink("d", "dl"));
    SHOW(unlink("dl/"));
    SHOW(rmdir("dl"));
    SHOW_OK(open("dl", O_RDONLY | O_DIRECTORY));
    SHOW(mknod("fifo", S_IFIFO | 0644, 0));
    show_stat("fifo");
    SHOW(open("fifo", O_WRONLY | O_NONBLOCK));
    SHOW(chmod("fifo", 04755));
    SHOW(chown("fifo", 5, 6));
    show_stat("fifo");
    SHOW(access("f", R_OK | W_OK));
    SHOW(access("f", X_OK));
    SHOW(access("nope", F_OK));
    SHOW(truncate("d", 0));
    SHOW(readlink("f", NULL, 0));
    char b[8];
    SHOW(readlink("dl", b, 8));
    struct timespec ts[2] = {{100, 5}, {200, 7}};
    struct stat st;
    SHOW(utimensat(AT_FDCWD, "f", ts, 0));
    stat("f", &st);
    printf("%ld.%09ld %ld.%09ld\n", st.st_atim.tv_sec, st.st_atim.tv_nsec, st.st_mtim.tv_sec,
           st.st_mtim.tv_nsec);
    char longname[300];
    memset(longname, 'a', 299);
    longname[299] = 0;
    SHOW(mkdir(longname, 0755));
    SHOW(chdir("f"));
    SHOW(chdir("d"));
    SHOW(chdir(".."));
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void listing(void)
{
    DIR *d = opendir(".");
    struct dirent *e;
    char *names[100];
    int n = 0;

    while ((e = readdir(d)) && n < 100) {
        names[n] = malloc(300);
        snprintf(names[n++], 300, "%s %d", e->d_name, e->d_type);
    }
    qsort(names, (size_t)n, sizeof(*names), by_name);
    for (int i = 0; i < n; i++)
        puts(names[i]);
    rewinddir(d);
    int again = 0;
    while (readdir(d))
        again++;
    CHECK(again == n);
    closedir(d);
    SHOW(syscall(SYS_getdents64, 0, NULL, 0));
}

static void descriptors(void)
{
    int fd = open("f", O_RDONLY), p[2];

    SHOW(fcntl(fd, F_GETFD));
    SHOW(fcntl(fd, F_SETFD, FD_CLOEXEC));
    SHOW(fcntl(fd, F_GETFD));
    SHOW(fcntl(fd, F_DUPFD, 50));
    SHOW(dup2(fd, 60));
    SHOW(fcntl(60, F_GETFD));
    SHOW(dup3(fd, fd, 0));
    SHOW(dup2(99, 61));
    SHOW(fcntl(fd, F_GETFL) & ~O_LARGEFILE);
    SHOW(fcntl(fd, 9999));
    SHOW(close(60));
    SHOW(close(60));
    SHOW(syscall(SYS_close_range, 50, 55, 0));
    SHOW(pipe(p));
    SHOW(fcntl(p[0], F_GETPIPE_SZ));
    SHOW(lseek(p[0], 0, SEEK_SET));
    SHOW(sync_file_range(p[0], 0, 1, SYNC_FILE_RANGE_WRITE));
    SHOW(sync_file_range(open("/dev/null", O_RDONLY), 0, 1, SYNC_FILE_RANGE_WAIT_AFTER));
    SHOW(sync_file_range(open("/dev/null", O_RDONLY), 0, -1, 8));
    SHOW(sync_file_range(open(".", O_RDONLY), 0, 1, SYNC_FILE_RANGE_WRITE));
    SHOW(sync_file_range(fd, 0, 1, SYNC_FILE_RANGE_WRITE));
    SHOW(ioctl(0, 0x1234567, 0) == 0);
}

static void locks(void)
{
    struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 10};
    int fd = open("f", O_RDWR), fd2 = open("f", O_RDWR);

    SHOW(fcntl(fd, F_SETLK, &fl));
    if (fork() == 0) {
        SHOW(fcntl(fd, F_SETLK, &fl));
        fl.l_start = 5;
        SHOW(fcntl(fd, F_GETLK, &fl));
        printf("type %d start %ld len %ld\n", fl.l_type, (long)fl.l_start, (long)fl.l_len);
        fl = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 5};
        SHOW(fcntl(fd, F_SETLK, &fl));
        _exit(0);
    }
    wait(NULL);
    SHOW(flock(fd, LOCK_EX));
    SHOW(flock(fd2, LOCK_SH | LOCK_NB));
    SHOW(flock(fd, LOCK_UN));
    SHOW(flock(fd2, LOCK_SH | LOCK_NB));
    fl = (struct flock){.l_type = F_RDLCK, .l_whence = SEEK_SET};
    SHOW(fcntl(fd, F_OFD_SETLK, &fl));
    fl = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
    SHOW(fcntl(fd2, F_OFD_SETLK, &fl));
}

int main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    opens();
    tree();
    listing();
    descriptors();
    locks();
    return 0;
}
