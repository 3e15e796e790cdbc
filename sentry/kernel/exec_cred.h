/* Credentials across execve. */
#pragma once

#include "sentry/kernel/task.h"

struct exec_creds {
    struct cred *cred; /* one reference: the caller's */
    bool secure;       /* AT_SECURE */
    bool setid;        /* gained something: not dumpable */
};

/* By f's set-id bits and file capabilities, no_new_privs, and t's credentials. -ENOMEM. */
int exec_creds_compute(struct task *t, struct file *f, struct exec_creds *out) MUST_CHECK;
