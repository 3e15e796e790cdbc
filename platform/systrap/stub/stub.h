/* Private to the stub: freestanding code in every guest process, general registers only, no
 * writable data. */
#pragma once

#include "platform/systrap/protocol.h"

extern const char stub_header[], stub_boot_ip[], stub_exit_start[], stub_exit_end[];
extern const char stub_call_entry[], stub_call_trap[], stub_call_end[];
extern const char stub_copy_insn[], stub_copy_fixup[], stub_load_insn[], stub_cas_insn[],
    stub_word_fixup[], stub_put_insn8[], stub_put_insn4[], stub_put_insn1[];
extern const uint64_t stub_xfeatures;

int64_t stub_call(uint64_t nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                  uint64_t f);
NORETURN void stub_resume(struct stub_slot *slot, struct stub_thread *thread);
/* The same, flags being plain but for the arithmetic ones. */
NORETURN void stub_resume_quick(struct stub_slot *slot, struct stub_thread *thread);
NORETURN void stub_resume_full(struct stub_slot *slot, struct stub_thread *thread);
NORETURN void stub_serve_fresh(struct stub_slot *slot);
NORETURN void stub_return(const void *sigcontext);
size_t stub_copy(void *dst, const void *src, size_t n);
size_t stub_put(void *dst, uint64_t value, size_t n);
int stub_load32(uint64_t addr, uint32_t *out);
int stub_cas32(uint64_t addr, uint32_t expected, uint32_t desired, uint32_t *old);

/* call.S; serve.c: */
NORETURN void stub_called(struct stub_slot *slot, struct stub_thread *thread, uint64_t flags);
/* ahead.c: by the call in slot->regs */
void stub_read_ahead(struct stub_slot *slot);
/* serve.c */
NORETURN void stub_serve(struct stub_slot *slot);
NORETURN void stub_kicked(struct stub_slot *slot, struct stub_thread *thread);
void stub_post(struct stub_slot *slot);
void stub_begin(struct stub_slot *slot);
void stub_note_event(struct stub_slot *slot);
void stub_note_exit(struct stub_slot *slot);
/* spawn.c */
int64_t stub_fork(struct stub_slot *slot);
int64_t stub_clone(struct stub_slot *slot);
int64_t stub_map_fd(struct stub_slot *slot);
int64_t stub_batch(struct stub_slot *slot);

static inline uint64_t stub_zone(void)
{
    return (uint64_t)stub_header;
}

static inline struct stub_slot *stub_slot_at(uint64_t index)
{
    return (struct stub_slot *)(stub_zone() + ZONE_SHARED_OFFSET + index * SLOT_SIZE);
}

/* This thread's number, by its stack. */
static inline uint64_t stub_index(void)
{
    return ((uint64_t)__builtin_frame_address(0) - stub_zone() - ZONE_STACKS_OFFSET) / STACK_STRIDE;
}

static inline uint64_t stub_stack_base(uint64_t index)
{
    return stub_zone() + ZONE_STACKS_OFFSET + index * STACK_STRIDE + STACK_GUARD;
}

static inline struct stub_thread *stub_self(void)
{
    return (struct stub_thread *)(((uint64_t)__builtin_frame_address(0) & -(uint64_t)STACK_STRIDE) +
                                  STACK_STRIDE - THREAD_SIZE);
}

static inline uint64_t stub_tsc(void)
{
    return __builtin_ia32_rdtsc();
}

static inline uint64_t stub_tsc_cpu(uint32_t *cpu)
{
    uint32_t aux;
    uint64_t tsc = __builtin_ia32_rdtscp(&aux);

    *cpu = aux & 0xfff;
    return tsc;
}

static inline void stub_xrstor(const void *area)
{
    __asm__ volatile("xrstor64 (%0)"
                     :
                     : "r"(area), "a"((uint32_t)stub_xfeatures),
                       "d"((uint32_t)(stub_xfeatures >> 32))
                     : "memory");
}

static inline void stub_xsave(void *area)
{
    __asm__ volatile("xsave64 (%0)"
                     :
                     : "r"(area), "a"((uint32_t)stub_xfeatures),
                       "d"((uint32_t)(stub_xfeatures >> 32))
                     : "memory");
}
