/*
 * The worker thread and the helper process. The helper is a copy of this process that maps its own
 * image, embedded in this program, and gives up everything else (helper/main.c); it asks for bytes
 * of files over a socket and answers plans. Its arena is a memfd, into which the worker has the
 * host read those bytes, and whose pages it throws away after each job; it never reads there. No
 * locks: everything here is the worker's once it runs.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/host/host.h"
#include "platform/patch/build.h"
#include "platform/patch/helper/arena.h"
#include "platform/patch/patch.h"
#include "platform/patch/start.h"
#include "platform/patch/wire.h"

#define ANSWER_SECONDS 60
/* What a job may read: the tables are read once, the text once, headers a few times. */
#define READ_BUDGET(size) (4 * (size) + (64UL << 20))
#define SEGMENT_MAX       (96UL << 20)

extern const char patch_helper[], patch_helper_end[];

static struct {
    struct patch_table *table;
    uint64_t entry;
    int socket, arena;
    uint8_t *room; /* the arena, here */
    pthread_t thread;
    int64_t helper; /* its pid */
    bool running;
} worker = {.socket = -1, .arena = -1};

static int start_helper(void)
{
    struct timeval limit = {.tv_sec = ANSWER_SECONDS};
    int64_t room;
    int err = helper_start(patch_helper, patch_helper_end, &worker.helper, &worker.arena,
                           &worker.socket);

    if (err)
        return err;
    room = host_mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                     worker.arena, 0);
    if (room < 0)
        return (int)room;
    worker.room = (uint8_t *)room;
    setsockopt(worker.socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(worker.socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    return 0;
}

/* ---- talking with it ---- */

static int receive(void *to, size_t size)
{
    char *p = to;

    while (size) {
        int64_t r = host_read(worker.socket, p, size);

        if (r == -EINTR)
            continue;
        if (r <= 0)
            return -EPIPE;
        p += r;
        size -= (size_t)r;
    }
    return 0;
}

static int send_all(const void *from, size_t size)
{
    const char *p = from;

    while (size) {
        int64_t r = host_write(worker.socket, p, size); /* SIGPIPE is blocked in this thread */

        if (r == -EINTR)
            continue;
        if (r <= 0)
            return -EPIPE;
        p += r;
        size -= (size_t)r;
    }
    return 0;
}

/* size bytes of the file at offset, zeroes where it has none. */
static void read_file(int fd, uint64_t offset, uint8_t *to, size_t size)
{
    while (size) {
        int64_t r = offset > INT64_MAX ? 0 : host_pread(fd, to, size, (int64_t)offset);

        if (r == -EINTR)
            continue;
        if (r <= 0)
            break;
        to += r;
        offset += (uint64_t)r;
        size -= (size_t)r;
    }
    memset(to, 0, size);
}

static int give_bytes(const struct patch_file *f, const struct patch_message *m)
{
    read_file(f->fd, m->a, worker.room + m->c, m->b);
    return send_all("", 1);
}

/* The helper's answer; -ENOENT when it found nothing to do, -EPIPE when it is of no more use. */
static int ask(const struct patch_file *f, struct patch_site *sites, struct patch_message *m)
{
    struct patch_job job = {f->key.size, f->key.offset, f->key.length};
    uint64_t budget = READ_BUDGET(f->key.size);
    int err = send_all(&job, sizeof(job));

    while (!err) {
        err = receive(m, sizeof(*m));
        if (err)
            break;
        if (m->kind == PATCH_NOTHING)
            return -ENOENT;
        if (m->kind == PATCH_RESULT)
            return m->a <= PATCH_SITES_MAX && m->b <= UINT32_MAX
                       ? receive(sites, m->a * sizeof(*sites))
                       : -EPIPE;
        if (m->kind != PATCH_READ || m->b > budget || m->b > ARENA_SIZE ||
            m->c > ARENA_SIZE - m->b)
            return -EPIPE;
        budget -= m->b;
        err = give_bytes(f, m);
    }
    return err;
}

/* ---- images ---- */

static int store_runs(struct patch_file *f, const uint8_t *text)
{
    int fd = (int)host_memfd_create("text", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int64_t err;

    if (fd < 0)
        return fd;
    err = host_ftruncate(fd, (int64_t)f->key.length);
    for (uint32_t i = 0; i < f->run_count && !err; i++) {
        const struct patch_run *r = &f->run[i];

        for (uint32_t done = 0; done < r->size && !err;) {
            int64_t n = host_pwrite(fd, text + r->offset + done, r->size - done, r->offset + done);

            if (n <= 0)
                err = n ? n : -EIO;
            else
                done += (uint32_t)n;
        }
    }
    if (!err)
        err = host_memfd_seal(fd);
    if (err) {
        host_close(fd);
        return (int)err;
    }
    f->image = fd;
    return 0;
}

static uint32_t count_syscalls(const uint8_t *text, uint32_t size)
{
    const uint8_t *end = text + size;
    uint32_t count = 0;

    while (text < end && (text = memchr(text, 0x0f, (size_t)(end - text))) != NULL) {
        text++;
        count += text < end && *text == 0x05;
    }
    return count;
}

static int write_image(struct patch_file *f, struct patch_build *b, const struct patch_site *sites,
                       const struct patch_message *m)
{
    struct patch_piece *pieces = malloc((2 * m->a + 1) * sizeof(*pieces)), *kept;
    uint32_t before = count_syscalls(b->text, b->size);
    int64_t written;
    int err = -ENOMEM;

    if (!pieces)
        return -ENOMEM;
    written = patch_write(b, sites, (uint32_t)m->a, (uint32_t)m->b, pieces, &f->piece_count);
    if (written > 0)
        kept = patch_pieces(worker.table, f->piece_count, &f->pieces_at);
    if (written > 0 && kept) {
        memcpy(kept, pieces, f->piece_count * sizeof(*kept));
        f->sites = (uint32_t)written;
        f->refused = before > f->sites ? before - f->sites : 0;
        f->run_count = patch_runs(b->dirty, b->size / PAGE_SIZE, f->run);
        err = store_runs(f, b->text);
    } else if (written <= 0) {
        err = -ENOENT;
    }
    free(pieces);
    return err;
}

static int make_image(struct patch_file *f, const struct patch_site *sites,
                      const struct patch_message *m)
{
    struct patch_build b = {.size = (uint32_t)f->key.length, .entry = worker.entry};
    int err = -ENOMEM;

    b.text = malloc(b.size);
    b.dirty = calloc(b.size / PAGE_SIZE / 64 + 1, 8);
    b.taken = calloc(b.size / 64 + 1, 8);
    if (b.text && b.dirty && b.taken) {
        read_file(f->fd, f->key.offset, b.text, b.size);
        err = write_image(f, &b, sites, m);
    }
    free(b.text);
    free(b.dirty);
    free(b.taken);
    return err;
}

/* The file is still the one that was mapped. */
static bool unchanged(const struct patch_file *f)
{
    struct host_stat st;

    return host_fstat(f->fd, &st) == 0 && st.size == f->key.size &&
           st.mtime_ns == f->key.mtime_ns && st.ctime_ns == f->key.ctime_ns;
}

static int decide(struct patch_file *f, struct patch_site *sites)
{
    struct patch_message m;
    int err;

    if (worker.socket < 0 || f->key.length > SEGMENT_MAX)
        return -ENOENT;
    err = ask(f, sites, &m);
    if (err == -EPIPE) {
        host_close(worker.socket);
        worker.socket = -1;
    }
    /* The arena's pages: the next job finds zeroes. */
    if (host_ftruncate(worker.arena, 0) < 0 || host_ftruncate(worker.arena, ARENA_SIZE) < 0)
        return -EIO;
    if (!err)
        err = make_image(f, sites, &m);
    if (!err && !unchanged(f)) {
        host_close(f->image);
        err = -ESTALE;
    }
    return err;
}

static void *worker_main(void *arg)
{
    struct patch_site *sites = malloc(PATCH_SITES_MAX * sizeof(*sites));
    struct patch_file *f;
    sigset_t pipe;

    (void)arg;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, NULL);
    while (sites && (f = patch_next_job(worker.table))) {
        bool ready = decide(f, sites) == 0;

        if (!ready)
            f->image = -1;
        __atomic_store_n(&f->state, ready ? PATCH_READY : PATCH_LEFT, __ATOMIC_RELEASE);
        if (!ready) {
            host_close(f->fd);
            f->fd = -1;
        }
    }
    free(sites);
    return NULL;
}

int patch_start(struct patch_table *t, uint64_t entry)
{
    int err;

    worker.table = t;
    worker.entry = entry;
    err = start_helper();
    if (!err && pthread_create(&worker.thread, NULL, worker_main, NULL))
        err = -EAGAIN;
    worker.running = !err;
    return err;
}

void patch_stop(void)
{
    if (!worker.running)
        return;
    patch_table_stop(worker.table);
    /* In the middle of a job the worker sees the helper's end of the socket close. */
    host_syscall(SYS_kill, (uint64_t)worker.helper, SIGKILL, 0, 0, 0, 0);
    pthread_join(worker.thread, NULL);
    host_syscall(SYS_waitid, P_PID, (uint64_t)worker.helper, 0, WEXITED | __WALL, 0, 0);
    worker.running = false;
}
