/*
 * Systrap's operations as a table's fields: for its own table and for that of a platform that
 * differs in few of them (notify). What they do: platform.h.
 */
#pragma once

#include "platform/systrap/copies.h"
#include "platform/systrap/detach.h"

/* account.c */
uint64_t systrap_ctx_exit_rss(struct platform_ctx *ctx);

/* systrap.c */
int systrap_probe(const struct platform_config *config, char *why, size_t size) MUST_CHECK;
int systrap_init(const struct platform_config *config, struct platform_facts *facts) MUST_CHECK;
void systrap_shutdown(void);
void systrap_entries(uint64_t *out_patched, uint64_t *out_trapped);
int systrap_as_create(struct platform_as **out_as, struct platform_ctx **out_ctx);
int systrap_exec(struct platform_ctx **ctx, struct platform_as **out_as);
void systrap_as_get(struct platform_as *as);
void systrap_as_put(struct platform_as *as);
int systrap_ctx_start(struct platform_ctx *ctx, void (*entry)(void *arg), void *arg);
NORETURN void systrap_ctx_exit(struct platform_ctx *ctx);
void systrap_run(struct platform_ctx *ctx, struct cpu_regs *regs, struct platform_event *event);

/* memory.c */
int systrap_map(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot, uint32_t flags,
                int fd, uint64_t offset);
int systrap_unmap(struct platform_ctx *ctx, uint64_t addr, uint64_t size);
int systrap_protect(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot);
int systrap_remap(struct platform_ctx *ctx, uint64_t old_addr, uint64_t old_size, uint64_t new_addr,
                  uint64_t new_size, bool dontunmap);
int systrap_advise(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int advice);
int systrap_msync(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int flags);
int systrap_mincore(struct platform_ctx *ctx, uint64_t addr, uint64_t size, uint8_t *vec);

/* clang-format off */
#define SYSTRAP_OPERATIONS                                                                         \
    .shutdown = systrap_shutdown, .entries = systrap_entries,                                      \
    .as_create = systrap_as_create, .exec = systrap_exec,                                          \
    .as_fork = process_fork, .as_get = systrap_as_get, .as_put = systrap_as_put,                   \
    .map = systrap_map, .unmap = systrap_unmap, .protect = systrap_protect,                        \
    .remap = systrap_remap, .advise = systrap_advise, .msync = systrap_msync,                      \
    .mincore = systrap_mincore, .batch_begin = systrap_batch_begin,                                \
    .batch_end = systrap_batch_end, .ctx_clone = systrap_ctx_clone,                                \
    .ctx_start = systrap_ctx_start, .ctx_discard = ctx_free, .ctx_exit = systrap_ctx_exit,         \
    .ctx_launch = systrap_ctx_launch,                                                              \
    .run = systrap_run, .interrupt = systrap_interrupt, .wait = systrap_wait,                      \
    .resume_for = systrap_resume_for, .copy_in = systrap_copy_in, .copy_out = systrap_copy_out,    \
    .copy_ahead = systrap_copy_ahead, .peek = systrap_peek,                                        \
    .copy_out_late = systrap_copy_out_late,                                                        \
    .late_room = systrap_late_room, .late_end = systrap_late_end,                                  \
    .cas32 = systrap_cas32, .load32 = systrap_load32, .as_read = systrap_as_read,                  \
    .as_write = systrap_as_write, .as_rss = systrap_as_rss,                                        \
    .ctx_exit_rss = systrap_ctx_exit_rss,                                                          \
    .ctx_cpu_time = systrap_ctx_cpu_time, .ctx_set_affinity = systrap_ctx_set_affinity,            \
    .ctx_cpu = systrap_ctx_cpu, .ctx_host_thread = systrap_ctx_host_thread,                        \
    .fpu_save = systrap_fpu_save, .fpu_load = systrap_fpu_load, .fpu_reset = systrap_fpu_reset
/* clang-format on */
