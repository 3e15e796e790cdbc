/*
 * execve: a new program in place of the old. The order is Linux's: all that can be refused is
 * checked first, the other threads go, the address space is replaced, and only errors after that
 * kill. The ELF work is the loader's. Locks: tasks_lock, sig_lock, res_lock. Source: execve(2),
 * capabilities(7).
 */
#include "sentry/abi/errno.h"
#include "sentry/abi/fcntl.h"
#include "sentry/abi/sched.h"
#include "sentry/base/string.h"
#include "sentry/kernel/exec_cred.h"
#include "sentry/kernel/futex.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/process.h"
#include "sentry/kernel/recorder.h"
#include "sentry/kernel/signal_int.h"
#include "sentry/kernel/timer.h"
#include "sentry/kernel/wait.h"
#include "sentry/loader/loader.h"
#include "sentry/mm/mm.h"

/* ---- opening ---- */

int task_open_exec(struct task *t, const struct path *base, const char *name, uint32_t walk_flags,
                   struct file **out)
{
    struct task_vfs v;
    struct path path;
    int err;

    task_vfs_get(t, &v);
    err = vfs_walk(&v.ctx, base, name, walk_flags, &path);
    if (err)
        goto out;
    err = vfs_open_exec(&v.ctx, &path, out);
    path_put(&path);
out:
    task_vfs_put(&v);
    return err;
}

static int open_interpreter(void *ctx, const char *path, struct file **out)
{
    return task_open_exec(ctx, NULL, path, WALK_FOLLOW, out);
}

/* ---- one thread only ---- */

static bool others_live_locked(const struct task *t)
{
    struct task *other;

    list_for_each (other, &t->tg->tasks, group_node) {
        if (other != t && other->state == TASK_RUNNING)
            return true;
    }
    return false;
}

static int64_t try_alone(void *arg)
{
    struct task *t = arg;
    bool live;

    mutex_lock(&t->k->tasks_lock);
    live = others_live_locked(t);
    mutex_unlock(&t->k->tasks_lock);
    return live ? -EAGAIN : 0;
}

/* The dead leader's number and place become t's. */
static void take_leadership(struct task *t)
{
    struct thread_group *tg = t->tg;
    struct kernel *k = t->k;
    struct task *old;
    struct pid *group_pid, *own_pid;

    mutex_lock(&k->tasks_lock);
    old = tg->leader;
    group_pid = pid_find_locked(k, tg->tgid);
    own_pid = pid_find_locked(k, t->tid);
    mutex_lock(&tg->sig_lock);
    group_pid->task = t;
    own_pid->task = old;
    old->tid = own_pid->nr;
    old->own_tid = t->own_tid;
    t->tid = group_pid->nr;
    t->own_tid = tg->own_tgid;
    t->start_ns = old->start_ns;
    tg->leader = t;
    list_del(&old->group_node);
    mutex_unlock(&tg->sig_lock);
    task_unlink_locked(old);
    mutex_unlock(&k->tasks_lock);
}

int thread_group_become_single(struct task *t)
{
    struct thread_group *tg = t->tg;
    struct task *other;
    int64_t ret = 0;

    mutex_lock(&t->k->tasks_lock);
    if (!others_live_locked(t) && tg->leader == t) {
        mutex_unlock(&t->k->tasks_lock);
        return 0;
    }
    mutex_lock(&tg->sig_lock);
    if (tg->group_exit || tg->exec_task) {
        ret = -EAGAIN; /* this thread is about to be killed itself */
    } else {
        tg->exec_task = t;
        list_for_each (other, &tg->tasks, group_node) {
            if (other == t || other->exiting)
                continue;
            WRITE_ONCE(other->pending.set, other->pending.set | LX_SIGMASK(LX_SIGKILL));
            other->stop_pending = false;
            store_release(&other->stopped, false);
            signal_wake_locked(other);
        }
    }
    mutex_unlock(&tg->sig_lock);
    mutex_unlock(&t->k->tasks_lock);
    if (ret)
        return (int)ret;
    ret = task_wait_killable(t, NULL, 0, try_alone, t);
    if (!ret && tg->leader != t)
        take_leadership(t);
    mutex_lock(&t->k->tasks_lock);
    mutex_lock(&tg->sig_lock);
    tg->exec_task = NULL;
    mutex_unlock(&tg->sig_lock);
    mutex_unlock(&t->k->tasks_lock);
    return (int)ret;
}

/* ---- replacing ---- */

struct exec_state {
    struct exec_args *args;
    struct exec_plan *plan;
    struct exec_creds creds;
    struct fdtable *files;   /* a copy, when the table is shared */
    struct sighand *sighand; /* as well */
    char comm[16];
};

static void name_after(const char *path, char comm[16])
{
    const char *slash = strrchr(path, '/');

    memset(comm, 0, 16);
    str_copy(comm, slash ? slash + 1 : path, 16);
}

static int gather(struct task *t, struct exec_state *s)
{
    struct loader_opener opener = {.open_exec = open_interpreter, .ctx = t};
    int err;

    name_after(s->args->path, s->comm);
    err = loader_prepare(s->args, &opener, &s->plan);
    if (!err)
        err = exec_creds_compute(t, exec_plan_file(s->plan), &s->creds);
    if (!err && __atomic_load_n(&t->files->ref.count, __ATOMIC_ACQUIRE) > 1)
        err = fdtable_copy(t->files, &s->files);
    if (!err && __atomic_load_n(&t->tg->sighand->ref.count, __ATOMIC_ACQUIRE) > 1)
        err = sighand_copy(t->tg, &s->sighand);
    return err;
}

static void forget(struct exec_state *s)
{
    exec_plan_free(s->plan);
    if (s->creds.cred)
        cred_put(s->creds.cred);
    if (s->files)
        fdtable_put(s->files);
    if (s->sighand)
        sighand_put(s->sighand);
}

/* The old address space goes; *gone says whether it has when there is an error. */
static int replace_memory(struct task *t, bool *gone)
{
    struct platform_ctx *ctx = t->us.ctx;
    uint64_t user_ns = 0, system_ns = 0;
    struct platform_as *as;
    struct mm *mm, *old = t->us.mm;
    int err;

    task_release_user_words(t);
    __atomic_store_n(&t->futex_exited, 0, __ATOMIC_SEQ_CST); /* the task lives on */
    platform_ctx_cpu_time(ctx, &user_ns, &system_ns);
    task_set_ctx_shared(t, NULL);
    err = platform_exec(&ctx, &as);
    if (err) {
        task_set_ctx_shared(t, ctx);
        return err;
    }
    *gone = true;
    mm = mm_create(as);
    if (old->hiwater_rss > t->tg->max_rss_pages)
        t->tg->max_rss_pages = old->hiwater_rss;
    mutex_lock(&t->res_lock);
    t->us.ctx = ctx;
    t->us.mm = mm;
    mutex_unlock(&t->res_lock);
    mutex_lock(&t->tg->sig_lock);
    t->ctx_shared = ctx;
    t->past_user_ns += user_ns;
    t->past_system_ns += system_ns;
    mutex_unlock(&t->tg->sig_lock);
    if (mm)
        mm->dump_filter = old->dump_filter;
    mm_put(old);
    task_release_vfork(t);
    return mm ? 0 : -ENOMEM;
}

static void swap_shared(struct task *t, struct exec_state *s)
{
    struct fdtable *files = t->files;
    struct sighand *sighand = NULL;

    if (s->files) {
        mutex_lock(&t->res_lock);
        t->files = s->files;
        mutex_unlock(&t->res_lock);
        s->files = NULL;
        fdtable_put(files);
    }
    if (s->sighand) {
        mutex_lock(&t->tg->sig_lock);
        sighand = t->tg->sighand;
        t->tg->sighand = s->sighand;
        mutex_unlock(&t->tg->sig_lock);
        s->sighand = NULL;
        sighand_put(sighand);
    }
}

static int load(struct task *t, struct exec_state *s)
{
    const struct cred *c = s->creds.cred;
    struct loader_env env = {
        .uid = c->uid,
        .euid = c->euid,
        .gid = c->gid,
        .egid = c->egid,
        .secure = s->creds.secure,
        .no_randomize = t->personality & LX_ADDR_NO_RANDOMIZE,
    };

    task_mm_limits(t, &env.limits);
    return loader_load(s->plan, s->args, &t->us, &env, &t->regs);
}

/* The new program is mapped: everything else of the process becomes what execve(2) says. */
static void commit(struct task *t, struct exec_state *s)
{
    struct thread_group *tg = t->tg;
    bool setid = s->creds.setid;

    task_set_cred(t, s->creds.cred);
    s->creds.cred = NULL;
    task_comm_set(t, s->comm);
    fdtable_close_on_exec(t->files);
    signal_reset_on_exec(t);
    timers_exec(t->tg);
    tg->dumpable = setid ? 0 : 1;
    t->us.mm->dumpable = !setid;
    if (setid) {
        t->pdeath_signal = 0;
        t->personality &= ~(uint32_t)LX_ADDR_NO_RANDOMIZE;
    }
    t->rseq = uaddr(0);
    t->syscall_restartable = false;
    debug_exec(t);
    record(t, RECORD_EXEC, 0, 0, 0);
    mutex_lock(&t->k->tasks_lock);
    tg->exec_done = true;
    tg->exit_signal = LX_SIGCHLD;
    mutex_unlock(&t->k->tasks_lock);
}

int task_exec(struct task *t, struct exec_args *args)
{
    struct exec_state s = {.args = args};
    bool gone = false;
    int err = gather(t, &s);

    if (!err)
        err = thread_group_become_single(t);
    if (err)
        goto out;
    swap_shared(t, &s);
    err = replace_memory(t, &gone);
    if (err && !gone)
        goto out; /* the old program still stands */
    if (!err)
        err = load(t, &s);
    if (err)
        thread_group_exit_request(t->tg, LX_SIGSEGV); /* there is nothing to go back to */
    else
        commit(t, &s);
out:
    forget(&s);
    return err;
}
