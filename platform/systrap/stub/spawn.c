/*
 * The stub's part in making processes and threads, and in mapping descriptors it is sent. Also the
 * zygote's first steps. The flags of clone are those the seccomp filter allows, exactly.
 */
#include "platform/systrap/stub/stub.h"
#include "platform/systrap/stub_flags.h"
#include <linux/mman.h>
#include <linux/prctl.h>
#include <linux/signal.h>
#include <linux/socket.h>
#include <linux/uio.h>
#include <linux/unistd.h>

#define STUB_EAGAIN  11
#define STUB_EPROTO  71
#define MSG_DONTWAIT 0x40
#define MAX_FDS      STUB_BATCH_FDS

struct fd_message {
    uint64_t len; /* struct cmsghdr */
    int32_t level, type;
    int32_t fds[MAX_FDS];
};

struct message {
    void *name;
    int32_t name_len, pad;
    struct iovec *iov;
    uint64_t iov_len;
    void *control;
    uint64_t control_len;
    uint32_t flags, pad2;
};

static int64_t close_fd(int64_t fd)
{
    return stub_call(__NR_close, (uint64_t)fd, 0, 0, 0, 0, 0);
}

/* Exactly count descriptors, or none are kept. */
static int64_t receive(uint64_t socket, int32_t *fds, unsigned count)
{
    char byte;
    struct iovec iov = {&byte, 1};
    struct fd_message control;
    struct message message = {0};
    unsigned got = 0;
    int64_t r;

    message.iov = &iov;
    message.iov_len = 1;
    message.control = &control;
    message.control_len = sizeof(control);
    do {
        r = stub_call(__NR_recvmsg, socket, (uint64_t)&message, 0, 0, 0, 0);
    } while (r == -4);
    if (r < 0)
        return r;
    if (message.control_len >= 16 && control.len >= 16 && control.len <= sizeof(control))
        got = (unsigned)(control.len - 16) / 4;
    for (unsigned i = 0; i < got; i++) {
        if (got == count)
            fds[i] = control.fds[i];
        else
            close_fd(control.fds[i]);
    }
    return got == count ? 0 : -STUB_EPROTO;
}

int64_t stub_map_fd(struct stub_slot *slot)
{
    uint64_t arg[7];
    int32_t fd = -1;
    int64_t r;

    for (int i = 0; i < 7; i++)
        arg[i] = slot->arg[i];
    r = receive(arg[0], &fd, 1);
    if (r < 0)
        return r;
    r = stub_call(__NR_mmap, arg[1], arg[2], arg[3], arg[4], (uint64_t)fd, arg[6]);
    close_fd(fd);
    return r;
}

/* Bytes not cleared. */
static int64_t clear(uint64_t guest, uint64_t n)
{
    static const char zeros[512] ALIGNED(64);

    while (n) {
        uint64_t part = n < sizeof(zeros) ? n : sizeof(zeros), left;

        left = stub_copy((void *)guest, zeros, part);
        guest += part - left;
        n -= part - left;
        if (left)
            break;
    }
    return (int64_t)n;
}

static int64_t step(struct stub_slot *slot, const struct stub_step *s, const int32_t *fds)
{
    uint64_t fd = s->fd >= 0 && s->fd < STUB_BATCH_FDS ? (uint64_t)fds[s->fd] : s->arg[4];

    switch (s->kind) {
    case STUB_STEP_CALL:
        return stub_call(s->nr, s->arg[0], s->arg[1], s->arg[2], s->arg[3], fd, s->arg[5]);
    case STUB_STEP_COPY:
        return (int64_t)stub_copy((void *)s->arg[0], slot->buffer + s->arg[2], s->arg[1]);
    case STUB_STEP_CLEAR:
        return clear(s->arg[0], s->arg[1]);
    }
    return -STUB_EPROTO;
}

int64_t stub_batch(struct stub_slot *slot)
{
    const struct stub_step *steps = (const struct stub_step *)slot->buffer;
    uint64_t socket = slot->arg[0], fd_count = slot->arg[1], count = slot->arg[2], i;
    int32_t fds[STUB_BATCH_FDS] = {-1, -1, -1, -1};
    int64_t r = 0;

    if (fd_count > STUB_BATCH_FDS)
        return -STUB_EPROTO;
    if (fd_count)
        r = receive(socket, fds, (unsigned)fd_count);
    if (r < 0)
        return r;
    for (i = 0; i < count; i++) {
        r = step(slot, &steps[i], fds);
        if (r != steps[i].want)
            break;
    }
    slot->arg[3] = (uint64_t)r;
    for (uint64_t j = 0; j < fd_count; j++)
        close_fd(fds[j]);
    return (int64_t)i;
}

static void unmap_range(uint64_t start, uint64_t end)
{
    if (start < end)
        stub_call(__NR_munmap, start, end - start, 0, 0, 0, 0);
}

/*
 * Syscall User Dispatch for this thread: host calls from anywhere but the blob trap before seccomp
 * sees them. That is a little faster, and catches the few numbers that seccomp lets pass (uprobe,
 * uretprobe). Hosts without it trap by seccomp alone.
 */
static void dispatch_on(void)
{
    stub_call(__NR_prctl, PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, stub_zone(),
              ZONE_TEXT_SIZE, 0, 0);
}

/* True when the sentry's end of the socket is closed: it died before PDEATHSIG was set. */
static bool sentry_gone(uint64_t socket)
{
    struct message message = {0};

    return stub_call(__NR_recvmsg, socket, (uint64_t)&message, MSG_DONTWAIT, 0, 0, 0) !=
           -STUB_EAGAIN;
}

/* In the new process: its own slots in place of the parent's, and nothing of the other threads'
 * stacks. */
static void become_child(struct stub_slot *slot, const int32_t fds[2], uint64_t parent_socket)
{
    uint64_t shared = stub_zone() + ZONE_SHARED_OFFSET, stacks = stub_zone() + ZONE_STACKS_OFFSET;
    uint64_t index = stub_index();
    int64_t r;

    r = stub_call(__NR_mmap, shared, ZONE_SHARED_SIZE, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_FIXED, (uint64_t)fds[0], 0);
    if (r < 0)
        stub_call(__NR_exit_group, 1, 0, 0, 0, 0, 0);
    stub_call(__NR_madvise, shared, ZONE_SHARED_SIZE, MADV_DONTFORK, 0, 0, 0);
    stub_call(__NR_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0, 0);
    if (sentry_gone((uint64_t)fds[1]))
        stub_call(__NR_exit_group, 1, 0, 0, 0, 0, 0);
    stub_call(__NR_set_tid_address, (uint64_t)&slot->turn, 0, 0, 0, 0, 0);
    dispatch_on();
    close_fd(fds[0]);
    close_fd((int64_t)parent_socket);
    unmap_range(stacks, stacks + index * STACK_STRIDE);
    unmap_range(stacks + (index + 1) * STACK_STRIDE, stacks + ZONE_STACKS_SIZE);
}

/* Returns in the parent only; the child answers in its own slots. */
int64_t stub_fork(struct stub_slot *slot)
{
    uint64_t socket = slot->arg[0];
    int32_t fds[2] = {-1, -1};
    int64_t r;

    r = receive(socket, fds, 2);
    if (r < 0)
        return r;
    r = stub_call(__NR_clone, STUB_FORK_FLAGS, 0, 0, 0, 0, 0);
    if (r == 0) {
        become_child(slot, fds, socket);
        stub_begin(slot);
        if (__atomic_load_n(&slot->abandoned, __ATOMIC_SEQ_CST))
            stub_call(__NR_exit_group, 1, 0, 0, 0, 0, 0);
        stub_serve_fresh(slot);
    }
    close_fd(fds[0]);
    close_fd(fds[1]);
    slot->arg[1] = (uint64_t)fds[1];
    return r;
}

static int64_t set_stack(uint64_t index)
{
    stack_t ss = {0};

    ss.ss_sp = (void *)stub_stack_base(index);
    ss.ss_size = STACK_SIZE - THREAD_SIZE;
    return stub_call(__NR_sigaltstack, (uint64_t)&ss, 0, 0, 0, 0, 0);
}

/* The first code of a new thread, on its own stack. */
static NORETURN void thread_main(void)
{
    uint64_t index = stub_index();
    struct stub_slot *slot = stub_slot_at(index);

    if (set_stack(index) < 0)
        stub_call(__NR_exit, 1, 0, 0, 0, 0, 0);
    dispatch_on();
    stub_begin(slot);
    stub_serve_fresh(slot);
}

int64_t stub_clone(struct stub_slot *slot)
{
    uint64_t index = slot->arg[0], base, top;
    struct stub_thread *thread, *self = stub_self();
    int64_t r;

    if (index >= ZONE_SLOTS)
        return -STUB_EPROTO;
    base = stub_stack_base(index);
    top = base + STACK_SIZE - THREAD_SIZE;
    if (slot->arg[1]) {
        r = stub_call(__NR_mmap, base, STACK_SIZE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, (uint64_t)-1, 0);
        if (r < 0)
            return r;
    }
    thread = (struct stub_thread *)top;
    *thread = (struct stub_thread){.cs = self->cs, .ss = self->ss};
    *(uint64_t *)(top - 16) = (uint64_t)thread_main;
    return stub_call(__NR_clone, STUB_THREAD_FLAGS, top - 16, 0,
                     (uint64_t)&stub_slot_at(index)->turn, 0, 0);
}

void stub_zygote(void);

/* Called by stub_start on stack 0: drops everything of the process that made it. */
void stub_zygote(void)
{
    const struct stub_boot *given = (const struct stub_boot *)stub_slot_at(0)->buffer;
    struct stub_boot boot = *given;
    uint64_t zone = stub_zone();

    if (boot.keep_start) {
        unmap_range(0, boot.keep_start);
        unmap_range(boot.keep_end, zone);
    } else {
        unmap_range(0, zone);
    }
    unmap_range(zone + ZONE_STACKS_OFFSET, stub_stack_base(0));
    unmap_range(stub_stack_base(0) + STACK_SIZE, boot.task_size);
    set_stack(0);
}
