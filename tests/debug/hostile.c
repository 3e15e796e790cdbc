/* Crashes that are hard to report: as the first argument says. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void handler(int signo)
{
    abort(); /* from within a handler: the frames go on below it */
}

static void corrupt(char *image, size_t size, unsigned seed)
{
    for (int i = 0; i < 200; i++) {
        seed = seed * 1103515245 + 12345;
        image[seed % size] = (char)(seed >> 16);
    }
}

/* An executable mapping of a file that looks like ELF, with nonsense in it; then a crash in it. */
static void broken_file(const char *self, unsigned seed)
{
    static char image[1 << 20];
    int fd = open(self, O_RDONLY), out = memfd_create("broken\033[31m\n", 0);
    ssize_t n = read(fd, image, sizeof(image));
    char *p;

    corrupt(image + 16, (size_t)n - 16, seed);
    memcpy(image, "\177ELF\2\1\1", 7);
    image[0x1100] = 0x0f; /* ud2 */
    image[0x1101] = 0x0b;
    if (write(out, image, (size_t)n) != n)
        _exit(3);
    p = mmap(NULL, (size_t)n, PROT_READ | PROT_EXEC, MAP_PRIVATE, out, 0);
    ((void (*)(void))(p + 0x1100))();
}

static void many(void)
{
    for (int i = 0; i < 80; i++) {
        if (fork() == 0)
            abort();
    }
    while (wait(NULL) > 0)
        ;
}

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "";

    if (strcmp(how, "handler") == 0) {
        signal(SIGUSR1, handler);
        raise(SIGUSR1);
    } else if (strcmp(how, "null") == 0) {
        ((void (*)(void))0)();
    } else if (strcmp(how, "stack") == 0) {
        __asm__ volatile("mov $0x1234, %rsp; push %rax");
    } else if (strcmp(how, "name") == 0) {
        prctl(PR_SET_NAME, "\033[2J\"\n\\x");
        abort();
    } else if (strcmp(how, "broken") == 0) {
        broken_file(argv[0], (unsigned)atoi(argv[2]));
    } else if (strcmp(how, "many") == 0) {
        many();
    }
    return 0;
}
