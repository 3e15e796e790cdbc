/*
 * What tasks and /proc need to know of a terminal. struct tty itself is fs/devpts's (tty.h there)
 * and begins with this.
 */
#pragma once

#include "sentry/kernel/task.h"

struct tty_head {
    uint64_t dev;            /* device number, as st_rdev */
    int32_t fg_pgid;         /* foreground process group, 0: none; guarded by kernel.tasks_lock */
    struct session *session; /* whose controlling terminal it is, borrowed, or NULL; guarded by
                                kernel.tasks_lock */
};

struct tty;
static inline struct tty_head *tty_head(struct tty *tty)
{
    return (struct tty_head *)(void *)tty;
}

/* Makes tty the controlling terminal of s, with group pgid in the foreground. tasks_lock held. */
static inline void session_attach_tty_locked(struct session *s, struct tty *tty, int32_t pgid)
{
    s->tty = tty;
    tty_head(tty)->session = s;
    tty_head(tty)->fg_pgid = pgid;
}
