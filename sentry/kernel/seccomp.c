/* Guests' own system call filters: chains, their evaluation and what follows. Locks: sig_lock to
 * give a group one chain. Not here: user notification and tracers, which there are none of. */
#include "sentry/kernel/seccomp.h"

#include "sentry/abi/errno.h"
#include "sentry/base/log.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"
#include "sentry/kernel/kernel.h"

#define AUDIT_ARCH_X86_64 0xc000003eU
#define SYS_SECCOMP       1 /* si_code */
#define MAX_ERRNO         4095U

/* The calls of strict mode. */
enum { NR_READ = 0, NR_WRITE = 1, NR_RT_SIGRETURN = 15, NR_EXIT = 60 };

/* What programs read: struct seccomp_data. */
struct seccomp_data {
    int32_t nr;
    uint32_t arch;
    uint64_t ip;
    uint64_t args[6];
};

int seccomp_filter_create(const struct bpf_insn *prog, uint32_t count, struct seccomp_filter **out)
{
    struct seccomp_filter *f;
    int err = bpf_check(prog, count, BPF_SECCOMP, sizeof(struct seccomp_data));

    if (err)
        return err;
    f = kmalloc(sizeof(*f) + count * sizeof(prog[0]));
    if (!f)
        return -ENOMEM;
    ref_init(&f->ref);
    f->total = count + 4;
    f->depth = 1;
    memcpy(f->prog, prog, count * sizeof(prog[0]));
    *out = f;
    return 0;
}

struct seccomp_filter *seccomp_filter_get(struct seccomp_filter *f)
{
    if (f)
        ref_get(&f->ref);
    return f;
}

void seccomp_filter_put(struct seccomp_filter *f)
{
    while (f && ref_put(&f->ref)) {
        struct seccomp_filter *prev = f->prev;

        kfree(f);
        f = prev;
    }
}

/* Is f part of chain? NULL is part of all. */
static bool is_ancestor(const struct seccomp_filter *f, const struct seccomp_filter *chain)
{
    while (f && chain && chain != f)
        chain = chain->prev;
    return !f || chain == f;
}

/* One of the group that can't follow: its chain is not a part of t's. 0: none. sig_lock held. */
static int32_t stranger_locked(struct task *t)
{
    struct task *other;

    list_for_each (other, &t->tg->tasks, group_node) {
        if (other != t &&
            (other->seccomp_mode == SECCOMP_STRICT || !is_ancestor(other->seccomp, t->seccomp)))
            return other->own_tid;
    }
    return 0;
}

static void set_chain(struct task *t, struct seccomp_filter *f)
{
    struct seccomp_filter *old = t->seccomp;

    store_release(&t->seccomp, f);
    store_release(&t->seccomp_mode, SECCOMP_FILTERED);
    seccomp_filter_put(old); /* f holds it, so this is never the last */
}

/* no_new_privs of the others is a credential: each gets a copy with it. */
static int share_no_new_privs(struct task *t, struct task *other)
{
    const struct cred *old;
    struct cred *c;

    if (!t->cred->no_new_privs || other->cred->no_new_privs)
        return 0;
    old = task_cred_get(other);
    if (!old)
        return 0;
    c = cred_copy(old);
    cred_put(old);
    if (!c)
        return -ENOMEM;
    c->no_new_privs = true;
    task_set_cred(other, c);
    return 0;
}

int64_t seccomp_attach(struct task *t, struct seccomp_filter *f, bool sync)
{
    struct task *other;
    int64_t err = 0;

    if (t->seccomp) {
        if (t->seccomp->total + f->total > SECCOMP_TOTAL_MAX)
            return -ENOMEM;
        f->total += t->seccomp->total;
        f->depth += t->seccomp->depth;
    }
    mutex_lock(&t->tg->sig_lock);
    if (sync)
        err = stranger_locked(t);
    if (!err) {
        f->prev = seccomp_filter_get(t->seccomp);
        if (sync) {
            list_for_each (other, &t->tg->tasks, group_node) {
                if (other == t)
                    continue;
                err = share_no_new_privs(t, other);
                if (err)
                    break;
                set_chain(other, seccomp_filter_get(f));
            }
        }
        set_chain(t, f);
        if (err) /* some have it and some not: the guest is told, as on memory running out in Linux
                  */
            log_warn("seccomp: not all threads got no_new_privs: out of memory");
        err = 0;
    }
    mutex_unlock(&t->tg->sig_lock);
    return err;
}

uint32_t seccomp_depth(struct task *t)
{
    uint32_t depth;

    mutex_lock(&t->tg->sig_lock);
    depth = t->seccomp ? t->seccomp->depth : 0;
    mutex_unlock(&t->tg->sig_lock);
    return depth;
}

void seccomp_inherit(struct task *t, struct task *child)
{
    mutex_lock(&t->tg->sig_lock);
    if (child->seccomp != t->seccomp && is_ancestor(child->seccomp, t->seccomp)) {
        struct seccomp_filter *old = child->seccomp;

        store_release(&child->seccomp, seccomp_filter_get(t->seccomp));
        seccomp_filter_put(old);
    }
    store_release(&child->seccomp_mode, t->seccomp_mode);
    mutex_unlock(&t->tg->sig_lock);
}

int seccomp_set_strict(struct task *t)
{
    if (t->seccomp_mode == SECCOMP_FILTERED)
        return -EINVAL;
    store_release(&t->seccomp_mode, SECCOMP_STRICT);
    return 0;
}

static void kill_process(struct task *t)
{
    thread_group_exit_request(t->tg, LX_SIGSYS);
}

static bool strict_allows(struct task *t, uint64_t nr, int64_t *result)
{
    if (nr == NR_READ || nr == NR_WRITE || nr == NR_EXIT || nr == NR_RT_SIGRETURN)
        return true;
    *result = -ENOSYS;
    thread_group_exit_request(t->tg, LX_SIGKILL);
    return false;
}

/* The most severe answer of the chain; of equal ones the newest filter's. */
static uint32_t run_chain(const struct seccomp_filter *f, const struct seccomp_data *data,
                          bool *log)
{
    uint32_t answer = (uint32_t)SECCOMP_RET_ALLOW;

    for (; f; f = f->prev) {
        uint32_t now = bpf_run(f->prog, data, sizeof(*data));

        if ((int32_t)(now & SECCOMP_RET_ACTION) < (int32_t)(answer & SECCOMP_RET_ACTION)) {
            answer = now;
            *log = f->log;
        }
    }
    return answer;
}

static void trap(struct task *t, const struct seccomp_data *data, uint32_t answer)
{
    struct lx_siginfo info = {
        .signo = LX_SIGSYS, .code = SYS_SECCOMP, .error = (int32_t)(answer & SECCOMP_RET_DATA)};

    info.call_addr = data->ip;
    info.syscall = data->nr;
    info.arch = data->arch;
    signal_force(t, &info);
}

static bool obey(struct task *t, uint32_t answer, const struct seccomp_data *data, int64_t *result)
{
    switch ((int32_t)(answer & SECCOMP_RET_ACTION)) {
    case SECCOMP_RET_ALLOW:
    case SECCOMP_RET_LOG:
        return true;
    case SECCOMP_RET_ERRNO:
        *result = -(int64_t)MIN(answer & SECCOMP_RET_DATA, MAX_ERRNO);
        return false;
    case SECCOMP_RET_TRAP:
        trap(t, data, answer);
        *result = data->nr; /* registers are as before the call */
        return false;
    case SECCOMP_RET_TRACE:      /* nobody traces */
    case SECCOMP_RET_USER_NOTIF: /* nobody listens */
        *result = -ENOSYS;
        return false;
    case SECCOMP_RET_KILL_THREAD:
        *result = -ENOSYS;
        if (READ_ONCE(t->tg->task_count) > 1)
            task_exit_request(t, LX_SIGSYS);
        else
            kill_process(t);
        return false;
    default: /* KILL_PROCESS, and what is not known */
        *result = -ENOSYS;
        kill_process(t);
        return false;
    }
}

bool seccomp_allows(struct task *t, uint64_t nr, const uint64_t args[6], int64_t *result)
{
    struct seccomp_data data = {.nr = (int32_t)nr, .arch = AUDIT_ARCH_X86_64, .ip = t->regs.rip};
    uint32_t answer;
    bool log = false;

    if (load_acquire(&t->seccomp_mode) == SECCOMP_STRICT)
        return strict_allows(t, nr, result);
    memcpy(data.args, args, sizeof(data.args));
    answer = run_chain(load_acquire(&t->seccomp), &data, &log);
    if (unlikely(log || (answer & SECCOMP_RET_ACTION) == (uint32_t)SECCOMP_RET_LOG) &&
        (answer & SECCOMP_RET_ACTION) != (uint32_t)SECCOMP_RET_ALLOW)
        log_info("seccomp: pid %d call %d: answer %#x", t->tid, data.nr, answer);
    return obey(t, answer, &data, result);
}
