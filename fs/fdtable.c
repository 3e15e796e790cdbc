/*
 * Descriptor tables. The lock guards the slots; files are put outside it. Closing drops the table's
 * POSIX locks on the file, whose owner is the table.
 */
#include "fs/fdtable.h"

#include "fs/file.h"
#include "fs/filelock.h"
#include "sentry/abi/errno.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"

#define FIRST_CAPACITY 64U
#define CAPACITY_MAX   (KMALLOC_MAX / sizeof(struct fd_slot))

SLAB_TYPE(fdtable_slab, struct fdtable);

static struct fdtable *alloc_table(uint32_t capacity)
{
    struct fdtable *t = slab_alloc(&fdtable_slab);

    if (!t)
        return NULL;
    ref_init(&t->ref);
    mutex_init(&t->lock, RANK_FDTABLE);
    t->slots = kmalloc(capacity * sizeof(struct fd_slot));
    t->capacity = capacity;
    if (!t->slots) {
        slab_free(&fdtable_slab, t);
        return NULL;
    }
    return t;
}

struct fdtable *fdtable_create(void)
{
    return alloc_table(FIRST_CAPACITY);
}

struct fdtable *fdtable_get(struct fdtable *t)
{
    ref_get(&t->ref);
    return t;
}

/* What close(2) does with the file a slot held. */
static int close_file(struct fdtable *t, struct file *f)
{
    int err = 0;

    if (!(f->mode & FMODE_PATH)) {
        if (file_ops_of(f)->flush)
            err = file_ops_of(f)->flush(f);
        if (f->inode)
            filelocks_release_posix(f->inode, t);
    }
    file_put(f);
    return err;
}

void fdtable_put(struct fdtable *t)
{
    if (!t || !ref_put(&t->ref))
        return;
    for (uint32_t i = 0; i < t->capacity; i++) {
        if (t->slots[i].file)
            (void)close_file(t, t->slots[i].file);
    }
    kfree(t->slots);
    slab_free(&fdtable_slab, t);
}

static int grow_locked(struct fdtable *t, uint32_t fd)
{
    uint32_t capacity = t->capacity;
    struct fd_slot *slots;

    if (fd < capacity)
        return 0;
    if (fd >= CAPACITY_MAX)
        return -EMFILE;
    while (capacity <= fd)
        capacity *= 2;
    capacity = MIN(capacity, (uint32_t)CAPACITY_MAX);
    slots = krealloc(t->slots, t->capacity * sizeof(*slots), capacity * sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    memset(slots + t->capacity, 0, (capacity - t->capacity) * sizeof(*slots));
    t->slots = slots;
    t->capacity = capacity;
    return 0;
}

static uint32_t find_free_locked(const struct fdtable *t, uint32_t floor)
{
    uint32_t fd = MAX(floor, t->first_free);

    while (fd < t->capacity && t->slots[fd].file)
        fd++;
    return fd;
}

static void fill_locked(struct fdtable *t, uint32_t fd, struct file *f, bool cloexec)
{
    t->slots[fd] = (struct fd_slot){f, cloexec};
    t->open_count++;
}

static struct file *take_locked(struct fdtable *t, uint32_t fd)
{
    struct file *f = fd < t->capacity ? t->slots[fd].file : NULL;

    if (!f)
        return NULL;
    t->slots[fd] = (struct fd_slot){NULL, false};
    t->first_free = MIN(t->first_free, fd);
    t->open_count--;
    return f;
}

/* As large as t needs to be for what is open now. */
static uint32_t used_capacity(struct fdtable *t)
{
    uint32_t capacity = FIRST_CAPACITY, last = 0;

    mutex_lock(&t->lock);
    for (uint32_t i = 0; i < t->capacity; i++) {
        if (t->slots[i].file)
            last = i;
    }
    mutex_unlock(&t->lock);
    while (capacity <= last)
        capacity *= 2;
    return MIN(capacity, (uint32_t)CAPACITY_MAX);
}

int fdtable_copy(struct fdtable *t, struct fdtable **out)
{
    struct fdtable *copy = alloc_table(used_capacity(t));

    if (!copy)
        return -ENOMEM;
    mutex_lock(&t->lock);
    for (uint32_t i = 0; i < t->capacity; i++) {
        int err;

        if (!t->slots[i].file)
            continue;
        err = grow_locked(copy, i); /* another thread may have opened more meanwhile */
        if (err < 0) {
            mutex_unlock(&t->lock);
            fdtable_put(copy);
            return err;
        }
        fill_locked(copy, i, file_get(t->slots[i].file), t->slots[i].cloexec);
    }
    copy->first_free = find_free_locked(copy, 0);
    mutex_unlock(&t->lock);
    *out = copy;
    return 0;
}

struct file *fdtable_file(struct fdtable *t, int fd, bool allow_path)
{
    struct file *f = NULL;

    mutex_lock(&t->lock);
    if (fd >= 0 && (uint32_t)fd < t->capacity)
        f = t->slots[fd].file;
    if (f && (f->mode & FMODE_PATH) && !allow_path)
        f = NULL;
    if (f)
        file_get(f);
    mutex_unlock(&t->lock);
    return f;
}

int fdtable_install(struct fdtable *t, struct file *f, int floor, bool cloexec, uint64_t limit)
{
    uint32_t fd;
    int err;

    if (floor < 0)
        return -EINVAL;
    mutex_lock(&t->lock);
    fd = find_free_locked(t, (uint32_t)floor);
    err = fd >= limit || fd > INT32_MAX ? -EMFILE : grow_locked(t, fd);
    if (err == 0) {
        fill_locked(t, fd, f, cloexec);
        if ((uint32_t)floor <= t->first_free) /* all below fd were looked at, and are taken */
            t->first_free = fd + 1;
    }
    mutex_unlock(&t->lock);
    return err < 0 ? err : (int)fd;
}

int fdtable_replace(struct fdtable *t, int fd, struct file *f, bool cloexec, uint64_t limit)
{
    struct file *old = NULL;
    int err;

    if (fd < 0 || (uint64_t)fd >= limit)
        return -EBADF;
    mutex_lock(&t->lock);
    err = grow_locked(t, (uint32_t)fd);
    if (err == 0) {
        old = take_locked(t, (uint32_t)fd);
        fill_locked(t, (uint32_t)fd, f, cloexec);
    }
    mutex_unlock(&t->lock);
    if (old)
        (void)close_file(t, old); /* dup2 hides close errors */
    return err < 0 ? (err == -EMFILE ? -EBADF : err) : fd;
}

int fdtable_close(struct fdtable *t, int fd)
{
    struct file *f;

    if (fd < 0)
        return -EBADF;
    mutex_lock(&t->lock);
    f = take_locked(t, (uint32_t)fd);
    mutex_unlock(&t->lock);
    return f ? close_file(t, f) : -EBADF;
}

/* Closes the first descriptor in [from, last] that qualifies; where to go on, or UINT32_MAX at the
 * end. */
static uint32_t close_next(struct fdtable *t, uint32_t from, uint32_t last, bool cloexec_only)
{
    struct file *f = NULL;
    uint32_t i;

    mutex_lock(&t->lock);
    for (i = from; i < t->capacity && i <= last; i++) {
        if (t->slots[i].file && (!cloexec_only || t->slots[i].cloexec)) {
            f = take_locked(t, i);
            break;
        }
    }
    mutex_unlock(&t->lock);
    if (!f)
        return UINT32_MAX;
    (void)close_file(t, f);
    return i + 1;
}

void fdtable_close_range(struct fdtable *t, uint32_t first, uint32_t last, bool set_cloexec)
{
    if (!set_cloexec) {
        while (first <= last && first != UINT32_MAX)
            first = close_next(t, first, last, false);
        return;
    }
    mutex_lock(&t->lock);
    for (uint32_t i = first; i < t->capacity && i <= last; i++) {
        if (t->slots[i].file)
            t->slots[i].cloexec = true;
    }
    mutex_unlock(&t->lock);
}

void fdtable_close_on_exec(struct fdtable *t)
{
    uint32_t from = 0;

    while (from != UINT32_MAX)
        from = close_next(t, from, UINT32_MAX - 1, true);
}

int fdtable_get_cloexec(struct fdtable *t, int fd)
{
    int result = -EBADF;

    mutex_lock(&t->lock);
    if (fd >= 0 && (uint32_t)fd < t->capacity && t->slots[fd].file)
        result = t->slots[fd].cloexec;
    mutex_unlock(&t->lock);
    return result;
}

int fdtable_set_cloexec(struct fdtable *t, int fd, bool on)
{
    int result = -EBADF;

    mutex_lock(&t->lock);
    if (fd >= 0 && (uint32_t)fd < t->capacity && t->slots[fd].file) {
        t->slots[fd].cloexec = on;
        result = 0;
    }
    mutex_unlock(&t->lock);
    return result;
}

int fdtable_next(struct fdtable *t, int from)
{
    int result = -1;

    mutex_lock(&t->lock);
    for (uint32_t i = from < 0 ? 0 : (uint32_t)from; i < t->capacity; i++) {
        if (t->slots[i].file) {
            result = (int)i;
            break;
        }
    }
    mutex_unlock(&t->lock);
    return result;
}
