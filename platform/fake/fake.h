/*
 * The fake platform for unit tests: guest memory is a map of pages in this process, guest code is a
 * script the test pushes. Hosted. Select it by fake_start() once the arena exists
 * (fixture_platform() does both).
 *
 *     fake_push_syscall(ctx, LX_SYS_getpid, (uint64_t[6]){0}, check_result, &data);
 *
 * The next platform_switch returns that system call; when the kernel switches again, check_result
 * gets rax.
 */
#pragma once

#include "platform/platform.h"

#define FAKE_USER_MIN 0x10000UL
#define FAKE_USER_MAX 0x7ffffffff000UL
#define FAKE_FPU_SIZE 832u

/* 0 or -errno; again after fake_stop() if wanted. */
int fake_start(void) MUST_CHECK;
/* Waits for every thread of platform_ctx_start, then BUG if an address space or context is left. */
void fake_stop(void);

typedef void (*fake_result_fn)(struct platform_ctx *ctx, int64_t result, void *arg);

/*
 * Events are returned in the order pushed; from any thread, also from within a callback. done may
 * be NULL.
 */
void fake_push_syscall(struct platform_ctx *ctx, uint64_t nr, const uint64_t args[6],
                       fake_result_fn done, void *arg);
void fake_push_fault(struct platform_ctx *ctx, int signo, int code, uint64_t addr);
void fake_push_dead(struct platform_ctx *ctx);
/*
 * What an empty script means: the guest computes until it is interrupted or more is pushed (true),
 * or the process is gone, PEV_DEAD (false, the initial state). New contexts inherit it. ctx NULL:
 * for the contexts of address spaces made from now on.
 */
void fake_set_running(struct platform_ctx *ctx, bool running);
/* The registers the last switch entered the guest with. */
void fake_last_regs(struct platform_ctx *ctx, struct cpu_regs *out);

/* For checks: the protection of the page at addr, or -1 if nothing is mapped. */
int fake_page_prot(struct platform_as *as, uint64_t addr);
uint64_t fake_page_count(struct platform_as *as);
/*
 * The next n calls that create or map something fail with -err, to test undoing; after skip
 * successful ones.
 */
void fake_fail(int err, unsigned skip, unsigned n);
