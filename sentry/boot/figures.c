/*
 * Collects what the sandbox counted: calls and entries from their counters, memory from whoever
 * knows it. Runs on the control thread, or on the main one at the end. Locks: those of the
 * functions called.
 */
#include "sentry/boot/figures.h"

#include "fs/mount.h"
#include "platform/platform_impl.h"
#include "sentry/base/arena.h"
#include "sentry/base/slab.h"
#include "sentry/mm/mm.h"

#include <stdlib.h>
#include <string.h>

#define TREES_MAX 64 /* trees in memory that are counted */

const char *const figures_owners[OWNER_COUNT] = {
    [OWNER_GUEST_PRIVATE] = "guest private pages",
    [OWNER_GUEST_SHARED] = "guest shared pages",
    [OWNER_FILES] = "files in memory",
    [OWNER_TASKS] = "kernel tasks",
    [OWNER_SPACES] = "kernel address spaces",
    [OWNER_NAMES] = "kernel files",
    [OWNER_PIPES] = "kernel pipes",
    [OWNER_NETWORK] = "kernel sockets",
    [OWNER_UNTYPED] = "kernel untyped",
    [OWNER_PAGES] = "kernel other pages",
};

/* Objects by the start of their type's name; those of no row are files' and names'. */
static const struct {
    const char *start;
    enum owner owner;
} typed[] = {
    {"kmalloc-", OWNER_UNTYPED},          {"struct task", OWNER_TASKS},
    {"struct thread_group", OWNER_TASKS}, {"struct pid", OWNER_TASKS},
    {"struct sig", OWNER_TASKS},          {"struct session", OWNER_TASKS},
    {"struct posix_timer", OWNER_TASKS},  {"struct cred", OWNER_TASKS},
    {"struct kernel", OWNER_TASKS},       {"struct platform_ctx", OWNER_TASKS},
    {"struct platform_as", OWNER_SPACES}, {"struct mm", OWNER_SPACES},
    {"struct vma", OWNER_SPACES},         {"struct shm", OWNER_SPACES},
    {"struct wx_", OWNER_SPACES},         {"struct mpk_", OWNER_SPACES},
    {"struct pipe", OWNER_PIPES},         {"struct net", OWNER_NETWORK},
    {"struct unix_", OWNER_NETWORK},      {"struct inet_", OWNER_NETWORK},
    {"struct tcp_", OWNER_NETWORK},       {"struct udp_", OWNER_NETWORK},
    {"struct raw_", OWNER_NETWORK},       {"struct packet_", OWNER_NETWORK},
    {"struct pkt", OWNER_NETWORK},        {"struct datagram", OWNER_NETWORK},
    {"struct membership", OWNER_NETWORK}, {"struct pmtu", OWNER_NETWORK},
    {"struct fd_link", OWNER_NETWORK},    {"struct host_inet", OWNER_NETWORK},
};

static void add_slab(const struct slab_type *type, uint64_t live, void *arg)
{
    struct figures *f = arg;
    enum owner owner = OWNER_NAMES;

    if (strcmp(type->name, "kmalloc-pages") == 0)
        return; /* blocks of unknown sizes: among the other pages */
    for (size_t i = 0; i < ARRAY_SIZE(typed); i++) {
        if (strncmp(type->name, typed[i].start, strlen(typed[i].start)) == 0)
            owner = typed[i].owner;
    }
    f->owned[owner] += live * type->size;
}

struct trees {
    struct figures *f;
    const struct superblock *seen[TREES_MAX];
    size_t count;
};

static int add_tree(struct mount *m, void *arg)
{
    struct trees *t = arg;
    const struct sb_ops *ops = OPS_GET(sb_ops, m->sb->ops);
    struct kstatfs st;

    if ((strcmp(ops->type_name, "tmpfs") != 0 && strcmp(ops->type_name, "overlay") != 0) ||
        !ops->statfs || t->count == TREES_MAX)
        return 0;
    for (size_t i = 0; i < t->count; i++) {
        if (t->seen[i] == m->sb)
            return 0;
    }
    t->seen[t->count++] = m->sb;
    if (ops->statfs(m->sb, &st) == 0 && st.blocks >= st.bfree)
        t->f->owned[OWNER_FILES] += (st.blocks - st.bfree) * st.bsize;
    return 0;
}

static void add_process(struct kernel *k, struct figures *f, int32_t tgid)
{
    struct task *leader = task_find(k, tgid);
    struct mm *mm = leader ? task_mm_get(leader) : NULL;
    uint64_t rss, shared = 0;

    if (mm) {
        rss = platform_as_rss(mm->as, &shared);
        f->owned[OWNER_GUEST_SHARED] += MIN(shared, rss) * PAGE_SIZE;
        f->owned[OWNER_GUEST_PRIVATE] += (rss - MIN(shared, rss)) * PAGE_SIZE;
        mm_put(mm);
    }
    if (leader)
        task_put(leader);
}

static void collect_memory(struct boot *b, struct figures *f)
{
    struct trees trees = {.f = f};
    uint64_t pages = arena_pages_used() * PAGE_SIZE, known = 0;

    for (int32_t nr = 0; (nr = thread_group_next(b->kernel, nr + 1)) > 0;)
        add_process(b->kernel, f, nr);
    if (b->kernel->mount_ns)
        (void)mount_for_each(b->kernel->mount_ns, add_tree, &trees);
    slab_for_each_live(add_slab, f);
    for (int i = OWNER_TASKS; i < OWNER_PAGES; i++)
        known += f->owned[i];
    f->owned[OWNER_PAGES] = pages > known ? pages - known : 0;
}

static int by_time(const void *a, const void *b)
{
    const struct counted *x = a, *y = b;

    return x->c.total_ns < y->c.total_ns ? 1 : x->c.total_ns > y->c.total_ns ? -1 : 0;
}

static void collect_calls(struct boot *b, struct figures *f)
{
    for (uint64_t nr = 0; nr <= SYSCALL_MAX; nr++) {
        const struct syscall_row *row = syscall_row(nr);
        struct counted *slot = &f->calls[f->call_count];

        if (!syscall_stats_get(b->kernel, nr, &slot->c))
            return;
        f->counted = true;
        slot->name = row ? row->name : "unknown";
        f->call_count += slot->c.calls > 0;
    }
    qsort(f->calls, f->call_count, sizeof(f->calls[0]), by_time);
}

struct figures *figures_collect(struct boot *b)
{
    struct figures *f = calloc(1, sizeof(*f));

    if (!f)
        return NULL;
    f->entered = platform_entries(&f->patched, &f->trapped);
    f->counting = READ_ONCE(b->kernel->watch) & KERNEL_WATCH_COUNT;
    collect_calls(b, f);
    collect_memory(b, f);
    return f;
}
