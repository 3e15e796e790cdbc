/* /proc/PID/maps. Walks the address space one region at a time; mm.lock is taken for each step. */
#include "fs/proc/proc_pid.h"
#include "sentry/abi/mman.h"
#include "sentry/mm/mm.h"

#define NAME_COLUMN 73 /* where Linux puts the name */

static void pad_to_name(struct strbuf *sb, size_t line_start)
{
    while (!sb->failed && sb->size - line_start < NAME_COLUMN)
        strbuf_putc(sb, ' ');
}

static void show_region(const struct vma_info *v, struct strbuf *sb)
{
    struct strbuf name;
    uint64_t dev = 0, ino = 0;
    size_t start = sb->size;

    strbuf_init(&name);
    if (v->file)
        OPS_GET(mm_file_ops, v->file->ops)->describe(v->file, &dev, &ino, &name);
    strbuf_printf(sb, "%08lx-%08lx %c%c%c%c %08lx %02x:%02x %lu ", v->start, v->end,
                  v->prot & LX_PROT_READ ? 'r' : '-', v->prot & LX_PROT_WRITE ? 'w' : '-',
                  v->prot & LX_PROT_EXEC ? 'x' : '-', v->flags & VMA_SHARED ? 's' : 'p', v->offset,
                  (uint32_t)(dev >> 8 & 0xfff), (uint32_t)((dev & 0xff) | (dev >> 12 & ~0xffUL)),
                  ino);
    if (name.size) {
        pad_to_name(sb, start);
        for (size_t i = 0; i < name.size; i++) {
            if (name.data[i] == '\n')
                strbuf_puts(sb, "\\012");
            else
                strbuf_putc(sb, name.data[i]);
        }
    } else if (v->name) {
        pad_to_name(sb, start);
        strbuf_puts(sb, v->name);
    }
    strbuf_putc(sb, '\n');
    strbuf_free(&name);
}

int proc_show_pid_maps(const struct proc_entry *e, struct strbuf *sb)
{
    struct mm *mm = task_mm_get(e->task);
    struct vma_info v;
    uint64_t at = 0;

    if (!mm)
        return 0;
    while (!sb->failed && mm_vma_at_or_after(mm, at, &v) == 0) {
        show_region(&v, sb);
        if (v.file)
            OPS_GET(mm_file_ops, v.file->ops)->put(v.file);
        at = v.end;
    }
    mm_put(mm);
    return 0;
}
