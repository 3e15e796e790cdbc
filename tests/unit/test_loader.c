/* The loader over files in memory: good images land where they say, hostile ones are refused
 * without harm. */
#include <string.h>
#include <unistd.h>

#include "fs/vfs.h"
#include "platform/host/host.h"
#include "sentry/abi/elf.h"
#include "sentry/base/slab.h"
#include "sentry/loader/loader.h"
#include "tests/unit/mm_fixture.h"

#define IMAGE_SIZE 0x4000

static int image_read_fd(struct file *f)
{
    return (int)(intptr_t)f->private_data;
}

static int64_t image_read(struct file *f, struct uio *uio, int64_t *pos)
{
    char buf[512];
    ssize_t got = pread(image_read_fd(f), buf, MIN(sizeof(buf), uio->left), *pos);

    cr_assert(got >= 0);
    return got ? uio_put(uio, buf, (size_t)got) : 0;
}

static int image_map(struct file *f, uint64_t offset, uint64_t size, int prot, bool shared,
                     int *out_fd, uint64_t *out_offset, bool *out_close)
{
    *out_fd = image_read_fd(f);
    *out_offset = offset;
    *out_close = false;
    return 0;
}

static void image_release(struct file *f)
{
    close(image_read_fd(f));
}

DEFINE_OPS(file_ops,
           image_ops) = {.read = image_read, .map_source = image_map, .release = image_release};

static struct file *image_file(const void *data, size_t size)
{
    int fd = (int)host_memfd_create("image", 1);
    struct file *f;

    cr_assert(fd >= 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
    f = file_alloc_anon(&image_ops, 0, (void *)(intptr_t)fd, NULL);
    cr_assert_not_null(f);
    return f;
}

static void setup(void)
{
    fixture_platform_setup();
    cr_assert_eq(vfs_init(), 0);
}

static void teardown(void)
{
    vfs_destroy();
    fixture_platform_teardown();
}

TestSuite(loader, .init = setup, .fini = teardown);

/* A text segment with the headers, a data segment with zero memory behind it, and perhaps an
 * interpreter. */
struct image {
    uint8_t bytes[IMAGE_SIZE];
};

static struct lx_elf64_ehdr *header(struct image *im)
{
    return (struct lx_elf64_ehdr *)im->bytes;
}

static struct lx_elf64_phdr *phdr(struct image *im, unsigned i)
{
    return (struct lx_elf64_phdr *)(im->bytes + sizeof(struct lx_elf64_ehdr)) + i;
}

static void make_image(struct image *im, uint16_t type, uint64_t base, const char *interp)
{
    struct lx_elf64_ehdr *h = header(im);

    memset(im, 0, sizeof(*im));
    memset(im->bytes + 0x2000, 0xdd, 0x2000);
    memcpy(h->e_ident, LX_ELF_MAGIC, 4);
    h->e_ident[LX_EI_CLASS] = LX_ELFCLASS64;
    h->e_ident[LX_EI_DATA] = LX_ELFDATA2LSB;
    h->e_type = type;
    h->e_machine = LX_EM_X86_64;
    h->e_entry = base + 0x1000;
    h->e_phoff = sizeof(*h);
    h->e_phentsize = sizeof(struct lx_elf64_phdr);
    h->e_phnum = interp ? 4 : 3;
    *phdr(im, 0) = (struct lx_elf64_phdr){
        LX_PT_LOAD, LX_PF_R | LX_PF_X, 0, base, base, 0x1800, 0x1800, 0x1000};
    *phdr(im, 1) = (struct lx_elf64_phdr){
        LX_PT_LOAD, LX_PF_R | LX_PF_W, 0x2100, base + 0x3100, 0, 0x200, 0x3000, 0x1000};
    *phdr(im, 2) = (struct lx_elf64_phdr){.p_type = LX_PT_GNU_STACK, .p_flags = LX_PF_R | LX_PF_W};
    if (interp) {
        size_t size = strlen(interp) + 1;

        *phdr(im, 3) =
            (struct lx_elf64_phdr){.p_type = LX_PT_INTERP, .p_offset = 0x1700, .p_filesz = size};
        memcpy(im->bytes + 0x1700, interp, size);
    }
}

/* What the opener finds. */
struct store {
    const char *name;
    const void *data;
    size_t size;
    unsigned opened;
};

static int open_exec(void *ctx, const char *path, struct file **out)
{
    struct store *s = ctx;

    s->opened++;
    for (; s->name; s++) {
        if (strcmp(s->name, path) == 0) {
            *out = image_file(s->data, s->size);
            return 0;
        }
    }
    return -ENOENT;
}

static void make_args(struct exec_args *args, const void *data, size_t size)
{
    exec_args_init(args, 8UL << 20);
    args->file = image_file(data, size);
    args->path = kstrdup("/bin/prog");
    cr_assert_eq(exec_args_add_arg(args, "prog"), 0);
    cr_assert_eq(exec_args_add_arg(args, "one"), 0);
    cr_assert_eq(exec_args_add_env(args, "A=b"), 0);
}

static int prepare(const void *data, size_t size, struct store *store, struct exec_args *args,
                   struct exec_plan **plan)
{
    static struct store empty[1];
    struct loader_opener opener = {open_exec, store ? store : empty};

    make_args(args, data, size);
    return loader_prepare(args, &opener, plan);
}

/* The result of preparing an image that should fail. */
static int prepare_result(const void *data, size_t size, struct store *store)
{
    struct exec_plan *plan = NULL;
    struct exec_args args;
    int ret = prepare(data, size, store, &args, &plan);

    if (ret == 0)
        exec_plan_free(plan);
    exec_args_destroy(&args);
    return ret;
}

static const struct loader_env plain = {
    .uid = 1,
    .euid = 2,
    .gid = 3,
    .egid = 4,
    .limits = {UINT64_MAX, UINT64_MAX, 8UL << 20, UINT64_MAX, true}};

static uint64_t word_at(const struct uspace *us, uint64_t addr)
{
    uint64_t word = 0;

    cr_assert_eq(copy_in_obj(us, &word, uaddr(addr)), 0);
    return word;
}

static uint64_t aux_value(struct mm *mm, uint64_t type)
{
    for (unsigned i = 0; mm->auxv[i] != LX_AT_NULL; i += 2) {
        if (mm->auxv[i] == type)
            return mm->auxv[i + 1];
    }
    return 0;
}

static void check_stack(const struct uspace *us, const struct cpu_regs *regs)
{
    uint64_t sp = regs->rsp, at;
    char text[32];

    cr_assert_eq(sp % 16, 0);
    cr_assert_eq(word_at(us, sp), 2);
    cr_assert(copy_in_str(us, text, uaddr(word_at(us, sp + 16)), sizeof(text)) == 3);
    cr_assert_str_eq(text, "one");
    cr_assert_eq(word_at(us, sp + 24), 0);
    cr_assert(copy_in_str(us, text, uaddr(word_at(us, sp + 32)), sizeof(text)) == 3);
    cr_assert_str_eq(text, "A=b");
    cr_assert_eq(word_at(us, sp + 40), 0);
    at = sp + 48;
    for (unsigned i = 0; us->mm->auxv[i] != LX_AT_NULL; i++, at += 8)
        cr_assert_eq(word_at(us, at), us->mm->auxv[i]);
    cr_assert(copy_in_str(us, text, uaddr(aux_value(us->mm, LX_AT_EXECFN)), sizeof(text)) == 9);
    cr_assert_str_eq(text, "/bin/prog");
    cr_assert_eq(word_at(us, us->mm->arg_start) & 0xff, 'p');
    cr_assert_eq(us->mm->env_end - us->mm->env_start, 4);
    cr_assert_eq(us->mm->arg_end, us->mm->env_start);
}

static void check_segments(const struct uspace *us, uint64_t base)
{
    cr_assert_eq(word_at(us, base) & 0xffffffff, 0x464c457f);
    cr_assert_eq(word_at(us, base + 0x3100), 0xddddddddddddddddUL);
    cr_assert_eq(word_at(us, base + 0x32f8), 0xddddddddddddddddUL);
    cr_assert_eq(word_at(us, base + 0x3300), 0, "zero memory in the data's last page");
    cr_assert_eq(word_at(us, base + 0x60f8), 0, "and behind it");
    cr_assert_eq(fake_page_prot(us->mm->as, base), LX_PROT_READ | LX_PROT_EXEC);
    cr_assert_eq(fake_page_prot(us->mm->as, base + 0x2000), -1);
    cr_assert_eq(fake_page_prot(us->mm->as, base + 0x6000), RW);
    cr_assert_eq(fake_page_prot(us->mm->as, base + 0x7000), -1);
}

Test(loader, static_program)
{
    struct uspace us = space_create();
    struct exec_plan *plan;
    struct exec_args args;
    struct cpu_regs regs;
    struct image im;

    make_image(&im, LX_ET_EXEC, 0x400000, NULL);
    cr_assert_eq(prepare(im.bytes, sizeof(im), NULL, &args, &plan), 0);
    cr_assert_eq(loader_load(plan, &args, &us, &plain, &regs), 0);
    cr_assert_eq(regs.rip, 0x401000);
    cr_assert_eq(regs.full, 1);
    check_segments(&us, 0x400000);
    check_stack(&us, &regs);
    cr_assert_eq(aux_value(us.mm, LX_AT_PHDR), 0x400040);
    cr_assert_eq(aux_value(us.mm, LX_AT_EGID), 4);
    cr_assert_eq(aux_value(us.mm, LX_AT_BASE), 0);
    cr_assert(us.mm->brk_start >= 0x407000 && us.mm->brk_start < 0x407000 + 0x2000000);
    exec_plan_free(plan);
    exec_args_destroy(&args);
    space_destroy(&us);
}

Test(loader, pie_with_interpreter)
{
    struct uspace us = space_create();
    struct loader_env env = plain;
    struct exec_plan *plan;
    struct exec_args args;
    struct cpu_regs regs;
    struct image im, ld;
    struct store store[] = {{"/lib/ld", ld.bytes, sizeof(ld), 0}, {0}};
    uint64_t base;

    env.no_randomize = true;
    make_image(&im, LX_ET_DYN, 0, "/lib/ld");
    make_image(&ld, LX_ET_DYN, 0, NULL);
    phdr(&im, 0)->p_align = 0x200000;
    cr_assert_eq(prepare(im.bytes, sizeof(im), store, &args, &plan), 0);
    cr_assert(plan->has_interp);
    cr_assert_eq(loader_load(plan, &args, &us, &env, &regs), 0);
    base = aux_value(us.mm, LX_AT_PHDR) - 0x40;
    cr_assert_eq(base, 0x555555400000);
    check_segments(&us, base);
    check_segments(&us, aux_value(us.mm, LX_AT_BASE));
    cr_assert_eq(regs.rip, aux_value(us.mm, LX_AT_BASE) + 0x1000);
    cr_assert_eq(aux_value(us.mm, LX_AT_ENTRY), base + 0x1000);
    cr_assert_eq(us.mm->brk_start, base + 0x7000);
    check_stack(&us, &regs);
    exec_plan_free(plan);
    exec_args_destroy(&args);
    space_destroy(&us);
}

Test(loader, scripts)
{
    static const char first[] = "#! /bin/second  -x  y \nbody", second[] = "#!/bin/elf\n";
    struct image im;
    struct store store[] = {
        {"/bin/second", second, sizeof(second) - 1, 0}, {"/bin/elf", im.bytes, sizeof(im), 0}, {0}};
    struct exec_plan *plan;
    struct exec_args args;

    make_image(&im, LX_ET_EXEC, 0x400000, NULL);
    cr_assert_eq(prepare(first, sizeof(first) - 1, store, &args, &plan), 0);
    cr_assert_eq(args.argc, 5);
    cr_assert_eq(memcmp(args.strings, "/bin/elf\0/bin/second\0-x  y\0/bin/prog\0one\0A=b", 45), 0);
    cr_assert_eq(args.size, 45);
    cr_assert_eq(args.argv_size, 41);
    exec_plan_free(plan);
    exec_args_destroy(&args);
}

Test(loader, script_errors)
{
    static const char self[] = "#!/bin/self\n", none[] = "#!\n", missing[] = "#!/bin/none\n";
    struct store store[] = {{"/bin/self", self, sizeof(self) - 1, 0}, {0}};
    char line[300];

    cr_assert_eq(prepare_result(self, sizeof(self) - 1, store), -ELOOP);
    cr_assert_eq(store[0].opened, 5);
    cr_assert_eq(prepare_result(none, sizeof(none) - 1, NULL), -ENOEXEC);
    cr_assert_eq(prepare_result(missing, sizeof(missing) - 1, NULL), -ENOENT);
    cr_assert_eq(prepare_result("", 0, NULL), -ENOEXEC);
    memset(line, 'a', sizeof(line));
    memcpy(line, "#!/bin/", 7);
    cr_assert_eq(prepare_result(line, sizeof(line), NULL), -ENOEXEC, "a path cut off by the limit");
    line[100] = ' ';
    cr_assert_eq(prepare_result(line, sizeof(line), NULL), -ENOENT, "an argument may be");
}

Test(loader, refused_images)
{
    struct image im, ld;
    struct store store[] = {{"/lib/ld", ld.bytes, sizeof(ld), 0}, {0}};

#define REFUSED(change, error)                                                                     \
    do {                                                                                           \
        make_image(&im, LX_ET_EXEC, 0x400000, NULL);                                               \
        change;                                                                                    \
        cr_assert_eq(prepare_result(im.bytes, sizeof(im), NULL), error, #change);                  \
    } while (0)
    REFUSED(header(&im)->e_ident[1] = 'F', -ENOEXEC);
    REFUSED(header(&im)->e_ident[LX_EI_CLASS] = 1, -ENOEXEC);
    REFUSED(header(&im)->e_machine = 3, -ENOEXEC);
    REFUSED(header(&im)->e_type = 1, -ENOEXEC);
    REFUSED(header(&im)->e_phnum = 0, -ENOEXEC);
    REFUSED(header(&im)->e_phnum = 2000, -ENOEXEC);
    REFUSED(header(&im)->e_phentsize = 55, -ENOEXEC);
    REFUSED(header(&im)->e_phoff = IMAGE_SIZE - 8, -ENOEXEC);
    REFUSED(header(&im)->e_phoff = UINT64_MAX - 8, -ENOEXEC);
    REFUSED(header(&im)->e_entry = UINT64_MAX, -EINVAL);
    REFUSED(phdr(&im, 0)->p_memsz = 0x10, -EINVAL);
    REFUSED(phdr(&im, 0)->p_memsz = UINT64_MAX, -EINVAL);
    REFUSED(phdr(&im, 0)->p_vaddr = UINT64_MAX - 0x1000, -EINVAL);
    REFUSED(phdr(&im, 0)->p_offset = 0x10, -EINVAL);
    REFUSED(phdr(&im, 0)->p_offset = UINT64_MAX & PAGE_MASK, -EINVAL);
    REFUSED(phdr(&im, 0)->p_vaddr = 0, -EPERM);
    REFUSED((phdr(&im, 0)->p_type = 0, phdr(&im, 1)->p_type = 0), -ENOEXEC);
    make_image(&im, LX_ET_DYN, 0, "/lib/ld");
    phdr(&im, 3)->p_filesz--;
    cr_assert_eq(prepare_result(im.bytes, sizeof(im), store), -ENOEXEC);
    phdr(&im, 3)->p_filesz = 5000;
    cr_assert_eq(prepare_result(im.bytes, sizeof(im), store), -ENOEXEC);
    make_image(&im, LX_ET_DYN, 0, "/lib/none");
    cr_assert_eq(prepare_result(im.bytes, sizeof(im), store), -ENOENT);
    make_image(&im, LX_ET_DYN, 0, "/lib/ld");
    memset(&ld, 'x', sizeof(ld));
    cr_assert_eq(prepare_result(im.bytes, sizeof(im), store), -ELIBBAD);
    store[0].size = 20;
    cr_assert_eq(prepare_result(im.bytes, sizeof(im), store), -EIO);
    for (size_t size = 0; size < 64 + 3 * 56; size += 7)
        cr_assert_eq(prepare_result(im.bytes, size, NULL), -ENOEXEC);
}

/* Random damage to the headers: whatever happens, nothing breaks and nothing is left behind. */
Test(loader, damaged_images)
{
    struct random rnd = {7};

    for (unsigned round = 0; round < 1500; round++) {
        struct exec_plan *plan;
        struct exec_args args;
        struct cpu_regs regs;
        struct uspace us;
        struct image im;

        make_image(&im, random_below(&rnd, 2) ? LX_ET_EXEC : LX_ET_DYN, 0x400000, NULL);
        for (unsigned i = 0; i <= random_below(&rnd, 4); i++)
            im.bytes[20 + random_below(&rnd, 212)] =
                (uint8_t)(random_below(&rnd, 3) ? random_next(&rnd) : 0xff);
        /* The fake platform makes a page of every page: keep them few. */
        for (unsigned i = 0; i < 2; i++) {
            if (phdr(&im, i)->p_memsz > 1UL << 26 && phdr(&im, i)->p_memsz < 1UL << 47)
                phdr(&im, i)->p_memsz = 1UL << 26;
        }
        if (prepare(im.bytes, random_below(&rnd, 8) ? sizeof(im) : random_below(&rnd, sizeof(im)),
                    NULL, &args, &plan) == 0) {
            us = space_create();
            if (loader_load(plan, &args, &us, &plain, &regs) == 0)
                cr_assert(regs.rip < FAKE_USER_MAX);
            exec_plan_free(plan);
            space_destroy(&us);
        }
        exec_args_destroy(&args);
    }
}

Test(loader, arguments_have_limits)
{
    struct uspace us = space_create();
    uint64_t pointers[600], base = 0x40000000, at = base + 0x10000;
    struct exec_args args;
    char *big = kmalloc(200000);

    memset(big, 'x', 199999);
    cr_assert_eq(map_at(&us, base, 0x100000, RW), 0);
    exec_args_init(&args, 8UL << 20);
    cr_assert_eq(exec_args_copy_in(&args, &us, uaddr(0), uaddr(0)), 0);
    cr_assert_eq(args.argc, 1);
    cr_assert_eq(args.size, 1);
    exec_args_destroy(&args);

    /* The array ends at the end of its page, nothing is mapped behind it. */
    for (unsigned i = 0; i < 600; i++)
        pointers[i] = at;
    pointers[599] = 0;
    cr_assert_eq(copy_out(&us, uaddr(at), "word", 5), 0);
    cr_assert_eq(mm_unmap(&us, base + 0x8000, 0x1000), 0);
    cr_assert_eq(copy_out(&us, uaddr(base + 0x8000 - sizeof(pointers)), pointers, sizeof(pointers)),
                 0);
    exec_args_init(&args, 8UL << 20);
    cr_assert_eq(exec_args_copy_in(&args, &us, uaddr(base + 0x8000 - sizeof(pointers)), uaddr(0)),
                 0);
    cr_assert_eq(args.argc, 599);
    exec_args_destroy(&args);
    exec_args_init(&args, 8UL << 20);
    cr_assert_eq(exec_args_copy_in(&args, &us, uaddr(base + 0x7ff8 - 16), uaddr(base + 0x8000)),
                 -EFAULT);
    exec_args_destroy(&args);

    cr_assert_eq(copy_out(&us, uaddr(at), big, 199999), 0);
    pointers[1] = 0;
    cr_assert_eq(copy_out(&us, uaddr(base), pointers, 16), 0);
    exec_args_init(&args, 8UL << 20);
    cr_assert_eq(exec_args_copy_in(&args, &us, uaddr(base), uaddr(0)), -E2BIG);
    exec_args_destroy(&args);
    big[EXEC_MAX_STRING - 1] = 0;
    cr_assert_eq(copy_out(&us, uaddr(at), big, EXEC_MAX_STRING), 0);
    exec_args_init(&args, 8UL << 20);
    cr_assert_eq(exec_args_copy_in(&args, &us, uaddr(base), uaddr(0)), 0);
    exec_args_destroy(&args);
    exec_args_init(&args, 0);
    cr_assert_eq(exec_args_copy_in(&args, &us, uaddr(base), uaddr(0)), -E2BIG);
    exec_args_destroy(&args);
    kfree(big);
    space_destroy(&us);
}
