/*
 * The smaller files of /proc/PID: arguments, environment, names, limits, out-of-memory scores,
 * identity maps. Other tasks' memory is read with mm_read, under no lock.
 */
#include "fs/proc/proc_pid.h"
#include "sentry/abi/core.h"
#include "sentry/abi/sched.h"
#include "sentry/mm/mm.h"

#define READ_CHUNK  4096
#define CMDLINE_MAX (2UL << 20)
#define OOM_ADJ_MIN (-1000)
#define OOM_ADJ_MAX 1000
#define OOM_DISABLE (-17)
#define NO_ID       4294967295U

void pid_read_memory(struct mm *mm, uint64_t start, uint64_t end, struct strbuf *sb)
{
    char *chunk AUTO_KFREE = kmalloc(READ_CHUNK);

    if (!chunk)
        return;
    while (start < end) {
        int64_t n = mm_read(mm, chunk, start, MIN(end - start, (uint64_t)READ_CHUNK), true);

        if (n <= 0)
            return;
        strbuf_add(sb, chunk, (size_t)n);
        start += (uint64_t)n;
    }
}

/* When the program has overwritten the end of its arguments (setproctitle), the text runs on to the
 * first NUL. */
int proc_show_pid_cmdline(const struct proc_entry *e, struct strbuf *sb)
{
    struct mm *mm = task_mm_get(e->task);
    uint64_t arg_start, arg_end, env_start, env_end;

    if (!mm)
        return 0;
    mutex_lock(&mm->lock);
    arg_start = mm->arg_start;
    arg_end = MIN(mm->arg_end, mm->arg_start + CMDLINE_MAX);
    env_start = mm->env_start;
    env_end = MIN(mm->env_end, mm->env_start + CMDLINE_MAX);
    mutex_unlock(&mm->lock);
    pid_read_memory(mm, arg_start, arg_end, sb);
    if (sb->size && sb->data[sb->size - 1] != '\0') {
        char *nul = memchr(sb->data, '\0', sb->size);

        if (!nul && env_start == arg_end) {
            pid_read_memory(mm, env_start, env_end, sb);
            nul = memchr(sb->data, '\0', sb->size);
        }
        if (nul)
            sb->size = (size_t)(nul - sb->data) + 1;
    }
    mm_put(mm);
    return 0;
}

int proc_show_pid_environ(const struct proc_entry *e, struct strbuf *sb)
{
    struct mm *mm = task_mm_get(e->task);
    uint64_t start, end;

    if (!mm)
        return 0;
    mutex_lock(&mm->lock);
    start = mm->env_start;
    end = MIN(mm->env_end, start + CMDLINE_MAX);
    mutex_unlock(&mm->lock);
    pid_read_memory(mm, start, end, sb);
    mm_put(mm);
    return 0;
}

int proc_show_pid_auxv(const struct proc_entry *e, struct strbuf *sb)
{
    struct mm *mm = task_mm_get(e->task);
    uint32_t n = 0;

    if (!mm)
        return 0;
    while (n + 2 < ARRAY_SIZE(mm->auxv) && mm->auxv[n])
        n += 2;
    strbuf_add(sb, mm->auxv, (n + 2) * sizeof(mm->auxv[0]));
    mm_put(mm);
    return 0;
}

int proc_show_pid_comm(const struct proc_entry *e, struct strbuf *sb)
{
    char comm[16];

    task_comm_get(e->task, comm);
    strbuf_printf(sb, "%s\n", comm);
    return 0;
}

/* Only threads of the same process may. */
int proc_store_pid_comm(const struct proc_entry *e, char *text, size_t size)
{
    char name[16];

    if (!e->reader || e->reader->tg != e->task->tg)
        return -EINVAL;
    str_copy(name, text, sizeof(name));
    task_comm_set(e->task, name);
    return 0;
}

int proc_show_pid_limits(const struct proc_entry *e, struct strbuf *sb)
{
    static const struct {
        const char *name, *unit;
    } rows[LX_RLIMIT_COUNT] = {
        [LX_RLIMIT_CPU] = {"Max cpu time", "seconds"},
        [LX_RLIMIT_FSIZE] = {"Max file size", "bytes"},
        [LX_RLIMIT_DATA] = {"Max data size", "bytes"},
        [LX_RLIMIT_STACK] = {"Max stack size", "bytes"},
        [LX_RLIMIT_CORE] = {"Max core file size", "bytes"},
        [LX_RLIMIT_RSS] = {"Max resident set", "bytes"},
        [LX_RLIMIT_NPROC] = {"Max processes", "processes"},
        [LX_RLIMIT_NOFILE] = {"Max open files", "files"},
        [LX_RLIMIT_MEMLOCK] = {"Max locked memory", "bytes"},
        [LX_RLIMIT_AS] = {"Max address space", "bytes"},
        [LX_RLIMIT_LOCKS] = {"Max file locks", "locks"},
        [LX_RLIMIT_SIGPENDING] = {"Max pending signals", "signals"},
        [LX_RLIMIT_MSGQUEUE] = {"Max msgqueue size", "bytes"},
        [LX_RLIMIT_NICE] = {"Max nice priority", ""},
        [LX_RLIMIT_RTPRIO] = {"Max realtime priority", ""},
        [LX_RLIMIT_RTTIME] = {"Max realtime timeout", "us"},
    };
    struct lx_rlimit limits[LX_RLIMIT_COUNT];
    char soft[24], hard[24];

    mutex_lock(&e->task->tg->limits_lock);
    memcpy(limits, e->task->tg->rlimits, sizeof(limits));
    mutex_unlock(&e->task->tg->limits_lock);
    strbuf_printf(sb, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    for (int i = 0; i < LX_RLIMIT_COUNT; i++) {
        cv_snprintf(soft, sizeof(soft), limits[i].cur == UINT64_MAX ? "unlimited" : "%lu",
                    limits[i].cur);
        cv_snprintf(hard, sizeof(hard), limits[i].max == UINT64_MAX ? "unlimited" : "%lu",
                    limits[i].max);
        if (rows[i].unit[0])
            strbuf_printf(sb, "%-25s %-20s %-20s %-10s\n", rows[i].name, soft, hard, rows[i].unit);
        else
            strbuf_printf(sb, "%-25s %-20s %-20s           \n", rows[i].name, soft, hard);
    }
    return 0;
}

int proc_show_pid_cgroup(const struct proc_entry *e, struct strbuf *sb)
{
    strbuf_puts(sb, "0::/\n");
    return 0;
}

int proc_show_pid_oom_score_adj(const struct proc_entry *e, struct strbuf *sb)
{
    strbuf_printf(sb, "%d\n", READ_ONCE(e->task->tg->oom_score_adj));
    return 0;
}

/* The old scale of -17 to 15. */
int proc_show_pid_oom_adj(const struct proc_entry *e, struct strbuf *sb)
{
    int adj = READ_ONCE(e->task->tg->oom_score_adj);

    strbuf_printf(sb, "%d\n", adj == OOM_ADJ_MAX ? 15 : adj * -OOM_DISABLE / OOM_ADJ_MAX);
    return 0;
}

int proc_show_pid_oom_score(const struct proc_entry *e, struct strbuf *sb)
{
    int adj = READ_ONCE(e->task->tg->oom_score_adj);

    strbuf_printf(sb, "%d\n", adj <= OOM_ADJ_MIN ? 0 : (OOM_ADJ_MAX + adj) * 2 / 3);
    return 0;
}

int proc_store_pid_oom_score_adj(const struct proc_entry *e, char *text, size_t size)
{
    bool negative;
    uint64_t value;
    char *end;
    int adj;

    while (*text == ' ' || *text == '\t')
        text++;
    for (end = text + strlen(text); end > text && (end[-1] == '\n' || end[-1] == ' ');)
        *--end = '\0';
    negative = *text == '-';
    if (str_to_u64(text + (negative || *text == '+'), &value) || value > OOM_ADJ_MAX)
        return -EINVAL;
    adj = negative ? -(int)value : (int)value;
    if (adj < READ_ONCE(e->task->tg->oom_score_adj) && e->reader &&
        !task_capable(e->reader, LX_CAP_SYS_RESOURCE))
        return -EACCES;
    WRITE_ONCE(e->task->tg->oom_score_adj, adj);
    return 0;
}

int proc_show_pid_personality(const struct proc_entry *e, struct strbuf *sb)
{
    strbuf_printf(sb, "%08x\n", e->task->personality);
    return 0;
}

int proc_show_pid_wchan(const struct proc_entry *e, struct strbuf *sb)
{
    strbuf_puts(sb, "0");
    return 0;
}

/* One user namespace, whose ids are what the container's maps say, or the identity. */
static int show_id_map(const char *map, struct strbuf *sb)
{
    if (map)
        strbuf_puts(sb, map);
    else
        strbuf_printf(sb, "%10u %10u %10u\n", 0U, 0U, NO_ID);
    return 0;
}

int proc_show_pid_uid_map(const struct proc_entry *e, struct strbuf *sb)
{
    return show_id_map(e->task->k->uid_map, sb);
}

int proc_show_pid_gid_map(const struct proc_entry *e, struct strbuf *sb)
{
    return show_id_map(e->task->k->gid_map, sb);
}

int proc_show_pid_setgroups(const struct proc_entry *e, struct strbuf *sb)
{
    strbuf_puts(sb, "allow\n");
    return 0;
}

int proc_show_pid_loginuid(const struct proc_entry *e, struct strbuf *sb)
{
    strbuf_printf(sb, "%u", NO_ID);
    return 0;
}

int proc_show_pid_sessionid(const struct proc_entry *e, struct strbuf *sb)
{
    strbuf_printf(sb, "%u", NO_ID);
    return 0;
}

/* Registers belong to the task's own thread: only that it runs or not is said. */
int proc_show_pid_syscall(const struct proc_entry *e, struct strbuf *sb)
{
    strbuf_puts(sb, "running\n");
    return 0;
}

int proc_show_pid_children(const struct proc_entry *e, struct strbuf *sb)
{
    struct thread_group *child;

    mutex_lock(&e->k->tasks_lock);
    list_for_each (child, &e->task->tg->children, sibling)
        if (!e->thread || e->task == e->task->tg->leader)
            strbuf_printf(sb, "%d ", thread_group_nr_in_locked(child, e->ns));
    mutex_unlock(&e->k->tasks_lock);
    return 0;
}

int proc_show_pid_coredump_filter(const struct proc_entry *e, struct strbuf *sb)
{
    struct mm *mm = task_mm_get(e->task);

    if (!mm)
        return 0;
    strbuf_printf(sb, "%08x\n", READ_ONCE(mm->dump_filter));
    mm_put(mm);
    return 0;
}

int proc_store_pid_coredump_filter(const struct proc_entry *e, char *text, size_t size)
{
    struct mm *mm;
    uint64_t value;
    int err = proc_parse_number(text, &value);

    if (err)
        return err;
    mm = task_mm_get(e->task);
    if (!mm)
        return -ESRCH;
    WRITE_ONCE(mm->dump_filter, (uint32_t)value & LX_DUMP_FILTER_BITS);
    mm_put(mm);
    return 0;
}

int proc_show_pid_timerslack(const struct proc_entry *e, struct strbuf *sb)
{
    strbuf_printf(sb, "%lu\n", READ_ONCE(e->task->timer_slack_ns));
    return 0;
}
