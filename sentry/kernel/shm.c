/*
 * System V shared memory: segments, attaching and detaching. Not here: keys, ids and rights
 * (ipc.c), the memory itself (mm/shm.c) and what the system calls decode (syscalls/sys_shm.c). A
 * locked segment is marked so, no more. The last process is told apart where it attaches or
 * detaches by a call; one that exits is not noted.
 *
 * Locks: the table's (rank OBJ) guards it and every segment but its count of attachments,
 * which grows without it by those who hold one already (mm's copies).
 */
#include "sentry/kernel/shm.h"

#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/mman.h"
#include "sentry/abi/sched.h"
#include "sentry/abi/time_num.h"
#include "sentry/base/fmt.h"
#include "sentry/base/slab.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/namespace.h"
#include "sentry/mm/mm.h"

struct shm_segment {
    struct ipc_object ipc;
    struct mm_file writable, readonly; /* what mappings refer to, by how they were attached */
    struct shm_space *space;
    struct mm_file *memory; /* one reference */
    struct lx_shmid_ds ds;  /* perm, attached, cpid, lpid: not kept */
    struct pid_mark creator, last;
    int32_t attached; /* atomic */
};

struct shm_space {
    struct ipc_table table;
    uint64_t pages;
    uint32_t *alive; /* counts tables, of which this is one until it is freed */
    bool abandoned;  /* its namespace has gone */
};

SLAB_TYPE(shm_segment_slab, struct shm_segment);

DECLARE_OPS(mm_file_ops, shm_writable_ops);
DECLARE_OPS(mm_file_ops, shm_readonly_ops);

/* NULL: not a segment's. */
static struct shm_segment *segment_of(struct mm_file *f)
{
    if (ops_is(f->ops, &shm_writable_ops))
        return container_of(f, struct shm_segment, writable);
    if (ops_is(f->ops, &shm_readonly_ops))
        return container_of(f, struct shm_segment, readonly);
    return NULL;
}

static uint64_t pages_of(const struct shm_segment *g)
{
    return g->ds.size / PAGE_SIZE + (g->ds.size % PAGE_SIZE != 0);
}

/* ---- a segment's life; space.lock held ---- */

static void drop_memory(struct mm_file *memory)
{
    if (memory)
        OPS_GET(mm_file_ops, memory->ops)->put(memory);
}

/* Out of the table. The memory is for drop_memory once the lock is dropped. */
static struct mm_file *destroy_locked(struct shm_space *s, struct shm_segment *g)
{
    struct mm_file *memory = g->memory;

    ipc_remove_locked(&s->table, &g->ipc);
    s->pages -= pages_of(g);
    slab_free(&shm_segment_slab, g);
    return memory;
}

static void get_attached(struct mm_file *f)
{
    __atomic_fetch_add(&segment_of(f)->attached, 1, __ATOMIC_RELAXED);
}

static void free_space(struct shm_space *s)
{
    ipc_table_destroy(&s->table);
    __atomic_sub_fetch(s->alive, 1, __ATOMIC_RELAXED);
    kfree(s);
}

static void drop_attached(struct shm_segment *g, bool detached)
{
    struct shm_space *s = g->space;
    struct mm_file *memory = NULL;
    bool last;

    mutex_lock(&s->table.lock);
    if (detached)
        g->ds.dtime = ipc_now();
    if (__atomic_sub_fetch(&g->attached, 1, __ATOMIC_ACQ_REL) == 0 &&
        (g->ipc.perm.mode & LX_SHM_DEST))
        memory = destroy_locked(s, g);
    last = memory && s->abandoned && !s->table.indices.used;
    mutex_unlock(&s->table.lock);
    drop_memory(memory);
    if (last)
        free_space(s);
}

static void put_attached(struct mm_file *f)
{
    drop_attached(segment_of(f), true);
}

/* ---- what mm asks ---- */

static int source_of(struct mm_file *f, uint64_t offset, uint64_t size, int prot, bool shared,
                     int *out_fd, uint64_t *out_offset, bool *out_close)
{
    struct mm_file *memory = segment_of(f)->memory;

    return OPS_GET(mm_file_ops, memory->ops)
        ->map_source(memory, offset, size, prot, shared, out_fd, out_offset, out_close);
}

static bool may_write(struct mm_file *f)
{
    return ops_is(f->ops, &shm_writable_ops);
}

static void describe(struct mm_file *f, uint64_t *dev, uint64_t *ino, struct strbuf *sb)
{
    struct shm_segment *g = segment_of(f);

    *dev = 1;
    *ino = (uint64_t)ipc_id(&g->ipc);
    strbuf_printf(sb, "/SYSV%08x (deleted)", (uint32_t)g->ipc.perm.key);
}

static uint64_t identity(struct mm_file *f)
{
    return (uint64_t)segment_of(f)->memory;
}

DEFINE_OPS(mm_file_ops, shm_writable_ops) = {
    .get = get_attached,
    .put = put_attached,
    .map_source = source_of,
    .may_write_shared = may_write,
    .describe = describe,
    .identity = identity,
};

DEFINE_OPS(mm_file_ops, shm_readonly_ops) = {
    .get = get_attached,
    .put = put_attached,
    .map_source = source_of,
    .may_write_shared = may_write,
    .describe = describe,
    .identity = identity,
};

static struct shm_segment *find_locked(struct shm_space *s, int32_t id)
{
    struct ipc_object *o = ipc_find_locked(&s->table, id);

    return o ? container_of(o, struct shm_segment, ipc) : NULL;
}

/* ---- shmget ---- */

static int create_locked(struct task *t, int32_t key, uint64_t size, uint32_t flags,
                         int32_t *out_id)
{
    struct shm_space *s = t->ipc_ns->shm;
    struct shm_segment *g;
    int err;

    if (size == 0 || size > SHM_MAX_BYTES)
        return -EINVAL;
    if (flags & LX_SHM_HUGETLB) /* there are no huge pages to reserve */
        return -ENOMEM;
    g = slab_alloc(&shm_segment_slab);
    if (!g)
        return -ENOMEM;
    g->writable.ops = ops_ref(&shm_writable_ops);
    g->readonly.ops = ops_ref(&shm_readonly_ops);
    g->space = s;
    g->ds = (struct lx_shmid_ds){
        .size = size,
        .ctime = ipc_now(),
    };
    g->creator = pid_mark_of(t->tg);
    err = shm_create(pages_of(g) * PAGE_SIZE, &g->memory);
    if (!err)
        err = ipc_add_locked(&s->table, &g->ipc, t, key, flags);
    if (err) {
        drop_memory(g->memory);
        slab_free(&shm_segment_slab, g);
        return err;
    }
    s->pages += pages_of(g);
    *out_id = ipc_id(&g->ipc);
    return 0;
}

int shm_get_segment(struct task *t, int32_t key, uint64_t size, uint32_t flags, int32_t *out_id)
{
    struct shm_space *s = t->ipc_ns->shm;
    struct ipc_object *o = NULL;
    int err;

    mutex_lock(&s->table.lock);
    err = ipc_get_locked(&s->table, key, flags, &o);
    if (err == 0) {
        err = create_locked(t, key, size, flags, out_id);
    } else if (err > 0) {
        err = container_of(o, struct shm_segment, ipc)->ds.size < size ? -EINVAL : 0;
        if (!err)
            err = ipc_check_rights(t, o, flags & IPC_MODE_BITS);
        *out_id = ipc_id(o);
    }
    mutex_unlock(&s->table.lock);
    return err;
}

/* ---- shmat, shmdt ---- */

/* Where and how, of what may be said before the segment is known. */
static int check_place(uint64_t *addr, uint32_t flags)
{
    if (*addr == 0)
        return flags & LX_SHM_REMAP ? -EINVAL : 0;
    if (*addr & ~PAGE_MASK) {
        if (!(flags & LX_SHM_RND))
            return -EINVAL;
        *addr &= PAGE_MASK;
        if (*addr == 0 && (flags & LX_SHM_REMAP))
            return -EINVAL;
    }
    return 0;
}

static int attach_memory(struct task *t, struct mm_file *f, uint64_t size, uint64_t addr,
                         uint32_t flags, uint64_t *out_addr)
{
    struct mm_map_args map = {
        .addr = addr,
        .size = size,
        .prot = LX_PROT_READ,
        .shared = true,
        .fixed = addr != 0,
        .noreplace = addr != 0 && !(flags & LX_SHM_REMAP),
        .file = f,
    };
    struct mm_limits lim;
    int err;

    if (!(flags & LX_SHM_RDONLY))
        map.prot |= LX_PROT_WRITE;
    if (flags & LX_SHM_EXEC)
        map.prot |= LX_PROT_EXEC;
    task_mm_limits(t, &lim);
    err = mm_map(&t->us, &lim, &map, out_addr);
    return err == -EEXIST ? -EINVAL : err;
}

int shm_attach(struct task *t, int32_t id, uint64_t addr, uint32_t flags, uint64_t *out_addr)
{
    struct shm_space *s = t->ipc_ns->shm;
    uint32_t want = IPC_READ;
    struct shm_segment *g;
    struct mm_file *f = NULL;
    uint64_t size = 0;
    int err = id < 0 ? -EINVAL : check_place(&addr, flags);

    if (err)
        return err;
    want |= flags & LX_SHM_RDONLY ? 0 : IPC_WRITE;
    want |= flags & LX_SHM_EXEC ? IPC_EXECUTE : 0;
    mutex_lock(&s->table.lock);
    g = find_locked(s, id);
    err = g ? ipc_check_rights(t, &g->ipc, want) : -EINVAL;
    if (!err) {
        f = flags & LX_SHM_RDONLY ? &g->readonly : &g->writable;
        size = g->ds.size;
        get_attached(f); /* until it is mapped */
    }
    mutex_unlock(&s->table.lock);
    if (err)
        return err;
    err = attach_memory(t, f, size, addr, flags, out_addr);
    mutex_lock(&s->table.lock);
    if (!err) {
        g->ds.atime = ipc_now();
        g->last = pid_mark_of(t->tg);
    }
    mutex_unlock(&s->table.lock);
    drop_attached(g, false);
    return err;
}

/* What mm_unmap_object asks: bytes of a segment, 0 for other files. */
static uint64_t attached_size(struct mm_file *f)
{
    struct shm_segment *g = segment_of(f);

    return g ? pages_of(g) * PAGE_SIZE : 0;
}

static void note_detach(struct mm_file *f, void *arg)
{
    struct shm_segment *g = segment_of(f);
    struct task *t = arg;

    mutex_lock(&g->space->table.lock);
    g->last = pid_mark_of(t->tg);
    mutex_unlock(&g->space->table.lock);
}

int shm_detach(struct task *t, uint64_t addr)
{
    if (addr & ~PAGE_MASK)
        return -EINVAL;
    return mm_unmap_object(&t->us, addr, attached_size, note_detach, t);
}

/* ---- shmctl ---- */

int shm_stat(struct task *t, int32_t id, bool by_index, bool any, struct lx_shmid_ds *out,
             int32_t *out_id)
{
    struct shm_space *s = t->ipc_ns->shm;
    struct pid_mark creator = {0}, last = {0};
    struct shm_segment *g;
    struct ipc_object *o;
    int err = -EINVAL;

    mutex_lock(&s->table.lock);
    o = by_index ? ipc_at_locked(&s->table, id) : ipc_find_locked(&s->table, id);
    g = o ? container_of(o, struct shm_segment, ipc) : NULL;
    if (g)
        err = any ? 0 : ipc_check_rights(t, &g->ipc, IPC_READ);
    if (!err) {
        *out = g->ds;
        out->perm = g->ipc.perm;
        creator = g->creator;
        last = g->last;
        out->attached = (uint64_t)__atomic_load_n(&g->attached, __ATOMIC_RELAXED);
        *out_id = ipc_id(&g->ipc);
    }
    mutex_unlock(&s->table.lock);
    if (!err) {
        out->cpid = pid_mark_for(t, &creator);
        out->lpid = pid_mark_for(t, &last);
    }
    return err;
}

int shm_set_owner(struct task *t, int32_t id, const struct lx_ipc_perm *perm)
{
    struct shm_space *s = t->ipc_ns->shm;
    struct shm_segment *g;
    int err;

    mutex_lock(&s->table.lock);
    g = find_locked(s, id);
    err = g ? ipc_check_owner(t, &g->ipc) : -EINVAL;
    if (!err)
        err = ipc_set_owner(&g->ipc, perm);
    if (!err)
        g->ds.ctime = ipc_now();
    mutex_unlock(&s->table.lock);
    return err;
}

int shm_remove(struct task *t, int32_t id)
{
    struct shm_space *s = t->ipc_ns->shm;
    struct mm_file *memory = NULL;
    struct shm_segment *g;
    int err = 0;

    mutex_lock(&s->table.lock);
    g = find_locked(s, id);
    err = g ? ipc_check_owner(t, &g->ipc) : -EINVAL;
    if (err) {
        memory = NULL;
    } else if (__atomic_load_n(&g->attached, __ATOMIC_ACQUIRE) == 0) {
        memory = destroy_locked(s, g);
    } else { /* those who have the id may still attach it, nobody finds it by the key */
        g->ipc.perm.mode |= LX_SHM_DEST;
        g->ipc.perm.key = LX_IPC_PRIVATE;
    }
    mutex_unlock(&s->table.lock);
    drop_memory(memory);
    return err;
}

int shm_set_locked(struct task *t, int32_t id, bool locked)
{
    struct shm_space *s = t->ipc_ns->shm;
    struct mm_limits lim;
    struct shm_segment *g;
    int err = 0;

    task_mm_limits(t, &lim);
    mutex_lock(&s->table.lock);
    g = find_locked(s, id);
    if (!g)
        err = -EINVAL;
    else if (!lim.may_lock_any && (!ipc_owns(t, &g->ipc) || (locked && lim.memlock == 0)))
        err = -EPERM;
    else if (!lim.may_lock_any && locked && pages_of(g) > lim.memlock / PAGE_SIZE)
        err = -ENOMEM;
    else if (locked)
        g->ipc.perm.mode |= LX_SHM_LOCKED;
    else
        g->ipc.perm.mode &= ~LX_SHM_LOCKED;
    mutex_unlock(&s->table.lock);
    return err;
}

int32_t shm_limits(struct task *t, struct lx_shminfo *out)
{
    struct shm_space *s = t->ipc_ns->shm;
    int32_t highest;

    *out = (struct lx_shminfo){
        .max = SHM_MAX_BYTES,
        .min = 1,
        .segments = SHM_MAX_SEGMENTS,
        .per_process = SHM_MAX_SEGMENTS,
        .all = SHM_MAX_BYTES,
    };
    mutex_lock(&s->table.lock);
    highest = ipc_highest_locked(&s->table);
    mutex_unlock(&s->table.lock);
    return highest;
}

/* Pages of it that the host has in memory. */
static uint64_t resident_locked(struct shm_segment *g)
{
    struct host_stat st;
    uint64_t at;
    bool close;
    int fd;

    if (source_of(&g->writable, 0, 1, LX_PROT_READ, true, &fd, &at, &close) || host_fstat(fd, &st))
        return 0;
    return st.blocks * 512 / PAGE_SIZE;
}

uint64_t shm_resident(struct task *t, int32_t index)
{
    struct shm_space *s = t->ipc_ns->shm;
    struct ipc_object *o;
    uint64_t pages;

    mutex_lock(&s->table.lock);
    o = ipc_at_locked(&s->table, index);
    pages = o ? resident_locked(container_of(o, struct shm_segment, ipc)) : 0;
    mutex_unlock(&s->table.lock);
    return pages;
}

int32_t shm_usage(struct task *t, struct lx_shm_info *out)
{
    struct shm_space *s = t->ipc_ns->shm;
    int32_t highest;

    *out = (struct lx_shm_info){0};
    mutex_lock(&s->table.lock);
    out->used = (int32_t)s->table.indices.used;
    out->total = s->pages;
    highest = ipc_highest_locked(&s->table);
    for (int32_t i = 0; i <= highest; i++) {
        struct ipc_object *o = ipc_at_locked(&s->table, i);

        if (o)
            out->resident += resident_locked(container_of(o, struct shm_segment, ipc));
    }
    mutex_unlock(&s->table.lock);
    return highest;
}

/* ---- the table ---- */

int shm_space_create(uint32_t *alive, struct shm_space **out)
{
    struct shm_space *s = kmalloc(sizeof(*s));

    if (!s)
        return -ENOMEM;
    ipc_table_init(&s->table, SHM_MAX_SEGMENTS);
    s->pages = 0;
    s->abandoned = false;
    s->alive = alive;
    __atomic_add_fetch(alive, 1, __ATOMIC_RELAXED);
    *out = s;
    return 0;
}

/* Takes one out that nobody has attached, from *at on; the others go with their last attachment. */
static struct mm_file *take_unattached_locked(struct shm_space *s, int32_t *at, int32_t highest)
{
    for (; *at <= highest; (*at)++) {
        struct ipc_object *o = ipc_at_locked(&s->table, *at);
        struct shm_segment *g = o ? container_of(o, struct shm_segment, ipc) : NULL;

        if (g && !__atomic_load_n(&g->attached, __ATOMIC_ACQUIRE))
            return destroy_locked(s, g);
        if (g)
            g->ipc.perm.mode |= LX_SHM_DEST;
    }
    return NULL;
}

void shm_space_destroy(struct shm_space *s)
{
    struct mm_file *memory;
    int32_t at = 0, highest;
    bool empty;

    mutex_lock(&s->table.lock);
    highest = ipc_highest_locked(&s->table);
    mutex_unlock(&s->table.lock);

    do {
        mutex_lock(&s->table.lock);
        memory = take_unattached_locked(s, &at, highest);
        empty = !s->table.indices.used;
        s->abandoned = !memory; /* from then on the last attachment's end frees it */
        mutex_unlock(&s->table.lock);
        drop_memory(memory);
    } while (memory);
    if (empty)
        free_space(s);
}
