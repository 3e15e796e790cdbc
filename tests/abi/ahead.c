/* Paths, locks and data that calls read, from good and bad places, so often that call sites have
 * been patched meanwhile: every round must give what the first gave. */
#include "abi.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE   4096L
#define ROUNDS 800
#define CALLS  40

static int fd;
static char *page; /* one page, then one that is not there */
static long first[CALLS], seen[CALLS];
static unsigned calls;

static void note(long r)
{
    seen[calls++] = r < 0 ? -errno : r;
}

/* s, so that its end is the end of what is there. */
static char *at_end(const char *s, long size)
{
    return memcpy(page + PAGE - size, s, (size_t)size);
}

static void paths(void)
{
    static char path[300];
    struct stat st;

    memset(path, '/', sizeof(path));
    strcpy(path + 250, "f");
    note(access("f", R_OK));
    note(access(at_end("f", 2), R_OK));
    note(access(at_end("f", 1), R_OK)); /* no end */
    note(access(page + PAGE, R_OK));
    note(access((char *)-8L, R_OK));
    note(access(NULL, R_OK));
    memcpy(path + 90, "////././/f", 11); /* longer and shorter than what is read ahead */
    note(access(path + 90, R_OK));
    note(access(path + 5, R_OK));
    path[100] = '/';
    note(access(path, R_OK));
    note(stat("absent", &st));
    note(syscall(SYS_newfstatat, AT_FDCWD, at_end("./f", 4), &st, 0));
    note(st.st_size);
    note(syscall(SYS_newfstatat, AT_FDCWD, at_end("./f", 4), page + PAGE, 0));
    /* The result over the path. */
    note(syscall(SYS_newfstatat, AT_FDCWD, strcpy(page, "f"), page, 0));
    note(((struct stat *)page)->st_size);
    note(syscall(SYS_readlink, "link", page, 100));
    note(memcmp(page, "some target", 11));
}

static void locks(void)
{
    struct flock l = {.l_type = F_WRLCK, .l_len = 10};

    note(fcntl(fd, F_SETLK, &l));
    l.l_type = F_RDLCK;
    note(fcntl(fd, F_SETLK, at_end((char *)&l, sizeof(l))));
    note(fcntl(fd, F_SETLK, at_end((char *)&l, 31)));
    note(fcntl(fd, F_GETLK, &l));
    note(l.l_type);
    note(fcntl(-1, F_GETLK, &l));
    l.l_type = F_UNLCK;
    note(fcntl(fd, F_SETLK, &l));
}

static void data(void)
{
    static const long sizes[] = {0, 1, 96, 97, 4096, 5000};
    char bytes[5000], back[5000];

    for (unsigned i = 0; i < 6; i++) {
        memset(bytes, (int)i + 1, sizeof(bytes));
        note(pwrite(fd, bytes, (size_t)sizes[i], 100));
        note(pread(fd, back, (size_t)sizes[i], 100));
        note(memcmp(bytes, back, (size_t)sizes[i]));
    }
    note(pwrite(fd, page + PAGE - 3, 3, 0));
    note(pwrite(fd, page + PAGE, 10, 0));
    note(pwrite(-1, bytes, 10, 0));
    note(pwrite(fd, bytes, 10, -1));
}

static void vectors(void)
{
    struct iovec v[7] = {{"ab", 2}, {page + PAGE, 5}, {"cd", 2}};
    struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = -1}};
    sigset_t set;

    note(lseek(fd, 0, SEEK_SET));
    note(write(fd, "some bytes", 10));
    note(write(fd, page + PAGE - 1, 2));
    note(write(fd, page + PAGE, 2));
    note(writev(fd, v, 1));
    note(writev(fd, v, 3));
    note(writev(fd, v + 1, 1));
    note(writev(fd, (struct iovec *)at_end((char *)v, 16), 1));
    note(writev(fd, (struct iovec *)at_end((char *)v, 16), 2));
    note(writev(fd, (struct iovec *)(page + PAGE), 7));
    note(poll(p, 2, 0));
    note(p[0].revents);
    note(poll((struct pollfd *)at_end((char *)p, 8), 1, 0));
    note(poll((struct pollfd *)at_end((char *)p, 8), 2, 0));
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    note(syscall(SYS_rt_sigprocmask, SIG_BLOCK, at_end((char *)&set, 8), page, 8));
    note(syscall(SYS_rt_sigprocmask, SIG_SETMASK, page, page, 8));
    note(*(unsigned long *)page != 0);
    note(syscall(SYS_rt_sigprocmask, SIG_SETMASK, page + PAGE, NULL, 8));
    note(syscall(SYS_rt_sigprocmask, SIG_SETMASK, NULL, page, 8));
    note((long)*(unsigned long *)page);
}

static int ends[2];
static char late_byte = 'a';
static volatile pid_t writer;

static void *write_late(void *arg)
{
    writer = gettid();
    return (void *)write(ends[1], &late_byte, 1);
}

static char state_of(pid_t tid)
{
    char name[64], stat[200] = "";
    int f;

    snprintf(name, sizeof(name), "/proc/self/task/%d/stat", tid);
    f = open(name, O_RDONLY);
    if (f >= 0 && read(f, stat, sizeof(stat) - 1) < 0)
        stat[0] = 0;
    close(f);
    return strrchr(stat, ')') ? strrchr(stat, ')')[2] : '?';
}

/* What a write that waits for room writes is what is there when there is room. */
static void written_late(void)
{
    static char bytes[65536];
    pthread_t thread;
    void *result;

    SHOW(pipe(ends));
    SHOW(write(ends[1], bytes, sizeof(bytes)));
    pthread_create(&thread, NULL, write_late, NULL);
    while (!writer || state_of(writer) != 'S')
        usleep(1000);
    late_byte = 'b';
    for (size_t n = 0; n < sizeof(bytes);)
        n += (size_t)read(ends[0], bytes, sizeof(bytes) - n);
    pthread_join(thread, &result);
    SHOW(result);
    SHOW(read(ends[0], bytes, 1));
    SHOW(bytes[0]);
}

/* So often that the sites are patched; what the first round gave is shown. */
static void rounds(void (*round)(void))
{
    unsigned long same = 0;

    for (unsigned i = 0; i < ROUNDS; i++) {
        calls = 0;
        round();
        same += i && memcmp(first, seen, calls * sizeof(seen[0])) == 0;
        if (!i)
            memcpy(first, seen, sizeof(seen));
    }
    for (unsigned i = 0; i < calls; i++)
        printf("%u: %ld\n", i, first[i]);
    CHECK(same == ROUNDS - 1);
}

int main(void)
{
    page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(page + PAGE, PAGE);
    fd = open("f", O_RDWR | O_CREAT, 0600);
    SHOW(ftruncate(fd, 10000));
    SHOW(symlink("some target", "link"));
    rounds(paths);
    rounds(locks);
    rounds(data);
    rounds(vectors);
    written_late();
    return 0;
}
