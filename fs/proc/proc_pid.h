/* For the /proc/PID files: one consistent look at what tasks_lock and sig_lock guard. */
#pragma once

#include "fs/proc/proc_int.h"

struct pid_facts {
    char state;
    const char *state_name;                       /* "sleeping" */
    int32_t tgid, tid, ppid, pgid, sid, tpgid;    /* as the instance's pid namespace has them */
    int32_t all_tgid, all_tid, all_pgid, all_sid; /* in the first one */
    uint64_t tty_dev;
    uint32_t threads;
    uint64_t child_user_ns, child_system_ns;
    int32_t exit_code;
    lx_sigset_t pending, shared_pending, blocked, ignored, caught;
    uint32_t queued_signals;
    char comm[16];
};
void pid_facts_get(const struct proc_entry *e, struct pid_facts *out);

#define USER_HZ 100UL
static inline uint64_t ns_to_ticks(uint64_t ns)
{
    return ns / (1000000000UL / USER_HZ);
}
/* CPU time of the thread or, for /proc/PID, of the process. */
void pid_cpu_time(const struct proc_entry *e, uint64_t *user_ns, uint64_t *system_ns);
/* Reads [start, end) of mm into sb; stops at what can't be read. */
void pid_read_memory(struct mm *mm, uint64_t start, uint64_t end, struct strbuf *sb);
