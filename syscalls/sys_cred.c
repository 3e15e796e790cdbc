/*
 * User and group ids. Each setter copies the credentials, changes the copy, and publishes it.
 * Capabilities are sys_caps.c. Sources: setuid(2), setresuid(2), setfsuid(2), setgroups(2),
 * capabilities(7) "Effect of user ID changes".
 */
#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "sentry/base/slab.h"
#include "syscalls/syscalls.h"

#define SECBIT_NO_SETUID_FIXUP 4U
#define SECBIT_KEEP_CAPS 16U
#define CAP(n) (1ULL << (n))
/* What a file system uid of 0 stands for. */
#define FS_CAPS                                                                                    \
    (CAP(LX_CAP_CHOWN) | CAP(LX_CAP_DAC_OVERRIDE) | CAP(LX_CAP_DAC_READ_SEARCH) |                  \
     CAP(LX_CAP_FOWNER) | CAP(LX_CAP_FSETID) | CAP(LX_CAP_LINUX_IMMUTABLE) | CAP(LX_CAP_MKNOD) |   \
     CAP(LX_CAP_MAC_OVERRIDE))
#define KEEP 0xffffffffU /* (uid_t)-1: leave it */

#define GETTER(name, field)                                                                        \
    int64_t sys_##name(struct task *t, const struct syscall_args *a)                               \
    {                                                                                              \
        return t->cred->field;                                                                     \
    }
GETTER(getuid, uid)
GETTER(geteuid, euid)
GETTER(getgid, gid)
GETTER(getegid, egid)

/*
 * Takes over new: its own memory of who it was is gone, so a debugger of the old identity must not
 * look.
 */
static int64_t publish(struct task *t, struct cred *new)
{
    const struct cred *old = t->cred;

    if (old->euid != new->euid || old->egid != new->egid || old->fsuid != new->fsuid ||
        old->fsgid != new->fsgid || (new->cap_permitted & ~old->cap_permitted)) {
        t->tg->dumpable = 0;
        t->pdeath_signal = 0;
    }
    task_set_cred(t, new);
    return 0;
}

static bool any_root(const struct cred *c)
{
    return !c->uid || !c->euid || !c->suid;
}

static void fix_caps_after_setuid(const struct cred *old, struct cred *new)
{
    if (new->securebits & SECBIT_NO_SETUID_FIXUP)
        return;
    if (any_root(old) && !any_root(new)) {
        if (!(new->securebits & SECBIT_KEEP_CAPS)) {
            new->cap_permitted = 0;
            new->cap_effective = 0;
        }
        new->cap_ambient = 0;
    }
    if (!old->euid && new->euid)
        new->cap_effective = 0;
    if (old->euid && !new->euid)
        new->cap_effective = new->cap_permitted;
}

static int64_t publish_uids(struct task *t, struct cred *new)
{
    new->fsuid = new->euid;
    fix_caps_after_setuid(t->cred, new);
    return publish(t, new);
}

int64_t sys_setuid(struct task *t, const struct syscall_args *a)
{
    uint32_t uid = ARG_U32(0);
    bool privileged = task_capable(t, LX_CAP_SETUID);
    struct cred *c;

    if (uid == KEEP)
        return -EINVAL;
    if (!privileged && uid != t->cred->uid && uid != t->cred->suid)
        return -EPERM;
    c = cred_copy(t->cred);
    if (!c)
        return -ENOMEM;
    if (privileged)
        c->uid = c->suid = uid;
    c->euid = uid;
    return publish_uids(t, c);
}

int64_t sys_setgid(struct task *t, const struct syscall_args *a)
{
    uint32_t gid = ARG_U32(0);
    bool privileged = task_capable(t, LX_CAP_SETGID);
    struct cred *c;

    if (gid == KEEP)
        return -EINVAL;
    if (!privileged && gid != t->cred->gid && gid != t->cred->sgid)
        return -EPERM;
    c = cred_copy(t->cred);
    if (!c)
        return -ENOMEM;
    if (privileged)
        c->gid = c->sgid = gid;
    c->egid = c->fsgid = gid;
    return publish(t, c);
}

int64_t sys_setreuid(struct task *t, const struct syscall_args *a)
{
    const struct cred *old = t->cred;
    uint32_t r = ARG_U32(0), e = ARG_U32(1);
    bool privileged = task_capable(t, LX_CAP_SETUID);
    struct cred *c;

    if (!privileged && ((r != KEEP && r != old->uid && r != old->euid) ||
                        (e != KEEP && e != old->uid && e != old->euid && e != old->suid)))
        return -EPERM;
    c = cred_copy(old);
    if (!c)
        return -ENOMEM;
    c->uid = r != KEEP ? r : c->uid;
    c->euid = e != KEEP ? e : c->euid;
    if (r != KEEP || (e != KEEP && e != old->uid))
        c->suid = c->euid;
    return publish_uids(t, c);
}

int64_t sys_setregid(struct task *t, const struct syscall_args *a)
{
    const struct cred *old = t->cred;
    uint32_t r = ARG_U32(0), e = ARG_U32(1);
    bool privileged = task_capable(t, LX_CAP_SETGID);
    struct cred *c;

    if (!privileged && ((r != KEEP && r != old->gid && r != old->egid) ||
                        (e != KEEP && e != old->gid && e != old->egid && e != old->sgid)))
        return -EPERM;
    c = cred_copy(old);
    if (!c)
        return -ENOMEM;
    c->gid = r != KEEP ? r : c->gid;
    c->egid = e != KEEP ? e : c->egid;
    if (r != KEEP || (e != KEEP && e != old->gid))
        c->sgid = c->egid;
    c->fsgid = c->egid;
    return publish(t, c);
}

static bool one_of(uint32_t id, uint32_t a, uint32_t b, uint32_t c)
{
    return id == KEEP || id == a || id == b || id == c;
}

int64_t sys_setresuid(struct task *t, const struct syscall_args *a)
{
    const struct cred *old = t->cred;
    uint32_t ids[3] = {ARG_U32(0), ARG_U32(1), ARG_U32(2)};
    struct cred *c;
    int i;

    for (i = 0; i < 3 && !task_capable(t, LX_CAP_SETUID); i++) {
        if (!one_of(ids[i], old->uid, old->euid, old->suid))
            return -EPERM;
    }
    c = cred_copy(old);
    if (!c)
        return -ENOMEM;
    c->uid = ids[0] != KEEP ? ids[0] : c->uid;
    c->euid = ids[1] != KEEP ? ids[1] : c->euid;
    c->suid = ids[2] != KEEP ? ids[2] : c->suid;
    return publish_uids(t, c);
}

int64_t sys_setresgid(struct task *t, const struct syscall_args *a)
{
    const struct cred *old = t->cred;
    uint32_t ids[3] = {ARG_U32(0), ARG_U32(1), ARG_U32(2)};
    struct cred *c;
    int i;

    for (i = 0; i < 3 && !task_capable(t, LX_CAP_SETGID); i++) {
        if (!one_of(ids[i], old->gid, old->egid, old->sgid))
            return -EPERM;
    }
    c = cred_copy(old);
    if (!c)
        return -ENOMEM;
    c->gid = ids[0] != KEEP ? ids[0] : c->gid;
    c->egid = ids[1] != KEEP ? ids[1] : c->egid;
    c->sgid = ids[2] != KEEP ? ids[2] : c->sgid;
    c->fsgid = c->egid;
    return publish(t, c);
}

static int64_t put_three(struct task *t, const struct syscall_args *a, uint32_t r, uint32_t e,
                         uint32_t s)
{
    if (copy_out_obj(&t->us, ARG_PTR(0), &r) || copy_out_obj(&t->us, ARG_PTR(1), &e) ||
        copy_out_obj(&t->us, ARG_PTR(2), &s))
        return -EFAULT;
    return 0;
}

int64_t sys_getresuid(struct task *t, const struct syscall_args *a)
{
    return put_three(t, a, t->cred->uid, t->cred->euid, t->cred->suid);
}

int64_t sys_getresgid(struct task *t, const struct syscall_args *a)
{
    return put_three(t, a, t->cred->gid, t->cred->egid, t->cred->sgid);
}

/* setfsuid and setfsgid never fail: they answer with the old id. */
int64_t sys_setfsuid(struct task *t, const struct syscall_args *a)
{
    uint32_t id = ARG_U32(0), old = t->cred->fsuid;
    struct cred *c;

    if (id == KEEP || id == old ||
        (!task_capable(t, LX_CAP_SETUID) && id != t->cred->uid && id != t->cred->euid &&
         id != t->cred->suid))
        return old;
    c = cred_copy(t->cred);
    if (!c)
        return old;
    c->fsuid = id;
    if (!(c->securebits & SECBIT_NO_SETUID_FIXUP)) {
        if (!old)
            c->cap_effective &= ~FS_CAPS;
        else if (!id)
            c->cap_effective |= c->cap_permitted & FS_CAPS;
    }
    publish(t, c);
    return old;
}

int64_t sys_setfsgid(struct task *t, const struct syscall_args *a)
{
    uint32_t id = ARG_U32(0), old = t->cred->fsgid;
    struct cred *c;

    if (id == KEEP || id == old ||
        (!task_capable(t, LX_CAP_SETGID) && id != t->cred->gid && id != t->cred->egid &&
         id != t->cred->sgid))
        return old;
    c = cred_copy(t->cred);
    if (!c)
        return old;
    c->fsgid = id;
    publish(t, c);
    return old;
}

int64_t sys_getgroups(struct task *t, const struct syscall_args *a)
{
    const struct cred *c = t->cred;
    int32_t size = ARG_INT(0);

    if (size < 0)
        return -EINVAL;
    if (!size)
        return c->group_count;
    if ((uint32_t)size < c->group_count)
        return -EINVAL;
    if (copy_out(&t->us, ARG_PTR(1), c->groups, c->group_count * sizeof(uint32_t)))
        return -EFAULT;
    return c->group_count;
}

int64_t sys_setgroups(struct task *t, const struct syscall_args *a)
{
    uint32_t count = ARG_U32(0);
    AUTO_KFREE uint32_t *groups = NULL;
    struct cred *c;
    int err;

    if (!task_capable(t, LX_CAP_SETGID))
        return -EPERM;
    if (count > CRED_MAX_GROUPS)
        return -EINVAL;
    if (count) {
        groups = kmalloc(count * sizeof(*groups));
        if (!groups)
            return -ENOMEM;
        if (copy_in(&t->us, groups, ARG_PTR(1), count * sizeof(*groups)))
            return -EFAULT;
    }
    c = cred_copy(t->cred);
    if (!c)
        return -ENOMEM;
    err = cred_set_groups(c, groups, count);
    if (err) {
        cred_put(c);
        return err;
    }
    return publish(t, c);
}
