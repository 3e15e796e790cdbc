/*
 * runsc check: what system calls a program and its libraries can make, by how well they are there,
 * and what else would not work. The files are read by a process in a jail, which asks us for them.
 */
#include "runsc-cli/check/jail.h"
#include "runsc-cli/check/libraries.h"
#include "runsc-cli/cli.h"
#include "runsc-cli/compat/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CPU_SECONDS 60
#define BUDGET      40000000 /* instructions: about 40 s at worst */
#define CHILD_ERROR 3        /* it has said what */

struct check_options {
    const char *root, *format;
};

#define O(field) offsetof(struct check_options, field)
const struct opt check_opts[] = {
    {"root", 0, OPT_STRING, O(root), "DIR", "the program's root directory (default /)"},
    {"format", 'f', OPT_STRING, O(format), "table|json", "of the report"},
    {0},
};

/* What the instruction sets of a file's property note are, and whether this machine has them. */
static void check_isa(struct check *c, const struct scan_object *o)
{
    __builtin_cpu_init();
    const struct {
        const char *name;
        uint32_t bit;
        bool here;
    } levels[] = {
        {"x86-64-v2", 1U << 1, __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("ssse3")},
        {"x86-64-v3", 1U << 2, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2")},
        {"x86-64-v4", 1U << 3,
         __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")},
    };

    for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
        if ((o->elf.isa_needed & levels[i].bit) && !levels[i].here)
            add_problem(c, "%s needs the instructions of %s, which this processor lacks", o->name,
                        levels[i].name);
    }
}

static void check_objects(struct check *c)
{
    static const uint32_t ours[3] = {6, 12, 0};

    for (size_t i = 0; i < c->scan.object_count; i++) {
        const struct scan_object *o = &c->scan.objects[i];
        int newer = 0;

        check_isa(c, o);
        for (size_t k = 0; k < 3 && !newer; k++)
            newer = (o->elf.kernel[k] > ours[k]) - (o->elf.kernel[k] < ours[k]);
        if (newer > 0)
            add_problem(c, "%s asks for Linux %u.%u.%u; the kernel inside calls itself 6.12",
                        o->name, o->elf.kernel[0], o->elf.kernel[1], o->elf.kernel[2]);
        if (o->elf.writable_code)
            add_note(c, "%s has code it can write to: calls made from there are slower", o->name);
    }
    if (c->scan.int80_count)
        add_note(c,
                 "it has %zu 32-bit system call instructions (int 0x80, sysenter), which do "
                 "not work, if they are ever reached",
                 c->scan.int80_count);
    if (c->scan.loads_later)
        add_note(c, "it can load more libraries while it runs (dlopen), which were not looked at");
    if (c->scan.looks_up)
        add_note(c, "it can find functions by name while it runs (dlsym): what those do that "
                    "nothing else uses was not looked at");
    if (c->scan.cut)
        add_note(c, "it is too big or too odd: not all of its code was looked at");
}

/* In the jail. Its status is the command's. */
static _Noreturn void scan_child(struct check *c, const char *path, bool json)
{
    int r = check_jail(CPU_SECONDS);

    if (r < 0) {
        fprintf(stderr, "runsc: the jail for the scan: %s\n", strerror(-r));
        _exit(CHILD_ERROR);
    }
    if (load_program(c, path)) {
        if (scan_run(&c->scan, BUDGET) < 0) {
            fputs("runsc: out of memory\n", stderr);
            _exit(CHILD_ERROR);
        }
        check_objects(c);
    }
    if (json)
        check_print_json(c, stdout);
    else
        check_print_table(c, stdout);
    _exit(fflush(stdout) != 0 || ferror(stdout) ? CHILD_ERROR : c->problem_count ? 1 : 0);
}

static int run_scan(struct check *c, int root, const char *path, bool json, struct cli_error *err)
{
    int ends[2], status;
    pid_t child;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return fail_errno(err, 2, errno, "socketpair");
    fflush(NULL);
    child = fork();
    if (child < 0)
        return fail_errno(err, 2, errno, "fork");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        c->broker = dup2(ends[1], 3);
        close_range(4, ~0U, 0);
        scan_child(c, path, json);
    }
    close(ends[1]);
    broker_serve(ends[0], root);
    close(ends[0]);
    if (waitpid(child, &status, 0) != child)
        return fail_errno(err, 2, errno, "waitpid");
    if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGXCPU))
        return fail(err, 2, "%s takes too long to scan", path);
    if (WIFSIGNALED(status))
        return fail(err, 2, "the scan of %s died of signal %d", path, WTERMSIG(status));
    if (WEXITSTATUS(status) > 1)
        return fail(err, 2, "%s was not scanned", path);
    return WEXITSTATUS(status);
}

int cmd_check(const struct global_options *global, void *opts, int argc, char **args,
              struct cli_error *err)
{
    const struct check_options *o = opts;
    bool json = o->format && strcmp(o->format, "json") == 0;
    struct check *c = alloc_zeroed(sizeof(*c));
    char cwd[PATH_MAX], *path;
    int root;

    if (o->format && !json && strcmp(o->format, "table") != 0)
        return fail(err, 2, "invalid format %s (there are table and json)", o->format);
    root = open(o->root ? o->root : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return fail_errno(err, 2, errno, "cannot open %s", o->root ? o->root : "/");
    path = *args[0] == '/' || o->root || !getcwd(cwd, sizeof(cwd))
               ? format_string("%s%s", *args[0] == '/' ? "" : "/", args[0])
               : format_string("%s/%s", cwd, args[0]);
    dirs_read(root, &c->dirs);
    return run_scan(c, root, path, json, err);
}
