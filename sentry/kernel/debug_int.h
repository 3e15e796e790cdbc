/* Between debug.c and debug_control.c. */
#pragma once

#include "sentry/kernel/debug.h"

#define EFLAGS_TF 0x100UL

struct debug_break {
    struct list node;
    uint64_t addr;
    uint8_t original;
};

/* t's, made when it has none yet; NULL: no memory. */
struct task_debug *debug_alloc(struct task *t) MUST_CHECK;
/* tr->lock held; NULL: none. */
struct debug_break *debug_break_find_locked(struct debug_tracer *tr, uint64_t addr);
/* The memory they were in is gone. */
void debug_break_forget(struct debug_tracer *tr);
