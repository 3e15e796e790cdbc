/*
 * System V shared memory: the table of segments, their rights, attaching and detaching. Not here:
 * the memory itself (mm/shm.c) and what the system calls decode (syscalls/sys_shm.c). A locked
 * segment is marked so, no more. The last process is told apart where it attaches or detaches by a
 * call; one that exits is not noted.
 *
 * Locks: shm_space.lock (rank OBJ) guards the table and every segment but its count of attachments,
 * which grows without it by those who hold one already (mm's copies).
 */
#include "sentry/kernel/shm.h"

#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/mman.h"
#include "sentry/abi/sched.h"
#include "sentry/abi/time_num.h"
#include "sentry/base/arena.h"
#include "sentry/base/cred.h"
#include "sentry/base/fmt.h"
#include "sentry/base/idalloc.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"
#include "sentry/kernel/kernel.h"
#include "sentry/mm/mm.h"

#define ID_SHIFT  15 /* an id: sequence number, index */
#define SEQ_MAX   (INT32_MAX >> ID_SHIFT)
#define READABLE  0444U
#define WRITABLE  0222U
#define RUNNABLE  0111U
#define MODE_BITS 0777U

struct shm_segment {
    struct mm_file writable, readonly; /* what mappings refer to, by how they were attached */
    struct shm_space *space;
    struct mm_file *memory; /* one reference */
    struct lx_shmid_ds ds;  /* attached, cpid, lpid: not kept */
    struct pid_mark creator, last;
    int32_t index;
    int32_t attached; /* atomic */
};

struct shm_space {
    struct mutex lock;
    struct idalloc indices;
    uint32_t seq, last_index;
    uint64_t pages;
    struct shm_segment *segments[SHM_MAX_SEGMENTS];
};

SLAB_TYPE(shm_segment_slab, struct shm_segment);
#define SPACE_ORDER 4
_Static_assert(sizeof(struct shm_space) <= PAGE_SIZE << SPACE_ORDER, "the table's size");

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

static int64_t now(void)
{
    return (int64_t)(host_clock_ns(LX_CLOCK_REALTIME) / 1000000000U);
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

    s->segments[g->index] = NULL;
    idalloc_put(&s->indices, (uint32_t)g->index);
    s->pages -= pages_of(g);
    slab_free(&shm_segment_slab, g);
    return memory;
}

static void get_attached(struct mm_file *f)
{
    __atomic_fetch_add(&segment_of(f)->attached, 1, __ATOMIC_RELAXED);
}

static void drop_attached(struct shm_segment *g, bool detached)
{
    struct shm_space *s = g->space;
    struct mm_file *memory = NULL;

    mutex_lock(&s->lock);
    if (detached)
        g->ds.dtime = now();
    if (__atomic_sub_fetch(&g->attached, 1, __ATOMIC_ACQ_REL) == 0 &&
        (g->ds.perm.mode & LX_SHM_DEST))
        memory = destroy_locked(s, g);
    mutex_unlock(&s->lock);
    drop_memory(memory);
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
    *ino = ((uint64_t)g->ds.perm.seq << ID_SHIFT) + (uint64_t)g->index;
    strbuf_printf(sb, "/SYSV%08x (deleted)", (uint32_t)g->ds.perm.key);
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

/* ---- look-up and rights; space.lock held ---- */

static int32_t id_of(const struct shm_segment *g)
{
    return (int32_t)((uint32_t)g->ds.perm.seq << ID_SHIFT) + g->index;
}

static struct shm_segment *find_locked(struct shm_space *s, int32_t id)
{
    uint32_t index = (uint32_t)id & ((1U << ID_SHIFT) - 1);
    struct shm_segment *g = id < 0 || index >= SHM_MAX_SEGMENTS ? NULL : s->segments[index];

    return g && id_of(g) == id ? g : NULL;
}

static struct shm_segment *find_key_locked(struct shm_space *s, int32_t key)
{
    for (uint32_t i = 0; i < SHM_MAX_SEGMENTS; i++) {
        if (s->segments[i] && s->segments[i]->ds.perm.key == key)
            return s->segments[i];
    }
    return NULL;
}

/* want: rights in all three places, or any: those of the fitting one count. */
static int check_rights(const struct task *t, const struct shm_segment *g, uint32_t want)
{
    const struct lx_ipc_perm *p = &g->ds.perm;
    const struct cred *c = t->cred;
    uint32_t granted = p->mode;

    want = want >> 6 | want >> 3 | want;
    if (c->euid == p->cuid || c->euid == p->uid)
        granted >>= 6;
    else if (cred_in_group(c, p->cgid) || cred_in_group(c, p->gid))
        granted >>= 3;
    if ((want & ~granted & 07) && !cred_capable(c, LX_CAP_IPC_OWNER))
        return -EACCES;
    return 0;
}

static bool owns(const struct task *t, const struct shm_segment *g)
{
    return t->cred->euid == g->ds.perm.uid || t->cred->euid == g->ds.perm.cuid;
}

/* ---- shmget ---- */

static int take_index_locked(struct shm_space *s, struct shm_segment *g)
{
    uint32_t index;
    int err = idalloc_get_cyclic(&s->indices, 0, &index);

    if (err < 0)
        return err;
    if (s->last_index != UINT32_MAX && index <= s->last_index)
        s->seq = s->seq >= SEQ_MAX ? 0 : s->seq + 1;
    s->last_index = index;
    g->index = (int32_t)index;
    g->ds.perm.seq = (uint16_t)s->seq;
    s->segments[index] = g;
    s->pages += pages_of(g);
    return 0;
}

static int create_locked(struct task *t, int32_t key, uint64_t size, uint32_t flags,
                         int32_t *out_id)
{
    struct shm_space *s = kernel_of(t)->shm;
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
        .perm = {.key = key,
                 .uid = t->cred->euid,
                 .gid = t->cred->egid,
                 .cuid = t->cred->euid,
                 .cgid = t->cred->egid,
                 .mode = flags & MODE_BITS},
        .size = size,
        .ctime = now(),
    };
    g->creator = pid_mark_of(t->tg);
    err = shm_create(pages_of(g) * PAGE_SIZE, &g->memory);
    if (!err)
        err = take_index_locked(s, g);
    if (err) {
        drop_memory(g->memory);
        slab_free(&shm_segment_slab, g);
        return err;
    }
    *out_id = id_of(g);
    return 0;
}

static int existing(struct task *t, const struct shm_segment *g, uint64_t size, uint32_t flags,
                    int32_t *out_id)
{
    if ((flags & LX_IPC_CREAT) && (flags & LX_IPC_EXCL))
        return -EEXIST;
    if (g->ds.size < size)
        return -EINVAL;
    *out_id = id_of(g);
    return check_rights(t, g, flags & MODE_BITS);
}

int shm_get_segment(struct task *t, int32_t key, uint64_t size, uint32_t flags, int32_t *out_id)
{
    struct shm_space *s = kernel_of(t)->shm;
    struct shm_segment *g;
    int err;

    mutex_lock(&s->lock);
    g = key == LX_IPC_PRIVATE ? NULL : find_key_locked(s, key);
    if (g)
        err = existing(t, g, size, flags, out_id);
    else if (key != LX_IPC_PRIVATE && !(flags & LX_IPC_CREAT))
        err = -ENOENT;
    else
        err = create_locked(t, key, size, flags, out_id);
    mutex_unlock(&s->lock);
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
    struct shm_space *s = kernel_of(t)->shm;
    uint32_t want = READABLE;
    struct shm_segment *g;
    struct mm_file *f = NULL;
    uint64_t size = 0;
    int err = id < 0 ? -EINVAL : check_place(&addr, flags);

    if (err)
        return err;
    want |= flags & LX_SHM_RDONLY ? 0 : WRITABLE;
    want |= flags & LX_SHM_EXEC ? RUNNABLE : 0;
    mutex_lock(&s->lock);
    g = find_locked(s, id);
    err = g ? check_rights(t, g, want) : -EINVAL;
    if (!err) {
        f = flags & LX_SHM_RDONLY ? &g->readonly : &g->writable;
        size = g->ds.size;
        get_attached(f); /* until it is mapped */
    }
    mutex_unlock(&s->lock);
    if (err)
        return err;
    err = attach_memory(t, f, size, addr, flags, out_addr);
    mutex_lock(&s->lock);
    if (!err) {
        g->ds.atime = now();
        g->last = pid_mark_of(t->tg);
    }
    mutex_unlock(&s->lock);
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

    mutex_lock(&g->space->lock);
    g->last = pid_mark_of(t->tg);
    mutex_unlock(&g->space->lock);
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
    struct shm_space *s = kernel_of(t)->shm;
    struct pid_mark creator = {0}, last = {0};
    struct shm_segment *g;
    int err = -EINVAL;

    mutex_lock(&s->lock);
    if (by_index)
        g = id < 0 || id >= SHM_MAX_SEGMENTS ? NULL : s->segments[id];
    else
        g = find_locked(s, id);
    if (g)
        err = any ? 0 : check_rights(t, g, READABLE);
    if (!err) {
        *out = g->ds;
        creator = g->creator;
        last = g->last;
        out->attached = (uint64_t)__atomic_load_n(&g->attached, __ATOMIC_RELAXED);
        *out_id = id_of(g);
    }
    mutex_unlock(&s->lock);
    if (!err) {
        out->cpid = pid_mark_for(t, &creator);
        out->lpid = pid_mark_for(t, &last);
    }
    return err;
}

int shm_set_owner(struct task *t, int32_t id, const struct lx_ipc_perm *perm)
{
    struct shm_space *s = kernel_of(t)->shm;
    struct shm_segment *g;
    int err = 0;

    mutex_lock(&s->lock);
    g = find_locked(s, id);
    if (!g) {
        err = -EINVAL;
    } else if (!owns(t, g) && !cred_capable(t->cred, LX_CAP_SYS_ADMIN)) {
        err = -EPERM;
    } else if (perm->uid == UINT32_MAX || perm->gid == UINT32_MAX) {
        err = -EINVAL;
    } else {
        g->ds.perm.uid = perm->uid;
        g->ds.perm.gid = perm->gid;
        g->ds.perm.mode = (g->ds.perm.mode & ~MODE_BITS) | (perm->mode & MODE_BITS);
        g->ds.ctime = now();
    }
    mutex_unlock(&s->lock);
    return err;
}

int shm_remove(struct task *t, int32_t id)
{
    struct shm_space *s = kernel_of(t)->shm;
    struct mm_file *memory = NULL;
    struct shm_segment *g;
    int err = 0;

    mutex_lock(&s->lock);
    g = find_locked(s, id);
    if (!g) {
        err = -EINVAL;
    } else if (!owns(t, g) && !cred_capable(t->cred, LX_CAP_SYS_ADMIN)) {
        err = -EPERM;
    } else if (__atomic_load_n(&g->attached, __ATOMIC_ACQUIRE) == 0) {
        memory = destroy_locked(s, g);
    } else { /* those who have the id may still attach it, nobody finds it by the key */
        g->ds.perm.mode |= LX_SHM_DEST;
        g->ds.perm.key = LX_IPC_PRIVATE;
    }
    mutex_unlock(&s->lock);
    drop_memory(memory);
    return err;
}

int shm_set_locked(struct task *t, int32_t id, bool locked)
{
    struct shm_space *s = kernel_of(t)->shm;
    struct mm_limits lim;
    struct shm_segment *g;
    int err = 0;

    task_mm_limits(t, &lim);
    mutex_lock(&s->lock);
    g = find_locked(s, id);
    if (!g)
        err = -EINVAL;
    else if (!lim.may_lock_any && (!owns(t, g) || (locked && lim.memlock == 0)))
        err = -EPERM;
    else if (!lim.may_lock_any && locked && pages_of(g) > lim.memlock / PAGE_SIZE)
        err = -ENOMEM;
    else if (locked)
        g->ds.perm.mode |= LX_SHM_LOCKED;
    else
        g->ds.perm.mode &= ~LX_SHM_LOCKED;
    mutex_unlock(&s->lock);
    return err;
}

static int32_t highest_locked(const struct shm_space *s)
{
    for (int32_t i = SHM_MAX_SEGMENTS - 1; i > 0; i--) {
        if (s->segments[i])
            return i;
    }
    return 0;
}

int32_t shm_limits(struct task *t, struct lx_shminfo *out)
{
    struct shm_space *s = kernel_of(t)->shm;
    int32_t highest;

    *out = (struct lx_shminfo){
        .max = SHM_MAX_BYTES,
        .min = 1,
        .segments = SHM_MAX_SEGMENTS,
        .per_process = SHM_MAX_SEGMENTS,
        .all = SHM_MAX_BYTES,
    };
    mutex_lock(&s->lock);
    highest = highest_locked(s);
    mutex_unlock(&s->lock);
    return highest;
}

int32_t shm_usage(struct task *t, struct lx_shm_info *out)
{
    struct shm_space *s = kernel_of(t)->shm;
    int32_t highest;

    *out = (struct lx_shm_info){0};
    mutex_lock(&s->lock);
    out->used = (int32_t)s->indices.used;
    out->total = s->pages;
    highest = highest_locked(s);
    for (int32_t i = 0; i <= highest; i++) {
        int fd;
        uint64_t at;
        bool close;
        struct host_stat st;
        struct shm_segment *g = s->segments[i];

        if (g && source_of(&g->writable, 0, 1, LX_PROT_READ, true, &fd, &at, &close) == 0 &&
            host_fstat(fd, &st) == 0)
            out->resident += st.blocks * 512 / PAGE_SIZE;
    }
    mutex_unlock(&s->lock);
    return highest;
}

/* ---- the table ---- */

int shm_space_create(struct shm_space **out)
{
    struct shm_space *s = page_alloc(SPACE_ORDER);

    if (!s)
        return -ENOMEM;
    memset(s, 0, sizeof(*s));
    mutex_init(&s->lock, RANK_OBJ);
    idalloc_init(&s->indices, SHM_MAX_SEGMENTS);
    s->last_index = UINT32_MAX;
    *out = s;
    return 0;
}

void shm_space_destroy(struct shm_space *s)
{
    for (uint32_t i = 0; i < SHM_MAX_SEGMENTS; i++) {
        if (s->segments[i])
            drop_memory(destroy_locked(s, s->segments[i]));
    }
    idalloc_destroy(&s->indices);
    page_free(s, SPACE_ORDER);
}
