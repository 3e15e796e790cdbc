/*
 * Runs the tests registered through the stand-in header. usage: unit_tests [substring of
 * suite::name]
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "criterion/criterion.h"

#define DEFAULT_TIMEOUT_S 120

extern const struct standin_test *const __start_standin_tests[];
extern const struct standin_test *const __stop_standin_tests[];

#define for_each_entry(t)                                                                          \
    for (const struct standin_test *const *t = __start_standin_tests; t < __stop_standin_tests; t++)

void standin_fail(const char *file, int line, const char *what, ...)
{
    va_list ap;
    const char *fmt;

    va_start(ap, what);
    fmt = va_arg(ap, const char *);
    fprintf(stderr, "%s:%d: %s: ", file, line, what);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    _exit(1);
}

static struct standin_options suite_options(const char *suite)
{
    for_each_entry (t) {
        if (!(*t)->name && strcmp((*t)->suite, suite) == 0)
            return (*t)->options;
    }
    return (struct standin_options){0};
}

static void call(void (*fn)(void))
{
    if (fn)
        fn();
}

static int run_child(const struct standin_test *t)
{
    struct standin_options suite = suite_options(t->suite);

    alarm(t->options.timeout > 0 ? (unsigned)t->options.timeout * 4 : DEFAULT_TIMEOUT_S);
    call(suite.init);
    call(t->options.init);
    t->fn();
    call(t->options.fini);
    call(suite.fini);
    return 0;
}

/* Whether the test ended as it should. */
static bool run_test(const struct standin_test *t)
{
    int status;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid == 0)
        exit(run_child(t));
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return false;
    if (t->options.signal)
        return WIFSIGNALED(status) && WTERMSIG(status) == t->options.signal;
    return WIFEXITED(status) && WEXITSTATUS(status) == t->options.exit_code;
}

int main(int argc, char **argv)
{
    const char *filter = argc > 1 && argv[1][0] != '-' ? argv[1] : "";
    unsigned passed = 0, failed = 0;

    for_each_entry (t) {
        char name[200];

        if (!(*t)->name || (*t)->options.disabled)
            continue;
        snprintf(name, sizeof(name), "%s::%s", (*t)->suite, (*t)->name);
        if (!strstr(name, filter))
            continue;
        if (run_test(*t)) {
            passed++;
        } else {
            failed++;
            printf("FAILED %s\n", name);
        }
    }
    printf("%u passed, %u failed\n", passed, failed);
    return failed > 0 || passed == 0;
}
