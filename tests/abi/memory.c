/*
 * mmap and family: placement rules, protections, sharing, growth, accounting visible in
 * /proc/self/maps.
 */
#include "abi.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096

static int regions(const char *base, size_t size)
{
    char line[512];
    FILE *f = fopen("/proc/self/maps", "r");
    int n = 0;

    while (fgets(line, sizeof(line), f)) {
        unsigned long start, end;
        char prot[5];

        if (sscanf(line, "%lx-%lx %4s", &start, &end, prot) == 3 &&
            start < (unsigned long)base + size && end > (unsigned long)base) {
            printf("  +%lx..+%lx %s\n",
                   start > (unsigned long)base ? (start - (unsigned long)base) / PAGE : 0,
                   (end - (unsigned long)base) / PAGE, prot);
            n++;
        }
    }
    fclose(f);
    return n;
}

static int recurse(int depth)
{
    volatile char block[8192];

    block[0] = (char)depth;
    return depth ? recurse(depth - 1) + block[0] * 0 : 0;
}

int main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    char *p = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
         vec[16], *q;

    SHOW(mprotect(p + PAGE, PAGE, PROT_READ));
    SHOW(munmap(p + 4 * PAGE, PAGE));
    SHOW(mprotect(p + 6 * PAGE, 2 * PAGE, PROT_NONE));
    regions(p, 16 * PAGE);
    SHOW(mprotect(p, 16 * PAGE, PROT_READ));
    SHOW(mprotect(p + 1, PAGE, PROT_READ));
    SHOW(munmap(p + 1, PAGE));
    SHOW(munmap(p, 0));
    SHOW(mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
    SHOW(mmap(NULL, PAGE, PROT_READ, MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
    SHOW(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, 99, 0) == MAP_FAILED);
    SHOW(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, 0, 1) == MAP_FAILED);
    CHECK(mmap(p, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) ==
              MAP_FAILED &&
          errno == EEXIST);
    CHECK(mmap(p + 4 * PAGE, PAGE, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == p + 4 * PAGE);
    CHECK(mmap((void *)0x700000000000, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
               0) == (void *)0x700000000000);
    SHOW(mmap((void *)-4096, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
         MAP_FAILED);
    munmap(p, 16 * PAGE);

    p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    q = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (fork() == 0) {
        p[0] = 1;
        q[0] = 1;
        _exit(0);
    }
    wait(NULL);
    printf("shared %d private %d\n", p[0], q[0]);
    q[PAGE] = 42;
    char *r = mremap(q, 2 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
    printf("mremap kept %d new %d\n", r[PAGE], r[63 * PAGE]);
    SHOW(mremap(r, 64 * PAGE, PAGE, 0) == r);
    SHOW(mremap(r + PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED);
    SHOW(mremap(r, PAGE, 2 * PAGE, MREMAP_FIXED, p) == MAP_FAILED);

    int fd = open("m", O_RDWR | O_CREAT, 0600);
    SHOW(ftruncate(fd, 3 * PAGE));
    char *a = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *b = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    strcpy(a, "through the map");
    char text[32] = "";
    SHOW(pread(fd, text, 15, 0));
    puts(text);
    SHOW(pwrite(fd, "WRITTEN", 7, 0));
    printf("%s | %s\n", a, b);
    b[0] = '-';
    SHOW(pwrite(fd, "again", 5, 0));
    printf("%.5s | %.5s\n", a, b);
    SHOW(msync(a, 3 * PAGE, MS_SYNC));
    SHOW(msync(a, 3 * PAGE, MS_SYNC | MS_ASYNC));
    int ro = open("m", O_RDONLY);
    SHOW(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, ro, 0) == MAP_FAILED);
    char *c = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, ro, 0);
    SHOW(mprotect(c, PAGE, PROT_READ | PROT_WRITE));
    SHOW(madvise(b, PAGE, MADV_DONTNEED));
    printf("%.5s\n", b);
    SHOW(madvise(b, PAGE, 12345));
    SHOW(mincore(a, PAGE, (unsigned char *)vec));
    SHOW(mlock(a, PAGE));
    SHOW(munlock(a, PAGE));
    SHOW(mlock((void *)0x10000000, PAGE));
    void *brk0 = sbrk(0);
    CHECK(sbrk(100000) == brk0);
    *((char *)brk0 + 99999) = 1;
    CHECK(sbrk(-100000) == (char *)brk0 + 100000);
    SHOW(recurse(500));
    struct rlimit rl = {1 << 30, 1 << 30};
    setrlimit(RLIMIT_AS, &rl);
    SHOW(mmap(NULL, 2UL << 30, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
    struct iovec local = {text, 5}, remote = {a, 5};
    SHOW(process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
    printf("%.5s\n", text);
    remote.iov_base = (void *)1;
    SHOW(process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
    char *w = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *w = 5;
    SHOW(madvise(w, PAGE, MADV_WIPEONFORK));
    if (fork() == 0) {
        printf("wiped %d\n", *w);
        _exit(0);
    }
    wait(NULL);
    return 0;
}
