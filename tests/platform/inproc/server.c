/*
 * The conformance test of mpk: main, and what the cases ask of the test's own process. The cases
 * and shim.c are compiled as the kernel is and run in guest processes.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <stdlib.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/platform/inproc/shim.h"
#undef malloc
#undef free
#undef aligned_alloc
#undef pwrite
#undef pread
#undef close
#undef kill
#undef pause
#undef pthread_create
#undef pthread_join
#undef sched_getaffinity
#undef snprintf
#include "platform/platform_impl.h"
#include "sentry/base/arena.h"
#include "sentry/base/log.h"
#include "tests/platform/harness.h"
#include "tests/platform/inproc/own.h"

#define CASE_SECONDS 60
#define SKIPPED 77
#define STACK_ORDER 4

/* ---- the host's view ---- */

static bool maps_contain(const char *pid, const char *needle)
{
    char path[64], line[512];
    bool found = false;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%.20s/maps", pid);
    f = fopen(path, "re");
    if (!f)
        return false;
    while (!found && fgets(line, sizeof(line), f))
        found = strstr(line, needle) != NULL;
    fclose(f);
    return found;
}

static int64_t processes(const char *code_name, int32_t *pids, unsigned max)
{
    DIR *proc = opendir("/proc");
    struct dirent *e;
    unsigned count = 0;

    while ((e = readdir(proc))) {
        pid_t pid = atoi(e->d_name);

        if (pid <= 0 || !maps_contain(e->d_name, code_name))
            continue;
        if (count < max)
            pids[count] = pid;
        count++;
    }
    closedir(proc);
    return count;
}

static int64_t fds(const char *pid)
{
    char path[64];
    struct dirent *e;
    int64_t count = 0;
    DIR *dir;

    snprintf(path, sizeof(path), "/proc/%s/fd", pid);
    dir = opendir(path);
    if (!dir)
        return 0;
    while ((e = readdir(dir)))
        count += e->d_name[0] != '.';
    closedir(dir);
    return count;
}

static void *thread_main(void *arg)
{
    struct shim_thread *t = arg;

    t->fn(t->arg);
    __atomic_store_n(&t->done, 1, __ATOMIC_SEQ_CST);
    host_futex_wake(&t->done, INT32_MAX);
    return NULL;
}

/* On a stack of the arena, as the thread's variables are for the kernel's threads too. */
static void start_thread(struct shim_thread *t)
{
    pthread_attr_t attr;
    pthread_t thread;

    pthread_attr_init(&attr);
    pthread_attr_setstack(&attr, page_alloc(STACK_ORDER), PAGE_SIZE << STACK_ORDER);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&thread, &attr, thread_main, t))
        abort();
    pthread_attr_destroy(&attr);
}

static void *server(void *arg)
{
    struct shim_root *root = arg;
    struct shim_call *call = &root->call;

    for (;;) {
        if (__atomic_load_n(&call->word, __ATOMIC_SEQ_CST) != 1) {
            host_futex_wait(&call->word, __atomic_load_n(&call->word, __ATOMIC_SEQ_CST) == 1,
                            host_clock_ns(CLOCK_MONOTONIC) + 1000000);
            continue;
        }
        if (call->op == SHIM_THREAD)
            start_thread(call->arg);
        else if (call->op == SHIM_PROCESSES)
            call->result = processes(root->code_name, call->pids, 8);
        else
            call->result = fds(call->name);
        __atomic_store_n(&call->word, 2, __ATOMIC_SEQ_CST);
        host_futex_wake(&call->word, INT32_MAX);
    }
    return NULL;
}

/* ---- main ---- */

/* Not all cases are compiled for mpk. */
#define CASE_WEAK(name) extern __typeof__(case_##name) case_##name __attribute__((weak));
CASES(CASE_WEAK)

static const struct {
    const char *name;
    void (*run)(void);
    int status;
} cases[] = {
#define CASE_ROW(name) {#name, case_##name, 0},
#define OWN_ROW(name, status) {#name, case_##name, status},
    CASES(CASE_ROW) OWN_CASES(OWN_ROW)
};

/* The test's own kernel threads die with the process killed: mpk ends the sandbox then. */
static const char *const skipped[] = {"killed_stopped", "killed_others"};

static struct shim_root *make_root(void)
{
    size_t size = (size_t)(guests_end - guests_begin);
    struct shim_root *root;

    if (arena_init(0, 256UL << 20))
        abort();
    root = kmalloc(sizeof(*root));
    arena_set_root(root);
    snprintf(root->code_name, sizeof(root->code_name), "guest-code-%d", getpid());
    root->code_fd = memfd_create(root->code_name, MFD_CLOEXEC);
    if (write(root->code_fd, guests_begin, size) != (ssize_t)size)
        abort();
    return root;
}

static NORETURN void run_case(void (*run)(void))
{
    struct platform_config config = {.unsafe_mpk = !getenv("MPK_KEYED")};
    struct shim_root *root = make_root();
    char why[256] = "", *stack;
    pthread_t thread;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(CASE_SECONDS);
    if (platform_select(&mpk_platform_ops, &config, why, sizeof(why))) {
        fprintf(stderr, "not started: %s\n", why);
        _exit(1);
    }
    if (pthread_create(&thread, NULL, server, root))
        abort();
    root->case_run = run;
    stack = page_alloc(STACK_ORDER);
    shim_run_case(root, stack + (PAGE_SIZE << STACK_ORDER));
    platform_shutdown();
    for (int32_t pids[8]; processes(root->code_name, pids, 8);) {
        fprintf(stderr, "guest processes are left\n");
        _exit(1);
    }
    _exit(0);
}

static uint64_t now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000UL + (uint64_t)ts.tv_nsec;
}

static bool passes(unsigned i)
{
    uint64_t start = now();
    int status;
    pid_t pid;
    bool ok;

    fflush(NULL);
    pid = fork();
    if (pid == 0)
        run_case(cases[i].run);
    if (waitpid(pid, &status, 0) != pid)
        abort();
    if (WIFSIGNALED(status))
        fprintf(stderr, "%s: killed by signal %d%s\n", cases[i].name, WTERMSIG(status),
                WTERMSIG(status) == SIGALRM ? " (too slow)" : "");
    ok = WIFEXITED(status) && WEXITSTATUS(status) == cases[i].status;
    printf("%s mpk %s (%lu ms)\n", ok ? "ok" : "FAIL", cases[i].name, (now() - start) / 1000000);
    return ok;
}

static bool wanted(const char *name, int argc, char **argv)
{
    for (unsigned s = 0; s < ARRAY_SIZE(skipped); s++) {
        if (argc == 1 && strcmp(skipped[s], name) == 0)
            return false;
    }
    for (int a = 1; a < argc; a++) {
        if (strcmp(argv[a], name) == 0)
            return true;
    }
    return argc == 1;
}

int main(int argc, char **argv)
{
    struct platform_config config = {.unsafe_mpk = !getenv("MPK_KEYED")};
    unsigned failed = 0, ran = 0;
    char why[256] = "";

    if (mpk_platform_ops.probe(&config, why, sizeof(why))) {
        printf("SKIP mpk: %s\n", why);
        return SKIPPED;
    }
    ro_globals.log_fd = 2;
    ro_globals.log_level = LOG_ERROR;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        if (!cases[i].run || !wanted(cases[i].name, argc, argv))
            continue;
        ran++;
        failed += !passes(i);
    }
    printf("mpk: %u cases, %u failed\n", ran, failed);
    return failed || !ran;
}
