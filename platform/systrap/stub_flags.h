/* The two exact flag words of clone that a stub may use; known to the stub and to the seccomp
 * filter. */
#pragma once

#include <linux/sched.h>

#define STUB_SIGCHLD    17
#define STUB_FORK_FLAGS (CLONE_PARENT | STUB_SIGCHLD)
#define STUB_THREAD_FLAGS                                                                          \
    (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |            \
     CLONE_CHILD_CLEARTID)
