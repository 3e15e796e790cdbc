/* The cases of case_own.c, with the status each ends with. */
#pragma once

#define OWN_CASES(X)                                                                               \
    X(own_forged_frame, 0)                                                                         \
    X(own_syscall, 0)                                                                              \
    X(own_stack, 0)                                                                                \
    X(own_flags, 0)                                                                                \
    X(own_crash, 134)                                                                              \
    X(own_killed, 134)
#define OWN_DECLARE(name, status) void case_##name(void);
OWN_CASES(OWN_DECLARE)
