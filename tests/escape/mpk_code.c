/*
 * Ways to get an instruction executed that opens a key: written, hidden, moved together, changed
 * after it was looked at, raced. Code that worked would leave the key register changed.
 */
#include "mpk.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/uio.h>

#define RWX          (PROT_READ | PROT_WRITE | PROT_EXEC)
#define RX           (PROT_READ | PROT_EXEC)
#define RW           (PROT_READ | PROT_WRITE)
#define RACE_SECONDS 3

/* xor of eax, ecx, edx; wrpkru; ret */
static const unsigned char opener[] = {0x31, 0xc0, 0x31, 0xc9, 0x31, 0xd2, 0x0f, 0x01, 0xef, 0xc3};
#define WRPKRU_AT 6

static unsigned char area[16384] __attribute__((aligned(64)));

/* As data, never as constants in this program's own code. */
static void __attribute__((noipa))
put(unsigned char *at, const unsigned char *bytes, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        ((volatile unsigned char *)at)[i] = bytes[i];
}

static unsigned char *pages(unsigned count, int prot, int flags, int fd)
{
    unsigned char *p = mmap(NULL, count * PAGE, prot, flags, fd, 0);

    if (p == MAP_FAILED)
        _exit(0); /* refused: as good */
    return p;
}

/* With key 1 open in eax, as far as eax counts: for WRPKRU and, as a mask, for XRSTOR. */
static void run(const char *what, const void *code)
{
    if (sigsetjmp(back, 1) == 0) {
        __asm__ volatile("call *%0"
                         :
                         : "r"(code), "D"(area), "a"(0x200), "c"(0), "d"(0)
                         : "memory", "rsi", "r8", "r9", "r10", "r11", "xmm0");
    }
    note_key(what);
}

static void written(void)
{
    unsigned char *p = pages(1, RWX, MAP_PRIVATE | MAP_ANONYMOUS, -1);

    put(p, opener, sizeof(opener));
    run("written to a page", p);
    run("at the instruction", p + WRPKRU_AT);
    p = pages(1, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    put(p, opener, sizeof(opener));
    mprotect(p, PAGE, RX);
    run("mprotect", p);
    mprotect(p, PAGE, PROT_EXEC);
    run("executable only", p);
}

/* XRSTOR and its kin, with every prefix. */
static void prefixes(void)
{
    static const unsigned char prefix[] = {0x66, 0xf2, 0xf3, 0x2e, 0x36, 0x3e, 0x26, 0x64,
                                           0x65, 0x67, 0xf0, 0x40, 0x48, 0x4f, 0x90};
    static const unsigned char bodies[][8] = {
        {0x0f, 0x01, 0xef, 0xc3},             /* wrpkru */
        {0x0f, 0xae, 0x2f, 0xc3},             /* xrstor (rdi) */
        {0x0f, 0xae, 0x6f, 0x00, 0xc3},       /* with 8 bits */
        {0x0f, 0xae, 0xaf, 0, 0, 0, 0, 0xc3}, /* with 32 */
        {0x0f, 0xc7, 0x1f, 0xc3},             /* xrstors */
        {0x0f, 0xae, 0x2c, 0x27, 0xc3},       /* by SIB */
    };
    unsigned char *p = pages(1, RWX, MAP_PRIVATE | MAP_ANONYMOUS, -1);

    memset(area, 0, sizeof(area));
    area[513] = 2; /* XSTATE_BV: the key register, all zeros: open */
    for (volatile unsigned b = 0; b < sizeof(bodies) / sizeof(bodies[0]); b++) {
        for (volatile unsigned i = 0; i < sizeof(prefix); i++) {
            p[0] = prefix[i];
            put(p + 1, bodies[b], 8);
            run("prefixed", p);
            run("without its prefix", p + 1);
            p[0] = prefix[i];
            p[1] = 0x48;
            put(p + 2, bodies[b], 8);
            run("prefixed twice", p);
        }
    }
    area[513] = 0; /* the initial value of the key register is open, too */
    put(p, bodies[1], 8);
    run("initial state", p);
}

/* Inside other instructions: all that a scan by instructions would miss. */
static void hidden(void)
{
    static const unsigned char mov[] = {0xb8, 0x0f, 0x01, 0xef, 0x00, 0xc3};
    static const unsigned char add[] = {0xc1, 0xc0, 0x0f, 0x01, 0xef, 0xc3};
    static const unsigned char lea[] = {0x48, 0x8d, 0x3d, 0x0f, 0xae, 0x2f, 0x00, 0xc3};
    unsigned char *p = pages(2, RWX, MAP_PRIVATE | MAP_ANONYMOUS, -1);

    for (volatile unsigned i = 0; i < 600; i += 200) {
        memset(p, 0x90, 2 * PAGE);
        put(p + i, mov, sizeof(mov));
        run("a constant", p + i);
        run("in a constant", p + i + 1);
        put(p + i, add, sizeof(add));
        run("two instructions", p + i);
        run("between two instructions", p + i + 2);
        put(p + i, lea, sizeof(lea));
        run("a displacement", p + i);
        run("in a displacement", p + i + 3);
    }
}

/* Across the border of two pages, in every order of becoming executable. */
static void borders(void)
{
    for (volatile unsigned cut = 1; cut < 3; cut++) {
        for (volatile unsigned order = 0; order < 6; order++) {
            unsigned char *p = pages(4, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1), *q = p;
            unsigned char *at = p + PAGE - WRPKRU_AT - cut;

            memset(p, 0x90, 4 * PAGE);
            p[0] = p[PAGE + 100] = 0xc3;
            put(at, opener, sizeof(opener));
            if (order == 0) {
                mprotect(p, 2 * PAGE, RX);
            } else if (order == 1) {
                mprotect(p, PAGE, RX);
                mprotect(p + PAGE, PAGE, RX);
            } else if (order == 2) {
                mprotect(p + PAGE, PAGE, RX);
                mprotect(p, PAGE, RX);
            } else if (order == 3) {
                mprotect(p, 2 * PAGE, RWX);
                run("first page", p);
                run("second page", p + PAGE + 100);
            } else if (order == 4) { /* moved next to each other */
                memcpy(p + 3 * PAGE, p + PAGE, PAGE);
                mprotect(p, PAGE, RX);
                mprotect(p + 3 * PAGE, PAGE, RX);
                run("apart", p);
                (void)!mremap(p + 3 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + PAGE);
            } else { /* what was executable is replaced */
                mprotect(p, 2 * PAGE, RWX);
                memset(p + PAGE, 0x90, PAGE);
                run("other content", p);
                put(at, opener, sizeof(opener));
            }
            run("across a border", at);
            run("across a border, inside", q + PAGE - cut);
        }
    }
}

/* Content that changes behind the mapping that is executed. */
static void behind(void)
{
    static const int kinds[] = {MAP_PRIVATE, MAP_SHARED};

    for (volatile unsigned k = 0; k < 2; k++) {
        int fd = memfd_create("code", 0), file = open("/tmp/mpk-code", O_RDWR | O_CREAT, 0700);

        for (volatile int which = 0; which < 2; which++) {
            int f = which ? file : fd;
            unsigned char *w, *x;

            if (f < 0 || ftruncate(f, PAGE))
                continue;
            w = mmap(NULL, PAGE, RW, MAP_SHARED, f, 0);
            w[0] = 0xc3;
            x = mmap(NULL, PAGE, RX, kinds[k], f, 0);
            if (x == MAP_FAILED)
                continue;
            run("before", x);
            put(w, opener, sizeof(opener));
            run("written through the other mapping", x);
            (void)!pwrite(f, opener, sizeof(opener), 0);
            run("written by write", x);
            madvise(x, PAGE, MADV_DONTNEED);
            run("dropped", x);
            mprotect(x, PAGE, PROT_READ);
            mprotect(x, PAGE, RX);
            run("executable once more", x);
            mprotect(w, PAGE, RX);
            run("the writable mapping made executable", w);
            mprotect(w, PAGE, RW);
        }
    }
}

static void deputies(void)
{
    unsigned char *p = pages(1, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    struct iovec own = {(void *)opener, sizeof(opener)}, other = {p, sizeof(opener)};
    int mem = open("/proc/self/mem", O_RDWR), fds[2];

    p[0] = 0xc3;
    mprotect(p, PAGE, RX);
    run("before", p);
    process_vm_writev(getpid(), &own, 1, &other, 1, 0);
    run("process_vm_writev", p);
    if (mem >= 0)
        (void)!pwrite(mem, opener, sizeof(opener), (off_t)(uintptr_t)p);
    run("/proc/self/mem", p);
    mprotect(p, PAGE, RWX);
    p[0] = 0xc3;
    run("writable again", p);
    if (pipe(fds) == 0 && write(fds[1], opener, sizeof(opener)) > 0)
        (void)!read(fds[0], p, sizeof(opener));
    run("read from a pipe", p);
    p[0] = 0xc3;
    run("harmless", p);
    process_vm_writev(getpid(), &own, 1, &other, 1, 0);
    run("process_vm_writev to what is writable", p);
}

static void forks(void)
{
    unsigned char *p = pages(1, RWX, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    unsigned char *shared = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status;
    pid_t pid;

    memset(p, 0xc3, PAGE);
    run("before", p);
    pid = fork();
    if (pid == 0) {
        run("child before", p);
        put(p, opener, sizeof(opener));
        run("child", p);
        put(shared, opener, sizeof(opener));
        mprotect(shared, PAGE, RX);
        run("shared", shared);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status))
        _exit(1);
    run("parent", p);
    mprotect(shared, PAGE, RX);
    run("parent's shared", shared);
}

/* ---- races ---- */

static unsigned char *volatile raced;
static volatile int stop;

static void *writer(void *arg)
{
    unsigned char *p = raced;

    (void)arg;
    put(p, opener, sizeof(opener));
    while (!stop) {
        p[WRPKRU_AT + 1] = 0x90;
        p[WRPKRU_AT + 1] = 0x01;
    }
    return NULL;
}
static void *toggler(void *arg)
{
    (void)arg;
    while (!stop) {
        mprotect(raced, PAGE, RWX);
        madvise(raced, PAGE, 15);
        mprotect(raced, PAGE, RWX);
    }
    return NULL;
}

static void races(void)
{
    pthread_t a, b;
    volatile unsigned rounds = 0;
    time_t until = time(NULL) + RACE_SECONDS;

    raced = pages(1, RWX, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    memset(raced, 0xc3, PAGE);
    pthread_create(&a, NULL, writer, NULL);
    pthread_create(&b, NULL, toggler, NULL);
    while (time(NULL) < until) {
        run("raced", raced);
        run("raced, inside", raced + WRPKRU_AT);
        rounds++;
    }
    stop = 1;
    pthread_join(a, NULL);
    pthread_join(b, NULL);
}

/* What an XRSTOR is for still happens. */
static void restores(void)
{
    unsigned char *p = pages(1, RWX, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    static const unsigned char code[] = {0x0f, 0xae, 0x2f, 0xc3};
    uint64_t low = 0;

    memset(area, 0, sizeof(area));
    *(uint32_t *)(area + 24) = 0x1f80;
    *(uint64_t *)(area + 160) = 0x1122334455667788;
    area[512] = 2;
    put(p, code, sizeof(code));
    __asm__ volatile("pxor %%xmm0, %%xmm0\n\t"
                     "call *%1\n\t"
                     "movq %%xmm0, %0"
                     : "=r"(low)
                     : "r"(p), "D"(area), "a"(2), "d"(0)
                     : "memory", "xmm0");
    if (low != 0x1122334455667788)
        BAD("XRSTOR does not restore");
}

int main(void)
{
    unsigned a, b, c, d;

    begin();
    __cpuid(1, a, b, c, d);
    attempt("written code", written);
    attempt("prefixes", prefixes);
    attempt("hidden in other instructions", hidden);
    attempt("across borders", borders);
    attempt("changed behind the mapping", behind);
    attempt("written by others", deputies);
    attempt("across fork", forks);
    attempt("races", races);
    if (c & bit_OSXSAVE) {
        memset(area, 0, sizeof(area));
        attempt("XRSTOR", restores);
    }
    return end();
}
