/*
 * The zone of mpk, found by %gs as any guest can find it: the byte that says whether the thread's
 * host calls are dispatched, the stacks signals come on, the code slots. Unmapped, moved, replaced,
 * written, by one thread while another makes calls; and stacks of the guest's own laid over them.
 * Every attempt ends with calls that must still be the sandbox's.
 */
#include "mpk.h"

#include <fcntl.h>
#include <immintrin.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/utsname.h>

/* As the kernel has it (platform/mpk/offsets.h, mpk.h): scratch, selectors, code, signal stacks. */
#define SLOTS          4096UL
#define SCRATCH        256UL
#define SELECTOR       64UL
#define CODE           64UL
#define ALT            (SCRATCH << 7)
#define SCRATCH_TOTAL  (SLOTS * SCRATCH)
#define SELECTOR_TOTAL (SLOTS * SELECTOR)
#define CODE_TOTAL     (SLOTS * CODE)
#define ALT_TOTAL      (SLOTS * ALT)
#define DISPATCH       59 /* PR_SET_SYSCALL_USER_DISPATCH */

static uint64_t zone;
static struct utsname ours;

static uint64_t selectors(void)
{
    return zone + SCRATCH_TOTAL;
}

static uint64_t code_slots(void)
{
    return selectors() + SELECTOR_TOTAL;
}

static uint64_t stacks(void)
{
    return code_slots() + CODE_TOTAL;
}

/* The host, if calls went there, would call itself something else. */
static int is_foreign(void)
{
    struct utsname now;

    memset(&now, 0, sizeof(now));
    return syscall(SYS_uname, &now) || memcmp(&now, &ours, sizeof(now)) != 0;
}

static void still_ours(const char *what)
{
    if (is_foreign()) {
        printf("FAIL: after %s calls go somewhere else\n", what);
        _exit(1);
    }
    note_key(what);
}

static void over(uint64_t at, uint64_t size, const char *what)
{
    void *own = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *there = (void *)at;
    int done = 0;

    munmap(there, size); /* may say 0, as of what is not there */
    done |= mmap(there, size, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1,
                 0) != MAP_FAILED;
    done |= mremap(own, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, there) != MAP_FAILED;
    done |= mremap(there, size, size, MREMAP_MAYMOVE) != MAP_FAILED;
    done |= mremap(there, size, 0x10000, 0) != MAP_FAILED;
    done |= mprotect(there, size, PROT_READ | PROT_WRITE | PROT_EXEC) == 0;
    done |= madvise(there, size, MADV_DONTNEED) == 0;
    done |= madvise(there, size, MADV_DONTFORK) == 0;
    done |= madvise(there, size, MADV_WIPEONFORK) == 0;
    if (done) {
        printf("FAIL: a mapping call reached %s\n", what);
        _exit(1);
    }
    still_ours(what);
}

static void mapping(void)
{
    over(selectors(), PAGE, "the first selectors");
    over(selectors(), SELECTOR_TOTAL, "all selectors");
    over(selectors() - PAGE, 2 * PAGE, "scratch and selectors");
    over(code_slots(), CODE_TOTAL, "the code slots");
    over(stacks(), ALT, "a signal stack");
    over(stacks(), ALT_TOTAL, "all signal stacks");
    over(zone, SCRATCH_TOTAL, "the scratch");
}

/* A byte by every way there is; the selector's value is one of these two. */
static void write_byte(uint64_t at, const char *what)
{
    char byte = 0, bytes[64] = {0};
    struct iovec own = {bytes, sizeof(bytes)}, other = {(void *)at, sizeof(bytes)};
    int mem = open("/proc/self/mem", O_RDWR), zero = open("/dev/zero", O_RDONLY), wrote = 0;

    if (sigsetjmp(back, 1) == 0) {
        *(volatile char *)at = byte;
        wrote = 1;
    }
    wrote |= read(zero, (void *)at, 1) > 0;
    wrote |= process_vm_writev(getpid(), &own, 1, &other, 1, 0) > 0;
    wrote |= pwrite(mem, bytes, 1, (off_t)at) > 0;
    wrote |= syscall(SYS_getrandom, at, 1, 0) > 0;
    wrote |= syscall(SYS_futex, at & ~3UL, 5, 1, 1, at & ~3UL, 0x10000000) >= 0;
    close(mem);
    close(zero);
    if (wrote) {
        printf("FAIL: %s can be written\n", what);
        _exit(1);
    }
    still_ours(what);
}

static void writing(void)
{
    for (uint64_t slot = 0; slot < 4; slot++) {
        write_byte(selectors() + slot * SELECTOR, "a selector");
        write_byte(code_slots() + slot * CODE, "a code slot");
        write_byte(stacks() + slot * ALT + ALT - 64, "a signal stack's owner");
    }
}

static void *caller(void *arg)
{
    for (int i = 0; i < 5000; i++) {
        if (is_foreign())
            *(volatile int *)arg = 1;
    }
    return NULL;
}

/* One thread makes calls while others try to have them not dispatched. */
static void racing(void)
{
    volatile int foreign = 0;
    pthread_t t;

    if (pthread_create(&t, NULL, caller, (void *)&foreign))
        return;
    for (int i = 0; i < 200; i++) {
        char byte = 0;

        munmap((void *)selectors(), PAGE);
        mprotect((void *)selectors(), PAGE, PROT_READ | PROT_WRITE);
        prctl(DISPATCH, 0, 0, 0, 0);
        prctl(DISPATCH, 1, 0, 0, &byte);
        if (sigsetjmp(back, 1) == 0)
            *(volatile char *)(selectors() + SELECTOR) = 0;
    }
    pthread_join(t, NULL);
    if (foreign)
        BAD("calls went somewhere else");
    still_ours("a race for the selector");
}

static volatile int handled;

static void on_usr1(int signo, siginfo_t *info, void *uc)
{
    stack_t s = {.ss_sp = (void *)stacks(), .ss_size = ALT};

    (void)signo;
    (void)info;
    sigaltstack(&s, NULL); /* while it is in use */
    ((stack_t *)((char *)uc + 16))->ss_sp = (void *)stacks();
    ((stack_t *)((char *)uc + 16))->ss_size = ALT;
    handled++;
}

/* Alternate stacks over the kernel's, too small, half unmapped, changed in use. */
static void own_stacks(void)
{
    static const uint64_t sizes[] = {2048, 4096, 65536, 1UL << 40, UINT64_MAX - 4096};
    struct sigaction sa = {.sa_sigaction = on_usr1, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    uint64_t places[] = {zone, selectors(), code_slots(), stacks(), stacks() + ALT, zone - 65536};

    for (volatile unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        for (volatile unsigned k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
            pid_t pid = fork();

            if (pid == 0) {
                stack_t s = {.ss_sp = (void *)places[i], .ss_size = sizes[k]};
                stack_t disarm = {.ss_sp = handler_stack,
                                  .ss_flags = (int)(1U << 31),
                                  .ss_size = sizeof(handler_stack)};

                sigaction(SIGUSR1, &sa, NULL);
                sigaltstack(&disarm, NULL);
                raise(SIGUSR1);
                sigaltstack(&s, NULL);
                raise(SIGUSR1);
                note_key("an alternate stack in the zone");
                _exit(is_foreign());
            }
            waitpid(pid, NULL, 0);
            still_ours("alternate stacks");
        }
    }
}

/* The stack pointer at the end of the kernel's signal stacks when faults and calls come. */
static void stack_pointer(void)
{
    for (volatile unsigned i = 0; i < 8; i++) {
        pid_t pid = fork();

        if (pid == 0) {
            struct sigaction sa = {.sa_handler = SIG_DFL};

            sigaction(SIGSEGV, &sa, NULL);
            __asm__ volatile("mov %0, %%rsp\n\t"
                             "mov $39, %%eax\n\t"
                             "syscall\n\t"
                             "test %1, %1\n\t"
                             "jz 1f\n\t"
                             "push %%rax\n\t"
                             "1: ud2"
                             :
                             : "r"(stacks() + (i / 2 + 1) * ALT - 64), "r"((uint64_t)(i & 1))
                             : "memory", "rax", "rcx", "r11");
        }
        waitpid(pid, NULL, 0);
        still_ours("a stack pointer in the zone");
    }
}

int main(void)
{
    begin();
    syscall(SYS_uname, &ours);
    if (behind_key()) {
        zone = _readgsbase_u64() & ~((2UL << 20) - 1);
        if (!zone || !can_read(selectors()))
            BAD("the zone is not where it was thought to be");
        attempt("mapping calls over the zone", mapping);
        attempt("writes to it", writing);
        attempt("a race for the selector", racing);
        attempt("alternate stacks", own_stacks);
        attempt("stack pointers", stack_pointer);
    }
    return end();
}
