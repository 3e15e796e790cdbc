/*
 * What the sandbox says of itself: its processes, and what they use. Runs on the control thread.
 * Locks: tasks_lock, by the look-ups it calls.
 */
#include "sentry/boot/control_int.h"

#include "fs/devpts/tty.h"
#include "sentry/mm/mm.h"
#include "sentry/strace/strace.h"
#include "syscalls/stats.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NS_PER_MS 1000000ULL
#define NS_PER_S  1000000000ULL

static uint64_t boottime_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_BOOTTIME, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static void print_process(FILE *f, const struct boot_container *b, struct thread_group *tg)
{
    struct kernel *k = b->kernel;
    uint64_t user = 0, system = 0, now = boottime_ns();
    struct task *leader = task_find(k, tg->tgid);
    const struct cred *cred;
    char comm[16], tty[16] = "?";

    if (!leader)
        return;
    task_comm_get(leader, comm);
    for (char *p = comm; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?'; /* a line each */
    }
    cred = task_cred_get(leader);
    thread_group_cpu_time(tg, &user, &system);
    mutex_lock(&k->tasks_lock);
    if (tg->session && tg->session->tty)
        snprintf(tty, sizeof(tty), "pts/%d", tg->session->tty->index);
    fprintf(f, "%d %d %u %llu %llu %s %s\n", thread_group_nr_in_locked(tg, b->pid_ns),
            tg->parent ? thread_group_nr_in_locked(tg->parent, b->pid_ns) : 0, cred->uid,
            (unsigned long long)((now - tg->start_ns) / NS_PER_S),
            (unsigned long long)((user + system) / NS_PER_MS), tty, comm);
    mutex_unlock(&k->tasks_lock);
    cred_put(cred);
    task_put(leader);
}

typedef void (*process_fn)(FILE *f, const struct boot_container *b, struct thread_group *tg);

/* For the processes of the container that is asked about. */
static int reply_text(struct control_conn *c, process_fn each)
{
    struct kernel *k = c->of->kernel;
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    int r;

    if (!f)
        return -1;
    for (int32_t nr = 0; (nr = thread_group_next(k, nr + 1)) > 0;) {
        struct thread_group *tg = thread_group_find(k, nr);

        if (tg) {
            if (tg->cell == c->of->cell && !load_acquire(&tg->exited))
                each(f, c->of, tg);
            thread_group_put(tg);
        }
    }
    if (fclose(f) != 0 || size > CONTROL_REPLY_MAX)
        r = control_reply(c, CONTROL_REPLY, -E2BIG, "", 0);
    else
        r = control_reply(c, CONTROL_REPLY, 0, text, size);
    free(text);
    return r;
}

int control_do_ps(struct control *s, struct control_conn *c)
{
    return reply_text(c, print_process);
}

/* A line per process; the CLI adds them up. */
static void print_usage(FILE *f, const struct boot_container *b, struct thread_group *tg)
{
    uint64_t user = 0, system = 0, rss = 0;
    struct task *leader = task_find(b->kernel, tg->tgid);
    struct mm *mm = leader ? task_mm_get(leader) : NULL;

    thread_group_cpu_time(tg, &user, &system);
    if (mm) {
        rss = platform_as_rss(mm->as, NULL) * PAGE_SIZE;
        mm_put(mm);
    }
    fprintf(f, "user_ns %llu\nsystem_ns %llu\nrss %llu\npids %u\n", (unsigned long long)user,
            (unsigned long long)system, (unsigned long long)rss, READ_ONCE(tg->task_count));
    if (leader)
        task_put(leader);
}

int control_do_stats(struct control *s, struct control_conn *c)
{
    return reply_text(c, print_usage);
}

int control_do_figures(struct control *s, struct control_conn *c)
{
    char *text = NULL;
    size_t size = 0;
    int r = 0;

    if (c->head.arg == CONTROL_FIGURES_START)
        r = syscall_stats_start(s->boot->kernel);
    else if (c->head.arg == CONTROL_FIGURES_STOP)
        syscall_stats_stop(s->boot->kernel);
    else if (c->head.arg > CONTROL_FIGURES_STOP)
        r = -EINVAL;
    else if (!(text = boot_stats_text(s->boot, c->head.arg, &size)))
        r = -ENOMEM;
    if (r < 0)
        r = control_reply(c, CONTROL_REPLY, r, boot_error(r), strlen(boot_error(r)));
    else
        r = control_reply(c, CONTROL_REPLY, 0, text ? text : "", size);
    free(text);
    return r;
}

int control_do_holders(struct control *s, struct control_conn *c)
{
    char text[CONTROL_CONNECTIONS * 12];
    size_t used = 0;

    for (int i = 0; i < CONTROL_CONNECTIONS; i++) {
        if (s->conns[i].fd >= 0 && s->conns[i].of == c->of && s->conns[i].exec &&
            s->conns[i].exec->holder > 0)
            used += (size_t)snprintf(text + used, sizeof(text) - used, "%d\n",
                                     s->conns[i].exec->holder);
    }
    return control_reply(c, CONTROL_REPLY, 0, text, used);
}

/* The next of the payload's strings; NULL for "" and where there is none. */
static const char *next_text(const char **at, const char *end)
{
    const char *text = *at, *stop = memchr(text, 0, (size_t)(end - text));

    *at = stop ? stop + 1 : end;
    return stop && *text ? text : NULL;
}

int control_do_trace(struct control *s, struct control_conn *c)
{
    const char *at = (const char *)c->payload + sizeof(struct control_trace);
    const char *end = (const char *)c->payload + c->head.size, *what = "request";
    struct strace_choice choice;
    struct control_trace q;
    char why[96];
    int r;

    if (c->head.size < sizeof(q) || c->trace)
        return control_reply(c, CONTROL_REPLY, -EINVAL, "", 0);
    memcpy(&q, c->payload, sizeof(q));
    choice.failed = q.failed;
    choice.calls = next_text(&at, end);
    choice.pids = next_text(&at, end);
    choice.paths = next_text(&at, end);
    r = boot_trace_attach(s->boot, &choice, q.json, fcntl(c->fd, F_DUPFD_CLOEXEC, 3), &what);
    if (r < 0) {
        snprintf(why, sizeof(why), "%s: %s", what, boot_error(r));
        return control_reply(c, CONTROL_REPLY, r, why, strlen(why));
    }
    c->trace = r + 1;
    /* The reply comes first on the connection. */
    (void)!control_reply(c, CONTROL_REPLY, 0, "", 0);
    r = boot_trace_go(s->boot, c->trace - 1);
    if (r < 0)
        c->trace = 0;
    return r;
}
