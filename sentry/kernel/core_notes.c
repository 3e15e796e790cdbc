/*
 * The notes of a core file: threads, process, signal, auxiliary vector, mapped files, vector state.
 * In Linux's order, which readers rely on: the thread that died is the first. Every task of the
 * process is stopped. Locks: tasks_lock and sig_lock, for a moment each. Source: elf(5), gdb and
 * elfutils.
 */
#include "sentry/base/fmt.h"
#include "sentry/base/string.h"
#include "sentry/kernel/clock.h"
#include "sentry/kernel/core.h"
#include "sentry/kernel/kernel.h"
#include "sentry/mm/mm.h"

#define USER_CS       0x33
#define USER_SS       0x2b
#define FILE_NOTE_MAX (4UL << 20) /* Linux leaves the note away beyond this, too */

static void add_note(struct strbuf *sb, const char *name, uint32_t type, const void *data,
                     size_t size)
{
    static const char zeros[4];
    struct lx_elf_nhdr head = {(uint32_t)strlen(name) + 1, (uint32_t)size, type};

    strbuf_add(sb, &head, sizeof(head));
    strbuf_add(sb, name, head.namesz);
    strbuf_add(sb, zeros, -head.namesz & 3);
    strbuf_add(sb, data, size);
    strbuf_add(sb, zeros, -size & 3);
}

void core_user_regs(const struct core_thread *th, struct lx_user_regs *out)
{
    const struct cpu_regs *r = &th->task->regs;

    *out = (struct lx_user_regs){
        .r15 = r->r15,
        .r14 = r->r14,
        .r13 = r->r13,
        .r12 = r->r12,
        .rbp = r->rbp,
        .rbx = r->rbx,
        .r11 = r->r11,
        .r10 = r->r10,
        .r9 = r->r9,
        .r8 = r->r8,
        .rax = r->rax,
        .rcx = r->rcx,
        .rdx = r->rdx,
        .rsi = r->rsi,
        .rdi = r->rdi,
        .orig_rax = th->orig_rax,
        .rip = r->rip,
        .cs = USER_CS,
        .rflags = r->rflags,
        .rsp = r->rsp,
        .ss = USER_SS,
        .fs_base = r->fs_base,
        .gs_base = r->gs_base,
    };
}

static void set_time(int64_t *sec, int64_t *usec, uint64_t ns)
{
    struct lx_timeval tv = ns_to_timeval(ns);

    *sec = tv.sec;
    *usec = tv.usec;
}

/* ppid, process group, session: as the dying process sees them. */
static void get_family(struct thread_group *tg, int32_t out[3])
{
    mutex_lock(&tg->k->tasks_lock);
    out[0] = tg->parent ? thread_group_nr_in_locked(tg->parent, tg->pid_ns) : 0;
    out[1] = pid_nr_in_locked(tg->pgrp, tg->pid_ns);
    out[2] = tg->session ? pid_nr_in_locked(tg->session->pid, tg->pid_ns) : 0;
    mutex_unlock(&tg->k->tasks_lock);
}

static void add_prstatus(struct strbuf *sb, const struct core_stop *s, const struct core_thread *th)
{
    struct task *t = th->task;
    struct thread_group *tg = t->tg;
    struct lx_prstatus st;
    uint64_t user, system;
    int32_t family[3];

    memset(&st, 0, sizeof(st));
    get_family(tg, family);
    st.signo = st.cursig = (int16_t)s->signo;
    st.sigpend = READ_ONCE(t->pending.set) & ~LX_SIGMASK(LX_SIGKILL);
    st.sighold = t->blocked;
    st.pid = t->own_tid;
    st.ppid = family[0];
    st.pgrp = family[1];
    st.sid = family[2];
    if (t == tg->leader)
        thread_group_cpu_time(tg, &user, &system);
    else
        task_cpu_time(t, &user, &system);
    set_time(&st.utime.sec, &st.utime.usec, user);
    set_time(&st.stime.sec, &st.stime.usec, system);
    set_time(&st.cutime.sec, &st.cutime.usec, tg->child_user_ns);
    set_time(&st.cstime.sec, &st.cstime.usec, tg->child_system_ns);
    core_user_regs(th, &st.regs);
    st.fpvalid = th->fpu != NULL;
    add_note(sb, "CORE", LX_NT_PRSTATUS, &st, sizeof(st));
}

static void add_prpsinfo(struct strbuf *sb, const struct core_stop *s)
{
    struct task *t = s->self.task;
    struct mm *mm = t->us.mm;
    struct lx_prpsinfo ps;
    int32_t family[3];
    size_t n;

    memset(&ps, 0, sizeof(ps));
    get_family(t->tg, family);
    ps.sname = 'R';
    ps.nice = (char)t->nice;
    ps.uid = t->cred->uid;
    ps.gid = t->cred->gid;
    ps.pid = t->tg->own_tgid;
    ps.ppid = family[0];
    ps.pgrp = family[1];
    ps.sid = family[2];
    task_comm_get(t, ps.fname);
    n = MIN(mm->arg_end - mm->arg_start, sizeof(ps.psargs) - 1);
    if (mm->arg_end < mm->arg_start || mm_read(mm, ps.psargs, mm->arg_start, n, true) <= 0)
        n = 0;
    for (size_t i = 0; i < n; i++) {
        if (!ps.psargs[i])
            ps.psargs[i] = ' ';
    }
    add_note(sb, "CORE", LX_NT_PRPSINFO, &ps, sizeof(ps));
}

static void add_auxv(struct strbuf *sb, struct mm *mm)
{
    uint32_t n = 0;

    while (n + 2 < ARRAY_SIZE(mm->auxv) && mm->auxv[n])
        n += 2;
    add_note(sb, "CORE", LX_NT_AUXV, mm->auxv, (n + 2) * sizeof(mm->auxv[0]));
}

/* count, page size, count times start, end, offset in pages; then the names. */
static void add_files(struct strbuf *sb, struct mm *mm)
{
    struct strbuf ranges, names;
    uint64_t at = 0, head[2] = {0, PAGE_SIZE};
    struct vma_info v;

    strbuf_init(&ranges);
    strbuf_init(&names);
    strbuf_add(&ranges, head, sizeof(head));
    while (!names.failed && !ranges.failed && mm_vma_at_or_after(mm, at, &v) == 0) {
        uint64_t row[3] = {v.start, v.end, v.offset / PAGE_SIZE}, dev, ino;

        at = v.end;
        if (!v.file)
            continue;
        OPS_GET(mm_file_ops, v.file->ops)->describe(v.file, &dev, &ino, &names);
        OPS_GET(mm_file_ops, v.file->ops)->put(v.file);
        strbuf_putc(&names, '\0');
        strbuf_add(&ranges, row, sizeof(row));
        head[0]++;
    }
    if (head[0] && !names.failed && !ranges.failed && names.size + ranges.size <= FILE_NOTE_MAX) {
        memcpy(ranges.data, head, sizeof(head));
        strbuf_add(&ranges, names.data, names.size);
        add_note(sb, "CORE", LX_NT_FILE, ranges.data, ranges.failed ? 0 : ranges.size);
    }
    strbuf_free(&ranges);
    strbuf_free(&names);
}

static void add_vectors(struct strbuf *sb, const struct core_thread *th)
{
    const struct platform_facts *facts = platform_facts();

    if (!th->fpu)
        return;
    memcpy(th->fpu + LX_XSAVE_XCR0_WORD, &facts->fpu_features, sizeof(facts->fpu_features));
    add_note(sb, "CORE", LX_NT_PRFPREG, th->fpu, LX_FXSAVE_SIZE);
    add_note(sb, "LINUX", LX_NT_X86_XSTATE, th->fpu, facts->fpu_size);
}

void core_notes(const struct core_stop *s, struct strbuf *out)
{
    struct core_thread *th;

    add_prstatus(out, s, &s->self);
    add_prpsinfo(out, s);
    add_note(out, "CORE", LX_NT_SIGINFO, &s->info, sizeof(s->info));
    add_auxv(out, s->self.task->us.mm);
    add_files(out, s->self.task->us.mm);
    add_vectors(out, &s->self);
    list_for_each (th, &s->threads, node) {
        if (th == &s->self)
            continue;
        add_prstatus(out, s, th);
        add_vectors(out, th);
    }
}
