/* Locking the sentry in. Takes no locks; the last step before guests run. */
#include "sentry/boot/jail/jail.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

struct jail_program {
    unsigned what, calls;
    unsigned short size;
    const struct sock_filter *code;
};

#include "jail_filters.h"

unsigned jail_platform(const char *name)
{
    if (strcmp(name, "systrap") == 0)
        return JAIL_SYSTRAP;
    if (strcmp(name, "notify") == 0)
        return JAIL_NOTIFY;
    if (strcmp(name, "ptrace") == 0)
        return JAIL_PTRACE;
    return strcmp(name, "mpk") == 0 ? JAIL_MPK : 0;
}

static const struct jail_program *find(unsigned what)
{
    for (size_t i = 0; i < sizeof(jail_programs) / sizeof(jail_programs[0]); i++) {
        if (jail_programs[i].what == what)
            return &jail_programs[i];
    }
    return NULL;
}

unsigned jail_call_count(unsigned what)
{
    const struct jail_program *p = find(what);

    return p ? p->calls : 0;
}

int jail_seccomp(unsigned what)
{
#ifdef CVISOR_HOSTED
    return -ENOSYS;
#else
    const struct jail_program *p = find(what);
    struct sock_fprog prog;

    if (!p)
        return -EINVAL;
    prog = (struct sock_fprog){.len = p->size, .filter = (struct sock_filter *)p->code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &prog) != 0)
        return errno ? -errno : -EBUSY; /* positive: a thread that could not follow */
    return 0;
#endif
}
