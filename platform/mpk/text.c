/*
 * Copies of files' code. Guests never execute a file's own pages: who can write to the file, in
 * this sandbox or elsewhere, could change them after the scan. What is executed is a memory file of
 * ours with the same content, in which unsafe instructions that are meant have been made traps.
 * One copy serves all processes of the sandbox; it is found again by what identifies the file's
 * content. Lock: state.text_lock, held while a file is read.
 */
#include "platform/mpk/mpk.h"

#include "platform/mpk/scan.h"
#include "platform/patch/patch.h"
#include "sentry/abi/errno.h"
#include "sentry/base/log.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"

#define CHUNK      65536UL
#define HITS_MAX   256
#define TEXTS_MAX  128
#define BYTES_MAX  (512UL << 20)
#define TEXT_MAX   (1UL << 30) /* of one copy */
#define CLOCK_REAL 0
/* Times of change are no finer than the host's clock tick: a file this young may change unseen. */
#define SETTLED_NS     50000000UL
#define HOST_MFD_FLAGS 3 /* cloexec, allow sealing */

struct mpk_text {
    struct list node; /* state.texts, the latest used first; or not in it */
    uint32_t refs;    /* the list's counts as one */
    int32_t fd;
    uint64_t dev, ino, file_size, offset, size;
    int64_t mtime_ns, ctime_ns;
    const struct patch_file *patched; /* with this image's pages in it; NULL: as it is */
    uint32_t held_count;
    uint32_t held[TEXT_HELD_MAX];
};

SLAB_TYPE(mpk_text_slab, struct mpk_text);

int mpk_text_fd(const struct mpk_text *text)
{
    return text->fd;
}

void mpk_text_held(const struct mpk_text *text, struct wx_unsafe *out)
{
    out->count = text->held_count;
    cv_memcpy(out->pages, text->held, text->held_count * sizeof(text->held[0]));
}

void mpk_text_put(struct mpk_text *text)
{
    if (__atomic_fetch_sub(&text->refs, 1, __ATOMIC_ACQ_REL) != 1)
        return;
    if (text->fd >= 0)
        (void)host_close(text->fd);
    slab_free(&mpk_text_slab, text);
}

/* ---- making ---- */

/* Reads up to n bytes; fewer only at the file's end. */
static int64_t read_full(int fd, uint8_t *buf, size_t n, uint64_t offset)
{
    size_t got = 0;

    while (got < n) {
        int64_t r = host_pread(fd, buf + got, n - got, (int64_t)(offset + got));

        if (r == -EINTR)
            continue;
        if (r < 0)
            return r;
        if (r == 0)
            break;
        got += (size_t)r;
    }
    return (int64_t)got;
}

static int write_full(int fd, const uint8_t *buf, size_t n, uint64_t offset)
{
    size_t done = 0;

    while (done < n) {
        int64_t r = host_pwrite(fd, buf + done, n - done, (int64_t)(offset + done));

        if (r <= 0 && r != -EINTR)
            return r ? (int)r : -EIO;
        if (r > 0)
            done += (size_t)r;
    }
    return 0;
}

/*
 * As the C library has them in every process: restoring from the stack in the dynamic loader, and
 * the end of pkey_set. Anything else may be data and is left to be seen: its page is held until
 * somebody executes it.
 */
static bool is_familiar(const uint8_t *hit)
{
    if (hit[1] == 0x01)
        return hit[3] == 0x31 && hit[4] == 0xc0 && hit[5] == 0xc3;
    return (hit[2] & 0x3f) == 0x2c && hit[3] == 0x24;
}

/* The image's bytes over those of the file that begin at at. */
static int64_t overlay(const struct patch_file *patched, uint8_t *buf, size_t n, uint64_t at)
{
    int64_t r = 0;

    for (uint32_t i = 0; patched && i < patched->run_count && r >= 0; i++) {
        uint64_t start = MAX(at, (uint64_t)patched->run[i].offset);
        uint64_t end = MIN(at + n, (uint64_t)patched->run[i].offset + patched->run[i].size);

        if (start < end)
            r = read_full(patched->image, buf + (start - at), end - start, start);
    }
    return r;
}

/* Makes the hit a trap if it is meant, else its page is held. */
static int settle_hit(struct mpk_text *text, uint64_t hit)
{
    uint8_t around[SCAN_BEFORE + SCAN_AFTER], trap = SCAN_TRAP;
    uint64_t before = MIN(hit, (uint64_t)SCAN_BEFORE);
    uint32_t page = (uint32_t)(hit / PAGE_SIZE);
    int64_t got = read_full(text->fd, around, sizeof(around), hit - before);

    if (got < 0)
        return (int)got;
    if ((size_t)got >= before + 8 && is_familiar(around + before) &&
        scan_is_meant(around, (size_t)got, before))
        return write_full(text->fd, &trap, 1, hit + 1);
    if (text->held_count && text->held[text->held_count - 1] == page)
        return 0;
    if (text->held_count == TEXT_HELD_MAX)
        return -ENOEXEC;
    text->held[text->held_count++] = page;
    return 0;
}

/* buf: SCAN_TAIL bytes of what went before, then CHUNK. */
static int copy_and_scan(struct mpk_text *text, int fd, uint8_t *buf)
{
    uint32_t hits[HITS_MAX];
    uint64_t at = 0;

    cv_memset(buf, 0, SCAN_TAIL);
    while (at < text->size) {
        size_t want = MIN(CHUNK, text->size - at), found;
        int64_t got = read_full(fd, buf + SCAN_TAIL, want, text->offset + at);
        int err;

        if (got < 0)
            return (int)got;
        if ((size_t)got < want) /* it has just been cut: as if it had ended in zeros */
            cv_memset(buf + SCAN_TAIL + got, 0, want - (size_t)got);
        got = overlay(text->patched, buf + SCAN_TAIL, want, at);
        if (got < 0)
            return (int)got;
        err = write_full(text->fd, buf + SCAN_TAIL, want, at);
        found = scan_find(buf, want + SCAN_TAIL, hits, HITS_MAX);
        if (found > HITS_MAX)
            return -ENOEXEC;
        for (size_t i = 0; i < found && !err; i++)
            err = settle_hit(text, at + hits[i] - SCAN_TAIL);
        if (err)
            return err;
        cv_memmove(buf, buf + want, SCAN_TAIL);
        at += want;
    }
    return 0;
}

static int fill(struct mpk_text *text, int fd)
{
    uint8_t *buf = kmalloc(CHUNK + SCAN_TAIL);
    int64_t r = host_memfd_create("text", HOST_MFD_FLAGS);

    if (r < 0 || !buf) {
        kfree(buf);
        return r < 0 ? (int)r : -ENOMEM;
    }
    text->fd = (int32_t)r;
    r = host_ftruncate(text->fd, (int64_t)text->size);
    if (r >= 0)
        r = copy_and_scan(text, fd, buf);
    kfree(buf);
    if (r >= 0)
        r = host_memfd_seal(text->fd);
    return r < 0 ? (int)r : 0;
}

/* ---- the list ---- */

static bool same(const struct mpk_text *t, const struct host_stat *st, uint64_t offset,
                 uint64_t size, const struct patch_file *patched)
{
    return t->patched == patched && t->ino == st->ino && t->offset == offset && t->size == size &&
           t->dev == st->dev && t->file_size == st->size && t->mtime_ns == st->mtime_ns &&
           t->ctime_ns == st->ctime_ns;
}

static struct mpk_text *find_locked(struct mpk_state *state, const struct host_stat *st,
                                    uint64_t offset, uint64_t size,
                                    const struct patch_file *patched)
{
    struct mpk_text *t;

    list_for_each (t, &state->texts, node) {
        if (!same(t, st, offset, size, patched))
            continue;
        list_del(&t->node);
        list_add(&state->texts, &t->node);
        __atomic_fetch_add(&t->refs, 1, __ATOMIC_RELAXED);
        return t;
    }
    return NULL;
}

static void shrink_locked(struct mpk_state *state)
{
    while (state->text_count > TEXTS_MAX || state->text_bytes > BYTES_MAX) {
        struct mpk_text *t = list_last(&state->texts, struct mpk_text, node);

        list_del(&t->node);
        state->text_count--;
        state->text_bytes -= t->size;
        mpk_text_put(t);
    }
}

/* Memory files change through mappings without a trace in their times. */
static bool is_stable(const struct host_stat *st)
{
    uint64_t now = host_clock_ns(CLOCK_REAL);
    uint64_t changed = (uint64_t)MAX(st->ctime_ns, st->mtime_ns);

    return st->dev != mpk_ro.memfd_dev && changed < now && now - changed > SETTLED_NS;
}

static int make_locked(struct mpk_state *state, int fd, const struct host_stat *st, uint64_t offset,
                       uint64_t size, const struct patch_file *patched, struct mpk_text **out)
{
    struct mpk_text *t = slab_alloc(&mpk_text_slab);
    int err;

    if (!t)
        return -ENOMEM;
    t->refs = 1;
    t->fd = -1;
    t->dev = st->dev;
    t->ino = st->ino;
    t->file_size = st->size;
    t->mtime_ns = st->mtime_ns;
    t->ctime_ns = st->ctime_ns;
    t->offset = offset;
    t->patched = patched;
    t->size = size;
    list_init(&t->node);
    err = fill(t, fd);
    if (err) {
        mpk_text_put(t);
        return err;
    }
    if (is_stable(st)) {
        t->refs = 2;
        list_add(&state->texts, &t->node);
        state->text_count++;
        state->text_bytes += size;
        shrink_locked(state);
    }
    *out = t;
    return 0;
}

int mpk_text_get(int fd, uint64_t offset, uint64_t size, const struct patch_file *patched,
                 struct mpk_text **out)
{
    struct mpk_state *state = mpk_ro.state;
    struct host_stat st;
    int64_t r = host_fstat(fd, &st);
    int err = 0;

    if (r < 0)
        return (int)r;
    if (offset >= st.size)
        return -ENOEXEC;
    size = MIN(size, PAGE_ALIGN_UP(st.size - offset));
    if (size > TEXT_MAX)
        return -ENOMEM;
    mutex_lock(&state->text_lock);
    *out = find_locked(state, &st, offset, size, patched);
    if (!*out)
        err = make_locked(state, fd, &st, offset, size, patched, out);
    mutex_unlock(&state->text_lock);
    return err;
}
