/*
 * The sentry's jail: what it can reach of the host (confine.c), then which host calls it can make:
 * a seccomp filter (jail.c). Its rows: calls.def; built by generate.c with libseccomp, at build
 * time, one program for each combination below. Sources: seccomp(2), SECCOMP_SET_MODE_FILTER.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum {
    JAIL_SYSTRAP = 1,
    JAIL_PTRACE = 2,
    JAIL_MPK = 4,
    JAIL_WRITABLE = 8, /* a host tree is mounted that guests may change */
    JAIL_NETWORK = 16, /* packets cross a host descriptor */
    JAIL_NOTIFY = 32,
    JAIL_HOSTNET = 64, /* sockets of IP are the host's */
    JAIL_DNS = 128,    /* with JAIL_NETWORK: connections to a name server outside are made */
};
#define JAIL_PLATFORMS (JAIL_SYSTRAP | JAIL_PTRACE | JAIL_MPK | JAIL_NOTIFY)

struct boot_config;
/*
 * The walls that must stand before guest processes are made (confine.c). 0, or -errno with the name
 * of what failed.
 */
int jail_confine(const struct boot_config *c, const char **step);
/* Is a host tree mounted that guests may change? */
bool jail_writable(const struct boot_config *c);
/* The JAIL_ bit of a platform by its name, 0: unknown. */
unsigned jail_platform(const char *name);
/*
 * Locks all threads of the process in, for good: no_new_privs, then the filter of exactly these
 * bits (one platform). 0 or -errno. Not in sanitizer builds, whose runtimes make calls of their
 * own: -ENOSYS.
 */
int jail_seccomp(unsigned what);
/* How many different calls the filter lets through: for the posture report and its test. */
unsigned jail_call_count(unsigned what);
