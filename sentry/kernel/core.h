/*
 * What is done when a signal whose default action is to dump core kills a process: all its tasks
 * are stopped where they are, what they are is written down (an ELF core file, core(5); a report),
 * and then they end. Sources: core(5), elf(5), proc(5), prctl(2).
 *
 * The task that took the signal is the dumper. It sets thread_group.core under sig_lock together
 * with the group's exit; each other task, on its way out, leaves a struct core_thread there and
 * waits until the dumper is done (core_join). SIGKILL, or the end of the sandbox, ends a dump at
 * its next piece; the file is then cut short, and the status has no core bit.
 */
#pragma once

#include "platform/platform.h"
#include "sentry/abi/core.h"
#include "sentry/abi/types.h"
#include "sentry/base/list.h"
#include "sentry/base/waiter.h"

struct task;
struct thread_group;
struct kernel;
struct strbuf;
struct file;
struct vma_info;
struct vfs_ctx;

#define CORE_PATTERN_MAX 128

/* A task of the dying process, at its last stop. On its own stack while it waits. */
struct core_thread {
    struct list node; /* core_stop.threads */
    struct task *task;
    uint64_t orig_rax; /* the system call it was in, or -1 */
    uint8_t *fpu;      /* XSAVE image of platform_facts.fpu_size bytes, 64-aligned; NULL: none */
    void *fpu_memory;  /* what is kfree'd */
};

/* The dumper's. Guarded by sig_lock while tasks still come. */
struct core_stop {
    uint32_t reported; /* the reporter has let go of it */
    struct core_thread self; /* the dumper itself: first in threads */
    struct list threads;
    int signo;
    struct lx_siginfo info;
};

/* Is there anything to do for this signal? Called with sig_lock held. */
bool core_wanted_locked(struct task *t, int signo);
/* t is the dumper: its group's other tasks stop as they leave. sig_lock held, with the exit. */
void core_begin_locked(struct task *t, struct core_stop *s, int signo,
                       const struct lx_siginfo *info);
/* The dumper's work, from the first wait for the others to their release. orig_rax: as above. */
void core_run(struct task *t, struct core_stop *s, uint64_t orig_rax);
/* Every task's, before it gives anything up on its way out. orig_rax: as above. */
void core_join(struct task *t, uint64_t orig_rax);

/*
 * Crash reports: made by a thread of boot's while all tasks of the process are stopped. One at a
 * time; the dumper waits for it.
 */
struct core_reporter {
    struct core_stop *job; /* claimed by a dumper, cleared by the reporter */
    struct parker parker;  /* the reporter's */
    struct waitq free;     /* POLLIN: job was cleared */
};
/* Reports are wanted from then on; for the kernel's life. -ENOMEM. */
int core_reporter_create(struct kernel *k, struct core_reporter **out) MUST_CHECK;
/* The reporter's: waits for a crash; and has done with it. */
struct core_stop *core_report_next(struct core_reporter *r);
void core_report_done(struct core_reporter *r);
/* The dumper's: is this signal's report wanted; waits until it is made. */
bool core_report_wanted(const struct kernel *k, int signo);
void core_report(struct core_stop *s);

/* ---- between the core files ---- */
/* A task's registers as Linux shows them. */
void core_user_regs(const struct core_thread *th, struct lx_user_regs *out);
/* core_notes.c: all notes of the process, one after the other. */
void core_notes(const struct core_stop *s, struct strbuf *out);
/* core_name.c: the name core_pattern gives, into sb (which may have failed). */
void core_name(const struct core_stop *s, const char *pattern, bool uses_pid, struct strbuf *sb);
/*
 * core_file.c: the ELF file, at most limit bytes of it (holes not counted). 0; -EFBIG: cut;
 * -EINTR: killed meanwhile; or the file's error.
 */
int core_write_file(const struct core_stop *s, struct file *f, const struct vfs_ctx *ctx,
                    uint64_t limit, uint64_t *out_written) MUST_CHECK;
/* How many of v's bytes, from its start, go into a core of a process with this filter. */
uint64_t core_vma_size(struct task *t, const struct vma_info *v, uint32_t filter);
