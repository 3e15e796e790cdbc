/*
 * Guest threads as the tracer thread sees them: starting them, and what each stop means. Everything
 * here runs on the tracer thread. Guest code runs under PTRACE_SYSEMU, so no call of its own
 * reaches the host; the stub under PTRACE_CONT. Lock: as.life, to reap a process.
 */
#include "platform/ptrace/ptrace.h"

#include <elf.h>
#include <errno.h>
#include <linux/audit.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define BUCKETS 256
#define PEEK_SIGNALS                                                                               \
    8 /* no more than one of them can be a fault; few others reach a guest thread */
#define SYSCALL_STOP (SIGTRAP | 0x80)
#define WAIT_FLAGS   (WNOHANG | __WALL | __WNOTHREAD)
#ifndef PTRACE_SYSEMU
#define PTRACE_SYSEMU 31
#endif
#ifndef PTRACE_EVENT_STOP
#define PTRACE_EVENT_STOP 128
#endif

enum tracee_state {
    NEW, /* cloned, not yet stopped */
    STOPPED,
    IN_GUEST, /* running guest code */
    IN_STUB,  /* running the stub */
    ENDING,   /* told to exit */
    GONE,
};

struct tracee {
    struct tracee *next; /* in its bucket */
    pid_t tid;
    enum tracee_state state;
    bool attached;          /* a context points here */
    struct platform_as *as; /* NULL before adoption */
    struct request *run;    /* answered at the next stop; of adoption while NEW */
    pid_t born;             /* cloned by the stub's present run */
    pid_t maker;            /* the thread that cloned it, once stopped */
    bool reported;          /* the maker's clone event has been seen */
};

static struct tracee *table[BUCKETS];
static unsigned live;

static long trace(int what, struct tracee *t, uint64_t addr, void *data)
{
    return ptrace((enum __ptrace_request)what, t->tid, addr, data) < 0 ? -errno : 0;
}

/* ---- the table ---- */

static struct tracee *find(pid_t tid)
{
    struct tracee *t = table[(unsigned)tid % BUCKETS];

    while (t && t->tid != tid)
        t = t->next;
    return t;
}

static struct tracee *add(pid_t tid)
{
    struct tracee *t = find(tid);

    if (t)
        return t;
    t = calloc(1, sizeof(*t));
    BUG_ON(!t);
    t->tid = tid;
    t->state = NEW;
    t->next = table[(unsigned)tid % BUCKETS];
    table[(unsigned)tid % BUCKETS] = t;
    live++;
    return t;
}

void tracee_add(pid_t tid)
{
    add(tid)->reported = true;
}

/* Its host thread is gone: the number may come again. */
static void forget(struct tracee *t)
{
    struct tracee **link = &table[(unsigned)t->tid % BUCKETS];

    while (*link != t)
        link = &(*link)->next;
    *link = t->next;
    live--;
}

void tracee_kill_all(void)
{
    for (unsigned i = 0; i < BUCKETS; i++)
        for (struct tracee *t = table[i]; t; t = t->next)
            kill(t->tid, SIGKILL);
}

bool tracee_any(void)
{
    return live > 0;
}

/* ---- running ---- */

/* A tracee that was killed meanwhile does not resume; its exit is on the way. */
static void resume(struct tracee *t)
{
    int how = t->state == IN_GUEST ? PTRACE_SYSEMU : PTRACE_CONT;
    long r = trace(how, t, 0, NULL);

    BUG_ON(r && r != -ESRCH);
}

static void start(struct tracee *t, struct request *r, enum tracee_state state)
{
    long err;

    if (t->state == GONE) {
        tracer_answer(r, -ESRCH);
        return;
    }
    BUG_ON(t->state != STOPPED);
    if (state == IN_GUEST && atomic_exchange(&r->ctx->interrupt, 0)) {
        r->stop = STOP_INTERRUPTED;
        tracer_answer(r, 0);
        return;
    }
    err = trace(PTRACE_SETREGS, t, 0, &r->regs);
    if (err && err != -ESRCH) {
        tracer_answer(r, (int)err);
        return;
    }
    t->run = r;
    t->born = 0;
    t->state = state;
    resume(t);
}

static void finish(struct tracee *t, enum stop_kind stop)
{
    struct request *r = t->run;

    t->run = NULL;
    t->state = STOPPED;
    r->stop = stop;
    r->born = t->born;
    t->born = 0;
    tracer_answer(r, 0);
}

/* False: it is being killed. */
static bool fetch_regs(struct tracee *t)
{
    return trace(PTRACE_GETREGS, t, 0, &t->run->regs) == 0;
}

/* ---- stops ---- */

/* The plain syscall instruction leaves these in rcx and r11; a guest that mimics them with int 0x80
 * fools itself. */
static bool is_native_call(struct tracee *t)
{
    const struct user_regs_struct *regs = &t->run->regs;
    struct __ptrace_syscall_info info;

    if (regs->cs != ptrace_globals.cs)
        return false;
    if (regs->rcx == regs->rip && regs->r11 == regs->eflags)
        return true;
    memset(&info, 0, sizeof(info));
    (void)trace(PTRACE_GET_SYSCALL_INFO, t, sizeof(info), &info);
    return info.arch == AUDIT_ARCH_X86_64;
}

static void stopped_by_call(struct tracee *t)
{
    if (t->state != IN_GUEST)
        resume(t);
    else if (fetch_regs(t))
        finish(t, is_native_call(t) ? STOP_SYSCALL : STOP_SYSCALL32);
}

static bool is_fault(int signo)
{
    return signo == SIGSEGV || signo == SIGBUS || signo == SIGFPE || signo == SIGILL ||
           signo == SIGTRAP || signo == SIGSYS;
}

/* A signal is about to be delivered: a fault of ours, or something sent from outside, which is
 * dropped. */
static void stopped_by_signal(struct tracee *t, int signo)
{
    struct request *r = t->run;

    if (!r || !is_fault(signo) || trace(PTRACE_GETSIGINFO, t, 0, &r->info) ||
        r->info.si_code <= 0) {
        resume(t);
        return;
    }
    if (!fetch_regs(t))
        return;
    if (t->state == IN_STUB && signo == SIGTRAP) {
        finish(t, STOP_STUB);
    } else if (signo == SIGSYS) { /* the vsyscall page: rip is where it returns to already */
        r->regs.orig_rax = (unsigned long)r->info.si_syscall;
        finish(t, STOP_SYSCALL);
    } else {
        finish(t, STOP_FAULT);
    }
}

/* A fault that was raised just before the stop is still to be delivered: it must not be met in the
 * stub. */
static bool fault_pending(struct tracee *t)
{
    struct __ptrace_peeksiginfo_args what = {.off = 0, .flags = 0, .nr = PEEK_SIGNALS};
    siginfo_t infos[PEEK_SIGNALS];
    long n = ptrace(PTRACE_PEEKSIGINFO, t->tid, &what, infos);

    for (long i = 0; i < n; i++)
        if (is_fault(infos[i].si_signo) && infos[i].si_code > 0)
            return true;
    return false;
}

/* PTRACE_EVENT_STOP: an interrupt, perhaps an old one, or a stop signal from outside. */
static void stopped_on_request(struct tracee *t)
{
    if (t->state == IN_GUEST && atomic_load(&t->run->ctx->interrupt) && !fault_pending(t)) {
        if (!fetch_regs(t))
            return;
        atomic_store(&t->run->ctx->interrupt, 0);
        finish(t, STOP_INTERRUPTED);
        return;
    }
    resume(t);
}

/* A maker killed in its clone call leaves a child that nobody will adopt. */
static bool is_orphan(struct tracee *t)
{
    return !t->as && !t->reported && t->state == STOPPED && !find(t->maker);
}

/* The maker's registers are still in the child's: space.c left its number there. */
static void first_stop(struct tracee *t)
{
    struct user_regs_struct regs = {0};
    struct request *r = t->run;

    t->state = STOPPED;
    t->run = NULL;
    (void)trace(PTRACE_GETREGS, t, 0, &regs);
    t->maker = (pid_t)regs.r12;
    if (r)
        tracer_answer(r, 0);
    else if (is_orphan(t))
        kill(t->tid, SIGKILL);
}

static void kill_orphans(void)
{
    for (unsigned i = 0; i < BUCKETS; i++)
        for (struct tracee *t = table[i]; t; t = t->next)
            if (is_orphan(t))
                kill(t->tid, SIGKILL);
}

static void cloned(struct tracee *t)
{
    unsigned long tid = 0;

    if (trace(PTRACE_GETEVENTMSG, t, 0, &tid) == 0 && tid) {
        t->born = (pid_t)tid;
        tracee_add(t->born);
    }
    resume(t);
}

/* how: the signal, and above its 8 bits the ptrace event. */
static void stopped(struct tracee *t, int how)
{
    int event = how >> 8, signo = how & 0xff;

    if (t->state == NEW)
        first_stop(t);
    else if (event == PTRACE_EVENT_CLONE || event == PTRACE_EVENT_FORK)
        cloned(t);
    else if (event == PTRACE_EVENT_STOP)
        stopped_on_request(t);
    else if (signo == SYSCALL_STOP)
        stopped_by_call(t);
    else
        stopped_by_signal(t, signo);
}

/* ---- ends ---- */

static void gone(struct tracee *t)
{
    struct platform_as *as = t->as;
    bool leader = as && as->pid == t->tid;
    int status;

    if (leader)
        pthread_rwlock_wrlock(&as->life);
    (void)waitpid(t->tid, &status, WAIT_FLAGS);
    if (leader) {
        as->reaped = true;
        pthread_rwlock_unlock(&as->life);
        pt_as_release(as);
    }
    forget(t);
    if (t->born && find(t->born) && !find(t->born)->as)
        kill(t->born, SIGKILL); /* nobody will adopt it */
    if (t->state == IN_STUB)
        kill_orphans();
    t->state = GONE;
    if (t->run)
        tracer_answer(t->run, -ESRCH);
    t->run = NULL;
    if (!t->attached)
        free(t);
}

/* Not by wait4: that would take the end of one killed just now, which is gone's to see. */
static bool take_stop(pid_t tid, siginfo_t *info)
{
    memset(info, 0, sizeof(*info));
    return waitid(P_PID, (id_t)tid, info, WSTOPPED | WAIT_FLAGS) == 0 && info->si_pid == tid;
}

bool tracee_wait_event(void)
{
    siginfo_t info = {0};
    struct tracee *t;

    if (waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WNOWAIT | WAIT_FLAGS) || !info.si_pid)
        return false;
    t = add(info.si_pid);
    if (info.si_code == CLD_EXITED || info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED)
        gone(t);
    else if (take_stop(t->tid, &info))
        stopped(t, info.si_status);
    return true;
}

/* ---- requests ---- */

static void adopt(struct request *r)
{
    struct tracee *t = find(r->born);

    if (!t) {
        tracer_answer(r, -ESRCH);
        return;
    }
    t->as = r->as;
    t->attached = true;
    r->tracee = t;
    if (t->state == NEW)
        t->run = r;
    else
        tracer_answer(r, 0);
}

/* The first thread of a process stays stopped as long as the process: it is the process's number.
 */
static void end(struct request *r)
{
    struct tracee *t = r->tracee;

    t->attached = false;
    if (t->state == GONE) {
        free(t);
    } else if (t->as->pid != t->tid) {
        r->regs.orig_rax = (unsigned long)-1;
        r->regs.rax = SYS_exit;
        r->regs.rdi = 0;
        r->regs.rip = STUB_TEXT + STUB_SYSCALL;
        t->state = ENDING;
        (void)trace(PTRACE_SETREGS, t, 0, &r->regs);
        resume(t);
    }
    tracer_answer(r, 0);
}

static void fpu(struct request *r)
{
    struct iovec iov = {r->fpu, ptrace_globals.regset_size};
    int what = r->kind == REQ_FPU_GET ? PTRACE_GETREGSET : PTRACE_SETREGSET;

    tracer_answer(r, r->tracee->state == GONE ? -ESRCH
                                              : (int)trace(what, r->tracee, NT_X86_XSTATE, &iov));
}

static void interrupt(struct request *r)
{
    struct tracee *t = r->ctx->tracee;

    if (t->state == IN_GUEST)
        (void)trace(PTRACE_INTERRUPT, t, 0, NULL);
    tracer_answer(r, 0);
}

void tracee_request(struct request *r)
{
    switch (r->kind) {
    case REQ_GUEST:
        start(r->tracee, r, IN_GUEST);
        break;
    case REQ_STUB:
        start(r->tracee, r, IN_STUB);
        break;
    case REQ_ADOPT:
        adopt(r);
        break;
    case REQ_KICK:
        interrupt(r);
        break;
    case REQ_KILL:
        if (!r->as->reaped)
            kill(r->as->pid, SIGKILL);
        tracer_answer(r, 0);
        break;
    case REQ_END:
        end(r);
        break;
    case REQ_FPU_GET:
    case REQ_FPU_SET:
        fpu(r);
        break;
    case REQ_SHUTDOWN:
        BUG();
    }
}
