/*
 * Starting a helper: a copy of this process that maps an image embedded in this program and gives
 * up everything else (helper/main.c). The child's code makes raw calls only. No locks.
 */
#define _GNU_SOURCE
#include "platform/patch/start.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "platform/host/host.h"
#include "platform/patch/helper/arena.h"

/* The C library's registration with the host, which would write to memory that is gone. */
#define RSEQ_SIG 0x53053053
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));

extern const char __ehdr_start[] __attribute__((visibility("hidden")));

/* Where the embedded image is in this program's file; 0: not to be found. */
static uint64_t image_offset(const char *image)
{
    const Elf64_Ehdr *e = (const Elf64_Ehdr *)__ehdr_start;
    const Elf64_Phdr *p = (const Elf64_Phdr *)(__ehdr_start + e->e_phoff);
    uint64_t at = (uint64_t)(image - __ehdr_start);

    for (unsigned i = 0; i < e->e_phnum; i++) {
        if (p[i].p_type == PT_LOAD && at >= p[i].p_vaddr && at < p[i].p_vaddr + p[i].p_filesz)
            return at - p[i].p_vaddr + p[i].p_offset;
    }
    return 0;
}

static NORETURN void fail(void)
{
    for (;;)
        host_syscall(SYS_exit_group, 1, 0, 0, 0, 0, 0);
}

static void map(uint64_t addr, uint64_t size, int prot, int flags, int fd, uint64_t offset)
{
    if (size && host_mmap((void *)addr, size, prot, flags | MAP_FIXED_NOREPLACE, fd, offset) !=
                    (int64_t)addr)
        fail();
}

static NORETURN void child(const char *image, uint64_t size, int program, uint64_t offset,
                           int arena, int socket)
{
    const struct helper_header *h = (const struct helper_header *)(const void *)image;
    uint64_t none = 0;
    uint64_t image_end = (size + PAGE_SIZE - 1) & PAGE_MASK;

    host_syscall(SYS_rt_sigprocmask, SIG_SETMASK, (uint64_t)&none, 0, 8, 0, 0);
    if (&__rseq_size && __rseq_size)
        host_syscall(SYS_rseq, (uint64_t)__builtin_thread_pointer() + (uint64_t)__rseq_offset, 32,
                     1, RSEQ_SIG, 0, 0);
    map(HELPER_BASE, h->data, PROT_READ | PROT_EXEC, MAP_PRIVATE, program, offset);
    map(HELPER_BASE + h->data, image_end - h->data, PROT_READ | PROT_WRITE, MAP_PRIVATE, program,
        offset + h->data);
    /* The file goes on behind the image. */
    memset((char *)HELPER_BASE + size, 0, image_end - size);
    map(HELPER_BASE + image_end, h->end - image_end, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    map(ARENA_BASE, ARENA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, arena, 0);
    if (socket != HELPER_SOCKET &&
        host_syscall(SYS_dup3, (uint64_t)socket, HELPER_SOCKET, 0, 0, 0, 0) < 0)
        fail();
    host_syscall(SYS_close_range, 0, HELPER_SOCKET - 1, 0, 0, 0, 0);
    if (host_syscall(SYS_close_range, HELPER_SOCKET + 1, ~0U, 0, 0, 0, 0) < 0)
        fail();
    ((void (*)(void))(HELPER_BASE + h->start))();
    fail();
}

int helper_start(const char *image, const char *image_end, int64_t *out_pid, int *out_arena,
                 int *out_socket)
{
    const struct helper_header *h = (const struct helper_header *)(const void *)image;
    uint64_t offset = image_offset(image);
    int program, arena, pair[2];
    int64_t pid;

    if (h->magic != HELPER_MAGIC || !offset || offset % PAGE_SIZE)
        return -ENOEXEC;
    program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (program < 0)
        return -errno;
    arena = (int)host_memfd_create("helper", MFD_CLOEXEC);
    if (arena < 0 || host_ftruncate(arena, ARENA_SIZE) < 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        host_close(program);
        return -EAGAIN;
    }
    pid = host_syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0, 0);
    if (pid == 0)
        child(image, (uint64_t)(image_end - image), program, offset, arena, pair[1]);
    host_close(program);
    host_close(pair[1]);
    *out_pid = pid;
    *out_arena = arena;
    *out_socket = pair[0];
    return pid < 0 ? (int)pid : 0;
}
