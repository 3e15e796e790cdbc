/*
 * The order of it all. A few threads take units one after another; a unit's runs follow each other
 * in one thread, natively first, so that both sides find the machine alike. The only lock is that
 * of the progress line.
 */
#include "runsc-cli/compat/jobs.h"

#include "runsc-cli/compat/kinds.h"
#include "runsc-cli/compat/programs.h"
#include "runsc-cli/compat/run.h"

#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CALLS_SHOWN  20
#define PROBE_MS     60000
#define MAX_CASES    200000
#define THREAD_STACK (1U << 20)

struct pool {
    const struct jobs *jobs;
    const char *base; /* our directory */
    size_t count, threads;
    atomic_size_t next, done, number;
    void (*step)(struct pool *p, size_t index, const char *cwd, const char *fifo);
    struct name_list *cases; /* of each program */
    pthread_mutex_t screen;
};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
    return f->level > 0 ? (remove(path), 0) : 0;
}

static void empty_directory(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static void run_on(const struct jobs *j, const char *platform, char **argv, const char *cwd,
                   const char *fifo, struct run *out, struct text *trace)
{
    struct run_request q = {.global = j->global,
                            .platform = platform,
                            .cwd = j->cwd ? j->cwd : cwd,
                            .fifo = fifo,
                            .argv = argv,
                            .timeout_ms = j->timeout_ms,
                            .stop = j->stop};
    struct cli_error err;

    if (atomic_load(j->stop))
        return;
    if (run_program(&q, out, trace, &err) < 0)
        out->problem = copy_string(err.message);
    if (atomic_load(j->stop))
        out->done = false; /* it was ended by us */
    if (!j->cwd)
        empty_directory(cwd);
}

int jobs_probe(const struct jobs *j, struct cli_error *err)
{
    char *argv[] = {"/bin/true", NULL};
    size_t able = 0;

    for (size_t p = 0; p < j->c->platform_count; p++) {
        struct run_request q = {.global = j->global,
                                .platform = j->c->platforms[p],
                                .cwd = "/",
                                .argv = argv,
                                .timeout_ms = PROBE_MS,
                                .stop = j->stop};
        struct run r = {0};
        size_t at = 0, n = 0;
        const char *line = "no answer";

        if (run_program(&q, &r, NULL, err) < 0)
            return -1;
        if (r.status == 0 && !r.hung) {
            able++;
        } else {
            n = text_line(&r.err, &at, &line, &n) ? n : strlen(line);
            j->c->unable[p] = copy_bytes(line, n);
        }
        run_free(&r);
    }
    return able ? 0 : fail(err, 2, "%s", j->c->unable[0]);
}

static const char *reference_platform(const struct compat *c)
{
    for (size_t p = 0; p < c->platform_count; p++) {
        if (!c->unable[p] && !c->native)
            return c->platforms[p];
    }
    return NULL;
}

static char **with_arguments(const struct program *p, size_t room)
{
    char **argv = alloc_zeroed((p->argc + room + 1) * sizeof(*argv));

    memcpy(argv, p->argv, p->argc * sizeof(*argv));
    return argv;
}

/* Without a list it is run whole, and said so. */
static void list_cases(struct pool *pool, size_t i, const char *cwd, const char *fifo)
{
    const struct jobs *j = pool->jobs;
    struct program *p = &j->c->programs[i];
    const char *const *arguments;
    struct run r = {0};
    char **argv;

    p->kind = j->kind == KIND_AUTO ? kind_of_file(p->argv[0]) : (enum kind)j->kind;
    arguments = j->whole ? NULL : kind_list_arguments(p->kind);
    if (!arguments)
        return;
    argv = with_arguments(p, 4);
    for (size_t n = 0; arguments[n]; n++)
        argv[p->argc + n] = (char *)arguments[n];
    run_on(j, reference_platform(j->c), argv, cwd, NULL, &r, NULL);
    free(argv);
    if (p->kind == KIND_GTEST)
        gtest_list(&r.out, &pool->cases[i]);
    else
        criterion_list(&r.out, &pool->cases[i]);
    if (r.status != 0 || r.hung || !pool->cases[i].count || pool->cases[i].count > MAX_CASES) {
        free_names(&pool->cases[i]);
        p->problem =
            format_string("its cases could not be listed (exit status %d): run whole", r.status);
        p->kind = KIND_PLAIN;
    }
    run_free(&r);
}

static void keep_calls(struct unit *u, size_t p, const struct run *r, const struct text *trace)
{
    struct text calls = last_calls(trace, CALLS_SHOWN);
    struct case_list cases = {0};

    if (r->done)
        kind_results(u->program->kind, u->case_name, r, &cases);
    for (size_t i = 0; i < u->row_count; i++) {
        struct cell *cell = &u->rows[i].cells[p];
        struct case_result *again = find_case(&cases, u->case_name ? "" : u->rows[i].name);

        if (!cell->unexpected)
            continue;
        text_add(&cell->calls, calls.data, calls.size);
        if (again && again->outcome != cell->outcome)
            cell->again =
                format_string("when it was run again, traced: %s", outcome_names[again->outcome]);
    }
    text_free(&calls);
    free_cases(&cases);
}

static bool is_unexpected(const struct unit *u, size_t p)
{
    for (size_t i = 0; i < u->row_count; i++) {
        if (u->rows[i].cells[p].unexpected)
            return true;
    }
    return false;
}

static void run_unit(struct pool *pool, size_t i, const char *cwd, const char *fifo)
{
    const struct jobs *j = pool->jobs;
    struct compat *c = j->c;
    struct unit *u = &c->units[i];
    struct run runs[COMPAT_TARGETS] = {0};
    char *extra[4], **argv = with_arguments(u->program, 4);
    size_t extras = u->case_name ? kind_case_arguments(u->program->kind, u->case_name, extra) : 0;

    for (size_t n = 0; n < extras; n++)
        argv[u->program->argc + n] = extra[n];
    if (c->native)
        run_on(j, NULL, argv, cwd, NULL, &runs[COMPAT_NATIVE], NULL);
    for (size_t p = 0; p < c->platform_count; p++) {
        if (!c->unable[p])
            run_on(j, c->platforms[p], argv, cwd, NULL, &runs[p + 1], NULL);
    }
    compare_unit(c, u, runs);
    for (size_t p = 0; p < c->platform_count && j->trace; p++) {
        struct text trace = {0};
        struct run again = {0};

        if (c->unable[p] || !is_unexpected(u, p) || atomic_load(j->stop))
            continue;
        run_on(j, c->platforms[p], argv, cwd, fifo, &again, &trace);
        keep_calls(u, p, &again, &trace);
        run_free(&again);
        text_free(&trace);
    }
    for (size_t t = 0; t < COMPAT_TARGETS; t++)
        run_free(&runs[t]);
    for (size_t n = 0; n < extras; n++)
        free(extra[n]);
    free(argv);
}

static void show_progress(struct pool *p, size_t index)
{
    const struct compat *c = p->jobs->c;
    const struct unit *u = p->step == run_unit ? &c->units[index] : NULL;

    pthread_mutex_lock(&p->screen);
    fprintf(stderr, "\r\033[K%zu/%zu ", atomic_load(&p->done), p->count);
    put_string(stderr, ESCAPE_TERMINAL, u ? u->program->name : c->programs[index].name);
    if (u && u->case_name)
        fputc('/', stderr);
    if (u && u->case_name)
        put_string(stderr, ESCAPE_TERMINAL, u->case_name);
    pthread_mutex_unlock(&p->screen);
}

static void *work(void *arg)
{
    struct pool *p = arg;
    size_t number = atomic_fetch_add(&p->number, 1), i;
    char *cwd = format_string("%s/%zu", p->base, number),
         *fifo = format_string("%s/trace.%zu", p->base, number);

    mkdir(cwd, 0755);
    if (mkfifo(fifo, 0600) < 0 && errno != EEXIST) {
        free(fifo);
        fifo = NULL;
    }
    while (!atomic_load(p->jobs->stop) && (i = atomic_fetch_add(&p->next, 1)) < p->count) {
        if (p->jobs->progress)
            show_progress(p, i);
        p->step(p, i, cwd, fifo);
        atomic_fetch_add(&p->done, 1);
    }
    free(cwd);
    free(fifo);
    return NULL;
}

/* Keepers die with the thread that made them, so that all stay until the work is done. */
static int run_pool(struct pool *p, struct cli_error *err)
{
    pthread_t threads[64];
    pthread_attr_t attr;
    size_t n = 0;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, THREAD_STACK);
    while (n < p->threads && n < p->count && n < ARRAY_SIZE(threads) &&
           pthread_create(&threads[n], &attr, work, p) == 0)
        n++;
    pthread_attr_destroy(&attr);
    if (n == 0 && p->count)
        return fail(err, 2, "no thread could be made");
    for (size_t i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    if (p->jobs->progress)
        fputs("\r\033[K", stderr);
    return 0;
}

int jobs_run(const struct jobs *j, struct cli_error *err)
{
    const char *tmp = getenv("TMPDIR");
    char *base = format_string("%s/runsc-compat-XXXXXX", tmp && *tmp == '/' ? tmp : "/tmp");
    struct compat *c = j->c;
    struct pool p = {.jobs = j, .base = base, .count = c->program_count, .step = list_cases};
    size_t size = 0;
    int r;

    if (!mkdtemp(base) || chmod(base, 0755) < 0) {
        r = fail_errno(err, 2, errno, "cannot make %s", base);
        free(base);
        return r;
    }
    p.threads = (size_t)j->threads;
    p.cases = alloc_zeroed(c->program_count * sizeof(*p.cases));
    pthread_mutex_init(&p.screen, NULL);
    r = run_pool(&p, err);
    for (size_t i = 0; i < c->program_count && r == 0; i++) {
        for (size_t k = 0; k < p.cases[i].count; k++)
            add_unit(c, &size, &c->programs[i], p.cases[i].items[k]);
        if (!p.cases[i].count)
            add_unit(c, &size, &c->programs[i], NULL);
        free(p.cases[i].items); /* the names are the units' now */
    }
    free(p.cases);
    p.step = run_unit;
    p.count = c->unit_count;
    atomic_store(&p.next, 0);
    atomic_store(&p.done, 0);
    atomic_store(&p.number, 0);
    if (r == 0)
        r = run_pool(&p, err);
    empty_directory(base);
    rmdir(base);
    free(base);
    return r;
}
