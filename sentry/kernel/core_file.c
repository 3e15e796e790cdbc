/*
 * The ELF core file: headers, notes, then the memory core_vma_size picks, with holes where it is
 * zero or was never touched. Not here: what is in the notes (core_notes.c), who stops the tasks and
 * opens the file (core_stop.c). No locks but what file and memory calls take. Sources: elf(5),
 * core(5).
 */
#include "sentry/abi/elf.h"
#include "sentry/abi/errno.h"
#include "sentry/base/fmt.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"
#include "sentry/kernel/core.h"
#include "sentry/kernel/kernel.h"
#include "sentry/mm/mm.h"

#define CHUNK (64 * 1024UL)
/*
 * Of larger anonymous mappings only what is resident is read, a piece at a time: programs reserve
 * terabytes. What the host has swapped out of these is a hole.
 */
#define SPARSE_FROM  (64UL << 20)
#define SPARSE_PIECE (2UL << 20)

struct core_out {
    const struct core_stop *stop;
    struct file *file;
    uint64_t fsize_limit;
    uint64_t limit, written; /* bytes that are not holes */
    int64_t pos;
};

/* A mapping as it goes into the file. */
struct piece {
    uint64_t start, end, size;
    uint32_t prot;
    bool sparse;
};

static int emit(struct core_out *o, const void *data, uint64_t size)
{
    if (o->written + size > o->limit)
        return -EFBIG;
    while (size) {
        struct uio uio;
        int64_t n;

        if (signal_fatal_pending(o->stop->self.task))
            return -EINTR;
        uio_init_kernel(&uio, (void *)(uintptr_t)data, size);
        n = file_write(o->file, &uio, &o->pos, o->fsize_limit);
        uio_destroy(&uio);
        if (n <= 0)
            return n < 0 ? (int)n : -EIO;
        o->written += (uint64_t)n;
        data = (const char *)data + n;
        size -= (uint64_t)n;
    }
    return 0;
}

static bool is_zero(const uint8_t *page)
{
    const uint64_t *w = (const uint64_t *)(const void *)page;

    for (size_t i = 0; i < PAGE_SIZE / 8; i++) {
        if (w[i])
            return false;
    }
    return true;
}

/* n bytes, whole pages; pages of zeros become holes. */
static int emit_pages(struct core_out *o, const uint8_t *data, uint64_t n)
{
    uint64_t at = 0, end;
    int err;

    while (at < n) {
        if (is_zero(data + at)) {
            at += PAGE_SIZE;
            o->pos += PAGE_SIZE;
            continue;
        }
        for (end = at + PAGE_SIZE; end < n && !is_zero(data + end);)
            end += PAGE_SIZE;
        err = emit(o, data + at, end - at);
        if (err)
            return err;
        at = end;
    }
    return 0;
}

/* What cannot be read is a hole. */
static int emit_range(struct core_out *o, uint8_t *buf, uint64_t at, uint64_t end)
{
    struct task *t = o->stop->self.task;
    int err = 0;

    while (!err && at < end) {
        uint64_t want = MIN(CHUNK, end - at);
        int64_t n = mm_read(t->us.mm, buf, at, want, true);

        if (signal_fatal_pending(t))
            return -EINTR;
        n = n > 0 ? (int64_t)PAGE_ALIGN_DOWN((uint64_t)n) : 0;
        if (n == 0) {
            o->pos += PAGE_SIZE;
            at += PAGE_SIZE;
            continue;
        }
        err = emit_pages(o, buf, (uint64_t)n);
        at += (uint64_t)n;
    }
    return err;
}

/* Is any of it in memory? Where that can't be told, it may be. */
static bool resident(struct task *t, uint64_t at, uint64_t size)
{
    uint8_t pages[SPARSE_PIECE / PAGE_SIZE];

    if (platform_mincore(t->us.ctx, at, size, pages) < 0)
        return true;
    for (uint64_t i = 0; i < size / PAGE_SIZE; i++) {
        if (pages[i] & 1)
            return true;
    }
    return false;
}

static int emit_piece(struct core_out *o, uint8_t *buf, const struct piece *p)
{
    uint64_t at = p->start, end = p->start + p->size, next;
    int err = 0;

    if (!p->sparse)
        return emit_range(o, buf, at, end);
    for (; !err && at < end; at = next) {
        next = MIN(end, (at + SPARSE_PIECE) & ~(SPARSE_PIECE - 1));
        if (signal_fatal_pending(o->stop->self.task))
            return -EINTR;
        if (resident(o->stop->self.task, at, next - at))
            err = emit_range(o, buf, at, next);
        else
            o->pos += (int64_t)(next - at);
    }
    return err;
}

/* Does the mapping begin with an ELF header? Debuggers find build ids there. */
static bool begins_with_elf(struct task *t, const struct vma_info *v)
{
    char magic[4];

    return v->offset == 0 && (v->prot & LX_PF_R) &&
           mm_read(t->us.mm, magic, v->start, sizeof(magic), true) == sizeof(magic) &&
           memcmp(magic, LX_ELF_MAGIC, sizeof(magic)) == 0;
}

/* A shared mapping of something without a name: as anonymous memory. */
static bool is_nameless(const struct vma_info *v)
{
    struct file *f = file_of_mapped(v->file);
    struct kstat st;

    return !f || !f->path.dentry || (vfs_getattr(&f->path, &st) == 0 && st.nlink == 0);
}

uint64_t core_vma_size(struct task *t, const struct vma_info *v, uint32_t filter)
{
    uint64_t whole = v->end - v->start;

    if (v->flags & VMA_SPECIAL)
        return v->prot & 4 ? whole : 0; /* the vDSO, but not its data */
    if ((v->flags & VMA_DONTDUMP) || !v->prot)
        return 0;
    if (v->flags & VMA_SHARED)
        return filter & (is_nameless(v) ? LX_DUMP_ANON_SHARED : LX_DUMP_MAPPED_SHARED) ? whole : 0;
    if ((!v->file || (v->flags & VMA_WRITTEN)) && (filter & LX_DUMP_ANON_PRIVATE))
        return whole;
    if (!v->file)
        return 0;
    if (filter & LX_DUMP_MAPPED_PRIVATE)
        return whole;
    return (filter & LX_DUMP_ELF_HEADERS) && begins_with_elf(t, v) ? PAGE_SIZE : 0;
}

/* What the address space holds; a struct piece each. */
static void list_pieces(struct task *t, struct strbuf *out)
{
    struct vma_info v;
    uint64_t at = 0;

    while (!out->failed && mm_vma_at_or_after(t->us.mm, at, &v) == 0) {
        struct piece p = {.start = v.start, .end = v.end, .prot = (uint32_t)v.prot};

        p.size = core_vma_size(t, &v, READ_ONCE(t->us.mm->dump_filter));
        p.sparse = !v.file && v.end - v.start >= SPARSE_FROM;
        strbuf_add(out, &p, sizeof(p));
        if (v.file)
            OPS_GET(mm_file_ops, v.file->ops)->put(v.file);
        at = v.end;
    }
}

static void add_headers(struct strbuf *out, const struct piece *p, size_t count, size_t notes_size)
{
    struct lx_elf64_ehdr eh = {
        .e_ident = {0x7f, 'E', 'L', 'F', LX_ELFCLASS64, LX_ELFDATA2LSB, 1},
        .e_type = LX_ET_CORE,
        .e_machine = LX_EM_X86_64,
        .e_version = 1,
        .e_phoff = sizeof(eh),
        .e_ehsize = sizeof(eh),
        .e_phentsize = sizeof(struct lx_elf64_phdr),
        .e_phnum = (uint16_t)(count + 1),
    };
    uint64_t offset = sizeof(eh) + (count + 1) * sizeof(struct lx_elf64_phdr);
    struct lx_elf64_phdr note = {
        .p_type = LX_PT_NOTE, .p_offset = offset, .p_filesz = notes_size, .p_align = 4};

    strbuf_add(out, &eh, sizeof(eh));
    strbuf_add(out, &note, sizeof(note));
    offset = PAGE_ALIGN_UP(offset + notes_size);
    for (size_t i = 0; i < count; i++) {
        struct lx_elf64_phdr load = {
            .p_type = LX_PT_LOAD,
            .p_flags = (p[i].prot & 1 ? LX_PF_R : 0) | (p[i].prot & 2 ? LX_PF_W : 0) |
                       (p[i].prot & 4 ? LX_PF_X : 0),
            .p_offset = offset,
            .p_vaddr = p[i].start,
            .p_filesz = p[i].size,
            .p_memsz = p[i].end - p[i].start,
            .p_align = PAGE_SIZE,
        };

        strbuf_add(out, &load, sizeof(load));
        offset += p[i].size;
    }
}

static int write_all(struct core_out *o, const struct strbuf *pieces, const struct strbuf *notes,
                     const struct strbuf *headers)
{
    const struct piece *p = (const struct piece *)(const void *)pieces->data;
    size_t count = pieces->size / sizeof(*p);
    uint8_t *buf AUTO_KFREE = kmalloc(CHUNK);
    int err;

    if (!buf)
        return -ENOMEM;
    err = emit(o, headers->data, headers->size);
    if (!err)
        err = emit(o, notes->data, notes->size);
    o->pos = (int64_t)PAGE_ALIGN_UP((uint64_t)o->pos);
    for (size_t i = 0; !err && i < count; i++)
        err = emit_piece(o, buf, &p[i]);
    return err;
}

int core_write_file(const struct core_stop *s, struct file *f, const struct vfs_ctx *ctx,
                    uint64_t limit, uint64_t *out_written)
{
    struct core_out o = {.stop = s, .file = f, .fsize_limit = ctx->fsize_limit, .limit = limit};
    struct strbuf pieces, notes, headers;
    int err = -ENOMEM;

    strbuf_init(&pieces);
    strbuf_init(&notes);
    strbuf_init(&headers);
    list_pieces(s->self.task, &pieces);
    core_notes(s, &notes);
    if (!pieces.failed && !notes.failed) {
        add_headers(&headers, (const struct piece *)(const void *)pieces.data,
                    pieces.size / sizeof(struct piece), notes.size);
        if (!headers.failed)
            err = write_all(&o, &pieces, &notes, &headers);
    }
    /* A hole at the end belongs to the file, too. */
    if (!err)
        err = vfs_truncate_file(ctx, f, (uint64_t)o.pos);
    strbuf_free(&pieces);
    strbuf_free(&notes);
    strbuf_free(&headers);
    *out_written = o.written;
    return err;
}
