/*
 * The layout of guest processes: the sentry's image, the arena and the zone lie above the guest's
 * range and stay where they are in the sentry; the vDSO moves to the guest range's end. Also the
 * size of the vector state and the place of the host's signal frames. Runs before there are guests;
 * no locks.
 */
#define _GNU_SOURCE
#include "platform/mpk/hosted/layout.h"

#include <cpuid.h>
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "sentry/base/arena.h"
#include "sentry/base/sections.h"

#define USER_MIN                0x10000UL
#define USER_MAX_LEAST          (1UL << 46)
#define VDSO_GAP                (2UL << 20) /* between the guest's vDSO and its range's end */
#define XFEATURE_PKRU           (1UL << XFEATURE_PKRU_BIT)
#define XFEATURES_AMX           (3UL << 17)
#define XSAVE_LEGACY_AND_HEADER 576

extern const char __ehdr_start[] __attribute__((visibility("hidden")));

/* ---- vector state ---- */

uint64_t mpk_layout_fpu_features(void)
{
    uint32_t eax, ebx, ecx, edx, low, high;

    __cpuid(1, eax, ebx, ecx, edx);
    if (!(ecx & bit_OSXSAVE))
        return 0;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (((uint64_t)high << 32) | low) & ~(XFEATURE_PKRU | XFEATURES_AMX);
}

/* An XSAVE area in standard format that holds features. */
static uint32_t fpu_size(uint64_t features)
{
    uint32_t size = XSAVE_LEGACY_AND_HEADER;

    for (unsigned i = 2; i < 63; i++) {
        uint32_t eax, ebx, ecx, edx;

        if (!(features >> i & 1))
            continue;
        __cpuid_count(0xd, i, eax, ebx, ecx, edx);
        size = MAX(size, eax + ebx);
    }
    return size;
}

/* ---- signal frames ---- */

static uint64_t frame_seen;

static void note_frame(int signo, siginfo_t *info, void *uc)
{
    (void)signo;
    BUG_ON(PTR(info) - PTR(uc) != UC_TO_SIGINFO);
    __atomic_store_n(&frame_seen, PTR(uc), __ATOMIC_SEQ_CST);
}

/* Has the host deliver a signal on a stack like those of guest threads. */
static int measure_frame(void)
{
    char *base = aligned_alloc(ALT_SIZE, ALT_SIZE);
    stack_t stack = {.ss_sp = base, .ss_size = ALT_SIZE - sizeof(struct slot_head)}, before;
    struct sigaction action = {.sa_sigaction = note_frame, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    struct sigaction old_action;
    sigset_t kick, old_mask;

    if (!base)
        return -ENOMEM;
    sigfillset(&action.sa_mask);
    sigemptyset(&kick);
    sigaddset(&kick, KICK_SIGNAL);
    if (sigaltstack(&stack, &before) < 0 || sigaction(KICK_SIGNAL, &action, &old_action) < 0)
        return -errno;
    pthread_sigmask(SIG_UNBLOCK, &kick, &old_mask);
    raise(KICK_SIGNAL);
    pthread_sigmask(SIG_SETMASK, &old_mask, NULL);
    sigaction(KICK_SIGNAL, &old_action, NULL);
    sigaltstack(&before, NULL);
    mpk_ro.frame_offset = __atomic_load_n(&frame_seen, __ATOMIC_SEQ_CST) - PTR(base);
    free(base);
    return mpk_ro.frame_offset < ALT_SIZE ? 0 : -EIO;
}

/* ---- what stays mapped ---- */

static int keep(uint64_t start, uint64_t end)
{
    unsigned at = mpk_ro.keep_count;

    if (at == KEEP_MAX)
        return -E2BIG;
    for (; at > 0 && mpk_ro.keep[at - 1].start > start; at--)
        mpk_ro.keep[at] = mpk_ro.keep[at - 1];
    mpk_ro.keep[at] = (struct mem_range){PAGE_ALIGN_DOWN(start), PAGE_ALIGN_UP(end)};
    mpk_ro.keep_count++;
    return 0;
}

static int keep_section(const char *start, const char *stop)
{
    return start == stop ? 0 : keep(PTR(start), PTR(stop));
}

/* Of the image: what is not writable, or is not once boot is done. */
static int keep_image(uint64_t *lowest)
{
    uint64_t ehdr = PTR(__ehdr_start), bias = ehdr;
    const Elf64_Ehdr *eh = (const Elf64_Ehdr *)ehdr;
    const Elf64_Phdr *ph = (const Elf64_Phdr *)(ehdr + eh->e_phoff);
    int err = 0;

    for (unsigned i = 0; i < eh->e_phnum; i++) {
        if (ph[i].p_type == PT_LOAD && ph[i].p_offset == 0)
            bias = ehdr - ph[i].p_vaddr;
    }
    for (unsigned i = 0; i < eh->e_phnum && !err; i++) {
        uint64_t start = bias + ph[i].p_vaddr, end = start + ph[i].p_memsz;

        if (ph[i].p_type == PT_LOAD && !(ph[i].p_flags & PF_W))
            err = keep(start, end);
        else if (ph[i].p_type == PT_GNU_RELRO)
            err = keep(start, PAGE_ALIGN_DOWN(end));
        if (ph[i].p_type == PT_LOAD && (ph[i].p_flags & PF_X)) {
            mpk_ro.text_start = start;
            mpk_ro.text_end = end;
        }
    }
    if (!err)
        err = keep_section(__start_cv_ops, __stop_cv_ops);
    if (!err)
        err = keep_section(__start_cv_slabs, __stop_cv_slabs);
    if (!err)
        err = keep_section(__start_cv_ro, __stop_cv_ro);
    *lowest = mpk_ro.image = ehdr;
    return err;
}

/* Reserved in the sentry too, so that nothing of what stays lies there. */
static int place_zone(void)
{
    char *p = mmap(NULL, ZONE_SIZE + ZONE_ALIGN, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED)
        return -errno;
    mpk_ro.zone = (PTR(p) + ZONE_ALIGN - 1) & ~(ZONE_ALIGN - 1);
    mpk_ro.alt_total = ALT_TOTAL;
    mpk_ro.alt_base = mpk_ro.zone + SCRATCH_TOTAL + SELECTORS_TOTAL + CODE_TOTAL;
    return keep(mpk_ro.zone, mpk_ro.zone + ZONE_SIZE);
}

/* ---- the vDSO ---- */

static void note_mapping(const char *line)
{
    unsigned long start, end;

    if (!strstr(line, "[vdso]") && !strstr(line, "[vvar"))
        return;
    if (mpk_ro.vdso_count == VDSO_PARTS_MAX || sscanf(line, "%lx-%lx", &start, &end) != 2)
        return;
    mpk_ro.vdso[mpk_ro.vdso_count++] = (struct mem_range){start, end};
    if (strstr(line, "[vdso]")) {
        mpk_ro.facts.vdso_addr = start;
        mpk_ro.facts.vdso_size = end - start;
    }
}

/* Its parts keep their distances. The image's own code is last. */
static int place_vdso(void)
{
    struct platform_facts *facts = &mpk_ro.facts;
    uint64_t first, last;
    char line[256];
    FILE *f = fopen("/proc/self/maps", "re");

    if (!f)
        return -errno;
    while (fgets(line, sizeof(line), f))
        note_mapping(line);
    fclose(f);
    if (!facts->vdso_addr) {
        mpk_ro.vdso_count = 0;
        return 0;
    }
    first = mpk_ro.vdso[0].start;
    last = mpk_ro.vdso[mpk_ro.vdso_count - 1].end;
    mpk_ro.vdso_to = mpk_ro.user_max - VDSO_GAP - (last - first);
    facts->vdso_addr += mpk_ro.vdso_to - first;
    facts->vvar_addr = mpk_ro.vdso_to;
    facts->vvar_size = facts->vdso_addr - mpk_ro.vdso_to;
    return keep(mpk_ro.vdso_to, mpk_ro.vdso_to + (last - first));
}

int mpk_layout_find(void)
{
    struct platform_facts *facts = &mpk_ro.facts;
    uint64_t arena = PTR(ro_globals.arena), lowest = 0;
    int err = measure_frame();

    if (!err)
        err = keep_image(&lowest);
    if (!err)
        err = keep(arena, arena + ro_globals.arena_size);
    if (!err)
        err = place_zone();
    if (err)
        return err;
    lowest = MIN(MIN(lowest, arena), mpk_ro.zone);
    mpk_ro.user_max = (lowest - 1) & ~(ZONE_ALIGN - 1);
    if (mpk_ro.user_max < USER_MAX_LEAST)
        return -ENOSPC;
    err = place_vdso();
    if (err)
        return err;
    mpk_ro.xfeatures = mpk_layout_fpu_features();
    facts->name = "mpk";
    facts->user_min = USER_MIN;
    facts->user_max = mpk_ro.user_max;
    facts->fpu_size = fpu_size(mpk_ro.xfeatures);
    facts->fpu_features = mpk_ro.xfeatures;
    return 0;
}
