/*
 * What `runsc debug` asks the sandbox: a line about each guest task, and whether Landlock holds.
 * Runs on the control thread. Locks: tasks_lock, sig_lock, mm.lock, one at a time, by the look-ups
 * it calls. Registers are read while their owner may change them: what is printed is what people
 * look at.
 */
#include "sentry/boot/control_int.h"

#include "platform/host/host.h"
#include "sentry/abi/mman.h"
#include "sentry/base/fmt.h"
#include "sentry/kernel/process.h"
#include "sentry/mm/mm.h"
#include "syscalls/syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SLEEPING 2 /* parker.word */

typedef unsigned long long number; /* for %llu */

static void print_name(FILE *f, const char *text, size_t size)
{
    for (size_t i = 0; i < size && text[i]; i++)
        fputc(text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i], f);
}

/* The mapping that holds addr, as in /proc/PID/maps: "START-END PROT OFFSET NAME". */
static void print_mapping(FILE *f, struct task *t, uint64_t addr)
{
    struct mm *mm = task_mm_get(t);
    struct vma_info v;
    struct strbuf name;
    uint64_t dev, ino;

    if (!mm)
        return;
    if (mm_vma_at_or_after(mm, addr, &v) < 0) {
        mm_put(mm);
        return;
    }
    strbuf_init(&name);
    if (v.file) {
        OPS_GET(mm_file_ops, v.file->ops)->describe(v.file, &dev, &ino, &name);
        OPS_GET(mm_file_ops, v.file->ops)->put(v.file);
    }
    if (addr >= v.start) {
        fprintf(f, "%llx-%llx %c%c%c%c %llx ", (number)v.start, (number)v.end,
                v.prot & LX_PROT_READ ? 'r' : '-', v.prot & LX_PROT_WRITE ? 'w' : '-',
                v.prot & LX_PROT_EXEC ? 'x' : '-', v.flags & VMA_SHARED ? 's' : 'p',
                (number)v.offset);
        if (name.size)
            print_name(f, name.data, name.size);
        else if (v.name)
            print_name(f, v.name, strlen(v.name));
    }
    strbuf_free(&name);
    mm_put(mm);
}

static char state_of(const struct task *t)
{
    if (t->state != TASK_RUNNING)
        return 'Z';
    if (t->stopped)
        return 'T';
    return READ_ONCE(t->parker.word) == SLEEPING ? 'S' : 'R';
}

static void print_registers(FILE *f, const struct cpu_regs *r)
{
    const uint64_t all[] = {r->rip, r->rsp, r->rax, r->rbx, r->rcx, r->rdx, r->rsi, r->rdi, r->rbp,
                            r->r8,  r->r9,  r->r10, r->r11, r->r12, r->r13, r->r14, r->r15};

    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        fprintf(f, " %llx", (number)all[i]);
}

static int32_t host_thread(struct task *t)
{
    int32_t nr = 0;

    mutex_lock(&t->tg->sig_lock);
    if (t->ctx_shared)
        nr = platform_ctx_host_thread(t->ctx_shared);
    mutex_unlock(&t->tg->sig_lock);
    return nr;
}

/* See CONTROL_DEBUG. */
static void print_task(FILE *f, struct task *t)
{
    const struct cred *cred = task_cred_get(t);
    uint32_t in_guest = READ_ONCE(t->in_guest);
    uint64_t nr = READ_ONCE(t->syscall_nr);
    const struct syscall_row *row = syscall_row(nr);
    struct cpu_regs regs = t->regs;
    char comm[16];

    task_comm_get(t, comm);
    fprintf(f, "%llx %d %d %u %c %u %d", (number)(uintptr_t)t, t->tid, t->tg->tgid,
            cred ? cred->uid : 0, state_of(t), in_guest, host_thread(t));
    print_registers(f, &regs);
    fprintf(f, "\n%s\n", in_guest || state_of(t) == 'Z' ? "" : row ? row->name : "unknown");
    print_name(f, comm, sizeof(comm));
    fputc('\n', f);
    print_mapping(f, t, regs.rip);
    fputc('\n', f);
    if (cred)
        cred_put(cred);
}

static void print_tasks(FILE *f, struct kernel *k)
{
    for (int32_t nr = 0; (nr = thread_group_next(k, nr + 1)) > 0;) {
        struct thread_group *tg = thread_group_find(k, nr);

        if (!tg)
            continue;
        for (int32_t tid = 0; (tid = task_next_in_group(tg, tid + 1)) > 0;) {
            struct task *t = task_find(k, tid);

            if (t) {
                print_task(f, t);
                task_put(t);
            }
        }
        thread_group_put(tg);
    }
}

/*
 * There is no asking the host, but trying: the status file is ours to read, but no rule of the
 * jail's names it, so that opening it again is refused.
 */
static const char *landlock_state(int status_fd)
{
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC};
    char path[64];
    long fd;

    snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getpid(), status_fd);
    fd = syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
    if (fd >= 0)
        close((int)fd);
    return fd >= 0 ? "absent" : errno == EACCES ? "enforced" : "unknown";
}

int control_do_debug(struct control *s, struct control_conn *c)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    int r;

    if (!f)
        return -1;
    if (c->head.arg == CONTROL_DEBUG_TASKS)
        print_tasks(f, s->boot->kernel);
    else if (c->head.arg == CONTROL_DEBUG_LANDLOCK)
        fputs(landlock_state(s->boot->config->status_fd), f);
    if (fclose(f) != 0 || size > CONTROL_REPLY_MAX)
        r = control_reply(c, CONTROL_REPLY, -E2BIG, "", 0);
    else
        r = control_reply(c, CONTROL_REPLY, 0, text, size);
    free(text);
    return r;
}
