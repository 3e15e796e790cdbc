/*
 * Kernel stacks: KERNEL_STACK_SIZE bytes of the arena, aligned to their size. A few are kept for
 * the next thread. Lock: state.lock.
 */
#include "platform/mpk/mpk.h"

#include "sentry/base/arena.h"
#include "sentry/base/slab.h"

#define STACK_ORDER 4
#define SPARE_MAX   32

_Static_assert(KERNEL_STACK_SIZE == PAGE_SIZE << STACK_ORDER, "order");

SLAB_TYPE(kernel_stack_slab, struct kernel_stack);

/* A spare one that its last thread has left. */
static struct kernel_stack *take_spare(void)
{
    struct mpk_state *state = mpk_ro.state;
    struct kernel_stack *s, *found = NULL;

    mutex_lock(&state->lock);
    list_for_each (s, &state->stacks, node) {
        if (load_acquire(&s->leaving) == 0) {
            found = s;
            list_del(&s->node);
            state->stack_count--;
            break;
        }
    }
    mutex_unlock(&state->lock);
    return found;
}

struct kernel_stack *mpk_stack_get(void)
{
    struct kernel_stack *s = take_spare();

    if (s)
        return s;
    s = slab_alloc(&kernel_stack_slab);
    if (!s)
        return NULL;
    s->base = page_alloc(STACK_ORDER);
    if (!s->base) {
        slab_free(&kernel_stack_slab, s);
        return NULL;
    }
    list_init(&s->node);
    return s;
}

static void stack_free(struct kernel_stack *s)
{
    page_free(s->base, STACK_ORDER);
    slab_free(&kernel_stack_slab, s);
}

/* The latest used is the next to be taken. A surplus goes back to the arena, if its user left. */
void mpk_stack_put(struct kernel_stack *stack)
{
    struct mpk_state *state = mpk_ro.state;
    struct kernel_stack *surplus = NULL;

    mutex_lock(&state->lock);
    list_add(&state->stacks, &stack->node);
    state->stack_count++;
    if (state->stack_count > SPARE_MAX) {
        surplus = list_last(&state->stacks, struct kernel_stack, node);
        if (load_acquire(&surplus->leaving) != 0) {
            surplus = NULL;
        } else {
            list_del(&surplus->node);
            state->stack_count--;
        }
    }
    mutex_unlock(&state->lock);
    if (surplus)
        stack_free(surplus);
}
