/*
 * Programs that do to patched call sites what patching must stand: jump into them, read, write,
 * unmap and move their text, take %gs away, step through them. Behaves the same natively, where
 * nothing is ever patched. Each part prints what happened; "FAIL" or no "end" is a failure.
 */
#include <asm/prctl.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define PAGE 4096UL

/* Sites of this program: a pair, one with padding near by only, one that shows all registers. */
__asm__(".text\n.p2align 4\n"
        ".globl site_pair\n.type site_pair, @function\nsite_pair:\n.cfi_startproc\n"
        "mov $39, %eax\nsite_pair_call: syscall\nret\n.cfi_endproc\n.size site_pair, .-site_pair\n"
        ".p2align 5, 0x90\n"
        ".globl site_short\n.type site_short, @function\nsite_short:\n.cfi_startproc\n"
        "xor %eax, %eax\nmov $39, %al\nsyscall\nret\n"
        ".cfi_endproc\n.size site_short, .-site_short\n"
        ".p2align 5, 0x90\n"
        ".globl site_flags\n.type site_flags, @function\nsite_flags:\n.cfi_startproc\n"
        "movq $0x1234567, -8(%rsp)\nmovq $0x89abcde, -128(%rsp)\n"
        "mov %edi, %eax\nadd $0x7f, %al\nstc\nmov $39, %eax\nsyscall\n"
        "pushfq\npop %rax\n"
        "cmpq $0x89abcde, -128(%rsp)\njne 1f\nret\n1: xor %eax, %eax\nret\n"
        ".cfi_endproc\n.size site_flags, .-site_flags\n.p2align 5, 0x90\n");
extern const uint8_t site_pair[], site_pair_call[], site_short[], site_flags[];
typedef long (*call_fn)(long);

static long call(const void *f, long arg)
{
    return ((call_fn)(uintptr_t)f)(arg);
}

static void say(const char *what, int ok)
{
    printf("%s: %s\n", ok ? "ok" : "FAIL", what);
    fflush(stdout);
}

/* Enough calls to be noticed, and some time to be worked on. */
static void warm_up(void)
{
    static const uint8_t original[5] = {0xb8, 39, 0, 0, 0};

    for (int i = 0; i < 200; i++) {
        for (int k = 0; k < 20; k++) {
            call(site_pair, 0);
            call(site_short, 0);
            call(site_flags, 0);
            getppid();
        }
        if (memcmp((const void *)*(const uint8_t *volatile const[]){site_pair}, original, 5))
            break;
        usleep(5000);
    }
}

static void plain_calls(void)
{
    long pid = getpid(), flags = call(site_flags, 1);

    say("a pair", call(site_pair, 0) == pid);
    say("a short jump", call(site_short, 0) == pid);
    /* Carry from stc, overflow from the addition; and the red zone. */
    say("flags and red zone", (flags & 0x801) == 0x801);
    say("a jump to the syscall of a pair", ({
            long r;
            __asm__ volatile("call *%1"
                             : "=a"(r)
                             : "r"(site_pair_call), "0"(39L)
                             : "rcx", "r11", "memory");
            r == pid;
        }));
}

/* The kernel shows the file's own bytes. */
static void reads_of_text(void)
{
    uint8_t bytes[7] = {0}, mem[7] = {0};
    struct iovec here = {bytes, 7}, there = {(void *)site_pair, 7};
    int fd = open("/proc/self/mem", O_RDONLY);

    say("process_vm_readv of text", process_vm_readv(getpid(), &here, 1, &there, 1, 0) == 7 &&
                                        bytes[0] == 0xb8 && bytes[5] == 0x0f && bytes[6] == 5);
    say("/proc/self/mem of text", fd >= 0 && pread(fd, mem, 7, (off_t)(uintptr_t)site_pair) == 7 &&
                                      memcmp(mem, bytes, 7) == 0);
    close(fd);
}

/* Into the middle of an instruction: whatever it does, it does to itself. */
static void middle(const uint8_t *at)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        alarm(2);
        call(at, 0);
        _exit(0);
    }
    say("a jump into the middle ends", waitpid(pid, &status, 0) == pid);
}

static void bases(void)
{
    uint64_t mine[4] = {0x1111, 0x2222, 0, 0}, got = 0;
    long pid = getpid();

    say("arch_prctl(ARCH_SET_GS)", syscall(SYS_arch_prctl, ARCH_SET_GS, mine) == 0);
    __asm__ volatile("mov %%gs:8, %0" : "=r"(got));
    say("calls with a %gs of one's own",
        call(site_pair, 0) == pid && call(site_short, 0) == pid && got == 0x2222);
    __asm__ volatile("mov %%gs:8, %0" : "=r"(got));
    say("%gs is still there", got == 0x2222);
    syscall(SYS_arch_prctl, ARCH_GET_GS, &got);
    say("ARCH_GET_GS", got == (uint64_t)mine);
    __asm__ volatile("wrgsbase %0" ::"r"(&mine[1]));
    say("calls after wrgsbase", call(site_pair, 0) == pid);
    __asm__ volatile("mov %%gs:0, %0" : "=r"(got));
    say("its base stays", got == 0x2222);
    say("ARCH_SET_GS to 0", syscall(SYS_arch_prctl, ARCH_SET_GS, 0) == 0);
    got = 1;
    syscall(SYS_arch_prctl, ARCH_GET_GS, &got);
    say("base 0 reads as 0", got == 0 && call(site_pair, 0) == pid);
}

static volatile long steps;
static void stepped(int signo, siginfo_t *info, void *context)
{
    (void)signo, (void)info, (void)context;
    steps++;
}

static void single_step(void)
{
    struct sigaction sa = {.sa_sigaction = stepped, .sa_flags = SA_SIGINFO}, old;
    long pid = getpid(), r;

    sigaction(SIGTRAP, &sa, &old);
    __asm__ volatile("pushfq\norl $0x100, (%%rsp)\npopfq\ncall *%1\n"
                     "pushfq\nandl $~0x100, (%%rsp)\npopfq\n"
                     : "=a"(r)
                     : "r"(site_pair)
                     : "rcx", "r11", "memory", "cc");
    say("single steps through a pair", r == pid && steps > 2);
    sigaction(SIGTRAP, &old, NULL);
}

static volatile long alarms;
static void on_alarm(int signo)
{
    (void)signo;
    alarms++;
}

/* Signals at every moment of a call: none lost, no call disturbed. */
static void signals(void)
{
    struct itimerval often = {{0, 300}, {0, 300}}, never = {{0, 0}, {0, 0}};
    struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    long pid = getpid(), wrong = 0;
    int pipes[2], status;
    char byte = 0;
    pid_t child;

    if (pipe(pipes))
        return;
    sigaction(SIGALRM, &sa, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    for (int i = 0; i < 60000; i++)
        wrong += call(site_pair, 0) != pid || getpid() != pid || call(site_short, 0) != pid;
    child = fork();
    if (child == 0) {
        usleep(20000);
        _exit(write(pipes[1], "x", 1) != 1);
    }
    say("a read restarted over and over", read(pipes[0], &byte, 1) == 1 && byte == 'x');
    setitimer(ITIMER_REAL, &never, NULL);
    say("calls under signals", wrong == 0 && alarms > 5);
    while (waitpid(child, &status, 0) < 0)
        ;
}

/* A second mapping of a library's text, with calls of its own. */
static uint8_t *map_libc(size_t *size, uint64_t *site)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512], path[256];
    uint64_t start, end, offset, here = (uint64_t)(uintptr_t)dlsym(RTLD_NEXT, "getppid");
    uint8_t *p = MAP_FAILED;

    while (maps && fgets(line, sizeof(line), maps)) {
        if (sscanf(line, "%lx-%lx r-xp %lx %*s %*s %255s", &start, &end, &offset, path) != 4 ||
            here < start || here >= end)
            continue;
        int fd = open(path, O_RDONLY);

        p = mmap(NULL, end - start, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, (off_t)offset);
        close(fd);
        *size = end - start;
        *site = here - start;
        break;
    }
    if (maps)
        fclose(maps);
    return p;
}

static void other_mappings(void)
{
    size_t size = 0;
    uint64_t site = 0;
    long parent = getppid();
    uint8_t *p = map_libc(&size, &site), *q;
    uint64_t page = site & ~(PAGE - 1);

    if (p == MAP_FAILED) {
        say("a second mapping", 0);
        return;
    }
    say("a second mapping of the text", call(p + site, 0) == parent);
    q = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    q = mremap(p, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, q);
    say("moved", q != MAP_FAILED && call(q + site, 0) == parent);
    munmap(q, size);
    p = map_libc(&size, &site);
    /* All but the page with the call goes: what it jumped to in other pages, too. */
    if (page)
        munmap(p, page);
    if (page + PAGE < size)
        munmap(p + page + PAGE, size - page - PAGE);
    say("cut down to one page", call(p + site, 0) == parent);
    munmap(p + page, PAGE);
    p = map_libc(&size, &site);
    say("made writable: the file's bytes",
        mprotect(p, size, PROT_READ | PROT_WRITE) == 0 &&
            mprotect(p + page, PAGE, PROT_READ | PROT_EXEC) == 0 && call(p + site, 0) == parent);
    munmap(p, size);
}

static int stop;
static long disturbed;
static void *caller(void *arg)
{
    long pid = getpid(), n = 0;

    (void)arg;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        disturbed += call(site_pair, 0) != pid || call(site_short, 0) != pid;
        n++;
    }
    return (void *)n;
}

/* Text taken back, changed and given again under threads that run in it. */
static void rewriting(void)
{
    uint8_t *page = (uint8_t *)((uintptr_t)site_pair & ~(PAGE - 1));
    pthread_t thread[2];
    long n = 0;
    void *r;

    for (int i = 0; i < 2; i++)
        pthread_create(&thread[i], NULL, caller, NULL);
    for (int i = 0; i < 300; i++) {
        mprotect(page, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
        *(volatile uint8_t *)page = *(volatile uint8_t *)page;
        mprotect(page, 2 * PAGE, PROT_READ | PROT_EXEC);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < 2; i++) {
        pthread_join(thread[i], &r);
        n += (long)r;
    }
    say("text rewritten under two threads", disturbed == 0 && n >= 0);
    mprotect(page, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
    ((uint8_t *)(uintptr_t)site_pair)[1] = SYS_getppid;
    say("self-modifying code", call(site_pair, 0) == getppid());
    ((uint8_t *)(uintptr_t)site_pair)[1] = SYS_getpid;
    mprotect(page, 2 * PAGE, PROT_READ | PROT_EXEC);
    say("and back", call(site_pair, 0) == getpid());
}

/* This program's text once more, and where in it site_pair is. */
static uint8_t *map_own(size_t *size, uint64_t *site)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    uint64_t start, end, offset, here = (uint64_t)(uintptr_t)site_pair;
    uint8_t *p = MAP_FAILED;
    char line[512];

    while (maps && fgets(line, sizeof(line), maps)) {
        if (sscanf(line, "%lx-%lx %*s %lx", &start, &end, &offset) != 3 || here < start ||
            here >= end)
            continue;
        int fd = open("/proc/self/exe", O_RDONLY);

        *size = end - start;
        *site = here - start;
        p = mmap(NULL, *size, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, (off_t)offset);
        close(fd);
        break;
    }
    if (maps)
        fclose(maps);
    return p;
}

static const uint8_t *other_site;
static int calls;

static void *other_caller(void *arg)
{
    long pid = getpid(), wrong = 0;

    (void)arg;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        wrong += call(__atomic_load_n(&other_site, __ATOMIC_RELAXED), 0) != pid;
        __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);
    }
    return (void *)wrong;
}

static void wait_for_calls(void)
{
    int seen = __atomic_load_n(&calls, __ATOMIC_RELAXED);

    while (__atomic_load_n(&calls, __ATOMIC_RELAXED) < seen + 10)
        sched_yield();
}

/* Wherever in a patched call the threads are: they go on in the file's own text. */
static void put_back(void)
{
    long wrong = 0;
    pthread_t thread[2];
    uint64_t site = 0;
    size_t size = 0;
    void *r;

    other_site = site_pair;
    __atomic_store_n(&stop, 0, __ATOMIC_RELAXED);
    for (int k = 0; k < 2; k++)
        pthread_create(&thread[k], NULL, other_caller, NULL);
    for (int i = 0; i < 40; i++) {
        uint8_t *p = map_own(&size, &site);

        if (p == MAP_FAILED) {
            wrong++;
            break;
        }
        __atomic_store_n(&other_site, p + site, __ATOMIC_RELAXED);
        wait_for_calls();
        wrong += mprotect(p + (site & ~(PAGE - 1)), PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) != 0;
    }
    wait_for_calls();
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    for (int k = 0; k < 2; k++) {
        pthread_join(thread[k], &r);
        wrong += (long)r;
    }
    __atomic_store_n(&stop, 0, __ATOMIC_RELAXED);
    say("text put back under two threads", wrong == 0);
}

static void data_as_code(void)
{
    static const uint8_t code[] = {0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0xc3};
    uint8_t *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    long wrong = 0;

    memcpy(p, code, sizeof(code));
    mprotect(p, PAGE, PROT_READ | PROT_EXEC);
    for (int i = 0; i < 500; i++)
        wrong += call(p, 0) != getpid();
    say("data executed as code", wrong == 0);
}

/* ---- what a site's way into the kernel reads before the call ---- */

#define SLOT_POINTER 40  /* of the platform's memory at %gs: where the call's registers go */
#define READ_AHEAD   480 /* in there: address, size and bytes read */

static volatile int scribbling = 1;
static const char *volatile known_path = "/etc/passwd";

/* Says that other bytes were read than were, or more. */
static void *scribble(void *slot)
{
    volatile uint64_t *ahead = (volatile uint64_t *)((char *)slot + READ_AHEAD);

    for (uint64_t i = 0; scribbling; i++) {
        ahead[0] = i % 3 ? (uint64_t)known_path : i;
        ahead[1] = i % 5 ? 96 : i % 7 ? 4096 : i * 0x9e3779b9;
        ahead[2 + i % 12] = i * 0x9e3779b97f4a7c15UL;
    }
    return NULL;
}

static void lie(char *slot)
{
    static char data[4096];
    int fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
    pthread_t thread;

    alarm(10);
    pthread_create(&thread, NULL, scribble, slot);
    for (int i = 0; i < 20000; i++) {
        access(known_path, R_OK);
        if (pwrite(fd, data, (size_t)(i % 4096), 0) < 0 && errno == EFAULT)
            break;
    }
    scribbling = 0;
    pthread_join(thread, NULL);
    _exit(0);
}

/* Paths in the platform's own memory of this process are as bad as elsewhere in the kernel's half.
 */
static void read_ahead(void)
{
    char *own, *slot;
    int bad = 0, status;
    pid_t pid;

    for (int i = 0; i < 3000; i++)
        bad += access(known_path, R_OK) != 0;
    say("paths read ahead", !bad);
    __asm__ volatile("rdgsbase %0" : "=r"(own));
    if (!own) {
        say("nothing of the platform's to be seen", 1);
        return;
    }
    slot = *(char **)(own + SLOT_POINTER);
    strcpy(slot + 1024, known_path);
    for (int i = 0; i < 100; i++) {
        bad += access(slot + 1024, R_OK) != -1 || errno != EFAULT;
        bad += pwrite(1, slot + 1024, 8, 0) != -1 || errno == EBADF;
    }
    say("paths in the platform's memory", !bad);
    pid = fork();
    if (pid == 0)
        lie(slot);
    say("who lies harms nobody else",
        waitpid(pid, &status, 0) == pid && access(known_path, R_OK) == 0);
}

int main(void)
{
    int status;
    pid_t pid;

    warm_up();
    plain_calls();
    reads_of_text();
    for (int i = 1; i < 5; i++)
        middle(site_pair + i);
    bases();
    single_step();
    signals();
    pid = fork();
    if (pid == 0) {
        plain_calls();
        _exit(call(site_pair, 0) != getpid());
    }
    say("a forked child", waitpid(pid, &status, 0) == pid && status == 0);
    other_mappings();
    put_back();
    rewriting();
    plain_calls();
    data_as_code();
    read_ahead();
    puts("end");
    return 0;
}
