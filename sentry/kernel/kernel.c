/*
 * The root object: creation, the start of pid 1, and the end. Mounts, devices and the descriptors
 * of pid 1 are boot's work. Locks: tasks_lock.
 */
#include "sentry/kernel/kernel.h"

#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "sentry/base/arena.h"
#include "sentry/base/log.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"
#include "sentry/kernel/cell.h"
#include "sentry/kernel/futex.h"
#include "sentry/kernel/namespace.h"
#include "sentry/kernel/recorder.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/kernel/timer.h"
#include "sentry/kernel/tty.h"
#include "sentry/loader/loader.h"
#include "sentry/mm/mm.h"

#define HOST_CLOCK_REALTIME  0
#define HOST_CLOCK_MONOTONIC 1
#define PID_TABLE_ORDER      6 /* PID_MAX pointers */
_Static_assert((PAGE_SIZE << PID_TABLE_ORDER) == PID_MAX * sizeof(struct pid *),
               "the table's size");

SLAB_TYPE(kernel_slab, struct kernel);

static int create_parts(struct kernel *k)
{
    int err;

    k->pid_table = page_alloc(PID_TABLE_ORDER);
    if (!k->pid_table)
        return -ENOMEM;
    err = pid_ns_create(k, NULL, &k->pid_ns);
    if (!err)
        err = cell_create(k, &k->cell);
    if (!err)
        err = uts_ns_create(k, NULL, &k->uts_ns);
    if (!err)
        err = futex_table_create(&k->futexes);
    if (!err)
        err = timer_queue_create(&k->timers);
    if (!err)
        err = ipc_ns_create(k, true, &k->ipc_ns);
    if (!err)
        k->recorder = recorder_create();
    return err;
}

int kernel_create(const void *hooks, struct kernel **out)
{
    struct kernel *k = slab_alloc(&kernel_slab);
    int err;

    if (!k)
        return -ENOMEM;
    mutex_init(&k->tasks_lock, RANK_TASKS);
    mutex_init(&k->uts_lock, RANK_CRED);
    idalloc_init(&k->pids, PID_MAX);
    k->hooks = ops_ref(hooks);
    k->thread_limit = THREADS_MAX;
    k->boot_realtime_ns = host_clock_ns(HOST_CLOCK_REALTIME);
    k->boot_monotonic_ns = host_clock_ns(HOST_CLOCK_MONOTONIC);
    str_copy(k->core.pattern, "core", sizeof(k->core.pattern));
    err = create_parts(k);
    if (err) {
        kernel_destroy(k);
        return err;
    }
    arena_set_root(k);
    *out = k;
    return 0;
}

void kernel_destroy(struct kernel *k)
{
    struct thread_group *init = k->init;

    if (init) { /* nobody waits for it: it was kept for its status */
        mutex_lock(&k->tasks_lock);
        k->init = NULL;
        thread_group_release_locked(init);
        mutex_unlock(&k->tasks_lock);
    }
    BUG_ON(k->task_count);
    ipc_ns_destroy(k->ipc_ns);
    if (k->timers)
        timer_queue_destroy(k->timers);
    if (k->futexes)
        futex_table_destroy(k->futexes);
    recorder_destroy(k->recorder);
    if (k->pid_table)
        page_free(k->pid_table, PID_TABLE_ORDER);
    idalloc_destroy(&k->pids);
    kfree(k->uid_map);
    kfree(k->gid_map);
    cell_put(k->cell);
    pid_ns_destroy_first(k->pid_ns);
    uts_ns_destroy_first(k->uts_ns);
    slab_free(&kernel_slab, k);
}

/* ---- pid 1 ---- */

/*
 * What its kernel thread needs to load the program itself: mapping is the business of the context's
 * own thread.
 */
struct init_start {
    struct task *task;
    struct exec_args args;
    struct exec_plan *plan;
    struct parker *boot;
    bool first;
    int32_t result; /* 1: not known yet */
};

static void init_main(void *arg)
{
    struct init_start *start = arg;
    struct task *t = start->task;
    const struct cred *c = t->cred;
    struct loader_env env = {.uid = c->uid, .euid = c->euid, .gid = c->gid, .egid = c->egid};
    struct parker *boot = start->boot;
    const uint32_t *held = start->first ? &t->tg->cell->held : NULL;
    int err;

    task_mm_limits(t, &env.limits);
    err = loader_load(start->plan, &start->args, &t->us, &env, &t->regs);
    if (err)
        thread_group_exit_request(t->tg, LX_SIGSEGV);
    store_release(&start->result, err); /* start is the booting thread's again */
    unpark(boot);
    while (held && load_acquire(held) && !signal_fatal_pending(t))
        (void)!park(&t->parker, PARK_FOREVER);
    task_main(t);
}

static int add_strings(struct exec_args *args, const struct init_args *init)
{
    int err = 0;
    size_t i;

    for (i = 0; init->argv[i] && !err; i++)
        err = exec_args_add_arg(args, init->argv[i]);
    for (i = 0; init->envp && init->envp[i] && !err; i++)
        err = exec_args_add_env(args, init->envp[i]);
    return err;
}

static int open_interpreter(void *ctx, const char *path, struct file **out)
{
    return task_open_exec(ctx, NULL, path, WALK_FOLLOW, out);
}

static int prepare_program(struct task *t, const struct init_args *init, struct init_start *start)
{
    struct loader_opener opener = {.open_exec = open_interpreter, .ctx = t};
    const char *slash;
    int err;

    exec_args_init(&start->args, init->rlimits[LX_RLIMIT_STACK].cur);
    start->args.path = kstrdup(init->exe);
    if (!start->args.path)
        return -ENOMEM;
    slash = strrchr(init->exe, '/');
    task_comm_set(t, slash ? slash + 1 : init->exe);
    err = add_strings(&start->args, init);
    if (!err)
        err = task_open_exec(t, NULL, init->exe, WALK_FOLLOW, &start->args.file);
    if (!err)
        err = loader_prepare(&start->args, &opener, &start->plan);
    return err;
}

/* Everything of the task but its address space. */
static int build_init(struct kernel *k, const struct init_args *args, struct task **out)
{
    struct task *t = task_alloc(k);
    struct path cwd = args->root;
    struct task_vfs v;
    int err = 0;

    *out = t;
    if (!t)
        return -ENOMEM;
    t->files = args->files;
    t->cred = cred_get(args->cred);
    t->mount_ns = mount_ns_get(args->mount_ns);
    t->child_ns = pid_ns_get(args->pid_ns ? args->pid_ns : k->pid_ns);
    t->uts_ns = uts_ns_get(args->uts_ns ? args->uts_ns : k->uts_ns);
    t->ipc_ns = ipc_ns_get(args->ipc_ns ? args->ipc_ns : k->ipc_ns);
    memset(t->affinity, 0xff, sizeof(t->affinity));
    t->personality = args->personality;
    t->seccomp = seccomp_filter_get(args->seccomp);
    t->seccomp_mode = args->seccomp ? SECCOMP_FILTERED : SECCOMP_OFF;
    t->nice = args->nice;
    t->ioprio = args->ioprio;
    t->sched_policy = args->sched_policy;
    t->sched_priority = args->sched_priority;
    t->tg = thread_group_alloc(k);
    t->fs = fs_context_alloc(&args->root, &args->root, args->umask);
    if (t->tg) { /* its end needs them */
        t->tg->pid_ns = pid_ns_get(t->child_ns);
        t->tg->cell = cell_get(args->cell ? args->cell : k->cell);
    }
    if (!t->tg || !t->fs)
        return -ENOMEM;
    t->tg->sighand = sighand_alloc();
    t->tg->unkillable = !args->ordinary;
    t->tg->exit_signal = LX_SIGCHLD;
    t->tg->oom_score_adj = args->oom_score_adj;
    memcpy(t->tg->rlimits, args->rlimits, sizeof(t->tg->rlimits));
    if (!t->tg->sighand)
        return -ENOMEM;
    task_vfs_get(t, &v);
    err = vfs_walk(&v.ctx, NULL, args->cwd ? args->cwd : "/", WALK_FOLLOW | WALK_DIRECTORY, &cwd);
    task_vfs_put(&v);
    if (!err) {
        path_put(&t->fs->cwd);
        t->fs->cwd = cwd;
    }
    return err;
}

/* init: as pid 1; else under any number, as the child of nobody. It leads a session of its own. */
static int enter_process(struct task *t, struct tty *tty, bool init)
{
    struct kernel *k = t->k;
    struct session *s = session_alloc();
    int32_t number = INIT_PID;
    struct pid *pid;
    int err = 0;

    if (!s)
        return -ENOMEM;
    mutex_lock(&k->tasks_lock);
    if (!init && (k->shutting_down || t->tg->cell->closed || k->task_count >= k->thread_limit))
        err = -EAGAIN;
    if (!err)
        err = pid_alloc_locked(t->child_ns, &number, init ? 1 : 0, &pid);
    if (!err)
        err = task_link_locked(t, NULL, pid);
    if (err) {
        session_put_locked(k, s);
    } else {
        session_init_locked(s, pid);
        if (tty)
            session_attach_tty_locked(s, tty, pid->nr);
        t->tg->session = s;
        pgrp_join_locked(t->tg, pid);
        t->tg->exec_done = true;
        if (init)
            k->init = t->tg;
        else if (t->child_ns->level && !t->child_ns->init)
            t->child_ns->init = t->tg;
    }
    mutex_unlock(&k->tasks_lock);
    return err;
}

static void discard_init(struct task *t)
{
    if (!t)
        return;
    if (t->us.ctx)
        platform_ctx_discard(t->us.ctx);
    if (t->us.mm)
        mm_put(t->us.mm);
    if (t->files)
        fdtable_put(t->files);
    fs_context_put(t->fs);
    if (t->mount_ns)
        mount_ns_put(t->mount_ns);
    t->us = (struct uspace){0};
    t->files = NULL;
    t->fs = NULL;
    t->mount_ns = NULL;
    task_put(t);
}

static int make_memory(struct task *t)
{
    struct platform_as *as;
    int err = platform_as_create(&as, &t->us.ctx);

    if (err)
        return err;
    t->us.mm = mm_create(as);
    return t->us.mm ? 0 : -ENOMEM;
}

/* It never ran: forgotten as if it had not been entered. */
static void leave_process(struct task *t, bool init)
{
    struct kernel *k = t->k;

    mutex_lock(&k->tasks_lock);
    if (init)
        k->init = NULL;
    t->tg->task_count--;
    thread_group_release_locked(t->tg);
    mutex_unlock(&k->tasks_lock);
}

/* out_tg NULL: as pid 1. */
static int run_process(struct kernel *k, struct init_start *start, const struct init_args *args,
                       struct thread_group **out_tg)
{
    struct parker *parker = args->parker ? args->parker : &k->boot_parker;
    struct task *t = start->task;
    int err = make_memory(t);

    if (!err)
        err = enter_process(t, args->tty, !out_tg);
    if (err)
        return err;
    timers_cpu_limit_changed(t->tg);
    start->boot = parker;
    start->first = args->first;
    start->result = 1;
    if (out_tg)
        *out_tg = thread_group_get(t->tg);
    err = platform_ctx_start(t->us.ctx, init_main, start);
    if (err) {
        if (out_tg) {
            thread_group_put(*out_tg);
            *out_tg = NULL;
        }
        leave_process(t, !out_tg);
        return err;
    }
    while (load_acquire(&start->result) == 1)
        (void)!park(parker, PARK_FOREVER);
    start->task = NULL; /* it is on its own */
    return start->result;
}

static int start_process(struct kernel *k, const struct init_args *args,
                         struct thread_group **out_tg)
{
    struct init_start *start = kmalloc(sizeof(*start));
    int err;

    if (!start) {
        fdtable_put(args->files);
        return -ENOMEM;
    }
    err = build_init(k, args, &start->task);
    if (!start->task)
        fdtable_put(args->files);
    if (!err)
        err = prepare_program(start->task, args, start);
    if (!err)
        err = run_process(k, start, args, out_tg);
    discard_init(start->task);
    exec_plan_free(start->plan);
    exec_args_destroy(&start->args);
    kfree(start);
    return err;
}

int kernel_start_init(struct kernel *k, const struct init_args *args)
{
    return start_process(k, args, NULL);
}

int kernel_start_process(struct kernel *k, const struct init_args *args, struct thread_group **out)
{
    struct thread_group *tg = NULL;
    int err = start_process(k, args, &tg);

    if (!err)
        *out = tg;
    else if (tg) /* the image was bad: it is about to exit */
        kernel_forget_process(tg);
    return err;
}

void kernel_kill_all(struct kernel *k)
{
    struct thread_group *tg;
    int32_t nr;

    mutex_lock(&k->tasks_lock);
    k->shutting_down = 1;
    for (nr = INIT_PID; nr <= k->pid_high; nr++) {
        tg = thread_group_of_pid_locked(k, nr);
        if (tg)
            thread_group_exit_request(tg, LX_SIGKILL);
    }
    mutex_unlock(&k->tasks_lock);
}

int kernel_signal_init(struct kernel *k, int signo)
{
    if (!k->init)
        return -ESRCH;
    return signal_send_outside(k->init, signo);
}
