/* ru_maxrss: of the caller, of a child that was waited for, and of all such. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1L << 20)

static void touch(size_t size)
{
    char *p = malloc(size);

    memset(p, 1, size);
    __asm__ volatile("" ::"r"(p) : "memory");
}

int main(void)
{
    struct rusage ru;
    int status;

    touch(20 * MIB);
    getrusage(RUSAGE_SELF, &ru);
    printf("own: %d %d\n", ru.ru_maxrss >= 20 * 1024, ru.ru_maxrss < 40 * 1024);
    getrusage(RUSAGE_CHILDREN, &ru);
    printf("children: %ld\n", ru.ru_maxrss);
    fflush(stdout);
    if (fork() == 0) {
        touch(40 * MIB);
        _exit(0);
    }
    wait4(-1, &status, 0, &ru);
    printf("child: %d %d\n", ru.ru_maxrss >= 40 * 1024, ru.ru_maxrss < 80 * 1024);
    getrusage(RUSAGE_CHILDREN, &ru);
    printf("children: %d\n", ru.ru_maxrss >= 40 * 1024);
    return 0;
}
