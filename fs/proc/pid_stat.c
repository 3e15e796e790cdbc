/*
 * /proc/PID/stat and statm, and the facts several files share. Takes tasks_lock, then sig_lock,
 * then mm.lock, never two at once.
 */
#include "fs/proc/proc_pid.h"
#include "sentry/abi/sched.h"
#include "sentry/kernel/tty.h"
#include "sentry/mm/mm.h"

#define DEFAULT_PRIORITY 20

static void set_state(const struct proc_entry *e, struct pid_facts *out)
{
    const struct task *t = e->task;

    out->state = 'S';
    out->state_name = "sleeping";
    if (t->state != TASK_RUNNING) {
        out->state = 'Z';
        out->state_name = "zombie";
    } else if (t->stopped) {
        out->state = 'T';
        out->state_name = "stopped";
    } else if (READ_ONCE(t->parker.word) != 2) {
        out->state = 'R';
        out->state_name = "running";
    }
}

void pid_facts_get(const struct proc_entry *e, struct pid_facts *out)
{
    struct task *t = e->task;
    struct thread_group *tg = t->tg;

    *out = (struct pid_facts){
        .tpgid = -1, .all_tgid = tg->tgid, .all_tid = t->tid, .all_pgid = tg->pgid};
    mutex_lock(&e->k->tasks_lock);
    out->tgid = thread_group_nr_in_locked(tg, e->ns);
    out->tid = task_nr_in_locked(t, e->ns);
    set_state(e, out);
    if (tg->parent)
        out->ppid = thread_group_nr_in_locked(tg->parent, e->ns);
    out->pgid = pid_nr_in_locked(tg->pgrp, e->ns);
    out->threads = tg->task_count;
    if (tg->session) {
        out->all_sid = tg->session->id;
        out->sid = pid_nr_in_locked(tg->session->pid, e->ns);
        if (tg->session->tty) {
            out->tty_dev = tty_head(tg->session->tty)->dev;
            out->tpgid = tty_head(tg->session->tty)->fg_pgid;
            if (e->ns->level)
                out->tpgid = pid_nr_in_locked(pid_find_locked(e->k, out->tpgid), e->ns);
        }
    }
    out->child_user_ns = tg->child_user_ns;
    out->child_system_ns = tg->child_system_ns;
    out->exit_code = t->exit_code;
    mutex_unlock(&e->k->tasks_lock);

    mutex_lock(&tg->sig_lock);
    out->pending = t->pending.set;
    out->shared_pending = tg->shared_pending.set;
    out->blocked = t->blocked;
    out->queued_signals = tg->queued_signals;
    if (tg->sighand)
        out->ignored = signal_ignored_set_locked(tg, &out->caught);
    mutex_unlock(&tg->sig_lock);
    task_comm_get(t, out->comm);
}

void pid_cpu_time(const struct proc_entry *e, uint64_t *user_ns, uint64_t *system_ns)
{
    if (e->thread)
        task_cpu_time(e->task, user_ns, system_ns);
    else
        thread_group_cpu_time(e->task->tg, user_ns, system_ns);
}

struct memory_facts {
    uint64_t size, rss; /* bytes, pages */
    uint64_t start_code, end_code, start_data, end_data, brk_start, start_stack;
    uint64_t arg_start, arg_end, env_start, env_end;
    uint64_t shared, text, data; /* pages */
};

static void memory_facts_get(struct task *t, struct memory_facts *out)
{
    struct mm *mm = task_mm_get(t);

    *out = (struct memory_facts){0};
    if (!mm)
        return;
    mutex_lock(&mm->lock);
    *out = (struct memory_facts){
        .size = mm->total_vm * PAGE_SIZE,
        .start_code = mm->start_code,
        .end_code = mm->end_code,
        .start_data = mm->start_data,
        .end_data = mm->end_data,
        .brk_start = mm->brk_start,
        .start_stack = mm->start_stack,
        .arg_start = mm->arg_start,
        .arg_end = mm->arg_end,
        .env_start = mm->env_start,
        .env_end = mm->env_end,
        .text = (PAGE_ALIGN_UP(mm->end_code) - PAGE_ALIGN_DOWN(mm->start_code)) / PAGE_SIZE,
        .data = mm->data_vm + mm->stack_vm,
    };
    mutex_unlock(&mm->lock);
    out->rss = platform_as_rss(mm->as, &out->shared);
    mm_put(mm);
}

int proc_show_pid_stat(const struct proc_entry *e, struct strbuf *sb)
{
    struct task *t = e->task;
    struct memory_facts m;
    struct pid_facts f;
    uint64_t user, system;
    bool see = e->may_access;

    pid_facts_get(e, &f);
    memory_facts_get(t, &m);
    pid_cpu_time(e, &user, &system);
    strbuf_printf(sb, "%d (%s) %c %d %d %d %d %d %u", f.tid, f.comm, f.state, f.ppid, f.pgid, f.sid,
                  (int)f.tty_dev, f.tpgid, 0x400000U /* PF_RANDOMIZE */);
    strbuf_printf(sb, " %lu 0 0 0 %lu %lu %lu %lu", t->min_flt, ns_to_ticks(user),
                  ns_to_ticks(system), ns_to_ticks(f.child_user_ns),
                  ns_to_ticks(f.child_system_ns));
    strbuf_printf(sb, " %d %d %u 0 %lu %lu %lu %lu", DEFAULT_PRIORITY + t->nice, t->nice, f.threads,
                  ns_to_ticks(t->start_ns), m.size, m.rss,
                  READ_ONCE(t->tg->rlimits[LX_RLIMIT_RSS].cur));
    strbuf_printf(sb, " %lu %lu %lu 0 0", see ? m.start_code : 1, see ? m.end_code : 1,
                  see ? m.start_stack : 0);
    /* The lower 31 signals only, as ever. */
    strbuf_printf(sb, " %lu %lu %lu %lu 0 0 0 %d %u %u %u 0 0 0", f.pending & 0x7fffffff,
                  f.blocked & 0x7fffffff, f.ignored & 0x7fffffff, f.caught & 0x7fffffff, LX_SIGCHLD,
                  0U, t->sched_priority, t->sched_policy);
    if (see)
        strbuf_printf(sb, " %lu %lu %lu %lu %lu %lu %lu %d\n", m.start_data, m.end_data,
                      m.brk_start, m.arg_start, m.arg_end, m.env_start, m.env_end, f.exit_code);
    else
        strbuf_puts(sb, " 0 0 0 0 0 0 0 0\n");
    return 0;
}

int proc_show_pid_statm(const struct proc_entry *e, struct strbuf *sb)
{
    struct memory_facts m;

    memory_facts_get(e->task, &m);
    strbuf_printf(sb, "%lu %lu %lu %lu 0 %lu 0\n", m.size / PAGE_SIZE, m.rss, m.shared, m.text,
                  m.data);
    return 0;
}
