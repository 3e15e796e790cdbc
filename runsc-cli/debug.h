/*
 * Looking at a running sandbox from the host: its processes and threads, their kernel stacks by the
 * symbols of their own runsc, the filters they stand behind. Needs the rights that ptrace does;
 * threads are stopped for microseconds and go on as if nothing had been.
 */
#pragma once

#include "runsc-cli/json.h"

#include <sys/types.h>
#include <sys/user.h>

/* debug_host.c */
struct host_process {
    pid_t pid;    /* our number of it */
    pid_t inside; /* its number in the sandbox's pid namespace: the sentry is 1 */
    bool alike;   /* runs the sentry's own program: can have kernel stacks */
    char name[32];
};

/* All processes of the sentry's pid namespace; malloc'ed. */
int host_processes(pid_t sentry, struct host_process **out, size_t *count, struct cli_error *err);
/* Numbers of its threads, malloc'ed; the count, 0 when it has gone. */
size_t host_threads(pid_t pid, pid_t **out);
/* A line "NAME:\tVALUE" of a file below /proc/PID; false: it is not there. */
bool host_status(pid_t pid, const char *file, const char *name, char *out, size_t size);
/* The last number of NSpid: that of the innermost namespace; 0 unknown. */
pid_t host_number_inside(pid_t thread);
/* The line of /proc/PID/maps that addr is in, without its newline. */
bool host_mapping(pid_t pid, uint64_t addr, char *out, size_t size);
/* A short name for what an entry of /proc/PID/fd or ns leads to. */
bool host_link(pid_t pid, const char *entry, char *out, size_t size);

/* Stops a thread, or -1 with *err; nothing else traces it. host_release lets it go on. */
int host_stop(pid_t thread, struct cli_error *err);
void host_release(pid_t thread);

/* debug_symbols.c */
struct symbols;

/* Of the program that pid runs; NULL with *err. */
struct symbols *symbols_open(pid_t pid, struct cli_error *err);
void symbols_close(struct symbols *s);
/* Where the program lies in pid's memory; false: it is not mapped there. */
bool symbols_base(const struct symbols *s, pid_t pid, uint64_t *base);
/* The function that holds address (without base): its name and start, or NULL. */
const char *symbols_find(const struct symbols *s, uint64_t address, uint64_t *start);
/* Does a word look as a call's return address? 0 no, 1 direct: *target, 2 indirect. */
int symbols_call_before(const struct symbols *s, uint64_t address, uint64_t *target);
/* May the function at from jump to the one at to (a tail call)? */
bool symbols_jumps(const struct symbols *s, uint64_t from, uint64_t to);

/* debug_stack.c */
/*
 * The kernel stack of a stopped thread as an array of {"address","function","offset","sure"},
 * innermost first; NULL: it is not in the kernel. tasks are addresses of kernel tasks, *out_task
 * the index of the one it serves, or -1.
 */
json_object *stack_of(const struct symbols *s, pid_t pid, const struct user_regs_struct *regs,
                      const uint64_t *tasks, size_t task_count, int *out_task);

/* debug_filter.c */
/*
 * The seccomp filters of a stopped thread, read back from the host: how many calls all of them
 * together may let through for some arguments; -errno when they can't be read. *out_filters: how
 * many there are.
 */
int filter_calls(pid_t thread, int *out_filters);

/* posture.c */
/* The jail as it is, and under "weaker" what is less than promised. landlock: its word, or NULL. */
json_object *posture_read(pid_t sentry, const char *landlock, struct cli_error *err);
void posture_print(json_object *posture);
