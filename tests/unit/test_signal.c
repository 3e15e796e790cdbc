/* Signals: queue rules, who is woken, default actions, stops, pid 1, frames, restarts. */
#include "sentry/abi/sched.h"
#include "tests/unit/task_fixture.h"

TASK_SUITE(signal);

#define HANDLER 0x401000UL
#define RESTORER 0x402000UL
#define FRAME_UC 8
#define FRAME_SIZE 440

static int wait_status(int pid, int options)
{
    int status;

    cr_assert_eq(CALL(1, wait4, pid, DATA_ADDR, options, 0), pid);
    peek(1, DATA_ADDR, &status, 4);
    return status;
}

static void handle(int tid, int signo, uint64_t flags)
{
    uint64_t act[4] = {HANDLER, flags | LX_SA_RESTORER, RESTORER, 0};

    poke(tid, DATA_ADDR, act, sizeof(act));
    cr_assert_eq(CALL(tid, rt_sigaction, signo, DATA_ADDR, 0, 8), 0);
}

static void set_mask(int tid, int how, uint64_t set)
{
    poke(tid, DATA_ADDR, &set, 8);
    cr_assert_eq(CALL(tid, rt_sigprocmask, how, DATA_ADDR, 0, 8), 0);
}

/* The registers tid last entered its guest with. */
static struct cpu_regs regs_of(int tid)
{
    struct task *t = task_of(tid);
    struct cpu_regs regs;

    fake_last_regs(t->us.ctx, &regs);
    task_put(t);
    return regs;
}

Test(signal, kill_ends_a_process)
{
    CALL(1, fork);
    cr_assert_eq(CALL(1, kill, 2, LX_SIGTERM), 0);
    cr_assert_eq(wait_status(2, 0), LX_SIGTERM);
    CALL(1, fork);
    call_away(3, SYS_kill, ARGS(3, LX_SIGSEGV));
    cr_assert_eq(wait_status(3, 0), LX_SIGSEGV);
}

Test(signal, fault_and_dead_process)
{
    struct task *t;

    CALL(1, fork);
    t = task_of(2);
    fake_push_fault(t->us.ctx, LX_SIGSEGV, LX_SEGV_MAPERR, 0x10);
    task_put(t);
    cr_assert_eq(wait_status(2, 0), LX_SIGSEGV);
    CALL(1, fork);
    t = task_of(3);
    fake_push_dead(t->us.ctx);
    task_put(t);
    cr_assert_eq(wait_status(3, 0), LX_SIGKILL);
}

Test(signal, init_is_unkillable_from_inside)
{
    CALL(1, fork);
    cr_assert_eq(CALL(2, kill, 1, LX_SIGKILL), 0);
    cr_assert_eq(CALL(2, kill, 1, LX_SIGTERM), 0);
    cr_assert_eq(CALL(2, kill, 1, LX_SIGSTOP), 0);
    cr_assert_eq(CALL(1, getpid), 1);
    cr_assert_eq(kernel_signal_init(kern, LX_SIGTERM), 0);
    cr_assert_eq(CALL(1, getpid), 1);
    cr_assert_eq(kernel_signal_init(kern, LX_SIGKILL), 0);
    EVENTUALLY(load_acquire(&kern->init_done));
    cr_assert_eq(kern->init_status, LX_SIGKILL);
}

Test(signal, stop_and_continue_are_reported)
{
    struct call c;

    CALL(1, fork);
    cr_assert_eq(CALL(1, kill, 2, LX_SIGSTOP), 0);
    cr_assert_eq(wait_status(2, LX_WUNTRACED), LX_SIGSTOP << 8 | 0x7f);
    cr_assert_eq(CALL(1, wait4, 2, 0, LX_WUNTRACED | LX_WNOHANG, 0), 0);
    call_start(&c, 2, SYS_getpid, ARGS(0));
    cr_assert_eq(CALL(1, kill, 2, LX_SIGCONT), 0);
    cr_assert_eq(wait_status(2, LX_WCONTINUED), 0xffff);
    cr_assert_eq(call_wait(&c), 2);
    CALL(1, kill, 2, LX_SIGSTOP);
    cr_assert_eq(wait_status(2, LX_WUNTRACED), LX_SIGSTOP << 8 | 0x7f);
    CALL(1, kill, 2, LX_SIGKILL);
    cr_assert_eq(wait_status(2, 0), LX_SIGKILL);
}

Test(signal, all_threads_stop)
{
    uint64_t flags =
        LX_CLONE_VM | LX_CLONE_FS | LX_CLONE_FILES | LX_CLONE_SIGHAND | LX_CLONE_THREAD;
    struct call c;

    CALL(1, fork);
    CALL(2, clone, flags, 0x500000, 0, 0, 0);
    CALL(1, kill, 2, LX_SIGSTOP);
    cr_assert_eq(wait_status(2, LX_WUNTRACED), LX_SIGSTOP << 8 | 0x7f);
    call_start(&c, 3, SYS_gettid, ARGS(0));
    nanosleep(&(struct timespec){0, 5000000}, NULL);
    cr_assert_not(c.done);
    CALL(1, kill, 2, LX_SIGCONT);
    cr_assert_eq(call_wait(&c), 3);
}

Test(signal, orphaned_groups_do_not_stop_by_tstp)
{
    CALL(1, fork);
    CALL(2, setsid);
    CALL(1, kill, 2, LX_SIGTSTP); /* the whole session is its own: orphaned */
    cr_assert_eq(CALL(2, getpid), 2);
    cr_assert_eq(CALL(1, wait4, 2, 0, LX_WUNTRACED | LX_WNOHANG, 0), 0);
}

Test(signal, orphaned_stopped_groups_are_hung_up)
{
    CALL(1, fork);
    CALL(2, setsid);
    CALL(2, fork);
    CALL(2, setpgid, 3, 3);
    CALL(1, kill, 3, LX_SIGSTOP);
    cr_assert_eq(CALL(2, wait4, 3, 0, LX_WUNTRACED, 0), 3);
    call_away(2, SYS_exit_group, ARGS(0));
    cr_assert_eq(wait_status(2, 0), 0);
    cr_assert_eq(wait_status(3, 0), LX_SIGHUP);
}

Test(signal, queue_rules)
{
    struct lx_siginfo info = {.code = LX_SI_QUEUE};
    uint64_t all = ~0UL;
    int i;

    set_mask(1, LX_SIG_SETMASK, all);
    for (i = 0; i < 3; i++) {
        info.value = (uint64_t)i;
        poke(1, DATA_ADDR + 512, &info, sizeof(info));
        cr_assert_eq(CALL(1, rt_sigqueueinfo, 1, 40, DATA_ADDR + 512), 0);
        cr_assert_eq(CALL(1, rt_sigqueueinfo, 1, LX_SIGUSR1, DATA_ADDR + 512), 0);
    }
    CALL(1, kill, 1, LX_SIGUSR2);
    poke(1, DATA_ADDR, &all, 8);
    poke(1, DATA_ADDR + 16, (uint64_t[2]){0, 0}, 16);
    /*
     * Lowest number first; a standard signal once, with the first one's value; real-time ones in
     * order.
     */
    cr_assert_eq(CALL(1, rt_sigtimedwait, DATA_ADDR, DATA_ADDR + 512, DATA_ADDR + 16, 8),
                 LX_SIGUSR1);
    peek(1, DATA_ADDR + 512, &info, sizeof(info));
    cr_assert_eq(info.value, 0);
    cr_assert_eq(info.code, LX_SI_QUEUE);
    cr_assert_eq(CALL(1, rt_sigtimedwait, DATA_ADDR, 0, DATA_ADDR + 16, 8), LX_SIGUSR2);
    for (i = 0; i < 3; i++) {
        cr_assert_eq(CALL(1, rt_sigtimedwait, DATA_ADDR, DATA_ADDR + 512, DATA_ADDR + 16, 8), 40);
        peek(1, DATA_ADDR + 512, &info, sizeof(info));
        cr_assert_eq(info.value, (uint64_t)i);
    }
    fails(CALL(1, rt_sigtimedwait, DATA_ADDR, 0, DATA_ADDR + 16, 8), EAGAIN);
}

Test(signal, frame_and_return)
{
    struct cpu_regs before, in, after;
    uint64_t word, frame;
    struct lx_siginfo info;
    struct call c;
    struct task *t;
    uint32_t magic;

    handle(1, LX_SIGUSR1, LX_SA_SIGINFO);
    CALL(1, getpid);
    before = regs_of(1);
    cr_assert_eq(CALL(1, kill, 1, LX_SIGUSR1), 0); /* rax of the handler's entry */
    in = regs_of(1);
    frame = in.rsp;
    cr_assert_eq(in.rip, HANDLER);
    cr_assert_eq(in.rdi, LX_SIGUSR1);
    cr_assert_eq(frame % 16, 8);
    cr_assert_leq(frame, before.rsp - 128 - FRAME_SIZE);
    cr_assert_eq(in.rdx, frame + FRAME_UC);
    cr_assert_eq(in.rsi, frame + 312);
    peek(1, frame, &word, 8);
    cr_assert_eq(word, RESTORER);
    peek(1, frame + 8, &word, 8);
    cr_assert_eq(word, 7); /* uc_flags */
    peek(1, frame + 312, &info, sizeof(info));
    cr_assert_eq(info.signo, LX_SIGUSR1);
    cr_assert_eq(info.pid, 1);
    peek(1, frame + 8 + 40 + 15 * 8, &word, 8); /* sigcontext.rsp */
    cr_assert_eq(word, before.rsp);
    peek(1, frame + 8 + 40 + 184, &word, 8); /* fpstate */
    cr_assert_eq(word % 64, 0);
    cr_assert_gt(word, frame);
    peek(1, word + 464, &magic, 4);
    cr_assert_eq(magic, 0x46505853);
    peek(1, word + FAKE_FPU_SIZE, &magic, 4);
    cr_assert_eq(magic, 0x46505845);
    peek(1, frame + 8 + 296, &word, 8); /* uc_sigmask */
    cr_assert_eq(word, 0);
    CALL(1, rt_sigprocmask, 0, 0, DATA_ADDR, 8);
    peek(1, DATA_ADDR, &word, 8);
    cr_assert_eq(word, LX_SIGMASK(LX_SIGUSR1));
    /* The handler's return pops the restorer. */
    t = task_of(1);
    t->regs.rsp = frame + 8;
    task_put(t);
    call_start(&c, 1, SYS_rt_sigreturn, ARGS(0));
    call_wait(&c);
    after = regs_of(1);
    cr_assert_eq(after.rsp, before.rsp);
    cr_assert_eq(after.full, 1);
    CALL(1, rt_sigprocmask, 0, 0, DATA_ADDR, 8);
    peek(1, DATA_ADDR, &word, 8);
    cr_assert_eq(word, 0);
}

static void interrupted_wait(uint64_t flags, bool restarts)
{
    struct call c;
    struct cpu_regs before, in;
    uint64_t saved_rip, saved_rax;

    handle(1, LX_SIGUSR1, flags);
    CALL(1, fork);
    CALL(1, getpid);
    before = regs_of(1);
    call_start(&c, 1, SYS_wait4, ARGS(2, 0, 0, 0));
    nanosleep(&(struct timespec){0, 3000000}, NULL);
    cr_assert_eq(CALL(2, kill, 1, LX_SIGUSR1), 0);
    call_wait(&c);
    in = regs_of(1);
    cr_assert_eq(in.rip, HANDLER);
    peek(1, in.rsp + 8 + 40 + 16 * 8, &saved_rip, 8);
    peek(1, in.rsp + 8 + 40 + 13 * 8, &saved_rax, 8);
    cr_assert_eq(saved_rip, before.rip + (restarts ? 0 : 2));
    cr_assert_eq(saved_rax, restarts ? (uint64_t)SYS_wait4 : (uint64_t)-EINTR);
}

Test(signal, handlers_interrupt_calls)
{
    interrupted_wait(0, false);
}

Test(signal, sa_restart_restarts_calls)
{
    interrupted_wait(LX_SA_RESTART, true);
}

Test(signal, altstack)
{
    uint64_t ss[3] = {DATA_ADDR + 8192, 0, 16384}, old[3];
    struct cpu_regs in;

    poke(1, DATA_ADDR, ss, sizeof(ss));
    cr_assert_eq(CALL(1, sigaltstack, DATA_ADDR, 0), 0);
    cr_assert_eq(CALL(1, sigaltstack, 0, DATA_ADDR), 0);
    peek(1, DATA_ADDR, old, sizeof(old));
    cr_assert_eq(old[0], ss[0]);
    handle(1, LX_SIGUSR2, LX_SA_ONSTACK);
    CALL(1, kill, 1, LX_SIGUSR2);
    in = regs_of(1);
    cr_assert_gt(in.rsp, ss[0]);
    cr_assert_lt(in.rsp, ss[0] + ss[2]);
    fails(CALL(1, sigaltstack, DATA_ADDR, 0), EPERM);
}

Test(signal, sigsuspend_restores_the_mask)
{
    uint64_t word;
    struct call c;

    handle(1, LX_SIGUSR1, 0);
    set_mask(1, LX_SIG_SETMASK, LX_SIGMASK(LX_SIGUSR1));
    CALL(1, fork);
    poke(1, DATA_ADDR + 8, (uint64_t[1]){0}, 8);
    call_start(&c, 1, SYS_rt_sigsuspend, ARGS(DATA_ADDR + 8, 8));
    CALL(2, kill, 1, LX_SIGUSR1);
    call_wait(&c);
    cr_assert_eq(regs_of(1).rip, HANDLER);
    peek(1, regs_of(1).rsp + 8 + 296, &word, 8); /* what sigreturn will put back */
    cr_assert_eq(word, LX_SIGMASK(LX_SIGUSR1));
}

Test(signal, bad_stack_ends_the_process)
{
    struct task *t;

    CALL(1, fork);
    handle(2, LX_SIGUSR1, 0);
    t = task_of(2);
    t->regs.rsp = 0x100;
    task_put(t);
    CALL(1, kill, 2, LX_SIGUSR1);
    cr_assert_eq(wait_status(2, 0), LX_SIGSEGV);
}
