/*
 * Kernel stacks without unwind tables or frame pointers, which the kernel is built without: words
 * on the stack that lie behind a call are its return addresses, and a call that leads to the
 * function one frame further in is surely one. Others may be left over from earlier calls: not
 * "sure".
 */
#include "runsc-cli/debug.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#define STACK_MAX  65536 /* the kernel's are so large, and aligned to it */
#define FRAMES_MAX 48

struct walk {
    const struct symbols *symbols;
    uint64_t base;
    json_object *frames;
    uint64_t current; /* start of the innermost function not yet called by anyone */
    int count;
};

static void add_frame(struct walk *w, uint64_t address, bool returns, bool sure)
{
    json_object *o = json_object_new_object();
    uint64_t start = 0;
    /* A call may be a function's last instruction: the one behind it is another's. */
    const char *name = symbols_find(w->symbols, address - (returns ? 1 : 0), &start);

    json_add_int(o, "address", (int64_t)address);
    json_add_string(o, "function", name ? name : "?");
    json_add_int(o, "offset", (int64_t)(name ? address - start : 0));
    json_add_bool(o, "sure", sure);
    json_object_array_add(w->frames, o);
    w->count++;
    if (sure)
        w->current = start;
}

/* Parts of one function that the compiler has laid apart have its name and a suffix. */
static bool same_function(const struct symbols *s, uint64_t a, uint64_t b)
{
    uint64_t start;
    const char *x, *y;
    size_t n;

    if (a == b)
        return true;
    x = symbols_find(s, a, &start);
    y = symbols_find(s, b, &start);
    n = x ? strcspn(x, ".") : 0;
    return x && y && n == strcspn(y, ".") && strncmp(x, y, n) == 0;
}

static void look_at(struct walk *w, uint64_t word)
{
    uint64_t target = 0;
    int kind = symbols_call_before(w->symbols, word - w->base, &target);

    if (kind == 0)
        return;
    add_frame(w, word - w->base, true,
              kind == 2 || same_function(w->symbols, target, w->current) ||
                  symbols_jumps(w->symbols, target, w->current));
}

static size_t read_stack(pid_t pid, uint64_t sp, uint64_t *words)
{
    uint64_t from = sp & ~7ULL;
    struct iovec local = {words, STACK_MAX - (from & (STACK_MAX - 1))};
    struct iovec remote = {(void *)(uintptr_t)from, local.iov_len};
    ssize_t n = process_vm_readv(pid, &local, 1, &remote, 1, 0);

    return n > 0 ? (size_t)n / sizeof(*words) : 0;
}

json_object *stack_of(const struct symbols *s, pid_t pid, const struct user_regs_struct *regs,
                      const uint64_t *tasks, size_t task_count, int *out_task)
{
    struct walk w = {.symbols = s};
    uint64_t *words, start;
    size_t n;

    *out_task = -1;
    if (!symbols_base(s, pid, &w.base) || !symbols_find(s, regs->rip - w.base, &start))
        return NULL;
    words = malloc(STACK_MAX);
    n = words ? read_stack(pid, regs->rsp, words) : 0;
    w.frames = json_object_new_array();
    add_frame(&w, regs->rip - w.base, false, true);
    for (size_t i = 0; i < n && w.count < FRAMES_MAX; i++)
        look_at(&w, words[i]);
    /* The outermost frame is the task's own loop. */
    for (size_t i = n; i-- > 0 && *out_task < 0;) {
        for (size_t t = 0; t < task_count; t++) {
            if (words[i] == tasks[t])
                *out_task = (int)t;
        }
    }
    free(words);
    return w.frames;
}
