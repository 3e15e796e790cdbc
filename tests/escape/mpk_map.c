/* Mapping calls, and calls that write for one, aimed at the kernel's memory beside the guest's. */
#include "mpk.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>

#define PKEY_MPROTECT 329
#define PKEY_ALLOC    330
#define PKEY_FREE     331

static uint64_t targets[TARGETS_MAX];
static unsigned target_count;
static char page[4096] __attribute__((aligned(4096)));

#define REFUSED(call, what)                                                                        \
    do {                                                                                           \
        if ((long)(call) >= 0)                                                                     \
            BAD(what);                                                                             \
    } while (0)

static void mapping(void)
{
    if (!behind_key()) /* then nothing of the kernel's is there */
        return;
    for (volatile unsigned i = 0; i < target_count; i++) {
        void *at = (void *)targets[i];
        void *own = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        REFUSED(
            mmap(at, PAGE, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
            "mmap over the kernel");
        REFUSED(mremap(own, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at), "mremap over it");
        REFUSED(mremap(at, PAGE, 2 * PAGE, MREMAP_MAYMOVE), "mremap of it");
        REFUSED(mprotect(at, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC), "mprotect of it");
        REFUSED(madvise(at, PAGE, MADV_DONTNEED), "madvise of it");
        REFUSED(msync(at, PAGE, MS_SYNC), "msync of it");
        REFUSED(mlock(at, PAGE), "mlock of it");
        munmap(at, PAGE);
        munmap(at, TOP - targets[i]);
        REFUSED(syscall(SYS_remap_file_pages, at, PAGE, 0, 0, 0), "remap_file_pages of it");
        if (getpid() <= 0)
            BAD("the kernel is gone");
    }
}

static void keys(void)
{
    REFUSED(syscall(PKEY_ALLOC, 0, 0), "a key for the guest");
    for (int key = 0; key < 16; key++) {
        REFUSED(syscall(PKEY_FREE, key), "a key freed");
        REFUSED(syscall(PKEY_MPROTECT, page, PAGE, PROT_READ | PROT_WRITE, key ? key : 1),
                "a key given to a page");
        for (volatile unsigned i = 0; i < target_count; i++)
            REFUSED(syscall(PKEY_MPROTECT, targets[i], PAGE, PROT_READ | PROT_WRITE, key),
                    "a key taken from a page");
    }
}

/* The kernel or the host as the one who writes. */
static void deputies(void)
{
    int fds[2], mem = open("/proc/self/mem", O_RDWR), zero = open("/dev/zero", O_RDONLY);
    char text[64] = "text";

    if (pipe(fds))
        BAD("pipe");
    for (volatile unsigned i = 0; i < target_count; i++) {
        struct iovec own = {text, sizeof(text)}, other = {(void *)targets[i], sizeof(text)};

        REFUSED(process_vm_writev(getpid(), &own, 1, &other, 1, 0), "process_vm_writev");
        REFUSED(process_vm_readv(getpid(), &own, 1, &other, 1, 0), "process_vm_readv");
        if (mem >= 0) {
            REFUSED(pwrite(mem, text, sizeof(text), (off_t)targets[i]), "write to /proc/self/mem");
            REFUSED(pread(mem, text, sizeof(text), (off_t)targets[i]), "read of /proc/self/mem");
        }
        REFUSED(read(zero, (void *)targets[i], 64), "read into the kernel");
        REFUSED(write(fds[1], (void *)targets[i], 64), "write from the kernel");
        REFUSED(readv(zero, (void *)targets[i], 1), "vectors in the kernel");
        REFUSED(syscall(SYS_futex, targets[i], 5, 1, 1, targets[i], 0x10000000), "futex there");
        REFUSED(syscall(SYS_clock_gettime, 0, targets[i]), "clock_gettime there");
        REFUSED(syscall(SYS_getrandom, targets[i], 64, 0), "getrandom there");
    }
}

/* What runs here: its own code must not be writable by these ways either. */
static void own_text(void)
{
    int mem = open("/proc/self/mem", O_RDWR);
    static const unsigned char opener[] = {0x31, 0xc0, 0x31, 0xc9, 0x31,
                                           0xd2, 0x0f, 0x01, 0xef, 0xc3};
    unsigned char *at = (unsigned char *)((uintptr_t)on_signal & ~15UL);
    struct iovec own = {(void *)opener, sizeof(opener)}, other = {at, sizeof(opener)};

    process_vm_writev(getpid(), &own, 1, &other, 1, 0);
    if (mem >= 0)
        (void)!pwrite(mem, opener, sizeof(opener), (off_t)(uintptr_t)at);
    if (memcmp(at, opener, sizeof(opener)) == 0)
        ((void (*)(void))at)();
    note_key("code written into the program's text");
}

static void sees_nothing(void)
{
    if (!behind_key())
        return;
    for (volatile unsigned i = 0; i < 8; i++) {
        /* The first stretches above the guest's are the arena and the zone. */
        if (sigsetjmp(back, 1) == 0) {
            *(volatile char *)targets[i] = 1;
            if (can_read(targets[i] - (1UL << 40)))
                BAD("a write to kernel memory");
        }
    }
}

int main(void)
{
    begin();
    target_count = kernel_targets(targets);
    attempt("mapping calls", mapping);
    attempt("protection keys", keys);
    attempt("deputies", deputies);
    attempt("own text", own_text);
    attempt("stores", sees_nothing);
    return end();
}
