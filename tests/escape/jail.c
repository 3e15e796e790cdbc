/*
 * A sentry gone bad: enters the jail as the sentry does, then makes each host call that is not on
 * the list, and each that is with arguments that are not; every one must end the process with
 * SIGSYS. Also what must still work. Prints a line for each failure and a total.
 */
#include "sentry/boot/jail/rules.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALLS 470

static unsigned passed, failed;

static void result(bool ok, unsigned what, const char *fmt, long a)
{
    if (ok) {
        passed++;
        return;
    }
    failed++;
    printf("FAIL: jail %u: ", what);
    printf(fmt, a);
    printf("\n");
}

/* The signal that ended a child that made the call locked in, or 0. */
static int try_call(unsigned what, long nr, const long args[6])
{
    struct rlimit no_core = {0, 0};
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        setrlimit(RLIMIT_CORE, &no_core);
        if (jail_seccomp(what) != 0)
            _exit(99);
        syscall(nr, args[0], args[1], args[2], args[3], args[4], args[5]);
        syscall(SYS_exit_group, 0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return -1;
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static bool listed(unsigned what, long nr)
{
    for (size_t i = 0; i < JAIL_RULES; i++) {
        if (jail_rules[i].nr == nr && jail_rule_applies(&jail_rules[i], what))
            return true;
    }
    return false;
}

static void unlisted_calls(unsigned what)
{
    static const long args[6] = {-1, -1, -1, -1, -1, -1};

    for (long nr = 0; nr < CALLS; nr++) {
        /* uretprobe and uprobe are the host's own, answered before any filter is asked. */
        if (!listed(what, nr) && nr != 335 && nr != 336)
            result(try_call(what, nr, args) == SIGSYS, what, "call %ld was let through", nr);
    }
    /* The same with the bit of the x32 ABI, and numbers out of any table. */
    result(try_call(what, 0x40000000 + SYS_getpid, args) == SIGSYS, what, "x32 %ld", SYS_getpid);
    result(try_call(what, 100000, args) == SIGSYS, what, "call %ld", 100000);
}

/* Does any rule of the call let these arguments through? */
static bool arguments_pass(unsigned what, long nr, const uint64_t args[6])
{
    for (size_t i = 0; i < JAIL_RULES; i++) {
        const struct jail_rule *r = &jail_rules[i];

        if (r->nr == nr && jail_rule_applies(r, what) && jail_rule_takes(r, args))
            return true;
    }
    return false;
}

/* Each bit flipped of one argument that a rule looks at, the others being as it wants them. */
static void flip(unsigned what, const struct jail_rule *r, unsigned which)
{
    for (unsigned bit = 0; bit < 32; bit++) {
        uint64_t args[6] = {-1UL, -1UL, -1UL, -1UL, -1UL, -1UL};

        for (unsigned i = 0; i < JAIL_ARGS && r->args[i].mask; i++)
            args[r->args[i].index] = r->args[i].value;
        args[r->args[which].index] ^= 1ULL << bit;
        if (!arguments_pass(what, r->nr, args))
            result(try_call(what, r->nr, (const long *)args) == SIGSYS, what,
                   "call %ld with a wrong argument", r->nr);
    }
}

static void wrong_arguments(unsigned what)
{
    for (size_t i = 0; i < JAIL_RULES; i++) {
        const struct jail_rule *r = &jail_rules[i];

        for (unsigned n = 0; n < JAIL_ARGS && r->args[n].mask; n++) {
            if (jail_rule_applies(r, what) && !r->refuse)
                flip(what, r, n);
        }
    }
}

static void *thread(void *arg)
{
    return arg;
}

/* In a child: what the sentry does all day. */
static void allowed(unsigned what)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        pthread_t t;
        char *p;

        if (jail_seccomp(what) != 0)
            _exit(99);
        if (pthread_create(&t, NULL, thread, NULL) != 0 || pthread_join(t, NULL) != 0)
            _exit(2);
        p = malloc(10 << 20);
        if (!p)
            _exit(3);
        memset(p, 1, 10 << 20);
        free(p);
        for (int i = 0; i < 10000; i++) { /* small ones: the heap grows */
            p = malloc(1000);
            if (!p)
                _exit(5);
            memset(p, 1, 1000);
        }
        if (raise(SIGURG) != 0) /* ignored by default */
            _exit(4);
        _exit(0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        status = -1;
    result(status == 0, what, "threads, memory, signals: status %#lx", status);
}

int main(void)
{
    static const unsigned whats[] = {JAIL_SYSTRAP, JAIL_PTRACE | JAIL_WRITABLE, JAIL_NOTIFY,
                                     JAIL_SYSTRAP | JAIL_HOSTNET,
                                     JAIL_NOTIFY | JAIL_NETWORK | JAIL_DNS,
                                     JAIL_MPK | JAIL_NETWORK | JAIL_WRITABLE};

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < sizeof(whats) / sizeof(whats[0]); i++) {
        allowed(whats[i]);
        unlisted_calls(whats[i]);
        wrong_arguments(whats[i]);
        printf("jail %u: %u calls are let through\n", whats[i], jail_call_count(whats[i]));
    }
    printf("%s: %u passed, %u failed\n", failed ? "FAIL" : "ok: jail", passed, failed);
    return failed != 0;
}
