/*
 * Reads and checks one ELF file. Every number in it is the guest's: each is bounded before it is
 * used, so that mapping it later can fail only for want of memory. Not here: mapping (load.c). No
 * locks.
 */
#include "sentry/abi/errno.h"
#include "sentry/loader/loader_int.h"

#define MAX_PHDR_BYTES 65536
#define PATH_LIMIT     4096

int64_t loader_read(struct file *f, uint64_t offset, void *buf, size_t n)
{
    size_t total = 0;

    if (offset > INT64_MAX - n)
        return -EINVAL;
    while (total < n) {
        int64_t pos = (int64_t)(offset + total), got;
        struct uio uio;

        uio_init_kernel(&uio, (char *)buf + total, n - total);
        got = file_read(f, &uio, &pos);
        uio_destroy(&uio);
        if (got < 0)
            return got;
        if (got == 0)
            break;
        total += (size_t)got;
    }
    return (int64_t)total;
}

static int read_exactly(struct file *f, uint64_t offset, void *buf, size_t n)
{
    int64_t got = loader_read(f, offset, buf, n);

    if (got < 0)
        return (int)got;
    return (size_t)got == n ? 0 : -EIO;
}

static bool header_ok(const struct lx_elf64_ehdr *h)
{
    return memcmp(h->e_ident, LX_ELF_MAGIC, 4) == 0 && h->e_ident[LX_EI_CLASS] == LX_ELFCLASS64 &&
           h->e_ident[LX_EI_DATA] == LX_ELFDATA2LSB && h->e_machine == LX_EM_X86_64;
}

/* The program headers in a kmalloc'ed array. */
static int read_phdrs(struct file *f, const struct lx_elf64_ehdr *h, struct lx_elf64_phdr **out)
{
    size_t size = (size_t)h->e_phnum * sizeof(struct lx_elf64_phdr);
    struct lx_elf64_phdr *phdrs;
    int ret;

    if (h->e_phentsize != sizeof(struct lx_elf64_phdr) || size == 0 || size > MAX_PHDR_BYTES)
        return -ENOEXEC;
    phdrs = kmalloc(size);
    if (!phdrs)
        return -ENOMEM;
    ret = read_exactly(f, h->e_phoff, phdrs, size);
    if (ret < 0) {
        kfree(phdrs);
        return -ENOEXEC;
    }
    *out = phdrs;
    return 0;
}

/* One PT_LOAD: its numbers, and the extent of the image. */
static int check_load(struct elf_image *img, const struct lx_elf64_phdr *p)
{
    uint64_t max = platform_facts()->user_max, vend, fend;

    if (p->p_filesz > p->p_memsz || p->p_memsz > max || p->p_vaddr > max - p->p_memsz)
        return -EINVAL;
    if (add_overflows(p->p_offset, p->p_filesz, &fend) || fend > INT64_MAX - PAGE_SIZE)
        return -EINVAL;
    if (p->p_filesz && ((p->p_offset ^ p->p_vaddr) & ~PAGE_MASK))
        return -EINVAL;
    vend = PAGE_ALIGN_UP(p->p_vaddr + p->p_memsz);
    if (vend > max)
        return -EINVAL;
    img->start = MIN(img->start, PAGE_ALIGN_DOWN(p->p_vaddr));
    img->end = MAX(img->end, vend);
    /* Alignments that are no power of two are ignored, as by Linux. */
    if (p->p_align > img->align && (p->p_align & (p->p_align - 1)) == 0)
        img->align = p->p_align;
    return 0;
}

static int collect_loads(struct elf_image *img, const struct lx_elf64_ehdr *h,
                         const struct lx_elf64_phdr *phdrs)
{
    img->start = UINT64_MAX;
    img->end = 0;
    img->align = PAGE_SIZE;
    for (unsigned i = 0; i < h->e_phnum; i++) {
        const struct lx_elf64_phdr *p = &phdrs[i];
        int ret;

        if (p->p_type != LX_PT_LOAD || p->p_memsz == 0)
            continue;
        ret = check_load(img, p);
        if (ret < 0)
            return ret;
        img->loads[img->load_count++] = *p;
        if (img->phdr_vaddr == 0 && p->p_offset <= h->e_phoff &&
            h->e_phoff - p->p_offset < p->p_filesz)
            img->phdr_vaddr = h->e_phoff - p->p_offset + p->p_vaddr;
    }
    return img->load_count ? 0 : -ENOEXEC;
}

/* An image with fixed addresses must fit where guests may map, and beside the host's own pages. */
static int check_extent(const struct elf_image *img)
{
    const struct platform_facts *f = platform_facts();
    uint64_t low = MAX(f->user_min, MM_MIN_ADDR);

    if (img->dyn)
        return img->end - img->start > f->user_max - low || img->align > f->user_max / 2 ? -EINVAL
                                                                                         : 0;
    if (img->start < low)
        return -EPERM;
    if (f->vdso_size && img->start < f->vdso_addr + f->vdso_size && img->end > f->vdso_addr)
        return -ENOMEM;
    if (f->vvar_size && img->start < f->vvar_addr + f->vvar_size && img->end > f->vvar_addr)
        return -ENOMEM;
    return 0;
}

static int read_interp_path(struct file *f, const struct lx_elf64_phdr *p, char **out)
{
    char *path;
    int ret;

    if (p->p_filesz < 2 || p->p_filesz > PATH_LIMIT)
        return -ENOEXEC;
    path = kmalloc(p->p_filesz);
    if (!path)
        return -ENOMEM;
    ret = read_exactly(f, p->p_offset, path, p->p_filesz);
    if (ret == 0 && path[p->p_filesz - 1] != 0)
        ret = -ENOEXEC;
    if (ret < 0) {
        kfree(path);
        return ret;
    }
    *out = path;
    return 0;
}

static int scan_others(struct elf_image *img, const struct lx_elf64_phdr *phdrs, char **interp_path,
                       bool *exec_stack)
{
    for (unsigned i = 0; i < img->phnum; i++) {
        const struct lx_elf64_phdr *p = &phdrs[i];

        if (p->p_type == LX_PT_GNU_STACK && exec_stack)
            *exec_stack = p->p_flags & LX_PF_X;
        if (p->p_type == LX_PT_INTERP && interp_path && !*interp_path) {
            int ret = read_interp_path(img->file, p, interp_path);

            if (ret < 0)
                return ret;
        }
    }
    return 0;
}

int elf_read_image(struct elf_image *img, char **interp_path, bool *exec_stack)
{
    struct lx_elf64_phdr *phdrs;
    struct lx_elf64_ehdr h;
    int64_t got = loader_read(img->file, 0, &h, sizeof(h));
    int ret;

    if (got < 0)
        return (int)got;
    if ((size_t)got < sizeof(h))
        return interp_path ? -ENOEXEC : -EIO;
    if (!header_ok(&h))
        return interp_path ? -ENOEXEC : -ELIBBAD;
    if (h.e_type != LX_ET_EXEC && h.e_type != LX_ET_DYN)
        return -ENOEXEC;
    ret = read_phdrs(img->file, &h, &phdrs);
    if (ret < 0)
        return ret == -ENOEXEC && !interp_path ? -ELIBBAD : ret;
    img->dyn = h.e_type == LX_ET_DYN;
    img->phnum = h.e_phnum;
    img->entry = h.e_entry;
    img->loads = kmalloc((size_t)h.e_phnum * sizeof(*phdrs));
    ret = img->loads ? collect_loads(img, &h, phdrs) : -ENOMEM;
    if (ret == 0)
        ret = check_extent(img);
    if (ret == 0 && img->entry >= platform_facts()->user_max)
        ret = -EINVAL;
    if (ret == 0)
        ret = scan_others(img, phdrs, interp_path, exec_stack);
    kfree(phdrs);
    return ret;
}

void elf_image_free(struct elf_image *img)
{
    if (img->file)
        file_put(img->file);
    kfree(img->loads);
    memset(img, 0, sizeof(*img));
}
