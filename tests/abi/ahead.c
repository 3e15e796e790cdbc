/* Paths, locks and data that calls read, from good and bad places, so often that call sites have
 * been patched meanwhile: every round must give what the first gave. */
#include "abi.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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

int main(void)
{
    unsigned long same = 0;

    page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(page + PAGE, PAGE);
    fd = open("f", O_RDWR | O_CREAT, 0600);
    SHOW(ftruncate(fd, 10000));
    SHOW(symlink("some target", "link"));
    for (unsigned round = 0; round < ROUNDS; round++) {
        calls = 0;
        paths();
        locks();
        note(0);
        same += round && memcmp(first, seen, calls * sizeof(seen[0])) == 0;
        if (!round)
            memcpy(first, seen, sizeof(seen));
    }
    for (unsigned i = 0; i < calls; i++)
        printf("%u: %ld\n", i, first[i]);
    CHECK(same == ROUNDS - 1);
    same = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        calls = 0;
        data();
        same += round && memcmp(first, seen, calls * sizeof(seen[0])) == 0;
        if (!round)
            memcpy(first, seen, sizeof(seen));
    }
    for (unsigned i = 0; i < calls; i++)
        printf("%u: %ld\n", i, first[i]);
    CHECK(same == ROUNDS - 1);
    return 0;
}
