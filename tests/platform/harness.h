/*
 * What the cases of the platform conformance test share: a box (an address space with code, data
 * and a context) driven by its own kernel thread, checks, and a look at the host's processes. Each
 * case runs in a process of its own.
 */
#pragma once

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include "platform/platform_impl.h"

/* Where a box has its memory: code read-only and executable from a memfd, the rest private
 * anonymous. */
#define BOX_CODE      0x400000UL
#define BOX_DATA      0x600000UL
#define BOX_DATA_SIZE 0x20000UL
#define BOX_STACK_TOP (BOX_DATA + BOX_DATA_SIZE - 64)
/* Free for the case; nothing is mapped up to BOX_FREE_END. */
#define BOX_FREE     0x10000000UL
#define BOX_FREE_END 0x20000000UL

struct box {
    struct platform_as *as; /* NULL: put already */
    struct platform_ctx *ctx;
    struct cpu_regs regs;
    struct platform_event event;
    void (*steps)(struct box *b);
    void *arg;
    atomic_uint done;
};

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond))                                                                               \
            fail_at(__FILE__, __LINE__, #cond);                                                    \
    } while (0)
#define CHECK_EQ(a, b) check_eq(__FILE__, __LINE__, #a " == " #b, (uint64_t)(a), (uint64_t)(b))
NORETURN void fail_at(const char *file, int line, const char *what);
void check_eq(const char *file, int line, const char *what, uint64_t a, uint64_t b);

/* Makes a box, runs steps on its kernel thread, puts the AS, and waits for all that. */
void in_box(void (*steps)(struct box *b));
/* The same for a context (and, for a new AS, its reference, else NULL) made by the calling kernel
 * thread; returns at once. b and steps are the caller's; box_join waits. */
void box_start(struct box *b, struct platform_as *as, struct platform_ctx *ctx,
               void (*steps)(struct box *b), void *arg);
void box_join(struct box *b);
/* Code, data and stack into a fresh AS. */
void box_map(struct platform_ctx *ctx);

/* The guest programs of guests.S. */
extern const char guests_begin[], guests_end[];
#define GUEST_LIST(X)                                                                              \
    X(g_call)                                                                                      \
    X(g_call_after)                                                                                \
    X(g_spin)                                                                                      \
    X(g_count_calls)                                                                               \
    X(g_int3) X(g_int3_after) X(g_ud2) X(g_div0) X(g_div0_at) X(g_hlt) X(g_int80) X(g_sysenter)    \
        X(g_read) X(g_write) X(g_jump) X(g_jump_rax) X(g_ssediv) X(g_ssediv_at) X(g_misaligned)    \
            X(g_misaligned_at) X(g_step) X(g_step_after) X(g_xmm) X(g_xmm_store) X(g_ymm)          \
                X(g_lock_add) X(g_turns) X(g_fill) X(g_bases) X(g_vdso_call)
#define GUEST_DECLARE(name) extern const char name[];
GUEST_LIST(GUEST_DECLARE)
static inline uint64_t code(const char *guest)
{
    return BOX_CODE + (uint64_t)(guest - guests_begin);
}

/* Registers to start at guest, all else 0; full. */
struct cpu_regs start_at(const char *guest);
/* Sets b->regs to start at guest with these arguments and runs it to the next event, which is
 * returned. */
enum platform_event_kind run_guest(struct box *b, const char *guest, uint64_t rdi, uint64_t rsi,
                                   uint64_t rdx);
/* Runs on; every register is restored. */
enum platform_event_kind go_on(struct box *b);
void check_regs_equal(const struct cpu_regs *a, const struct cpu_regs *b);
/* A pattern in every general register but rip and rsp. */
void fill_regs(struct cpu_regs *r, uint64_t seed);

/* Host processes with a mapping of this test's code memfd, into pids; the count. */
unsigned guest_processes(pid_t *pids, unsigned max);
unsigned count_fds(const char *pid);
int make_memfd(uint64_t size);
uint64_t now_ns(void);
void sleep_us(unsigned us);
uint64_t random_next(uint64_t *state);

#define CASES(X)                                                                                   \
    X(syscall)                                                                                     \
    X(syscall_numbers)                                                                             \
    X(registers)                                                                                   \
    X(clobbers) X(bases) X(xmm) X(ymm) X(fpu_load) X(fpu_reset) X(fpu_fresh) X(map) X(map_file)    \
        X(map_shared) X(map_edges) X(unmap) X(protect) X(remap) X(advise) X(mincore) X(rss) X(     \
            map_fd_leak) X(copy) X(copy_fault) X(copy_large) X(copy_outside) X(as_read) X(cas32)   \
            X(cas32_race) X(fault_read) X(fault_write) X(fault_exec) X(fault_bus)                  \
                X(fault_noncanonical) X(fault_kernel) X(fault_traps) X(fault_arith) X(fault_int80) \
                    X(fault_again) X(interrupt) X(interrupt_sticky) X(interrupt_regs)              \
                        X(interrupt_random) X(interrupt_fpu) X(fork) X(fork_shared) X(fork_fpu)    \
                            X(launch) X(fork_chain) X(fork_threaded) X(clone) X(clone_many)        \
                                X(clone_exit)                                                      \
                                X(discard) X(exec) X(exec_threaded) X(exec_many) X(killed_running) \
                                    X(killed_stopped) X(killed_others) X(put_spinning)             \
                                        X(put_other_thread) X(many_spaces) X(host_accounting)      \
                                            X(vdso) X(facts) X(crowded_top) X(gone_after_shutdown) \
                                                X(map_file_race) X(killed_mapping)                 \
                                                    X(killed_mapping_many) X(killed_making)        \
                                                        X(random) X(scribble)                      \
                                                            X(batch) X(batch_errors)               \
                                                            X(late) X(late_order) X(late_fault)    \
                                                            X(late_interrupt)
#define CASE(name)         void case_##name(void)
#define CASE_DECLARE(name) CASE(name);
CASES(CASE_DECLARE)
