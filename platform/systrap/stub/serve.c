/*
 * The stub as the kernel's hands: waits for its turn and does what the sentry asks, until told to
 * run the guest. Not here: new processes and threads (spawn.c), signals (signal.c).
 */
#include "platform/systrap/stub/stub.h"
#include <linux/futex.h>
#include <linux/resource.h>
#include <linux/signal.h>
#include <linux/time.h>
#include <linux/unistd.h>

#define STUB_EFAULT       14
#define STUB_ENOSYS       38
#define EFLAGS_TF         0x100UL
#define EFLAGS_ARITHMETIC 0x8d5UL
#define EFLAGS_PLAIN      0x202UL /* interrupts on, and the bit that is always 1 */

/* Hands the turn to the sentry, which sees everything written before. */
void stub_post(struct stub_slot *slot)
{
    uint32_t old = __atomic_exchange_n(&slot->turn, TURN_SENTRY, __ATOMIC_SEQ_CST);

    if (old & TURN_ASLEEP)
        stub_call(__NR_futex, (uint64_t)&slot->turn, FUTEX_WAKE, 1, 0, 0, 0);
    if (old & TURN_DETACHED) {
        __atomic_store_n(&slot->notice, 1, __ATOMIC_SEQ_CST);
        stub_call(__NR_futex, (uint64_t)&slot->notice, FUTEX_WAKE, 1, 0, 0, 0);
    }
}

/*
 * A new thread's first report, unless its first command is there already: the turn is its own then.
 */
void stub_begin(struct stub_slot *slot)
{
    uint32_t turn = __atomic_load_n(&slot->turn, __ATOMIC_SEQ_CST);

    slot->event = STUB_EV_READY;
    while (!(turn & TURN_LAUNCHED)) {
        if (!__atomic_compare_exchange_n(&slot->turn, &turn, TURN_SENTRY, false, __ATOMIC_SEQ_CST,
                                         __ATOMIC_SEQ_CST))
            continue;
        if (turn & TURN_ASLEEP)
            stub_call(__NR_futex, (uint64_t)&slot->turn, FUTEX_WAKE, 1, 0, 0, 0);
        return;
    }
}

static bool my_turn(struct stub_slot *slot)
{
    return (__atomic_load_n(&slot->turn, __ATOMIC_ACQUIRE) & ~TURN_FLAGS) == TURN_STUB;
}

/* The sentry may take the budget back meanwhile. */
static bool spin(struct stub_slot *slot)
{
    uint64_t start;

    /* Most answers are here before the clock would be worth reading. */
    for (int i = 0; i < 16; i++) {
        if (my_turn(slot))
            return true;
        __builtin_ia32_pause();
    }
    start = stub_tsc();
    do {
        for (int i = 0; i < 8; i++) {
            if (my_turn(slot))
                return true;
            __builtin_ia32_pause();
        }
    } while (stub_tsc() - start < READ_ONCE(slot->spin));
    return false;
}

/* True if it slept. */
static bool wait_turn(struct stub_slot *slot)
{
    uint32_t seen;
    bool slept = false;

    if (READ_ONCE(slot->spin) && slot->sentry_cpu != slot->cpu && spin(slot))
        return false;
    while (!my_turn(slot)) {
        seen = TURN_SENTRY;
        if (!__atomic_compare_exchange_n(&slot->turn, &seen, TURN_SENTRY | TURN_ASLEEP, false,
                                         __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST) &&
            seen != (TURN_SENTRY | TURN_ASLEEP)) {
            if ((seen & ~TURN_FLAGS) == TURN_STUB)
                return slept;
            stub_call(__NR_exit_group, 1, 0, 0, 0, 0, 0);
        }
        stub_call(__NR_futex, (uint64_t)&slot->turn, FUTEX_WAIT, TURN_SENTRY | TURN_ASLEEP, 0, 0,
                  0);
        stub_tsc_cpu(&slot->cpu);
        slept = true;
    }
    return slept;
}

static void set_bases(struct stub_slot *slot, struct stub_thread *self)
{
    uint64_t gs = slot->regs.gs_base;

    self->slot = slot;
    if (!gs && slot->own_gs)
        gs = (uint64_t)self;
    __asm__ volatile("wrfsbase %0" ::"r"(slot->regs.fs_base));
    __asm__ volatile("wrgsbase %0" ::"r"(gs));
}

static NORETURN void resume(struct stub_slot *slot, bool full)
{
    struct stub_thread *self = stub_self();

    if (slot->set_bases)
        set_bases(slot, self);
    if (!full && self->cs == 0x33)
        stub_resume(slot, self);
    /* A new rip means a 64-bit signal handler or the like: it gets the 64-bit segments. */
    if (slot->regs.rip != self->event_rip || !self->cs) {
        self->cs = 0x33;
        self->ss = 0x2b;
    }
    stub_resume_full(slot, self);
}

/* The event is told; when and where it was can wait until the sentry is at work. */
void stub_note_event(struct stub_slot *slot)
{
    slot->event_tsc = stub_tsc_cpu(&slot->cpu);
}

/*
 * After a call: all registers but one are where this thread left them. The line of rax is written,
 * the others will be at the next event: asked for now, they are this core's by then.
 */
static NORETURN void resume_call(struct stub_slot *slot)
{
    struct stub_thread *self = stub_self();

    slot->regs.rax = slot->rax;
    __builtin_prefetch(&slot->regs.r8, 1);
    __builtin_prefetch(&slot->event, 1);
    if (self->cs != 0x33)
        stub_resume_full(slot, self);
    if ((slot->regs.rflags & ~EFLAGS_ARITHMETIC) == EFLAGS_PLAIN)
        stub_resume_quick(slot, self);
    stub_resume(slot, self);
}

static int64_t cpu_time(void)
{
    struct __kernel_timespec ts;

    if (stub_call(__NR_clock_gettime, CLOCK_THREAD_CPUTIME_ID, (uint64_t)&ts, 0, 0, 0, 0) < 0)
        return 0;
    return ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* Told with the guest's last call, since this side is there and awake just then. */
void stub_note_exit(struct stub_slot *slot)
{
    struct rusage usage;

    slot->exit_ns = (uint64_t)cpu_time();
    slot->exit_kib = 0;
    if (stub_call(__NR_getrusage, RUSAGE_SELF, (uint64_t)&usage, 0, 0, 0, 0) == 0)
        slot->exit_kib = (uint64_t)usage.ru_maxrss;
}

/* The way in by a patched site, with the thread's stack empty. */
void stub_called(struct stub_slot *slot, struct stub_thread *self, uint64_t flags)
{
    uint64_t fs;

    if (unlikely(self->stepped)) {
        flags |= EFLAGS_TF;
        self->stepped = 0;
    }
    __asm__ volatile("rdfsbase %0" : "=r"(fs));
    slot->regs.fs_base = fs;
    slot->regs.gs_base = 0;
    slot->regs.rflags = slot->regs.r11 = flags;
    self->cs = 0x33;
    self->ss = 0x2b;
    self->event_rip = slot->regs.rip;
    slot->event = STUB_EV_PATCHED;
    stub_read_ahead(slot);
    if (unlikely(stub_is_exit(slot->regs.rax)))
        stub_note_exit(slot);
    stub_post(slot);
    stub_note_event(slot);
    stub_serve(slot);
    __builtin_unreachable();
}

/* A resume given up because of a kick that came just before: the registers are still in the slot.
 */
void stub_kicked(struct stub_slot *slot, struct stub_thread *self)
{
    self->kicked = 0;
    slot->event = STUB_EV_INTERRUPTED;
    stub_post(slot);
    stub_note_event(slot);
    stub_serve_fresh(slot);
}

static int64_t copy(struct stub_slot *slot, bool out)
{
    uint64_t guest = slot->arg[0], n = slot->arg[1];

    if (n > STUB_BUFFER_SIZE)
        return (int64_t)n;
    if (out)
        return (int64_t)stub_copy((void *)guest, slot->buffer, n);
    return (int64_t)stub_copy(slot->buffer, (const void *)guest, n);
}

static int64_t word(struct stub_slot *slot, bool cas)
{
    uint32_t value = 0;
    int failed;

    if (cas)
        failed = stub_cas32(slot->arg[0], (uint32_t)slot->arg[1], (uint32_t)slot->arg[2], &value);
    else
        failed = stub_load32(slot->arg[0], &value);
    slot->arg[2] = value;
    return failed ? -STUB_EFAULT : 0;
}

static int64_t perform(struct stub_slot *slot, uint32_t command)
{
    switch (command) {
    case STUB_CALL:
        return stub_call(slot->arg[0], slot->arg[1], slot->arg[2], slot->arg[3], slot->arg[4],
                         slot->arg[5], slot->arg[6]);
    case STUB_COPY_IN:
        return copy(slot, false);
    case STUB_COPY_OUT:
        return copy(slot, true);
    case STUB_LOAD32:
        return word(slot, false);
    case STUB_CAS32:
        return word(slot, true);
    case STUB_MAP_FD:
        return stub_map_fd(slot);
    case STUB_BATCH:
        return stub_batch(slot);
    case STUB_FORK:
        return stub_fork(slot);
    case STUB_CLONE:
        return stub_clone(slot);
    case STUB_EXIT:
        stub_call(__NR_exit, 0, 0, 0, 0, 0, 0);
        return 0;
    case STUB_FPU_SAVE:
        stub_xsave(slot->buffer);
        return 0;
    case STUB_FPU_LOAD:
        stub_xrstor(slot->buffer);
        return 0;
    case STUB_CPU_TIME:
        return cpu_time();
    }
    return -STUB_ENOSYS;
}

static NORETURN void launch(struct stub_slot *slot)
{
    uint32_t tid = (uint32_t)slot->arg[1];

    if (slot->arg[0])
        stub_copy((void *)slot->arg[0], &tid, sizeof(tid));
    resume(slot, true);
}

/* What a call left to be copied when its guest goes on. False, and reported: it can't be. */
static bool late(struct stub_slot *slot)
{
    uint64_t n = slot->late_size;
    uint64_t left = n;

    if (n <= STUB_LATE_INLINE)
        left = stub_put((void *)slot->late_addr, slot->late_data, n);
    else if (n <= STUB_BUFFER_SIZE)
        left = stub_copy((void *)slot->late_addr, slot->buffer, n);
    if (likely(!left))
        return true;
    slot->result = (int64_t)left;
    slot->event = STUB_EV_LATE;
    stub_post(slot);
    return false;
}

void stub_serve(struct stub_slot *slot)
{
    for (;;) {
        uint32_t command;
        bool slept;

        slept = wait_turn(slot);
        command = READ_ONCE(slot->command);
        if (slept)
            slot->resume_tsc = stub_tsc();
        if (command & STUB_LATE && !late(slot))
            continue;
        command &= ~(uint32_t)STUB_LATE;
        if (command == STUB_RESUME_CALL)
            resume_call(slot);
        if (command == STUB_RESUME || command == STUB_RESUME_FULL)
            resume(slot, command == STUB_RESUME_FULL);
        if (command == STUB_LAUNCH)
            launch(slot);
        slot->result = perform(slot, command);
        stub_post(slot);
    }
}
