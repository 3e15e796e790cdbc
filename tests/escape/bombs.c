/*
 * Guests without measure: forking, making threads, mapping, opening, writing until refused. Each
 * ends with an errno and the sandbox goes on.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void fork_bomb(void)
{
    int n = 0;
    pid_t pid = 0;

    setpgid(0, 0);
    while (n < 40000 && (pid = fork()) > 0)
        n++;
    if (pid == 0) {
        pause();
        _exit(0);
    }
    printf("fork: refused with %s, more than 1000 before: %s\n", strerrorname_np(errno),
           n > 1000 ? "yes" : "no");
    signal(SIGTERM, SIG_IGN);
    kill(0, SIGTERM);
    while (n > 0 && wait(NULL) > 0)
        n--;
    printf("fork: %d left\n", n);
}

static void map_bomb(void)
{
    int n = 0;
    void *p = NULL;

    while (n < 200000 && (p = mmap(NULL, 4096, n & 1 ? PROT_READ : PROT_NONE,
                                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) != MAP_FAILED)
        n++;
    printf("mmap: refused with %s, more than 30000 before: %s\n", strerrorname_np(errno),
           n > 30000 ? "yes" : "no");
}

static void open_bomb(void)
{
    struct rlimit rl = {1 << 20, 1 << 20};
    int n = 0;

    setrlimit(RLIMIT_NOFILE, &rl);
    getrlimit(RLIMIT_NOFILE, &rl);
    while (n < 3000000 && eventfd(0, 0) >= 0)
        n++;
    printf("eventfd: refused with %s\n", strerrorname_np(errno));
}

static void huge_numbers(void)
{
    char *p = mmap(NULL, 1UL << 46, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    int fd = open("/dev/shm/huge", O_RDWR | O_CREAT, 0600);

    printf("mmap 64 TiB: %s\n", p == MAP_FAILED ? strerrorname_np(errno) : "ok");
    printf("ftruncate 8 EiB: %s\n", ftruncate(fd, INT64_MAX) < 0 ? strerrorname_np(errno) : "ok");
    printf("pwrite at 4 EiB: %s\n",
           pwrite(fd, "x", 1, 1L << 62) < 0 ? strerrorname_np(errno) : "ok");
    unlink("/dev/shm/huge");
}

static void in_child(void (*fn)(void))
{
    pid_t pid = fork();

    if (pid == 0) {
        fn();
        fflush(stdout);
        _exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    printf("child ended with %x\n", status);
    fflush(stdout);
}

int main(void)
{
    in_child(fork_bomb);
    in_child(map_bomb);
    in_child(open_bomb);
    in_child(huge_numbers);
    puts("the sandbox goes on");
    return 0;
}
