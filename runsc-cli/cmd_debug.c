/*
 * runsc debug: what a running sandbox is doing: its guest tasks, the kernel stacks of its threads;
 * with --posture the jail it is in.
 */
#include "runsc-cli/cli.h"

#include "runsc-cli/control_client.h"
#include "runsc-cli/debug.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>

#define TASKS_MAX  65536
#define REGISTERS  17
#define WEAKER_END 2

struct debug_options {
    const char *format;
    int64_t pid;
    bool posture;
};

#define O(field) offsetof(struct debug_options, field)
const struct opt debug_opts[] = {
    {"posture", 0, OPT_FLAG, O(posture), NULL,
     "the jail as the host has it; status 2 when it is less than promised"},
    {"format", 'f', OPT_STRING, O(format), "text|json", "(default text)"},
    {"pid", 0, OPT_INT, O(pid), "PID",
     "the sandbox's process instead of an ID (of do, too): without its guest tasks"},
    {0},
};

static const char *const register_names[REGISTERS] = {"rip", "rsp", "rax", "rbx", "rcx", "rdx",
                                                      "rsi", "rdi", "rbp", "r8",  "r9",  "r10",
                                                      "r11", "r12", "r13", "r14", "r15"};

struct debug {
    pid_t sentry;
    json_object *tasks;  /* as printed, by the index of addresses */
    uint64_t *addresses; /* of tasks in the kernel */
    size_t task_count;
    json_object *threads; /* those that serve no guest task */
    struct symbols *symbols;
};

/* ---- guest tasks, as the sandbox tells them ---- */

static const char *state_name(char letter, bool in_guest)
{
    switch (letter) {
    case 'S':
        return "sleeping";
    case 'T':
        return "stopped";
    case 'Z':
        return "ended";
    default:
        return in_guest ? "running" : "in the kernel";
    }
}

static void add_hex(json_object *o, const char *name, uint64_t value)
{
    char text[32];

    snprintf(text, sizeof(text), "0x%" PRIx64, value);
    json_add_string(o, name, text);
}

static const char *next_line(char **at)
{
    char *word = strsep(at, "\n");

    return word ? word : "";
}

/* The lines of a task: numbers, and those at *at. */
static void take_task(struct debug *d, const char *numbers, char **at)
{
    char state;
    unsigned long long address, value;
    json_object *o, *registers;
    int tid, tgid, uid, in_guest, thread, used;

    if (sscanf(numbers, "%llx %d %d %d %c %d %d%n", &address, &tid, &tgid, &uid, &state, &in_guest,
               &thread, &used) != 7 ||
        d->task_count == TASKS_MAX)
        return;
    o = json_object_new_object();
    registers = json_object_new_object();
    json_add_int(o, "tid", tid);
    json_add_int(o, "pid", tgid);
    json_add_int(o, "uid", uid);
    json_add_string(o, "syscall", next_line(at));
    json_add_string(o, "name", next_line(at));
    json_add_string(o, "state", state_name(state, in_guest));
    json_add_string(o, "mapping", next_line(at));
    json_add_bool(o, "inGuest", in_guest);
    json_add_int(o, "guestThread", thread);
    for (int i = 0; i < REGISTERS; i++) {
        int n;

        numbers += used;
        if (sscanf(numbers, " %llx%n", &value, &n) != 1)
            break;
        used = n;
        add_hex(registers, register_names[i], value);
    }
    json_object_object_add(o, "registers", registers);
    json_object_array_add(d->tasks, o);
    d->addresses[d->task_count++] = address;
}

static int take_tasks(struct debug *d, const struct container *c, struct cli_error *err)
{
    char *text, *at, *line;

    if (control_request(c, CONTROL_DEBUG, CONTROL_DEBUG_TASKS, &text, err) < 0)
        return -1;
    for (at = text; (line = strsep(&at, "\n"));) {
        if (*line)
            take_task(d, line, &at);
    }
    free(text);
    return 0;
}

/* ---- threads, as the host shows them ---- */

/* Where its kernel thread waits: the innermost function that is not about waiting itself. */
static const char *wait_channel(json_object *stack)
{
    static const char *const waiting[] = {"host_",    "park",    "platform_", "systrap_", "notify_",
                                          "ptrace_",  "mpk_",    "kthread",   "syscall",  "cv_",
                                          "futex_sl", "__futex", "wait_on"};

    for (size_t i = 0; i < json_length(stack); i++) {
        json_object *f = json_object_array_get_idx(stack, i);
        const char *name = json_string_or(f, "function", "?");
        size_t k = 0;

        while (k < ARRAY_SIZE(waiting) && strncmp(name, waiting[k], strlen(waiting[k])) != 0)
            k++;
        if (k == ARRAY_SIZE(waiting) && json_is_true(f, "sure") && *name != '?')
            return name;
    }
    return NULL;
}

static bool holds(const char *mapping, uint64_t addr)
{
    unsigned long start, end;

    return sscanf(mapping, "%lx-%lx", &start, &end) == 2 && addr >= start && addr < end;
}

/* A thread in guest code now: these are its registers, not those of its last way in. */
static void guest_registers(struct debug *d, pid_t pid, pid_t thread,
                            const struct user_regs_struct *r)
{
    const uint64_t now[REGISTERS] = {r->rip, r->rsp, r->rax, r->rbx, r->rcx, r->rdx,
                                     r->rsi, r->rdi, r->rbp, r->r8,  r->r9,  r->r10,
                                     r->r11, r->r12, r->r13, r->r14, r->r15};
    pid_t inside = host_number_inside(thread);
    char mapping[4400];

    for (size_t i = 0; i < d->task_count; i++) {
        json_object *o = json_object_array_get_idx(d->tasks, i),
                    *registers = json_object_new_object();

        if (!json_is_true(o, "inGuest") || json_int(o, "guestThread", 0) != inside ||
            !host_mapping(pid, r->rip, mapping, sizeof(mapping))) {
            json_object_put(registers);
            continue;
        }
        for (int k = 0; k < REGISTERS; k++)
            add_hex(registers, register_names[k], now[k]);
        json_object_object_add(o, "registers", registers);
        /* The kernel knows the file where the host has a copy of ours. */
        if (!holds(json_string_or(o, "mapping", ""), r->rip))
            json_add_string(o, "mapping", mapping);
        json_add_bool(o, "now", true);
        return;
    }
}

static bool is_running(pid_t pid, pid_t thread)
{
    char file[64], text[64];

    snprintf(file, sizeof(file), "task/%d/status", thread);
    return host_status(pid, file, "State", text, sizeof(text)) && text[0] == 'R';
}

static void take_stack(struct debug *d, const struct host_process *p, pid_t thread,
                       json_object *stack, int task)
{
    char file[64], name[32] = "";
    json_object *o;

    if (task >= 0) {
        o = json_object_array_get_idx(d->tasks, (size_t)task);
        json_add_int(o, "kernelThread", thread);
        if (wait_channel(stack))
            json_add_string(o, "waitChannel", wait_channel(stack));
        json_object_object_add(o, "stack", stack);
        return;
    }
    snprintf(file, sizeof(file), "task/%d/status", thread);
    host_status(p->pid, file, "Name", name, sizeof(name));
    o = json_object_new_object();
    json_add_int(o, "thread", thread);
    json_add_int(o, "process", p->inside);
    json_add_string(o, "name", name);
    json_object_object_add(o, "stack", stack);
    json_object_array_add(d->threads, o);
}

static void look_at_thread(struct debug *d, const struct host_process *p, pid_t thread)
{
    struct user_regs_struct regs;
    struct cli_error err;
    json_object *stack;
    int task;

    /* Of a process that has guest code only, a thread that sleeps has nothing to show. */
    if ((!p->alike && !is_running(p->pid, thread)) || host_stop(thread, &err) < 0)
        return;
    if (ptrace(PTRACE_GETREGS, thread, 0, &regs) == 0) {
        stack = p->alike ? stack_of(d->symbols, p->pid, &regs, d->addresses, d->task_count, &task)
                         : NULL;
        if (stack)
            take_stack(d, p, thread, stack, task);
        else if ((int64_t)regs.orig_rax < 0)
            guest_registers(d, p->pid, thread, &regs);
    }
    host_release(thread);
}

static int take_threads(struct debug *d, struct cli_error *err)
{
    struct host_process *all;
    size_t n;

    if (host_processes(d->sentry, &all, &n, err) < 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        pid_t *threads;
        size_t count = host_threads(all[i].pid, &threads);

        for (size_t k = 0; k < count; k++)
            look_at_thread(d, &all[i], threads[k]);
        free(threads);
    }
    free(all);
    return 0;
}

/* ---- as text ---- */

static void print_stack(json_object *o)
{
    json_object *stack = json_get(o, "stack", json_type_array);

    for (size_t i = 0; i < json_length(stack); i++) {
        json_object *f = json_object_array_get_idx(stack, i);

        printf("        %s%s+0x%llx\n", json_is_true(f, "sure") ? "" : "? ",
               json_string_or(f, "function", "?"), (long long)json_int(f, "offset", 0));
    }
}

static void print_task(json_object *o)
{
    const char *call = json_string_or(o, "syscall", ""), *where = json_string(o, "waitChannel");
    json_object *registers = json_get(o, "registers", json_type_object);
    int column = 0;

    printf("task %lld of process %lld (%s), uid %lld: %s%s%s%s%s%s\n",
           (long long)json_int(o, "tid", 0), (long long)json_int(o, "pid", 0),
           json_string_or(o, "name", ""), (long long)json_int(o, "uid", 0),
           json_string_or(o, "state", ""), *call ? " in " : "", call, where ? " (" : "",
           where ? where : "", where ? ")" : "");
    printf("    rip in %s\n   ", json_string_or(o, "mapping", "no mapping"));
    json_object_object_foreach(registers, name, value)
    {
        printf("%s %s %s", column && column % 6 == 0 ? "\n   " : "", name,
               json_object_get_string(value));
        column++;
    }
    printf("\n    (registers %s)\n",
           json_is_true(o, "now") ? "now" : "as of its last way into the kernel");
    if (json_int(o, "kernelThread", 0)) {
        printf("    kernel thread %lld:\n", (long long)json_int(o, "kernelThread", 0));
        print_stack(o);
    }
}

static void print_all(const struct debug *d)
{
    for (size_t i = 0; i < json_length(d->tasks); i++)
        print_task(json_object_array_get_idx(d->tasks, i));
    for (size_t i = 0; i < json_length(d->threads); i++) {
        json_object *o = json_object_array_get_idx(d->threads, i);

        printf("thread %lld (%s) of the sandbox's process %lld\n",
               (long long)json_int(o, "thread", 0), json_string_or(o, "name", ""),
               (long long)json_int(o, "process", 0));
        print_stack(o);
    }
}

/* ---- the command ---- */

static int show_posture(const struct container *c, pid_t sentry, bool json, struct cli_error *err)
{
    json_object *o;
    char *landlock = NULL;
    int status;

    if (c && control_request(c, CONTROL_DEBUG, CONTROL_DEBUG_LANDLOCK, &landlock, err) < 0)
        return -1;
    o = posture_read(sentry, landlock, err);
    free(landlock);
    if (!o)
        return -1;
    status = json_length(json_get(o, "weaker", json_type_array)) ? WEAKER_END : 0;
    if (json)
        json_print(o);
    else
        posture_print(o);
    json_object_put(o);
    return status;
}

static int show_tasks(const struct container *c, pid_t sentry, bool json, struct cli_error *err)
{
    struct debug d = {.sentry = sentry,
                      .tasks = json_object_new_array(),
                      .threads = json_object_new_array(),
                      .addresses = calloc(TASKS_MAX, sizeof(uint64_t))};
    json_object *o;
    int r = -1;

    if (!d.addresses)
        return fail(err, 1, "out of memory");
    d.symbols = symbols_open(sentry, err);
    if (d.symbols && (!c || take_tasks(&d, c, err) == 0))
        r = take_threads(&d, err);
    symbols_close(d.symbols);
    free(d.addresses);
    if (r == 0 && json) {
        o = json_object_new_object();
        json_add_int(o, "pid", sentry);
        json_object_object_add(o, "tasks", json_object_get(d.tasks));
        json_object_object_add(o, "threads", json_object_get(d.threads));
        json_print(o);
        json_object_put(o);
    } else if (r == 0) {
        print_all(&d);
    }
    json_object_put(d.tasks);
    json_object_put(d.threads);
    return r;
}

int cmd_debug(const struct global_options *global, void *opts, int argc, char **args,
              struct cli_error *err)
{
    const struct debug_options *o = opts;
    bool json = o->format && strcmp(o->format, "json") == 0;
    struct container c;
    int r;

    if (o->format && !json && strcmp(o->format, "text") != 0)
        return fail(err, 1, "invalid format %s (there are text and json)", o->format);
    if ((argc == 1) == (o->pid > 0))
        return fail(err, 1, "debug takes an ID, or --pid");
    if (argc == 0)
        return o->posture ? show_posture(NULL, (pid_t)o->pid, json, err)
                          : show_tasks(NULL, (pid_t)o->pid, json, err);
    if (container_open(global, args[0], UNLOCKED, &c, err) < 0)
        return -1;
    if (!container_alive(&c))
        r = fail(err, 1, "container not running");
    else if (container_needs_sandbox(&c, err) < 0)
        r = -1;
    else
        r = o->posture ? show_posture(&c, c.pid, json, err) : show_tasks(&c, c.pid, json, err);
    container_close(&c);
    return r;
}
