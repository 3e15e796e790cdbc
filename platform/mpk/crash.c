/*
 * The report of a kernel that broke while it ran in a guest process, in the form of the
 * sentry's own (sentry/boot/crash.c). The process then ends; the keeper sees that it died in the
 * kernel and ends the sandbox. Takes no locks.
 */
#include "platform/mpk/mpk.h"

#include "platform/mpk/frame.h"
#include "sentry/base/arena.h"
#include "sentry/base/fmt.h"
#include "sentry/base/log.h"

#define WORDS_MAX  2048
#define FRAMES_MAX 24
#define LINE_SIZE  512

static bool in_text(uint64_t addr)
{
    return addr >= mpk_ro.text_start && addr < mpk_ro.text_end;
}

/* Return addresses on the kernel stack, and now and then a stale one. */
static void describe_stack(struct strbuf *line, uint64_t sp)
{
    uint64_t end = (sp | (KERNEL_STACK_SIZE - 1)) + 1;
    const uint64_t *word = (const uint64_t *)(sp & ~7UL);
    unsigned found = 0;

    if (sp - PTR(ro_globals.arena) >= ro_globals.arena_size)
        return;
    for (unsigned i = 0; i < WORDS_MAX && PTR(word + i) < end && found < FRAMES_MAX; i++) {
        if (!in_text(word[i]))
            continue;
        strbuf_printf(line, " +0x%lx", word[i] - mpk_ro.image);
        found++;
    }
}

NORETURN void mpk_crash(int signo, uint64_t addr, const struct host_ucontext *uc)
{
    char text[LINE_SIZE] = "";
    struct strbuf line;

    strbuf_init_fixed(&line, text, sizeof(text));
    describe_stack(&line, uc->rsp);
    log_error("the kernel crashed: signal %d at +0x%lx, address 0x%lx, stack:%s", signo,
              uc->rip - mpk_ro.image, addr, text);
    host_exit(128 + signo);
}
