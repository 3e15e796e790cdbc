/*
 * A task's namespaces: making new ones for clone and unshare, entering others' with setns. Locks:
 * task.res_lock to swap them. Source: unshare(2), setns(2).
 */
#include "sentry/kernel/namespace.h"

#include "fs/mount.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/process.h"
#include "sentry/kernel/sem.h"

#define UTS_INO_FIRST  4026531838U /* as on Linux */
#define UTS_INO_OTHERS 4026800000U
#define OWN_NAMESPACES (LX_CLONE_NEWNS | LX_CLONE_NEWPID | LX_CLONE_NEWUTS | LX_CLONE_NEWIPC)

SLAB_TYPE(uts_ns_slab, struct uts_ns);

int uts_ns_create(struct kernel *k, const struct uts_ns *from, struct uts_ns **out)
{
    struct uts_ns *ns = slab_alloc(&uts_ns_slab);

    if (!ns)
        return -ENOMEM;
    ref_init(&ns->ref);
    ns->first = !from;
    ns->ino = UTS_INO_FIRST;
    if (from) {
        ns->ino = UTS_INO_OTHERS + __atomic_add_fetch(&k->next_ns_ino, 1, __ATOMIC_RELAXED);
        mutex_lock(&k->uts_lock);
        memcpy(ns->hostname, from->hostname, sizeof(ns->hostname));
        memcpy(ns->domainname, from->domainname, sizeof(ns->domainname));
        mutex_unlock(&k->uts_lock);
    } else {
        str_copy(ns->hostname, "cvisor", sizeof(ns->hostname));
        str_copy(ns->domainname, "(none)", sizeof(ns->domainname));
    }
    *out = ns;
    return 0;
}

void uts_ns_put(struct uts_ns *ns)
{
    if (ns && !ns->first && ref_put(&ns->ref))
        slab_free(&uts_ns_slab, ns);
}

void uts_ns_destroy_first(struct uts_ns *ns)
{
    if (ns)
        slab_free(&uts_ns_slab, ns);
}

/* The other kinds can't be made anew: it is as on a kernel built without them. */
int namespaces_check(const struct task *t, uint64_t flags)
{
    if ((flags & NAMESPACE_FLAGS & ~LX_CLONE_NEWUSER) && !task_capable(t, LX_CAP_SYS_ADMIN))
        return -EPERM;
    return flags & NAMESPACE_FLAGS & ~OWN_NAMESPACES ? -EINVAL : 0;
}

static int copy_mounts(struct task *t, struct fs_context *fs, struct mount_ns **out)
{
    struct path *map[] = {&fs->root, &fs->cwd};

    return mount_ns_copy(t->mount_ns, map, ARRAY_SIZE(map), out);
}

int namespaces_make(struct task *t, uint64_t flags, struct fs_context *fs, struct namespaces *out)
{
    int err = 0;

    *out = (struct namespaces){0};
    if (flags & LX_CLONE_NEWPID)
        err = t->child_ns == t->tg->pid_ns ? pid_ns_create(t->k, t->child_ns, &out->child_pids)
                                           : -EINVAL;
    else
        out->child_pids = pid_ns_get(t->child_ns);
    if (!err && (flags & LX_CLONE_NEWUTS))
        err = uts_ns_create(t->k, t->uts_ns, &out->uts);
    else if (!err)
        out->uts = uts_ns_get(t->uts_ns);
    if (!err && (flags & LX_CLONE_NEWIPC))
        err = ipc_ns_create(t->k, false, &out->ipc);
    else if (!err)
        out->ipc = ipc_ns_get(t->ipc_ns);
    if (!err && (flags & LX_CLONE_NEWNS))
        err = copy_mounts(t, fs, &out->mounts);
    else if (!err && t->mount_ns)
        out->mounts = mount_ns_get(t->mount_ns);
    return err;
}

void namespaces_put(struct namespaces *ns)
{
    if (ns->mounts)
        mount_ns_put(ns->mounts);
    pid_ns_put(ns->child_pids);
    uts_ns_put(ns->uts);
    ipc_ns_put(ns->ipc);
}

void task_namespaces_get(struct task *t, struct namespaces *out)
{
    mutex_lock(&t->res_lock);
    *out = (struct namespaces){.mounts = t->mount_ns ? mount_ns_get(t->mount_ns) : NULL,
                               .child_pids = pid_ns_get(t->child_ns),
                               .uts = uts_ns_get(t->uts_ns),
                               .ipc = t->ipc_ns ? ipc_ns_get(t->ipc_ns) : NULL};
    mutex_unlock(&t->res_lock);
}

/* Takes over fs and what is not NULL in ns; both have what was there before, for the caller to
 * drop. */
static void swap_in(struct task *t, struct fdtable **files, struct fs_context **fs,
                    struct namespaces *ns)
{
    struct namespaces old = {0};
    struct fdtable *old_files = *files ? t->files : NULL;
    struct fs_context *old_fs = *fs ? t->fs : NULL;

    mutex_lock(&t->res_lock);
    t->files = *files ? *files : t->files;
    t->fs = *fs ? *fs : t->fs;
    if (ns->mounts) {
        old.mounts = t->mount_ns;
        t->mount_ns = ns->mounts;
    }
    if (ns->child_pids) {
        old.child_pids = t->child_ns;
        t->child_ns = ns->child_pids;
    }
    if (ns->uts) {
        old.uts = t->uts_ns;
        t->uts_ns = ns->uts;
    }
    if (ns->ipc) {
        old.ipc = t->ipc_ns;
        t->ipc_ns = ns->ipc;
    }
    mutex_unlock(&t->res_lock);
    *files = old_files;
    *fs = old_fs;
    *ns = old;
}

#define UNSHARE_KNOWN                                                                              \
    (LX_CLONE_FILES | LX_CLONE_FS | LX_CLONE_SYSVSEM | LX_CLONE_SIGHAND | LX_CLONE_VM |            \
     LX_CLONE_THREAD | NAMESPACE_FLAGS)

static int check_unshare(struct task *t, uint64_t flags)
{
    int err;

    if (flags & ~(uint64_t)UNSHARE_KNOWN)
        return -EINVAL;
    err = namespaces_check(t, flags);
    if (err)
        return err;
    /* Only a process with one thread, whose memory nobody shares, "has" these alone already. */
    if ((flags & (LX_CLONE_THREAD | LX_CLONE_SIGHAND | LX_CLONE_VM)) &&
        READ_ONCE(t->tg->task_count) > 1)
        return -EINVAL;
    return (flags & LX_CLONE_VM) && READ_ONCE(t->us.mm->ref.count) > 1 ? -EINVAL : 0;
}

int task_unshare(struct task *t, uint64_t flags)
{
    struct fdtable *files = NULL;
    struct fs_context *fs = NULL;
    struct namespaces ns = {0};
    int err = check_unshare(t, flags);

    if (err)
        return err;
    if (flags & LX_CLONE_FILES)
        err = fdtable_copy(t->files, &files);
    if (!err && (flags & (LX_CLONE_FS | LX_CLONE_NEWNS)))
        err = fs_context_copy(t->fs, &fs);
    if (!err && (flags & NAMESPACE_FLAGS))
        err = namespaces_make(t, flags, fs, &ns);
    if (!err && (flags & (LX_CLONE_SYSVSEM | LX_CLONE_NEWIPC)))
        sem_undo_leave(t);
    if (!err)
        swap_in(t, &files, &fs, &ns);
    if (files)
        fdtable_put(files);
    fs_context_put(fs);
    namespaces_put(&ns);
    return err;
}

/* root and cwd of one that enters: what lies on top at the namespace's root. */
static int enter_mounts(struct task *t, struct mount_ns *mounts, struct fs_context **out)
{
    struct path root;

    if (!task_capable(t, LX_CAP_SYS_CHROOT))
        return -EPERM;
    if (__atomic_load_n(&t->fs->ref.count, __ATOMIC_ACQUIRE) != 1)
        return -EINVAL;
    mount_ns_root(mounts, &root);
    *out = fs_context_alloc(&root, &root, t->fs->umask);
    path_put(&root);
    return *out ? 0 : -ENOMEM;
}

int task_setns(struct task *t, const struct namespaces *to)
{
    struct fdtable *files = NULL;
    struct fs_context *fs = NULL;
    struct namespaces ns = {0};
    int err = 0;

    if (!task_capable(t, LX_CAP_SYS_ADMIN))
        return -EPERM;
    if (to->child_pids && !pid_ns_within(to->child_pids, t->tg->pid_ns))
        return -EINVAL;
    if (to->mounts)
        err = enter_mounts(t, to->mounts, &fs);
    if (err)
        return err;
    ns.mounts = to->mounts ? mount_ns_get(to->mounts) : NULL;
    ns.child_pids = to->child_pids ? pid_ns_get(to->child_pids) : NULL;
    ns.uts = to->uts ? uts_ns_get(to->uts) : NULL;
    ns.ipc = to->ipc ? ipc_ns_get(to->ipc) : NULL;
    if (ns.ipc)
        sem_undo_leave(t); /* adjusts what it can't reach any more */
    swap_in(t, &files, &fs, &ns);
    fs_context_put(fs);
    namespaces_put(&ns);
    return 0;
}
