/*
 * Events of the flight recorder in words. Used in the dying sentry's signal handler: no locks, no
 * libc but what may be called there.
 */
#include "sentry/boot/records.h"

#include "sentry/base/fmt.h"
#include "syscalls/syscalls.h"

static const char *name_of(uint16_t nr)
{
    const struct syscall_row *row = syscall_row(nr);

    return row ? row->name : "?";
}

void record_line(const struct record *e, uint64_t ago_us, char line[RECORD_LINE_MAX])
{
    int n = cv_snprintf(line, RECORD_LINE_MAX, "  -%lu us task %d: ", ago_us, e->tid);
    size_t room = RECORD_LINE_MAX - (size_t)n;

    switch (e->kind) {
    case RECORD_CALL:
        cv_snprintf(line + n, room, "%s(0x%lx, 0x%lx, ...)\n", name_of(e->nr), e->a, e->b);
        break;
    case RECORD_RETURN:
        cv_snprintf(line + n, room, "%s = %ld\n", name_of(e->nr), (int64_t)e->a);
        break;
    case RECORD_SIGNAL:
        cv_snprintf(line + n, room, "signal %u, code %d\n", e->nr, (int32_t)e->a);
        break;
    case RECORD_FAULT:
        cv_snprintf(line + n, room, "fault, signal %u, address 0x%lx at 0x%lx\n", e->nr, e->a,
                    e->b);
        break;
    case RECORD_FORK:
        cv_snprintf(line + n, room, "new %s %ld\n", e->nr ? "thread" : "process", (int64_t)e->a);
        break;
    case RECORD_EXEC:
        cv_snprintf(line + n, room, "a new program\n");
        break;
    case RECORD_EXIT:
        cv_snprintf(line + n, room, "exit, status 0x%lx\n", e->a);
        break;
    case RECORD_SLEEP:
        cv_snprintf(line + n, room, "sleeps\n");
        break;
    default:
        cv_snprintf(line + n, room, "wakes up\n");
        break;
    }
}

void records_say(const struct recorder *r, uint32_t count, int32_t tid,
                 void (*say)(void *arg, const char *line), void *arg)
{
    uint64_t end = r ? load_acquire(&r->next) : 0, kept = MIN(end, (uint64_t)RECORDS), now = 0;
    uint64_t ticks = r ? recorder_ticks_per_us(r) : 1;
    uint64_t first = end;
    struct record e;
    char line[RECORD_LINE_MAX];

    /* Backwards, to find where to begin; then forwards. */
    for (uint64_t i = 1; i <= kept && count; i++) {
        if (!recorder_get(r, end - i, &e) || (tid && e.tid != tid))
            continue;
        first = end - i;
        now = MAX(now, e.tsc);
        count--;
    }
    for (; first < end; first++) {
        if (!recorder_get(r, first, &e) || (tid && e.tid != tid))
            continue;
        record_line(&e, now > e.tsc ? (now - e.tsc) / ticks : 0, line);
        say(arg, line);
    }
}
