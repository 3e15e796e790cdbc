/*
 * Credentials across execve: set-user-id, set-group-id, file capabilities, and root's. No locks.
 * Source: capabilities(7) "Transformation of capabilities during execve()", execve(2).
 */
#include "sentry/kernel/exec_cred.h"

#include "sentry/abi/errno.h"
#include "sentry/abi/fcntl.h"
#include "sentry/abi/mount.h"
#include "sentry/base/string.h"
#include "sentry/kernel/kernel.h"

#define SECBIT_NOROOT 1U
#define SECBIT_KEEP_CAPS 16U
#define VFS_CAP_REVISION_MASK 0xff000000U
#define VFS_CAP_REVISION_2 0x02000000U
#define VFS_CAP_REVISION_3 0x03000000U
#define VFS_CAP_EFFECTIVE 1U

struct file_caps {
    uint64_t permitted, inheritable;
    bool effective, present;
};

/* The security.capability attribute, versions 2 and 3 (whose root must be ours: 0). */
static void read_file_caps(struct task *t, struct file *f, struct file_caps *out)
{
    uint32_t raw[6] = {0};
    struct task_vfs v;
    int64_t n;

    task_vfs_get(t, &v);
    n = vfs_getxattr(&v.ctx, &f->path, "security.capability", raw, sizeof(raw));
    task_vfs_put(&v);
    if (n < 20)
        return;
    if ((raw[0] & VFS_CAP_REVISION_MASK) == VFS_CAP_REVISION_3
            ? (n < 24 || raw[5])
            : (raw[0] & VFS_CAP_REVISION_MASK) != VFS_CAP_REVISION_2)
        return;
    out->present = true;
    out->effective = raw[0] & VFS_CAP_EFFECTIVE;
    out->permitted = (raw[1] | (uint64_t)raw[3] << 32) & CRED_CAP_FULL;
    out->inheritable = (raw[2] | (uint64_t)raw[4] << 32) & CRED_CAP_FULL;
}

static void apply_set_ids(struct cred *c, const struct kstat *st)
{
    if (st->mode & LX_S_ISUID)
        c->euid = st->uid;
    if ((st->mode & (LX_S_ISGID | LX_S_IXGRP)) == (LX_S_ISGID | LX_S_IXGRP))
        c->egid = st->gid;
}

static void apply_capabilities(struct cred *c, struct file_caps *fc, bool ids_changed)
{
    uint64_t ambient;

    if (!(c->securebits & SECBIT_NOROOT) && (c->euid == 0 || c->uid == 0) &&
        !(fc->present && c->uid != 0)) {
        fc->permitted = fc->inheritable = CRED_CAP_FULL;
        if (c->euid == 0)
            fc->effective = true;
    }
    ambient = ids_changed || fc->present ? 0 : c->cap_ambient;
    c->cap_permitted =
        (c->cap_inheritable & fc->inheritable) | (fc->permitted & c->cap_bounding) | ambient;
    c->cap_effective = fc->effective ? c->cap_permitted : ambient;
    c->cap_ambient = ambient;
}

int exec_creds_compute(struct task *t, struct file *f, struct exec_creds *out)
{
    const struct cred *old = t->cred;
    struct cred *c = cred_copy(old);
    struct file_caps fc = {0};
    struct kstat st;
    bool ids_changed;

    if (!c)
        return -ENOMEM;
    if (!c->no_new_privs && f->path.mount && !(f->path.mount->flags & LX_MS_NOSUID)) {
        if (!vfs_getattr(&f->path, &st))
            apply_set_ids(c, &st);
        if (c->uid || c->euid) /* root gets all anyway */
            read_file_caps(t, f, &fc);
    }
    ids_changed = c->euid != old->euid || c->egid != old->egid;
    apply_capabilities(c, &fc, ids_changed);
    c->suid = c->fsuid = c->euid;
    c->sgid = c->fsgid = c->egid;
    c->securebits &= ~SECBIT_KEEP_CAPS;
    out->secure = c->euid != c->uid || c->egid != c->gid ||
                  (c->uid && (fc.effective || c->cap_permitted != c->cap_ambient));
    out->setid = ids_changed || (c->cap_permitted & ~old->cap_permitted);
    out->cred = c;
    return 0;
}
