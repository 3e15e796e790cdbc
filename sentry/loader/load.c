/*
 * Step 2 of execve: maps the images, places the heap, has the stack built, and sets the registers.
 * The address space is fresh and nobody else's yet.
 */
#include "fs/vfs.h"
#include "sentry/loader/loader_int.h"

static int prot_of(const struct lx_elf64_phdr *p)
{
    return (p->p_flags & LX_PF_R ? LX_PROT_READ : 0) | (p->p_flags & LX_PF_W ? LX_PROT_WRITE : 0) |
           (p->p_flags & LX_PF_X ? LX_PROT_EXEC : 0);
}

/* The pages of [start, end) that hold no file data, zero, writable as Linux makes them. */
static int map_zero(const struct uspace *us, const struct mm_limits *lim, uint64_t start,
                    uint64_t end, bool exec)
{
    uint64_t unused;
    struct mm_map_args map = {
        .addr = start,
        .size = end - start,
        .prot = LX_PROT_READ | LX_PROT_WRITE | (exec ? LX_PROT_EXEC : 0),
        .fixed = true,
    };

    return start < end ? mm_map(us, lim, &map, &unused) : 0;
}

static int map_segment(const struct uspace *us, const struct mm_limits *lim, struct file *f,
                       uint64_t bias, const struct lx_elf64_phdr *p)
{
    uint64_t addr = p->p_vaddr + bias, page = PAGE_ALIGN_DOWN(addr), unused;
    uint64_t file_end = addr + p->p_filesz, mem_end = addr + p->p_memsz, mapped_end = page;
    int ret;

    if (p->p_filesz) {
        struct mm_map_args map = {
            .addr = page,
            .size = PAGE_ALIGN_UP(file_end) - page,
            .offset = PAGE_ALIGN_DOWN(p->p_offset),
            .prot = prot_of(p),
            .fixed = true,
            .file = &f->mapped,
        };

        ret = mm_map(us, lim, &map, &unused);
        if (ret < 0)
            return ret;
        mapped_end = PAGE_ALIGN_UP(file_end);
        /* What follows the data in its last page: zero, if the program could see the difference by
         * writing. */
        if (p->p_memsz > p->p_filesz && (p->p_flags & LX_PF_W) && mapped_end > file_end) {
            ret = clear_out(us, uaddr(file_end), mapped_end - file_end);
            if (ret < 0)
                return ret;
        }
    }
    return map_zero(us, lim, mapped_end, PAGE_ALIGN_UP(mem_end), p->p_flags & LX_PF_X);
}

static int map_image(const struct uspace *us, const struct mm_limits *lim,
                     const struct elf_image *img, uint64_t bias)
{
    for (unsigned i = 0; i < img->load_count; i++) {
        int ret = map_segment(us, lim, img->file, bias, &img->loads[i]);

        if (ret < 0)
            return ret;
    }
    return 0;
}

static bool range_is_free(struct mm *mm, uint64_t start, uint64_t end)
{
    struct vma_info next;

    if (start < MAX(platform_facts()->user_min, MM_MIN_ADDR) || end > platform_facts()->user_max ||
        start > end)
        return false;
    if (mm_vma_at_or_after(mm, start, &next) == -ENOENT)
        return true;
    if (next.file)
        OPS_GET(mm_file_ops, next.file->ops)->put(next.file);
    return next.start >= end;
}

/* What is added to the file's addresses: so that the image is at wanted (0: no wish) if that is
 * free, else where mmap would put it. */
static int choose_bias(const struct uspace *us, const struct elf_image *img, uint64_t wanted,
                       uint64_t *out)
{
    uint64_t low = img->start & ~(img->align - 1), size = img->end - low, base;
    int ret = 0;

    *out = 0;
    if (!img->dyn)
        return 0;
    base = wanted & ~(img->align - 1);
    if (!wanted || base + size < base ||
        !range_is_free(us->mm, base + (img->start - low), base + size))
        ret = mm_find_free(us->mm, size, img->align, &base);
    if (ret == 0)
        *out = base - low;
    return ret;
}

static void set_code_and_data(struct mm *mm, const struct elf_image *img, uint64_t bias)
{
    mm->start_code = UINT64_MAX;
    for (unsigned i = 0; i < img->load_count; i++) {
        const struct lx_elf64_phdr *p = &img->loads[i];
        uint64_t start = p->p_vaddr + bias, end = start + p->p_filesz;

        if ((p->p_flags & LX_PF_X) && start < mm->start_code)
            mm->start_code = start;
        if (p->p_flags & LX_PF_X)
            mm->end_code = MAX(mm->end_code, end);
        mm->start_data = MAX(mm->start_data, start);
        mm->end_data = MAX(mm->end_data, end);
    }
    if (mm->start_code == UINT64_MAX)
        mm->start_code = img->start + bias;
}

/* Everything that is mapped and written; entry and sp are where the program starts. */
static int build_image(const struct exec_plan *plan, const struct exec_args *args,
                       const struct uspace *us, const struct loader_env *env, uint64_t *out_entry,
                       uint64_t *out_sp)
{
    const struct elf_image *exe = &plan->exe, *interp = &plan->interp;
    uint64_t interp_bias = 0, entry;
    struct mm *mm = us->mm;
    struct stack_info info = {0};
    struct layout layout;
    int ret = layout_choose(env, &layout);

    if (ret < 0)
        return ret;
    mm_set_mmap_top(mm, layout.mmap_top);
    mm->stack_limit = env->limits.stack;
    info.stack_top = layout.stack_top;
    /* Without an interpreter it may be one itself, run by hand: keep the usual place free. */
    ret = choose_bias(us, exe, plan->has_interp ? layout.pie_base : 0, &info.exe_bias);
    if (ret == 0)
        ret = map_image(us, &env->limits, exe, info.exe_bias);
    if (ret < 0)
        return ret;
    entry = exe->entry + info.exe_bias;
    set_code_and_data(mm, exe, info.exe_bias);
    mm->brk_start = exe->dyn && !plan->has_interp ? layout.pie_base : exe->end + info.exe_bias;
    mm->brk_start += layout.brk_random;
    mm->brk = mm->brk_start;
    if (plan->has_interp) {
        ret = choose_bias(us, interp, 0, &interp_bias);
        if (ret == 0)
            ret = map_image(us, &env->limits, interp, interp_bias);
        if (ret < 0)
            return ret;
        info.interp_base = interp_bias;
        entry = interp->entry + interp_bias;
    }
    if (entry >= platform_facts()->user_max)
        return -EINVAL;
    *out_entry = entry;
    return stack_build(plan, args, us, env, &info, out_sp);
}

int loader_load(const struct exec_plan *plan, const struct exec_args *args, const struct uspace *us,
                const struct loader_env *env, struct cpu_regs *regs)
{
    uint64_t entry = 0, sp = 0;
    int ret, batch;

    platform_batch_begin(us->ctx);
    ret = build_image(plan, args, us, env, &entry, &sp);
    batch = platform_batch_end(us->ctx);
    if (ret == 0)
        ret = batch;
    if (ret < 0)
        return ret;
    us->mm->exe = &file_get(plan->exe.file)->mapped;
    if (plan->has_interp)
        /* the mappings hold it; Linux denies the program only */
        vfs_exec_allow_write(plan->interp.file);
    memset(regs, 0, sizeof(*regs));
    regs->rip = entry;
    regs->rsp = sp;
    regs->rflags = 0x202;
    regs->full = 1;
    return 0;
}
