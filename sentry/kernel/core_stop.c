/*
 * A process that dies by a signal that dumps core: stopping its tasks, opening the core file and
 * letting the tasks go. Not here: the file's contents (core_file.c, core_notes.c) and name
 * (core_name.c). Locks: sig_lock; uts_lock for the settings. Source: core(5).
 */
#include "sentry/abi/errno.h"
#include "sentry/abi/fcntl.h"
#include "sentry/abi/sched.h"
#include "sentry/base/fmt.h"
#include "sentry/base/log.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"
#include "sentry/kernel/core.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/wait.h"
#include "sentry/mm/mm.h"

#define CORE_LIMIT_MIN   PAGE_SIZE /* less is none at all, as on Linux */
#define CORE_FILE_MODE   0600
#define WAIT_STATUS_CORE 0x80
#define NAMES_TRIED      100
/* What --coredump-dir names files by, since sandboxes share a directory. */
#define HOST_PATTERN "core.%e.%p.%t"

static bool file_wanted(struct task *t)
{
    return READ_ONCE(t->tg->dumpable) == 1 && t->us.mm &&
           (t->k->core.dir.dentry ||
            (READ_ONCE(t->k->core.pattern[0]) && task_rlimit(t, LX_RLIMIT_CORE) >= CORE_LIMIT_MIN));
}

bool core_wanted_locked(struct task *t, int signo)
{
    return (LX_SIGMASK(signo) & SIGNALS_CORE) && !t->tg->core &&
           (file_wanted(t) || core_report_wanted(t->k, signo));
}

void core_begin_locked(struct task *t, struct core_stop *s, int signo,
                       const struct lx_siginfo *info)
{
    list_init(&s->threads);
    s->self = (struct core_thread){.task = t};
    list_init(&s->self.node);
    s->signo = signo;
    s->info = *info;
    t->tg->core = s;
}

/* All of its registers; the vector state where there is memory for it. By the task itself. */
static void collect(struct core_thread *th)
{
    struct task *t = th->task;

    list_init(&th->node);
    if (platform_registers(t->us.ctx, &t->regs) < 0)
        return; /* its host process is gone: as last seen */
    th->fpu_memory = kmalloc(platform_facts()->fpu_size + 64);
    if (!th->fpu_memory)
        return;
    th->fpu = (uint8_t *)(((uintptr_t)th->fpu_memory + 63) & ~63UL);
    if (platform_fpu_save(t->us.ctx, th->fpu) < 0)
        th->fpu = NULL;
}

/* ---- the others ---- */

static void wait_for_release(struct task *t, const struct core_stop *s)
{
    while (load_acquire(&t->tg->core) == s)
        (void)!park(&t->parker, PARK_FOREVER);
    /* Who released us was in there until it had let go of us. */
    mutex_lock(&t->tg->sig_lock);
    mutex_unlock(&t->tg->sig_lock);
}

void core_join(struct task *t, uint64_t orig_rax)
{
    struct core_thread th = {.task = t, .orig_rax = orig_rax};
    struct thread_group *tg = t->tg;
    struct core_stop *s;

    mutex_lock(&tg->sig_lock);
    s = tg->core;
    t->leaving = !s || s->self.task == t;
    mutex_unlock(&tg->sig_lock);
    if (t->leaving)
        return;
    collect(&th);
    mutex_lock(&tg->sig_lock);
    t->leaving = true;
    if (tg->core == s) {
        list_add_tail(&s->threads, &th.node);
        unpark(&s->self.task->parker);
    }
    mutex_unlock(&tg->sig_lock);
    wait_for_release(t, s);
    kfree(th.fpu_memory);
}

/* ---- the dumper ---- */

static int64_t try_all_stopped(void *arg)
{
    struct task *t = arg, *other;
    int64_t ret = 0;

    mutex_lock(&t->tg->sig_lock);
    list_for_each (other, &t->tg->tasks, group_node) {
        if (other != t && !other->leaving && !other->exiting)
            ret = -EAGAIN;
    }
    mutex_unlock(&t->tg->sig_lock);
    return ret;
}

static void release(struct core_stop *s, bool dumped)
{
    struct thread_group *tg = s->self.task->tg;
    struct core_thread *th;

    mutex_lock(&tg->sig_lock);
    if (dumped && tg->group_exit_status == s->signo)
        tg->group_exit_status |= WAIT_STATUS_CORE;
    store_release(&tg->core, NULL);
    list_for_each (th, &s->threads, node)
        unpark(&th->task->parker);
    mutex_unlock(&tg->sig_lock);
}

/* Somebody else's file is not written over, nor what has a second name; as Linux checks. */
static int check_file(const struct vfs_ctx *ctx, struct file *f)
{
    struct kstat st;
    int err = vfs_getattr(&f->path, &st);

    if (err)
        return err;
    if ((st.mode & LX_S_IFMT) != LX_S_IFREG)
        return -EINVAL;
    if (st.nlink > 1)
        return -EMLINK;
    return st.uid != ctx->cred->fsuid || (st.mode & 0677) != 0600 ? -EPERM : 0;
}

static int open_file(const struct vfs_ctx *ctx, const char *name, uint32_t flags, struct file **out)
{
    struct file *f;
    int err =
        vfs_open_at(ctx, NULL, name,
                    LX_O_CREAT | LX_O_RDWR | LX_O_NOFOLLOW | LX_O_LARGEFILE | LX_O_NONBLOCK | flags,
                    CORE_FILE_MODE, 0, &f);

    if (err)
        return err;
    err = check_file(ctx, f);
    if (!err)
        err = vfs_truncate_file(ctx, f, 0);
    if (err)
        file_put(f);
    else
        *out = f;
    return err;
}

/* Cores of one second and name get a number. */
static int open_numbered(const struct vfs_ctx *ctx, const char *name, struct file **out)
{
    char *other AUTO_KFREE = kmalloc(VFS_PATH_MAX);
    int err = open_file(ctx, name, LX_O_EXCL, out);

    for (int i = 1; other && err == -EEXIST && i < NAMES_TRIED; i++) {
        cv_snprintf(other, VFS_PATH_MAX, "%s.%d", name, i);
        err = open_file(ctx, other, LX_O_EXCL, out);
    }
    return err;
}

/* Into the host's directory, as the kernel itself, out of its allowance. */
static int write_to_host(struct core_stop *s, const char *name)
{
    struct kernel *k = s->self.task->k;
    struct vfs_ctx ctx = {.cred = k->core.dir_cred,
                          .root = k->core.dir,
                          .cwd = k->core.dir,
                          .fsize_limit = UINT64_MAX,
                          .mount_ns = k->mount_ns};
    uint64_t left = __atomic_load_n(&k->core.dir_left, __ATOMIC_RELAXED), written = 0;
    struct file *f;
    int err;

    if (left < CORE_LIMIT_MIN)
        return -EFBIG;
    err = open_numbered(&ctx, name, &f);
    if (err)
        return err;
    err = core_write_file(s, f, &ctx, left, &written);
    file_put(f);
    left = __atomic_load_n(&k->core.dir_left, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&k->core.dir_left, &left, left - MIN(left, written), false,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
    return err;
}

static int write_inside(struct core_stop *s, const char *name)
{
    struct task *t = s->self.task;
    struct task_vfs v;
    struct file *f;
    uint64_t written;
    int err;

    task_vfs_get(t, &v);
    v.ctx.umask |= 0177;
    err = open_file(&v.ctx, name, 0, &f);
    if (!err) {
        err = core_write_file(s, f, &v.ctx, task_rlimit(t, LX_RLIMIT_CORE), &written);
        file_put(f);
    }
    task_vfs_put(&v);
    return err;
}

/* True: a whole core was written. */
static bool dump(struct core_stop *s)
{
    struct task *t = s->self.task;
    struct kernel *k = t->k;
    bool to_host = k->core.dir.dentry != NULL;
    char pattern[CORE_PATTERN_MAX];
    struct strbuf name;
    int err = -ENAMETOOLONG;

    mutex_lock(&k->uts_lock);
    memcpy(pattern, k->core.pattern, sizeof(pattern));
    mutex_unlock(&k->uts_lock);
    strbuf_init(&name);
    core_name(s, to_host ? HOST_PATTERN : pattern, READ_ONCE(k->core.uses_pid), &name);
    if (name.data && !name.failed && name.size < VFS_PATH_MAX)
        err = to_host ? write_to_host(s, name.data) : write_inside(s, name.data);
    if (err && err != -EINTR)
        log_warn("no whole core of process %d (signal %d): error %d", t->tg->tgid, s->signo, -err);
    else if (!err && to_host)
        log_info("core of process %d (signal %d) written", t->tg->tgid, s->signo);
    strbuf_free(&name);
    return !err;
}

void core_run(struct task *t, struct core_stop *s, uint64_t orig_rax)
{
    bool dumped = false;

    s->self.orig_rax = orig_rax;
    collect(&s->self);
    mutex_lock(&t->tg->sig_lock);
    list_add(&s->threads, &s->self.node);
    mutex_unlock(&t->tg->sig_lock);
    if (task_wait_killable(t, NULL, 0, try_all_stopped, t) == 0) {
        if (core_report_wanted(t->k, s->signo))
            core_report(s);
        if (file_wanted(t))
            dumped = dump(s);
    }
    mutex_lock(&t->tg->sig_lock);
    list_del(&s->self.node);
    mutex_unlock(&t->tg->sig_lock);
    release(s, dumped);
    kfree(s->self.fpu_memory);
}
