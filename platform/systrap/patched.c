/*
 * Patched text in address spaces: which executable file mappings each has, whether the image of
 * platform/patch lies over them, and putting the file's own pages back before the guest changes a
 * range. Lock: as.patch_lock, held over each change of such a mapping and outside as.fd_lock; the
 * counters have none.
 */
#define _GNU_SOURCE
#include "platform/systrap/patched.h"

#include <cpuid.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "platform/patch/patch.h"

#define MAPS_MAX 1024

/* An executable private mapping of a whole segment of a file, not writable. */
struct patched_map {
    uint64_t start, end;
    struct patch_file *file;
    int prot;
    bool applied;
};

struct patched_maps {
    unsigned count, room;
    struct patched_map map[];
};

static struct patch_table *table;

static struct {
    atomic_ullong by_patch ALIGNED(64);
    atomic_ullong by_trap ALIGNED(64);
} calls;

/* rorx, and %gs of one's own (which systrap needs anyway). */
static bool processor_can(void)
{
    uint32_t eax, ebx, ecx, edx;

    return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (ebx & bit_BMI2);
}

bool patched_possible(void)
{
    return processor_can();
}

int patched_init(uint64_t entry)
{
    int64_t p = host_mmap(NULL, PATCH_TABLE_SIZE, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    int err;

    if (p < 0 && p >= -4095)
        return (int)p;
    table = patch_table_init((void *)p);
    err = patch_start(table, entry);
    if (err)
        table = NULL;
    return err;
}

void patched_shutdown(void)
{
    patch_stop();
}

void patched_count(struct platform_ctx *ctx)
{
    atomic_fetch_add_explicit(&calls.by_patch, ctx->by_patch, memory_order_relaxed);
    atomic_fetch_add_explicit(&calls.by_trap, ctx->by_trap, memory_order_relaxed);
    ctx->by_patch = ctx->by_trap = 0;
}

void patched_stats(struct patch_stats *out)
{
    memset(out, 0, sizeof(*out));
    if (table)
        patch_totals(table, out);
    out->by_patch = atomic_load(&calls.by_patch);
    out->by_trap = atomic_load(&calls.by_trap);
}

void patched_print(void)
{
    struct patch_stats s;

    patched_stats(&s);
    patch_print(table, s.by_patch, s.by_trap);
}

/* ---- the list ---- */

/* Room for one more. */
static bool reserve(struct platform_as *as)
{
    struct patched_maps *maps = as->patched;
    unsigned room = maps ? maps->room : 0;

    if (maps && maps->count < room)
        return true;
    if (room == MAPS_MAX)
        return false;
    room = room ? room * 2 : 8;
    maps = realloc(maps, sizeof(*maps) + room * sizeof(maps->map[0]));
    if (!maps)
        return false;
    if (!as->patched)
        maps->count = 0;
    maps->room = room;
    as->patched = maps;
    return true;
}

static void drop(struct platform_as *as, unsigned i)
{
    patch_put(table, as->patched->map[i].file);
    as->patched->map[i] = as->patched->map[--as->patched->count];
}

static struct patched_map *find(struct platform_as *as, uint64_t addr)
{
    struct patched_maps *maps = as->patched;

    for (unsigned i = 0; maps && i < maps->count; i++) {
        if (addr >= maps->map[i].start && addr < maps->map[i].end)
            return &maps->map[i];
    }
    return NULL;
}

/* ---- images over mappings; patch_lock held ---- */

static int put_back(struct platform_ctx *ctx, struct patched_map *m)
{
    int err = 0;

    if (m->applied)
        err = memory_map_text(ctx, m->start, m->end - m->start, m->prot, m->file->fd,
                              m->file->key.offset);
    m->applied = m->applied && err;
    return err;
}

/* A failure in the middle leaves pages of both kinds: all go back, or the process can't go on. */
static void apply(struct platform_ctx *ctx, struct patched_map *m)
{
    int err = 0;

    m->applied = true;
    for (uint32_t i = 0; i < m->file->run_count && !err; i++) {
        const struct patch_run *r = &m->file->run[i];

        err =
            memory_map_text(ctx, m->start + r->offset, r->size, m->prot, m->file->image, r->offset);
    }
    if (err && put_back(ctx, m))
        process_kill(ctx->as);
}

struct patch_file *patched_file(struct platform_as *as, int *fd, uint64_t *offset, uint64_t size)
{
    struct patch_file *file = table ? patch_lookup(table, *fd, *offset, size) : NULL;

    if (file && !reserve(as)) {
        patch_put(table, file);
        file = NULL;
    }
    if (!file)
        return NULL;
    if (patch_is_ready(file) && patch_is_whole(file)) {
        *fd = file->image;
        *offset = 0;
    }
    return file;
}

void patched_mapped(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot,
                    struct patch_file *file, bool image)
{
    struct patched_map *m = &ctx->as->patched->map[ctx->as->patched->count++];

    *m = (struct patched_map){addr, addr + size, file, prot, image};
    if (!image && patch_is_ready(file))
        apply(ctx, m);
}

/* ---- changes by the guest ---- */

void patched_lock(struct platform_as *as)
{
    pthread_mutex_lock(&as->patch_lock);
}

void patched_unlock(struct platform_as *as)
{
    pthread_mutex_unlock(&as->patch_lock);
}

int patched_release(struct platform_ctx *ctx, uint64_t addr, uint64_t size)
{
    struct platform_as *as = ctx->as;

    for (unsigned i = 0; as->patched && i < as->patched->count;) {
        struct patched_map *m = &as->patched->map[i];
        bool whole = addr <= m->start && m->end <= addr + size;
        int err;

        if (m->end <= addr || addr + size <= m->start) {
            i++;
            continue;
        }
        err = whole ? 0 : put_back(ctx, m);
        if (err)
            return err;
        drop(as, i);
    }
    return 0;
}

int patched_put_back(struct platform_ctx *ctx, uint64_t addr, uint64_t size)
{
    struct patched_maps *maps = ctx->as->patched;

    for (unsigned i = 0; maps && i < maps->count; i++) {
        struct patched_map *m = &maps->map[i];

        if (m->start < addr + size && addr < m->end && put_back(ctx, m))
            return -ENOMEM;
    }
    return patched_release(ctx, addr, size);
}

int patched_protect(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot)
{
    struct patched_map *m = find(ctx->as, addr);

    /* All of one mapping, without writing: its pages stay what they are. */
    if (m && m->start == addr && m->end == addr + size && !(prot & PROT_WRITE)) {
        m->prot = prot;
        return 0;
    }
    return patched_put_back(ctx, addr, size);
}

int patched_fork(struct platform_as *from, struct platform_as *to)
{
    struct patched_maps *maps = from->patched;
    size_t size;

    if (!maps)
        return 0;
    size = sizeof(*maps) + maps->room * sizeof(maps->map[0]);
    to->patched = malloc(size);
    if (!to->patched)
        return -ENOMEM;
    memcpy(to->patched, maps, size);
    for (unsigned i = 0; i < maps->count; i++)
        patch_get(table, maps->map[i].file);
    return 0;
}

void patched_unmapped(struct patch_file *file)
{
    if (file)
        patch_put(table, file);
}

void patched_free(struct platform_as *as)
{
    while (as->patched && as->patched->count)
        drop(as, as->patched->count - 1);
    free(as->patched);
}

/* ---- calls ---- */

void patched_trap(struct platform_ctx *ctx, uint64_t rip)
{
    struct patched_map *m;

    if (!table || !ctx->as->patched || pthread_mutex_trylock(&ctx->as->patch_lock))
        return;
    m = find(ctx->as, rip);
    if (m && !m->applied) {
        if (patch_is_ready(m->file))
            apply(ctx, m);
        else
            patch_trapped(table, m->file);
    }
    pthread_mutex_unlock(&ctx->as->patch_lock);
}

void patched_note(struct platform_ctx *ctx, uint64_t rip, bool patched)
{
    struct patched_map *m;

    if (!table || !ctx->as->patched || pthread_mutex_trylock(&ctx->as->patch_lock))
        return;
    m = find(ctx->as, rip);
    if (m)
        patch_count_site(table, m->file, (uint32_t)(rip - m->start), patched);
    pthread_mutex_unlock(&ctx->as->patch_lock);
}

void patched_fixup(struct platform_ctx *ctx, struct cpu_regs *regs)
{
    struct patched_map *m;
    uint32_t back;

    if (!table || !ctx->as->patched)
        return;
    pthread_mutex_lock(&ctx->as->patch_lock);
    m = find(ctx->as, regs->rip);
    if (m && m->applied && patch_back(table, m->file, (uint32_t)(regs->rip - m->start), &back))
        regs->rip = back == PATCH_BACK_RCX ? regs->rcx - 2 : m->start + back;
    pthread_mutex_unlock(&ctx->as->patch_lock);
}

void patched_read_back(struct platform_as *as, void *dst, uint64_t addr, size_t n)
{
    if (!table || !as->patched)
        return;
    pthread_mutex_lock(&as->patch_lock);
    for (unsigned i = 0; as->patched && i < as->patched->count; i++) {
        struct patched_map *m = &as->patched->map[i];
        uint64_t from = MAX(m->start, addr), to = MIN(m->end, addr + n);

        if (!m->applied || from >= to)
            continue;
        if (host_pread(m->file->fd, (char *)dst + (from - addr), to - from,
                       (int64_t)(m->file->key.offset + (from - m->start))) < 0)
            break; /* it keeps what was read */
    }
    pthread_mutex_unlock(&as->patch_lock);
}
