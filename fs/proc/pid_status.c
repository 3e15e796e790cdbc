/* /proc/PID/status. Takes tasks_lock, sig_lock, mm.lock in turn through the helpers. */
#include "fs/proc/proc_pid.h"
#include "platform/host/host.h"
#include "sentry/abi/sched.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/mm/mm.h"

#define KB(pages) ((pages) * (PAGE_SIZE / 1024))

static void show_ids(const struct proc_entry *e, const struct pid_facts *f, struct strbuf *sb)
{
    const struct cred *c = task_cred_get(e->task);
    struct fdtable *files = task_files_get(e->task);

    if (c) {
        strbuf_printf(sb, "Uid:\t%u\t%u\t%u\t%u\n", c->uid, c->euid, c->suid, c->fsuid);
        strbuf_printf(sb, "Gid:\t%u\t%u\t%u\t%u\n", c->gid, c->egid, c->sgid, c->fsgid);
    }
    strbuf_printf(sb, "FDSize:\t%u\nGroups:\t", files ? files->capacity : 0);
    for (uint32_t i = 0; c && i < c->group_count; i++)
        strbuf_printf(sb, "%s%u", i ? " " : "", c->groups[i]);
    strbuf_puts(sb, " \n");
    strbuf_puts(sb, "NStgid:");
    pid_print_in(e->ns, f->all_tgid, sb);
    strbuf_puts(sb, "\nNSpid:");
    pid_print_in(e->ns, f->all_tid, sb);
    strbuf_puts(sb, "\nNSpgid:");
    pid_print_in(e->ns, f->all_pgid, sb);
    strbuf_puts(sb, "\nNSsid:");
    pid_print_in(e->ns, f->all_sid, sb);
    strbuf_puts(sb, "\nKthread:\t0\n");
    if (files)
        fdtable_put(files);
    if (c)
        cred_put(c);
}

static void show_memory(struct task *t, struct strbuf *sb)
{
    struct mm *mm = task_mm_get(t);
    uint64_t rss, shared = 0, peak, text;

    if (!mm)
        return;
    rss = platform_as_rss(mm->as, &shared);
    mutex_lock(&mm->lock);
    mm->hiwater_rss = MAX(mm->hiwater_rss, rss);
    peak = mm->total_vm;
    text = (PAGE_ALIGN_UP(mm->end_code) - PAGE_ALIGN_DOWN(mm->start_code)) / PAGE_SIZE;
    strbuf_printf(sb, "VmPeak:\t%8lu kB\nVmSize:\t%8lu kB\nVmLck:\t%8lu kB\nVmPin:\t       0 kB\n",
                  KB(peak), KB(mm->total_vm), KB(mm->locked_vm));
    strbuf_printf(sb,
                  "VmHWM:\t%8lu kB\nVmRSS:\t%8lu kB\nRssAnon:\t%8lu kB\nRssFile:\t%8lu "
                  "kB\nRssShmem:\t       0 kB\n",
                  KB(mm->hiwater_rss), KB(rss), KB(rss > shared ? rss - shared : 0),
                  KB(MIN(shared, rss)));
    strbuf_printf(sb, "VmData:\t%8lu kB\nVmStk:\t%8lu kB\nVmExe:\t%8lu kB\nVmLib:\t%8lu kB\n",
                  KB(mm->data_vm), KB(mm->stack_vm), KB(text),
                  KB(mm->exec_vm > text ? mm->exec_vm - text : 0));
    mutex_unlock(&mm->lock);
    strbuf_puts(
        sb,
        "VmPTE:\t      40 kB\nVmSwap:\t       0 kB\nHugetlbPages:\t       0 kB\nCoreDumping:\t0\n"
        "THP_enabled:\t1\nuntag_mask:\t0xffffffffffffffff\n");
    mm_put(mm);
}

static void show_signals(const struct proc_entry *e, const struct pid_facts *f, struct strbuf *sb)
{
    strbuf_printf(sb, "Threads:\t%u\nSigQ:\t%u/%lu\n", f->threads, f->queued_signals,
                  READ_ONCE(e->task->tg->rlimits[LX_RLIMIT_SIGPENDING].cur));
    strbuf_printf(
        sb, "SigPnd:\t%016lx\nShdPnd:\t%016lx\nSigBlk:\t%016lx\nSigIgn:\t%016lx\nSigCgt:\t%016lx\n",
        f->pending, f->shared_pending, f->blocked, f->ignored, f->caught);
}

static void show_caps(struct task *t, struct strbuf *sb)
{
    const struct cred *c = task_cred_get(t);

    if (!c)
        return;
    strbuf_printf(
        sb, "CapInh:\t%016lx\nCapPrm:\t%016lx\nCapEff:\t%016lx\nCapBnd:\t%016lx\nCapAmb:\t%016lx\n",
        c->cap_inheritable, c->cap_permitted, c->cap_effective, c->cap_bounding, c->cap_ambient);
    strbuf_printf(sb, "NoNewPrivs:\t%d\nSeccomp:\t%u\nSeccomp_filters:\t%u\n", c->no_new_privs,
                  READ_ONCE(t->seccomp_mode), seccomp_depth(t));
    cred_put(c);
    strbuf_puts(sb, "Speculation_Store_Bypass:\tthread "
                    "vulnerable\nSpeculationIndirectBranch:\tconditional enabled\n");
}

/* As a hexadecimal mask in groups of 32, and as a list of ranges. */
static void show_cpus(const struct task *t, struct strbuf *sb)
{
    uint32_t cpus = host_cpu_count(), groups = (cpus + 31) / 32;
    bool first = true;

    strbuf_puts(sb, "Cpus_allowed:\t");
    for (uint32_t i = groups; i-- > 0;) {
        uint32_t word = (uint32_t)(t->affinity[i / 2] >> (i % 2 * 32));
        uint32_t left = cpus - i * 32;

        if (left < 32)
            word &= (1U << left) - 1;
        strbuf_printf(sb, i + 1 == groups ? "%x" : ",%08x", word);
    }
    strbuf_puts(sb, "\nCpus_allowed_list:\t");
    for (uint32_t i = 0; i < cpus; i++) {
        uint32_t start = i;

        if (!(t->affinity[i / 64] >> (i % 64) & 1))
            continue;
        while (i + 1 < cpus && t->affinity[(i + 1) / 64] >> ((i + 1) % 64) & 1)
            i++;
        strbuf_printf(sb, first ? "%u" : ",%u", start);
        if (i > start)
            strbuf_printf(sb, "-%u", i);
        first = false;
    }
    strbuf_puts(sb, "\nMems_allowed:\t1\nMems_allowed_list:\t0\n");
}

int proc_show_pid_status(const struct proc_entry *e, struct strbuf *sb)
{
    struct fs_context *fs = task_fs_get(e->task);
    struct pid_facts f;

    pid_facts_get(e, &f);
    strbuf_puts(sb, "Name:\t");
    for (const char *c = f.comm; *c; c++) {
        if (*c == '\n')
            strbuf_puts(sb, "\\n");
        else if (*c == '\\')
            strbuf_puts(sb, "\\\\");
        else
            strbuf_putc(sb, *c);
    }
    strbuf_putc(sb, '\n');
    if (fs) {
        strbuf_printf(sb, "Umask:\t%04o\n", READ_ONCE(fs->umask));
        fs_context_put(fs);
    }
    strbuf_printf(sb, "State:\t%c (%s)\nTgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t%d\nTracerPid:\t0\n",
                  f.state, f.state_name, f.tgid, f.tid, f.ppid);
    show_ids(e, &f, sb);
    show_memory(e->task, sb);
    show_signals(e, &f, sb);
    show_caps(e->task, sb);
    show_cpus(e->task, sb);
    strbuf_printf(sb, "voluntary_ctxt_switches:\t%lu\nnonvoluntary_ctxt_switches:\t0\n",
                  e->task->voluntary_switches);
    return 0;
}
