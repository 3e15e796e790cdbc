/* Between the signal files only. sig_lock held where _locked. */
#pragma once

#include "sentry/kernel/signal.h"

/* A new entry counted against tg, or NULL. */
struct sigqueue_entry *signal_entry_alloc_locked(struct thread_group *tg);
void signal_set_action_locked(struct thread_group *tg, int signo, const struct lx_sigaction *act);
/* All actions to default; SIG_IGN stays unless ignored_too. */
void sighand_set_defaults(struct sighand *s, bool ignored_too);
/* t blocks (or leaves): wakes other tasks for shared signals of which. */
void signal_retarget_locked(struct task *t, lx_sigset_t which);
