/*
 * The sentry's own code, which guest processes have mapped and can jump to: WRPKRU and XRSTOR in it
 * must be followed by a check, as the gate's are. libc has others, in code that is never called
 * here (its dynamic loader's): they become traps. A lint keeps the kernel free of them. Runs in
 * the zygote, whose copy of the code all guest processes inherit. No locks.
 */
#include "platform/mpk/mpk.h"

#include <asm/unistd.h>
#include <linux/mman.h>

#include "platform/mpk/scan.h"
#include "sentry/abi/errno.h"

#define HITS_MAX     256
#define PREFIXES_MAX 2

/* Filled by VETTED in gate.S and user.S: distances from the entry to the instruction. */
extern const int32_t __start_mpk_vetted[] __attribute__((visibility("hidden")));
extern const int32_t __stop_mpk_vetted[] __attribute__((visibility("hidden")));

static bool is_vetted(uint64_t addr)
{
    for (const int32_t *at = __start_mpk_vetted; at < __stop_mpk_vetted; at++) {
        uint64_t insn = PTR(at) + (uint64_t)(int64_t)*at;

        if (addr - insn <= PREFIXES_MAX)
            return true;
    }
    return false;
}

static int protect_page(uint64_t addr, uint64_t prot)
{
    uint64_t page = PAGE_ALIGN_DOWN(addr);

    return (int)host_syscall(__NR_mprotect, page, PAGE_ALIGN_DOWN(addr + 4) + PAGE_SIZE - page,
                             prot, 0, 0, 0);
}

/* Only this process, which is alone, has the page writable: it may be the one that runs this. */
static int make_trap(uint64_t addr)
{
    int err = protect_page(addr, PROT_READ | PROT_WRITE | PROT_EXEC);

    if (err)
        return err;
    *(volatile uint8_t *)(addr + 1) = SCAN_TRAP;
    return protect_page(addr, PROT_READ | PROT_EXEC);
}

static int check(uint64_t start, uint64_t end, bool ours)
{
    uint32_t hits[HITS_MAX];
    size_t found = scan_find((const uint8_t *)start, end - start, hits, HITS_MAX);
    int err = found > HITS_MAX ? -E2BIG : 0;

    for (size_t i = 0; i < found && !err; i++) {
        if (!ours)
            err = -ENOEXEC;
        else if (!is_vetted(start + hits[i]))
            err = make_trap(start + hits[i]);
    }
    return err;
}

/* The gate's copy of where scratch is: negative, so that its own lea gives 0. */
static int arm_calls(void)
{
    uint32_t value = (uint32_t)0 - (uint32_t)(mpk_ro.zone >> SCRATCH_BITS);
    uint64_t addr = mpk_ro.call.check;
    int err = protect_page(addr, PROT_READ | PROT_WRITE | PROT_EXEC);

    if (err)
        return err;
    memcpy((void *)addr, &value, sizeof(value));
    return protect_page(addr, PROT_READ | PROT_EXEC);
}

static int protect_text(uint64_t prot)
{
    uint64_t start = PAGE_ALIGN_DOWN(mpk_ro.text_start);

    return (int)host_syscall(__NR_mprotect, start, PAGE_ALIGN_UP(mpk_ro.text_end) - start, prot, 0,
                             0, 0);
}

/*
 * All of the text as one mapping that has been written to: the host then copies its page table at a
 * fork instead of leaving each new process to fault its pages in.
 */
static int keep_at_fork(void)
{
    uint64_t start = PAGE_ALIGN_DOWN(mpk_ro.text_start);
    int err = protect_text(PROT_READ | PROT_WRITE | PROT_EXEC);

    if (err)
        return err;
    *(volatile uint8_t *)start = *(volatile uint8_t *)start;
    err = protect_text(PROT_READ | PROT_EXEC);
    return err;
}

int mpk_own_text(void)
{
    uint64_t vdso = mpk_ro.facts.vdso_addr;
    int err = arm_calls();

    if (!err)
        err = keep_at_fork();

    if (!err)
        err = check(mpk_ro.text_start, mpk_ro.text_end, true);

    if (!err && mpk_ro.vdso_count)
        err = check(vdso, vdso + mpk_ro.facts.vdso_size, false);
    return err;
}
