/*
 * Ipc namespaces: the tables of System V objects and the POSIX message queues that tasks share.
 * Making them and their end, which attached segments outlive. No locks. Source: ipc_namespaces(7).
 */
#include "fs/inode.h"
#include "sentry/abi/errno.h"
#include "sentry/base/slab.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/msgq.h"
#include "sentry/kernel/namespace.h"
#include "sentry/kernel/sem.h"
#include "sentry/kernel/shm.h"

#define INO_FIRST    4026531839U /* as on Linux */
#define INO_OTHERS   4026900000U
#define IPC_NS_LIMIT 1024 /* tables of segments at a time, those without a namespace included */

SLAB_TYPE(ipc_ns_slab, struct ipc_ns);

void ipc_ns_destroy(struct ipc_ns *ns)
{
    if (!ns)
        return;
    if (ns->shm)
        shm_space_destroy(ns->shm);
    if (ns->sems)
        sem_space_destroy(ns->sems);
    if (ns->msgs)
        msgq_space_destroy(ns->msgs);
    if (ns->mqueues)
        sb_put(ns->mqueues);
    slab_free(&ipc_ns_slab, ns);
}

int ipc_ns_create(struct kernel *k, bool first, struct ipc_ns **out)
{
    struct ipc_ns *ns;
    int err;

    if (READ_ONCE(k->shm_spaces) >= IPC_NS_LIMIT)
        return -ENOSPC;
    ns = slab_alloc(&ipc_ns_slab);
    if (!ns)
        return -ENOMEM;
    ref_init(&ns->ref);
    ns->first = first;
    ns->ino = INO_FIRST;
    if (!first)
        ns->ino = INO_OTHERS + __atomic_add_fetch(&k->next_ns_ino, 1, __ATOMIC_RELAXED);
    err = shm_space_create(&k->shm_spaces, &ns->shm);
    if (!err)
        err = sem_space_create(&ns->sems);
    if (!err)
        err = msgq_space_create(&ns->msgs);
    if (err)
        ipc_ns_destroy(ns);
    else
        *out = ns;
    return err;
}

void ipc_ns_put(struct ipc_ns *ns)
{
    if (ns && !ns->first && ref_put(&ns->ref))
        ipc_ns_destroy(ns);
}
