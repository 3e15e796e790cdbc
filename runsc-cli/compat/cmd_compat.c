/*
 * runsc compat: test programs run on platforms, and natively where that is asked for, compared and
 * reported. Here: its options and its exit status; jobs.c runs, compare.c judges, report_*.c write.
 */
#include "runsc-cli/compat/jobs.h"

#include "runsc-cli/compat/kinds.h"
#include "runsc-cli/compat/programs.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_TIMEOUT_S 60
#define MAX_TIMEOUT_S     86400
#define MAX_JOBS          64

struct compat_options {
    const char *platforms, *format, *output, *cwd, *kind, *compare;
    struct string_list lists, known;
    int64_t timeout, jobs;
    bool native, no_trace, whole;
};

#define O(field) offsetof(struct compat_options, field)
const struct opt compat_opts[] = {
    {"platform", 'p', OPT_STRING, O(platforms), "P,...",
     "platforms to run on, or all (default: the global --platform)"},
    {"native", 0, OPT_FLAG, O(native), NULL,
     "run them natively as well, UNCONFINED, and compare with that"},
    {"list", 0, OPT_LIST, O(lists), "FILE", "programs: lines [NAME:] PROGRAM [ARGS...]"},
    {"known", 0, OPT_LIST, O(known), "FILE",
     "expected differences: lines PROGRAM[/CASE] [PLATFORM] REASON; * ? [] match"},
    {"format", 'f', OPT_STRING, O(format), "table|json|junit|html", "of the report"},
    {"output", 'o', OPT_STRING, O(output), "FILE", "the report goes there"},
    {"timeout", 't', OPT_INT, O(timeout), "S", "seconds for each run (default 60)"},
    {"jobs", 'j', OPT_INT, O(jobs), "N", "runs at a time (default 1)"},
    {"kind", 0, OPT_STRING, O(kind), "auto|plain|gtest|tap|ltp|criterion",
     "of all programs (default auto: told for each)"},
    {"whole", 0, OPT_FLAG, O(whole), NULL, "do not list cases and run them one by one"},
    {"compare", 0, OPT_STRING, O(compare), "output|status",
     "what counts of plain programs (default output: standard output, and the status)"},
    {"cwd", 0, OPT_STRING, O(cwd), "DIR",
     "working directory (default: a new, empty one for each run)"},
    {"no-trace", 0, OPT_FLAG, O(no_trace), NULL,
     "do not run what differs again for its last system calls"},
    {0},
};

static void (*const writers[])(const struct compat *c, FILE *out) = {report_table, report_json,
                                                                     report_junit, report_html};

static int writer_of(const char *format)
{
    static const char *const names[] = {"table", "json", "junit", "html"};

    for (int i = 0; i < (int)ARRAY_SIZE(names); i++) {
        if (!format || strcmp(format, names[i]) == 0)
            return i;
    }
    return -1;
}

static int set_platforms(struct compat *c, const char *list, struct cli_error *err)
{
    static const char *const all[] = {"systrap", "notify", "ptrace", "mpk", "auto"};
    char *copy = copy_string(strcmp(list, "all") == 0 ? "systrap,notify,ptrace,mpk" : list),
         *rest = copy, *word;

    while ((word = strsep(&rest, ","))) {
        const char *found = NULL;

        for (size_t i = 0; i < ARRAY_SIZE(all); i++)
            found = strcmp(word, all[i]) == 0 ? all[i] : found;
        for (size_t i = 0; found && i < c->platform_count; i++) {
            if (c->platforms[i] == found)
                return fail(err, 2, "platform %s is given twice", word);
        }
        if (!found)
            return fail(err, 2,
                        "unknown platform %s (there are systrap, notify, ptrace, mpk, auto)", word);
        c->platforms[c->platform_count++] = found;
    }
    free(copy);
    return 0;
}

static int set_programs(const struct compat_options *o, struct compat *c, int argc, char **args,
                        struct cli_error *err)
{
    for (int i = 0; i < argc; i++) {
        if (add_program(c, NULL, &args[i], 1, err) < 0)
            return -1;
    }
    for (size_t i = 0; i < o->lists.count; i++) {
        if (read_list(c, o->lists.items[i], err) < 0)
            return -1;
    }
    for (size_t i = 0; i < o->known.count; i++) {
        if (known_read(o->known.items[i], &c->known, err) < 0)
            return -1;
    }
    return c->program_count ? 0 : fail(err, 2, "no test program is given (see compat --help)");
}

static int check_options(const struct compat_options *o, struct jobs *j, struct cli_error *err)
{
    j->kind = o->kind ? kind_of_name(o->kind) : KIND_AUTO;
    if (j->kind < 0)
        return fail(err, 2, "invalid kind %s (there are auto, plain, gtest, tap, ltp, criterion)",
                    o->kind);
    if (writer_of(o->format) < 0)
        return fail(err, 2, "invalid format %s (there are table, json, junit and html)", o->format);
    if (o->compare && strcmp(o->compare, "status") != 0 && strcmp(o->compare, "output") != 0)
        return fail(err, 2, "invalid compare %s (there are output and status)", o->compare);
    if (o->timeout < 0 || o->timeout > MAX_TIMEOUT_S || o->jobs < 0 || o->jobs > MAX_JOBS)
        return fail(err, 2, "a timeout is 1 to %d seconds, jobs are 1 to %d", MAX_TIMEOUT_S,
                    MAX_JOBS);
    j->timeout_ms = (o->timeout ? o->timeout : DEFAULT_TIMEOUT_S) * 1000;
    j->threads = o->jobs ? o->jobs : 1;
    j->cwd = o->cwd;
    j->trace = !o->no_trace;
    j->whole = o->whole;
    j->c->native = o->native;
    j->c->status_only = o->compare && strcmp(o->compare, "status") == 0;
    return 0;
}

static atomic_bool stopped;

static void stop(int signal)
{
    atomic_store(&stopped, true);
}

static void catch_signals(void)
{
    static const int caught[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction act = {.sa_handler = stop, .sa_flags = SA_RESTART};

    for (size_t i = 0; i < ARRAY_SIZE(caught); i++)
        sigaction(caught[i], &act, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static int write_report(const struct compat_options *o, const struct compat *c,
                        struct cli_error *err)
{
    FILE *out = o->output ? fopen(o->output, "we") : stdout;
    bool bad;

    if (!out)
        return fail_errno(err, 2, errno, "cannot write %s", o->output);
    writers[writer_of(o->format)](c, out);
    bad = fflush(out) != 0 || ferror(out);
    if (o->output)
        bad |= fclose(out) != 0;
    return bad ? fail_errno(err, 2, errno, "cannot write the report") : 0;
}

int cmd_compat(const struct global_options *global, void *opts, int argc, char **args,
               struct cli_error *err)
{
    const struct compat_options *o = opts;
    struct compat c = {0};
    struct jobs j = {.c = &c, .global = global, .stop = &stopped, .progress = isatty(2)};
    struct timespec start, end;
    struct tally sums;

    if (check_options(o, &j, err) < 0 ||
        set_platforms(&c, o->platforms ? o->platforms : global->platform, err) < 0 ||
        set_programs(o, &c, argc, args, err) < 0)
        return -1;
    catch_signals();
    clock_gettime(CLOCK_MONOTONIC, &start);
    if (jobs_probe(&j, err) < 0 || jobs_run(&j, err) < 0)
        return -1;
    clock_gettime(CLOCK_MONOTONIC, &end);
    c.us = (end.tv_sec - start.tv_sec) * 1000000LL + (end.tv_nsec - start.tv_nsec) / 1000;
    if (write_report(o, &c, err) < 0)
        return -1;
    count_verdicts(&c, &sums);
    if (atomic_load(&stopped))
        return fail(err, 1, "interrupted: the report is of what was done");
    return sums.unexpected || sums.incomplete ? 1 : 0;
}
