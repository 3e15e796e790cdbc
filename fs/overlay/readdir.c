/*
 * overlay: reading directories. The merged list (upper's names, then lower's that upper neither has
 * nor hides) is made when reading starts at position 0 and kept with the open file; positions are
 * indexes into it. Takes no locks of its own: the reader holds the file's.
 */
#include "fs/overlay/overlay_int.h"
#include "sentry/abi/errno.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"

struct entry {
    uint32_t name; /* offset into names */
    uint32_t name_size;
    uint64_t ino;
    uint32_t type;
    bool hidden; /* a whiteout */
};

struct merged {
    struct dir_filler filler; /* first: what the real directories fill */
    struct entry *entries;    /* in the order found */
    uint32_t *sorted;         /* indexes of upper's by name, where lower's are to be looked up */
    uint32_t count, capacity, sorted_count;
    bool sort;
    char *names;
    uint32_t names_size, names_capacity;
    int error;
};

#define MAX_ENTRIES (1u << 20)

static void merged_free(struct merged *m)
{
    kfree(m->entries);
    kfree(m->sorted);
    kfree(m->names);
    kfree(m);
}

static int compare(const struct merged *m, const struct entry *e, const char *name, size_t size)
{
    size_t n = MIN((size_t)e->name_size, size);
    int c = cv_memcmp(m->names + e->name, name, n);

    return c ? c : (int)e->name_size - (int)size;
}

/* Where name is, or would go, in sorted order. */
static uint32_t find(const struct merged *m, const char *name, size_t size, bool *found)
{
    uint32_t low = 0, high = m->sorted_count;

    *found = false;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        int c = compare(m, &m->entries[m->sorted[mid]], name, size);

        if (c == 0) {
            *found = true;
            return mid;
        }
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static int reserve(struct merged *m, size_t name_size)
{
    if (m->count == m->capacity) {
        uint32_t more = m->capacity ? m->capacity * 2 : 64;
        struct entry *entries =
            more > MAX_ENTRIES
                ? NULL
                : krealloc(m->entries, m->capacity * sizeof(*entries), more * sizeof(*entries));
        uint32_t *sorted;

        if (!entries)
            return -ENOMEM;
        m->entries = entries;
        sorted = krealloc(m->sorted, m->capacity * sizeof(*sorted), more * sizeof(*sorted));
        if (!sorted)
            return -ENOMEM;
        m->sorted = sorted;
        m->capacity = more;
    }
    if (m->names_size + name_size + 1 > m->names_capacity) {
        uint32_t more = MAX(m->names_capacity * 2, 4096u);
        char *names = krealloc(m->names, m->names_capacity, more);

        if (!names)
            return -ENOMEM;
        m->names = names;
        m->names_capacity = more;
    }
    return 0;
}

static bool fill(struct dir_filler *df, const char *name, size_t size, uint64_t ino, uint32_t type,
                 uint64_t cookie)
{
    struct merged *m = (struct merged *)df;
    bool found = false;
    uint32_t at = m->sort || m->sorted_count ? find(m, name, size, &found) : 0;
    struct entry *e;

    if (found) {
        struct entry *above = &m->entries[m->sorted[at]];

        if (above->type == LX_S_IFDIR >> 12 && type == LX_S_IFDIR >> 12)
            above->ino = ino; /* joined directories have the lower one's number */
        return true;
    }
    m->error = reserve(m, size);
    if (m->error < 0)
        return false;
    if (m->sort) {
        cv_memmove(m->sorted + at + 1, m->sorted + at,
                   (m->sorted_count++ - at) * sizeof(*m->sorted));
        m->sorted[at] = m->count;
    }
    e = &m->entries[m->count++];
    *e = (struct entry){
        .name = m->names_size, .name_size = (uint32_t)size, .ino = ino, .type = type};
    cv_memcpy(m->names + m->names_size, name, size);
    m->names[m->names_size + size] = '\0';
    m->names_size += (uint32_t)size + 1;
    return true;
}

/*
 * Which of upper's entries are whiteouts, and the numbers the others show. After the reading, not
 * from fill: a lookup takes the directory's lock, which readdir holds.
 */
static void look_at_upper(struct merged *m, struct inode *upper)
{
    struct inode *found;

    for (uint32_t i = 0; i < m->count; i++) {
        struct entry *e = &m->entries[i];

        if (ovl_real_lookup(upper, m->names + e->name, &found) < 0)
            continue;
        e->hidden = is_whiteout(found);
        e->ino = ovl_number(found, NULL);
        inode_put(found);
    }
}

static int read_real(struct merged *m, struct inode *real, bool upper, const struct cred *cred)
{
    struct file *f;
    uint64_t pos = 0;
    int r = ovl_open_real(real, LX_O_RDONLY | LX_O_DIRECTORY, cred, &f);

    if (r < 0)
        return r;
    r = file_ops_of(f)->readdir(f, &m->filler, &pos);
    file_put(f);
    if (m->error < 0)
        r = m->error;
    if (r == 0 && upper)
        look_at_upper(m, real);
    return r;
}

static int merge(struct ovl_inode *dir, bool with_lower, struct merged **out)
{
    struct ovl *o = ovl_of(&dir->inode);
    struct merged *m = kmalloc(sizeof(*m));
    int r = 0;

    if (!m)
        return -ENOMEM;
    m->filler.fill = fill;
    with_lower = with_lower && dir->lower && !dir->opaque;
    m->sort = with_lower;
    if (ovl_upper(dir))
        r = read_real(m, ovl_upper(dir), true, o->cred);
    m->sort = false;
    if (r == 0 && with_lower)
        r = read_real(m, dir->lower, false, o->cred);
    if (r < 0) {
        merged_free(m);
        return r;
    }
    *out = m;
    return 0;
}

static int walk(struct ovl_inode *dir, bool with_lower, bool with_hidden,
                int (*fn)(void *, const char *, struct inode *), void *arg)
{
    struct merged *m;
    int r = merge(dir, with_lower, &m);

    if (r < 0)
        return r;
    for (uint32_t i = 0; r == 0 && i < m->count; i++) {
        if (with_hidden || !m->entries[i].hidden)
            r = fn(arg, m->names + m->entries[i].name, ovl_upper(dir));
    }
    merged_free(m);
    return r;
}

int ovl_for_each_name(struct ovl_inode *dir,
                      int (*fn)(void *arg, const char *name, struct inode *dir), void *arg)
{
    return walk(dir, true, false, fn, arg);
}

int ovl_for_each_upper_name(struct ovl_inode *dir,
                            int (*fn)(void *arg, const char *name, struct inode *dir), void *arg)
{
    return walk(dir, false, true, fn, arg);
}

static int ovl_readdir(struct file *f, struct dir_filler *df, uint64_t *pos)
{
    struct merged *m = f->private_data;
    int r;

    if (*pos == 0 || !m) {
        if (m)
            merged_free(m);
        f->private_data = NULL;
        r = merge(ovl_inode(f->inode), true, &m);
        if (r < 0)
            return r;
        f->private_data = m;
    }
    for (; *pos < m->count; ++*pos) {
        const struct entry *e = &m->entries[*pos];

        if (!e->hidden &&
            !df->fill(df, m->names + e->name, e->name_size, e->ino, e->type, *pos + 1))
            return 0;
    }
    return 0;
}

static int ovl_dir_fsync(struct file *f, bool data_only)
{
    return 0; /* upper is memory, lower never changes: nothing is owed to a disk */
}

static void ovl_dir_release(struct file *f)
{
    if (f->private_data)
        merged_free(f->private_data);
}

DEFINE_OPS(file_ops, ovl_dir_ops) = {
    .llseek = generic_dir_llseek,
    .readdir = ovl_readdir,
    .fsync = ovl_dir_fsync,
    .release = ovl_dir_release,
};
