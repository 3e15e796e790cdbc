/*
 * The new program's first stack: strings, auxiliary vector, pointers, in Linux's order. Built whole
 * in kernel memory and written by one copy. No locks.
 */
#include "platform/host/host.h"
#include "sentry/loader/loader_int.h"

#define STACK_EXTRA     (128 * 1024UL) /* mapped below what is used */
#define PLATFORM_NAME   "x86_64"
#define RANDOM_BYTES    16
#define CLOCK_TICKS     100
#define SIGFRAME_FIXED  936 /* of a signal frame, without the FPU state */

struct builder {
    uint64_t top, sp;
    uint8_t *block; /* holds [sp, top) */
    uint64_t execfn, strings, platform, random;
};

static uint8_t *at(const struct builder *b, uint64_t addr)
{
    BUG_ON(addr < b->sp || addr > b->top);
    return b->block + (addr - b->sp);
}

struct auxv {
    uint64_t *words;
    unsigned count;
};

static void aux(struct auxv *v, uint64_t type, uint64_t value)
{
    BUG_ON(v->count + 2 > sizeof(((struct mm *)0)->auxv) / sizeof(uint64_t));
    v->words[v->count++] = type;
    v->words[v->count++] = value;
}

static void fill_auxv(struct auxv *v, const struct builder *b, const struct exec_plan *plan,
                      const struct loader_env *env, const struct stack_info *info)
{
    const struct platform_facts *f = platform_facts();
    const struct elf_image *exe = &plan->exe;

    if (f->vdso_addr)
        aux(v, LX_AT_SYSINFO_EHDR, f->vdso_addr);
    aux(v, LX_AT_MINSIGSTKSZ, (SIGFRAME_FIXED + f->fpu_size + 15) & ~15UL);
    aux(v, LX_AT_HWCAP, f->hwcap);
    aux(v, LX_AT_PAGESZ, PAGE_SIZE);
    aux(v, LX_AT_CLKTCK, CLOCK_TICKS);
    aux(v, LX_AT_PHDR, exe->phdr_vaddr ? exe->phdr_vaddr + info->exe_bias : 0);
    aux(v, LX_AT_PHENT, sizeof(struct lx_elf64_phdr));
    aux(v, LX_AT_PHNUM, exe->phnum);
    aux(v, LX_AT_BASE, info->interp_base);
    aux(v, LX_AT_FLAGS, 0);
    aux(v, LX_AT_ENTRY, exe->entry + info->exe_bias);
    aux(v, LX_AT_UID, env->uid);
    aux(v, LX_AT_EUID, env->euid);
    aux(v, LX_AT_GID, env->gid);
    aux(v, LX_AT_EGID, env->egid);
    aux(v, LX_AT_SECURE, env->secure);
    aux(v, LX_AT_RANDOM, b->random);
    aux(v, LX_AT_HWCAP2, f->hwcap2);
    aux(v, LX_AT_EXECFN, b->execfn);
    aux(v, LX_AT_PLATFORM, b->platform);
    aux(v, LX_AT_NULL, 0);
}

/* Pointers to count strings starting at addr, then NULL. Returns where the strings end. */
static uint64_t fill_pointers(uint64_t **table, const struct builder *b, uint64_t addr,
                              uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        *(*table)++ = addr;
        addr += strlen((const char *)at(b, addr)) + 1;
    }
    *(*table)++ = 0;
    return addr;
}

/* Chooses every address; sp is 16-aligned with argc at it. */
static int lay_out(struct builder *b, const struct exec_args *args, const struct loader_env *env,
                   unsigned aux_words)
{
    uint64_t p = b->top - sizeof(uint64_t), words, shift = 0;

    if (!env->no_randomize && host_getrandom(&shift, sizeof(shift)) != sizeof(shift))
        return -EAGAIN;
    p -= strlen(args->path) + 1;
    b->execfn = p;
    p -= args->size;
    b->strings = p;
    p = (p - shift % 8192) & ~15UL;
    p -= sizeof(PLATFORM_NAME);
    b->platform = p;
    p -= RANDOM_BYTES;
    b->random = p;
    words = 1 + (uint64_t)args->argc + 1 + args->envc + 1 + aux_words;
    b->sp = (p - words * sizeof(uint64_t)) & ~15UL;
    return 0;
}

static int map_stack(const struct exec_plan *plan, const struct uspace *us,
                     const struct loader_env *env, const struct builder *b)
{
    uint64_t size = b->top - PAGE_ALIGN_DOWN(b->sp), unused;
    uint64_t room = PAGE_ALIGN_DOWN(MIN(env->limits.stack, size + STACK_EXTRA));
    struct mm_map_args map = {
        .prot = LX_PROT_READ | LX_PROT_WRITE | (plan->exec_stack ? LX_PROT_EXEC : 0),
        .fixed = true,
        .noreplace = true,
        .growsdown = true,
        .stack = true,
    };

    map.size = MAX(size, room);
    map.addr = b->top - map.size;
    return mm_map(us, &env->limits, &map, &unused);
}

int stack_build(const struct exec_plan *plan, const struct exec_args *args, const struct uspace *us,
                const struct loader_env *env, const struct stack_info *info, uint64_t *out_sp)
{
    struct builder b = {.top = info->stack_top};
    struct mm *mm = us->mm;
    struct auxv auxv = {mm->auxv, 0};
    uint64_t *table, end;
    int ret;

    fill_auxv(&auxv, &b, plan, env, info); /* for its size; filled again below */
    ret = lay_out(&b, args, env, auxv.count);
    if (ret < 0)
        return ret;
    b.block = kmalloc(b.top - b.sp);
    if (!b.block)
        return -ENOMEM;
    auxv.count = 0;
    fill_auxv(&auxv, &b, plan, env, info);
    memcpy(at(&b, b.execfn), args->path, strlen(args->path) + 1);
    memcpy(at(&b, b.strings), args->strings, args->size);
    memcpy(at(&b, b.platform), PLATFORM_NAME, sizeof(PLATFORM_NAME));
    ret = -EAGAIN;
    if (host_getrandom(at(&b, b.random), RANDOM_BYTES) != RANDOM_BYTES)
        goto out;
    table = (uint64_t *)b.block;
    *table++ = args->argc;
    end = fill_pointers(&table, &b, b.strings, args->argc);
    mm->arg_start = b.strings;
    mm->arg_end = mm->env_start = end;
    mm->env_end = fill_pointers(&table, &b, end, args->envc);
    memcpy(table, auxv.words, auxv.count * sizeof(uint64_t));
    ret = map_stack(plan, us, env, &b);
    if (ret == 0)
        ret = copy_out(us, uaddr(b.sp), b.block, b.top - b.sp);
    mm->start_stack = b.sp;
    *out_sp = b.sp;
out:
    kfree(b.block);
    return ret;
}
