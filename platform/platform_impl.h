/*
 * For platform implementations: the operations table each one fills, and how one is chosen. Not for
 * the kernel.
 */
#pragma once

#include "platform/platform.h"

struct platform_config {
    bool unsafe_mpk; /* --unsafe-mpk was given */
    bool debug;
    bool no_patch;    /* --patch=off */
    bool patch_stats; /* count per site, and print at shutdown */
};

struct platform_ops {
    const char *name;
    /* Why this platform can't run on this host, into why; 0 when it can. No side effects. */
    int (*probe)(const struct platform_config *config, char *why, size_t size);
    /* Once, in the sentry process, after the arena exists and before any guest. Fills the facts. */
    int (*init)(const struct platform_config *config, struct platform_facts *facts);
    /* Kills and reaps every guest process. */
    void (*shutdown)(void);

    /* Calls so far by how they entered; NULL where they are not counted. */
    void (*entries)(uint64_t *out_patched, uint64_t *out_trapped);

    /* The rest as the platform_ functions of the same names in platform.h. */
    int (*as_create)(struct platform_as **out_as, struct platform_ctx **out_ctx);
    int (*exec)(struct platform_ctx **ctx, struct platform_as **out_as);
    int (*as_fork)(struct platform_ctx *ctx, struct platform_as **out_as,
                   struct platform_ctx **out_ctx);
    void (*as_get)(struct platform_as *as);
    void (*as_put)(struct platform_as *as);
    int (*map)(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot, uint32_t flags,
               int fd, uint64_t offset);
    int (*unmap)(struct platform_ctx *ctx, uint64_t addr, uint64_t size);
    int (*protect)(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot);
    int (*remap)(struct platform_ctx *ctx, uint64_t old_addr, uint64_t old_size, uint64_t new_addr,
                 uint64_t new_size, bool dontunmap);
    int (*advise)(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int advice);
    int (*msync)(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int flags);
    int (*mincore)(struct platform_ctx *ctx, uint64_t addr, uint64_t size, uint8_t *vec);
    void (*batch_begin)(struct platform_ctx *ctx); /* these two: NULL where nothing is put off */
    int (*batch_end)(struct platform_ctx *ctx);
    int (*ctx_clone)(struct platform_ctx *ctx, struct platform_ctx **out);
    int (*ctx_start)(struct platform_ctx *ctx, void (*entry)(void *arg), void *arg);
    int (*ctx_launch)(struct platform_ctx *ctx, const struct cpu_regs *regs, uint64_t tid_addr,
                      uint32_t tid, bool *out_launched, void (*entry)(void *arg),
                      void *arg); /* where facts.launches */
    void (*ctx_discard)(struct platform_ctx *ctx);
    NORETURN void (*ctx_exit)(struct platform_ctx *ctx);
    void (*run)(struct platform_ctx *ctx, struct cpu_regs *regs, struct platform_event *event);
    /* NULL: they always are complete. */
    int (*registers)(struct platform_ctx *ctx, struct cpu_regs *regs);
    void (*interrupt)(struct platform_ctx *ctx);
    /* Both or none. */
    int64_t (*wait)(struct platform_ctx *ctx, uint32_t *word, uint32_t expected,
                    uint64_t deadline_ns);
    bool (*resume_for)(struct platform_ctx *ctx, const struct cpu_regs *regs);
    int (*copy_in)(struct platform_ctx *ctx, void *dst, uint64_t src, size_t n, size_t *done);
    int (*copy_out)(struct platform_ctx *ctx, uint64_t dst, const void *src, size_t n,
                    size_t *done);
    /* NULL, these two: nothing is known ahead. */
    size_t (*copy_ahead)(struct platform_ctx *ctx, void *dst, uint64_t src, size_t n);
    size_t (*peek)(struct platform_ctx *ctx, void *dst, uint64_t src, size_t n);
    /* All or none. */
    int (*copy_out_late)(struct platform_ctx *ctx, uint64_t dst, const void *src, size_t n,
                         uint32_t tag);
    void *(*late_room)(struct platform_ctx *ctx, size_t n);
    bool (*late_end)(struct platform_ctx *ctx, struct platform_event *event);
    void *(*window)(struct platform_ctx *ctx, uint64_t addr, size_t n); /* NULL op: nowhere */
    int (*cas32)(struct platform_ctx *ctx, uint64_t addr, uint32_t expected, uint32_t desired,
                 uint32_t *old);
    int (*load32)(struct platform_ctx *ctx, uint64_t addr, uint32_t *out);
    int (*as_read)(struct platform_as *as, void *dst, uint64_t src, size_t n, size_t *done);
    int (*as_write)(struct platform_as *as, uint64_t dst, const void *src, size_t n, size_t *done);
    uint64_t (*as_rss)(struct platform_as *as, uint64_t *shared_pages);
    uint64_t (*ctx_exit_rss)(struct platform_ctx *ctx); /* NULL: never known */
    void (*ctx_cpu_time)(struct platform_ctx *ctx, uint64_t *user_ns, uint64_t *system_ns);
    int (*ctx_set_affinity)(struct platform_ctx *ctx, const uint64_t *mask, size_t words);
    unsigned (*ctx_cpu)(struct platform_ctx *ctx);
    int32_t (*ctx_host_thread)(const struct platform_ctx *ctx); /* NULL: unknown */
    int (*fpu_save)(struct platform_ctx *ctx, void *buf);
    int (*fpu_load)(struct platform_ctx *ctx, const void *buf);
    int (*fpu_reset)(struct platform_ctx *ctx);
};

extern const struct platform_ops ptrace_platform_ops, systrap_platform_ops, notify_platform_ops,
    mpk_platform_ops, fake_platform_ops;

/* By name ("systrap", "notify", "ptrace", "mpk"); NULL when there is none. */
const struct platform_ops *platform_find(const char *name);
/* probe + init; then the platform_ functions work. why gets the reason of a failure. */
int platform_select(const struct platform_ops *ops, const struct platform_config *config, char *why,
                    size_t size) MUST_CHECK;
void platform_shutdown(void);
/* Calls so far by how they entered, a few not yet among them. False: this platform counts none. */
bool platform_entries(uint64_t *out_patched, uint64_t *out_trapped);
