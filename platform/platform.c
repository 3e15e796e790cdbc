/*
 * The platform functions: each forwards to the platform chosen at boot. The choice and the facts
 * are written once and then sealed with ro_globals. Freestanding, no locks. Mapping ranges are
 * checked again here: a wrong one is a bug of the kernel's that must not reach a host mmap.
 */
#include "platform/platform.h"

#include "platform/host/host.h"
#include "platform/platform_impl.h"
#include "sentry/abi/errno.h"
#include "sentry/base/fmt.h"
#include "sentry/base/string.h"

#define CPUID7_FSGSBASE 1U
#define HWCAP2_FSGSBASE 2U

/* Not every link holds every platform. */
#pragma weak ptrace_platform_ops
#pragma weak systrap_platform_ops
#pragma weak notify_platform_ops
#pragma weak mpk_platform_ops
#pragma weak fake_platform_ops

static struct {
    const struct platform_ops *ops;
    struct platform_facts facts;
} ALIGNED(4096) chosen __attribute__((section("cv_ro")));

const struct platform_ops *platform_find(const char *name)
{
    const struct platform_ops *const all[] = {&systrap_platform_ops, &notify_platform_ops,
                                              &mpk_platform_ops, &ptrace_platform_ops,
                                              &fake_platform_ops};

    for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
        if (all[i] && cv_strcmp(all[i]->name, name) == 0)
            return all[i];
    }
    return NULL;
}

static void find_hwcaps(struct platform_facts *facts)
{
    uint32_t eax = 1, ebx, ecx = 0, edx;

    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    facts->hwcap = edx;
    eax = 7;
    ecx = 0;
    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    facts->hwcap2 = ebx & CPUID7_FSGSBASE ? HWCAP2_FSGSBASE : 0;
}

int platform_select(const struct platform_ops *ops, const struct platform_config *config, char *why,
                    size_t size)
{
    int err = ops->probe(config, why, size);

    if (err)
        return err;
    err = ops->init(config, &chosen.facts);
    if (err) {
        cv_snprintf(why, size, "platform %s failed to start: error %d", ops->name, -err);
        return err;
    }
    find_hwcaps(&chosen.facts);
    chosen.ops = ops;
    return 0;
}

void platform_shutdown(void)
{
    if (chosen.ops)
        chosen.ops->shutdown();
}

const struct platform_facts *platform_facts(void)
{
    return &chosen.facts;
}

static void check_range(uint64_t addr, uint64_t size)
{
    const struct platform_facts *f = &chosen.facts;

    BUG_ON(addr % PAGE_SIZE != 0 || size % PAGE_SIZE != 0);
    BUG_ON(addr < f->user_min || addr > f->user_max || size > f->user_max - addr);
}

int platform_as_create(struct platform_as **out_as, struct platform_ctx **out_ctx)
{
    return chosen.ops->as_create(out_as, out_ctx);
}

int platform_exec(struct platform_ctx **ctx, struct platform_as **out_as)
{
    return chosen.ops->exec(ctx, out_as);
}

int platform_as_fork(struct platform_ctx *ctx, struct platform_as **out_as,
                     struct platform_ctx **out_ctx)
{
    return chosen.ops->as_fork(ctx, out_as, out_ctx);
}

void platform_as_get(struct platform_as *as)
{
    chosen.ops->as_get(as);
}

void platform_as_put(struct platform_as *as)
{
    chosen.ops->as_put(as);
}

int platform_map(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot, uint32_t flags,
                 int fd, uint64_t offset)
{
    check_range(addr, size);
    return chosen.ops->map(ctx, addr, size, prot, flags, fd, offset);
}

int platform_unmap(struct platform_ctx *ctx, uint64_t addr, uint64_t size)
{
    check_range(addr, size);
    return chosen.ops->unmap(ctx, addr, size);
}

int platform_protect(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot)
{
    check_range(addr, size);
    return chosen.ops->protect(ctx, addr, size, prot);
}

int platform_remap(struct platform_ctx *ctx, uint64_t old_addr, uint64_t old_size,
                   uint64_t new_addr, uint64_t new_size, bool dontunmap)
{
    check_range(old_addr, old_size);
    check_range(new_addr, new_size);
    return chosen.ops->remap(ctx, old_addr, old_size, new_addr, new_size, dontunmap);
}

void platform_batch_begin(struct platform_ctx *ctx)
{
    if (chosen.ops->batch_begin)
        chosen.ops->batch_begin(ctx);
}

int platform_batch_end(struct platform_ctx *ctx)
{
    return chosen.ops->batch_end ? chosen.ops->batch_end(ctx) : 0;
}

int platform_advise(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int advice)
{
    check_range(addr, size);
    return chosen.ops->advise(ctx, addr, size, advice);
}

int platform_msync(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int flags)
{
    check_range(addr, size);
    return chosen.ops->msync(ctx, addr, size, flags);
}

int platform_mincore(struct platform_ctx *ctx, uint64_t addr, uint64_t size, uint8_t *vec)
{
    check_range(addr, size);
    return chosen.ops->mincore(ctx, addr, size, vec);
}

int platform_ctx_clone(struct platform_ctx *ctx, struct platform_ctx **out)
{
    return chosen.ops->ctx_clone(ctx, out);
}

int platform_ctx_start(struct platform_ctx *ctx, void (*entry)(void *arg), void *arg)
{
    return chosen.ops->ctx_start(ctx, entry, arg);
}

int platform_ctx_launch(struct platform_ctx *ctx, const struct cpu_regs *regs, uint64_t tid_addr,
                        uint32_t tid, bool *out_launched, void (*entry)(void *arg), void *arg)
{
    return chosen.ops->ctx_launch(ctx, regs, tid_addr, tid, out_launched, entry, arg);
}

void platform_ctx_discard(struct platform_ctx *ctx)
{
    chosen.ops->ctx_discard(ctx);
}

void platform_ctx_exit(struct platform_ctx *ctx)
{
    chosen.ops->ctx_exit(ctx);
    __builtin_unreachable();
}

void platform_switch(struct platform_ctx *ctx, struct cpu_regs *regs, struct platform_event *event)
{
    chosen.ops->run(ctx, regs, event);
}

int platform_registers(struct platform_ctx *ctx, struct cpu_regs *regs)
{
    return chosen.ops->registers ? chosen.ops->registers(ctx, regs) : 0;
}

void platform_interrupt(struct platform_ctx *ctx)
{
    chosen.ops->interrupt(ctx);
}

int64_t platform_wait(struct platform_ctx *ctx, uint32_t *word, uint32_t expected,
                      uint64_t deadline_ns)
{
    if (!chosen.ops->wait)
        return host_futex_wait(word, expected, deadline_ns);
    return chosen.ops->wait(ctx, word, expected, deadline_ns);
}

bool platform_resume_for(struct platform_ctx *ctx, const struct cpu_regs *regs)
{
    return chosen.ops->resume_for && chosen.ops->resume_for(ctx, regs);
}

int platform_copy_in(struct platform_ctx *ctx, void *dst, uint64_t src, size_t n, size_t *done)
{
    return chosen.ops->copy_in(ctx, dst, src, n, done);
}

int platform_copy_out(struct platform_ctx *ctx, uint64_t dst, const void *src, size_t n,
                      size_t *done)
{
    return chosen.ops->copy_out(ctx, dst, src, n, done);
}

size_t platform_copy_ahead(struct platform_ctx *ctx, void *dst, uint64_t src, size_t n)
{
    return chosen.ops->copy_ahead ? chosen.ops->copy_ahead(ctx, dst, src, n) : 0;
}

size_t platform_peek(struct platform_ctx *ctx, void *dst, uint64_t src, size_t n)
{
    return chosen.ops->peek ? chosen.ops->peek(ctx, dst, src, n) : 0;
}

int platform_copy_out_late(struct platform_ctx *ctx, uint64_t dst, const void *src, size_t n,
                           uint32_t tag)
{
    if (!chosen.ops->copy_out_late)
        return chosen.ops->copy_out(ctx, dst, src, n, NULL);
    return chosen.ops->copy_out_late(ctx, dst, src, n, tag);
}

void *platform_late_room(struct platform_ctx *ctx, size_t n)
{
    return chosen.ops->late_room ? chosen.ops->late_room(ctx, n) : NULL;
}

bool platform_late_end(struct platform_ctx *ctx, struct platform_event *event)
{
    return !chosen.ops->late_end || chosen.ops->late_end(ctx, event);
}

void *platform_window(struct platform_ctx *ctx, uint64_t addr, size_t n)
{
    return chosen.ops->window ? chosen.ops->window(ctx, addr, n) : NULL;
}

int platform_cas32(struct platform_ctx *ctx, uint64_t addr, uint32_t expected, uint32_t desired,
                   uint32_t *old)
{
    return chosen.ops->cas32(ctx, addr, expected, desired, old);
}

int platform_load32(struct platform_ctx *ctx, uint64_t addr, uint32_t *out)
{
    return chosen.ops->load32(ctx, addr, out);
}

int platform_as_read(struct platform_as *as, void *dst, uint64_t src, size_t n, size_t *done)
{
    return chosen.ops->as_read(as, dst, src, n, done);
}

int platform_as_write(struct platform_as *as, uint64_t dst, const void *src, size_t n, size_t *done)
{
    return chosen.ops->as_write(as, dst, src, n, done);
}

bool platform_entries(uint64_t *out_patched, uint64_t *out_trapped)
{
    if (chosen.ops->entries)
        chosen.ops->entries(out_patched, out_trapped);
    return chosen.ops->entries != NULL;
}

uint64_t platform_as_rss(struct platform_as *as, uint64_t *shared_pages)
{
    return chosen.ops->as_rss(as, shared_pages);
}

uint64_t platform_ctx_exit_rss(struct platform_ctx *ctx)
{
    return chosen.ops->ctx_exit_rss ? chosen.ops->ctx_exit_rss(ctx) : 0;
}

void platform_ctx_cpu_time(struct platform_ctx *ctx, uint64_t *user_ns, uint64_t *system_ns)
{
    chosen.ops->ctx_cpu_time(ctx, user_ns, system_ns);
}

int platform_ctx_set_affinity(struct platform_ctx *ctx, const uint64_t *mask, size_t words)
{
    return chosen.ops->ctx_set_affinity(ctx, mask, words);
}

unsigned platform_ctx_cpu(struct platform_ctx *ctx)
{
    return chosen.ops->ctx_cpu(ctx);
}

int32_t platform_ctx_host_thread(const struct platform_ctx *ctx)
{
    return chosen.ops->ctx_host_thread ? chosen.ops->ctx_host_thread(ctx) : 0;
}

int platform_fpu_save(struct platform_ctx *ctx, void *buf)
{
    return chosen.ops->fpu_save(ctx, buf);
}

int platform_fpu_load(struct platform_ctx *ctx, const void *buf)
{
    return chosen.ops->fpu_load(ctx, buf);
}

int platform_fpu_reset(struct platform_ctx *ctx)
{
    return chosen.ops->fpu_reset(ctx);
}
