/*
 * The table of segments: found by the file's identity, counted, and handed to the worker when calls
 * from them trap often. Freestanding. Locks: grow, a spin word held for a walk of the table and a
 * host call or two.
 */
#include "platform/patch/patch.h"

#include <linux/fcntl.h>

#include "platform/host/host.h"

struct patch_table {
    uint32_t grow;
    uint32_t count;
    uint32_t work; /* bumped for each new job; the worker sleeps on it */
    uint32_t stopped;
    uint32_t pieces_used;
    struct patch_file file[PATCH_FILES_MAX];
    struct patch_site_count site[PATCH_SITE_COUNTS];
    struct patch_piece pieces[];
};

#define PIECES_MAX ((PATCH_TABLE_SIZE - sizeof(struct patch_table)) / sizeof(struct patch_piece))

struct patch_table *patch_table_init(void *memory)
{
    return memory;
}

static bool key_of(int fd, uint64_t offset, uint64_t length, struct patch_key *key)
{
    struct host_stat st;

    if (host_fstat(fd, &st) < 0 || (st.mode & 0170000) != 0100000 || length > UINT32_MAX)
        return false;
    *key = (struct patch_key){st.dev, st.ino, st.size, st.mtime_ns, st.ctime_ns, offset, length};
    return true;
}

static struct patch_file *find(struct patch_table *t, const struct patch_key *k)
{
    uint32_t count = __atomic_load_n(&t->count, __ATOMIC_ACQUIRE);

    for (uint32_t i = 0; i < count; i++) {
        const struct patch_key *e = &t->file[i].key;

        if (e->ino == k->ino && e->offset == k->offset && e->length == k->length &&
            e->dev == k->dev && e->size == k->size && e->mtime_ns == k->mtime_ns &&
            e->ctime_ns == k->ctime_ns)
            return &t->file[i];
    }
    return NULL;
}

static void lock(struct patch_table *t)
{
    while (__atomic_exchange_n(&t->grow, 1, __ATOMIC_ACQUIRE))
        __builtin_ia32_pause();
}

static void unlock(struct patch_table *t)
{
    __atomic_store_n(&t->grow, 0, __ATOMIC_RELEASE);
}

static uint32_t state_of(const struct patch_file *f)
{
    return __atomic_load_n(&f->state, __ATOMIC_ACQUIRE);
}

/* A place for a new entry: an unused one, or one that nobody maps and that came to nothing. */
static struct patch_file *place(struct patch_table *t)
{
    if (t->count < PATCH_FILES_MAX)
        return &t->file[t->count];
    for (uint32_t i = 0; i < PATCH_FILES_MAX; i++) {
        uint32_t state = state_of(&t->file[i]);

        if (!t->file[i].refs && (state == PATCH_COUNTING || state == PATCH_LEFT))
            return &t->file[i];
    }
    return NULL;
}

static struct patch_file *add(struct patch_table *t, const struct patch_key *key, int fd)
{
    struct patch_file *f = place(t);
    int64_t copy = f ? host_fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1;

    if (copy < 0)
        return NULL;
    *f = (struct patch_file){.key = *key, .fd = (int32_t)copy, .image = -1};
    if (f == &t->file[t->count])
        __atomic_store_n(&t->count, t->count + 1, __ATOMIC_RELEASE);
    return f;
}

struct patch_file *patch_lookup(struct patch_table *t, int fd, uint64_t offset, uint64_t length)
{
    struct patch_key key;
    struct patch_file *f;

    if (!key_of(fd, offset, length, &key))
        return NULL;
    lock(t);
    f = find(t, &key);
    if (!f)
        f = add(t, &key, fd);
    else if (state_of(f) == PATCH_LEFT)
        f = NULL;
    else if (f->fd < 0 && (f->fd = (int32_t)host_fcntl(fd, F_DUPFD_CLOEXEC, 3)) < 0)
        f = NULL;
    if (f)
        f->refs++;
    unlock(t);
    return f;
}

void patch_get(struct patch_table *t, struct patch_file *f)
{
    lock(t);
    f->refs++;
    unlock(t);
}

void patch_put(struct patch_table *t, struct patch_file *f)
{
    lock(t);
    if (--f->refs == 0 && state_of(f) == PATCH_COUNTING && f->fd >= 0) {
        host_close(f->fd);
        f->fd = -1;
    }
    unlock(t);
}

void patch_trapped(struct patch_table *t, struct patch_file *f)
{
    uint32_t counting = PATCH_COUNTING;

    if (__atomic_add_fetch(&f->traps, 1, __ATOMIC_RELAXED) < PATCH_THRESHOLD(f->key.length) ||
        __atomic_load_n(&f->state, __ATOMIC_RELAXED) != PATCH_COUNTING)
        return;
    if (!__atomic_compare_exchange_n(&f->state, &counting, PATCH_WANTED, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_RELAXED))
        return;
    __atomic_add_fetch(&t->work, 1, __ATOMIC_SEQ_CST);
    host_futex_wake(&t->work, 1);
}

struct patch_file *patch_next_job(struct patch_table *t)
{
    for (;;) {
        uint32_t seen = __atomic_load_n(&t->work, __ATOMIC_SEQ_CST);
        uint32_t count = __atomic_load_n(&t->count, __ATOMIC_ACQUIRE);

        if (__atomic_load_n(&t->stopped, __ATOMIC_SEQ_CST))
            return NULL;
        for (uint32_t i = 0; i < count; i++) {
            if (__atomic_load_n(&t->file[i].state, __ATOMIC_ACQUIRE) == PATCH_WANTED)
                return &t->file[i];
        }
        host_futex_wait(&t->work, seen, UINT64_MAX);
    }
}

void patch_table_stop(struct patch_table *t)
{
    __atomic_store_n(&t->stopped, 1, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&t->work, 1, __ATOMIC_SEQ_CST);
    host_futex_wake(&t->work, 1);
}

struct patch_piece *patch_pieces(struct patch_table *t, uint32_t count, uint32_t *out_at)
{
    if (count > PIECES_MAX - t->pieces_used)
        return NULL;
    *out_at = t->pieces_used;
    t->pieces_used += count;
    return &t->pieces[*out_at];
}

bool patch_back(const struct patch_table *t, const struct patch_file *f, uint32_t at,
                uint32_t *back)
{
    const struct patch_piece *p = &t->pieces[f->pieces_at];
    uint32_t low = 0, high = f->piece_count;

    while (low < high) { /* the last piece that starts at or below at */
        uint32_t middle = (low + high) / 2;

        if (p[middle].piece <= at)
            low = middle + 1;
        else
            high = middle;
    }
    if (!low)
        return false;
    p += low - 1;
    at -= p->piece;
    if (at >= p->size)
        return false;
    *back = p->back == PATCH_BACK_RCX ? p->back : p->back + MIN(at, p->moved);
    return true;
}

/* A lost race counts a few calls for another site. */
void patch_count_site(struct patch_table *t, struct patch_file *f, uint32_t at, bool patched)
{
    uint32_t file = (uint32_t)(f - t->file), slot = (at ^ file * 977) * 2654435761U;

    for (unsigned i = 0; i < 16; i++) {
        struct patch_site_count *c = &t->site[(slot + i) % PATCH_SITE_COUNTS];

        if (c->at && (c->at != at || c->file != file))
            continue;
        c->file = file;
        c->at = at;
        __atomic_add_fetch(patched ? &c->by_patch : &c->by_trap, 1, __ATOMIC_RELAXED);
        return;
    }
}

const struct patch_site_count *patch_site_counts(const struct patch_table *t)
{
    return t->site;
}

void patch_totals(const struct patch_table *t, struct patch_stats *out)
{
    uint32_t count = __atomic_load_n(&t->count, __ATOMIC_ACQUIRE);

    for (uint32_t i = 0; i < count; i++) {
        if (!patch_is_ready(&t->file[i]))
            continue;
        out->files++;
        out->sites += t->file[i].sites;
    }
}

struct patch_file *patch_file_at(struct patch_table *t, uint32_t index)
{
    return index < __atomic_load_n(&t->count, __ATOMIC_ACQUIRE) ? &t->file[index] : NULL;
}
