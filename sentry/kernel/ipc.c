/* Tables and rights of System V objects: ipc.h. Locks: the caller holds the table's. */
#include "sentry/kernel/ipc.h"

#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "sentry/abi/time_num.h"
#include "sentry/base/arena.h"
#include "sentry/base/cred.h"
#include "sentry/base/string.h"
#include "sentry/kernel/task.h"

#define ID_SHIFT 15 /* an id: sequence number, index */
#define SEQ_MAX  (INT32_MAX >> ID_SHIFT)

_Static_assert(IPC_INDEX_MAX <= 1 << ID_SHIFT, "an index fits into an id");
_Static_assert(IPC_PER_PAGE * sizeof(struct ipc_object *) == PAGE_SIZE, "a page of the table");

void ipc_table_init(struct ipc_table *table, uint32_t limit)
{
    memset(table, 0, sizeof(*table));
    mutex_init(&table->lock, RANK_OBJ);
    idalloc_init(&table->indices, limit);
    table->last_index = UINT32_MAX;
}

void ipc_table_destroy(struct ipc_table *table)
{
    BUG_ON(table->indices.used);
    for (size_t i = 0; i < ARRAY_SIZE(table->pages); i++) {
        if (table->pages[i])
            page_free(table->pages[i], 0);
    }
    idalloc_destroy(&table->indices);
}

struct ipc_object *ipc_at_locked(const struct ipc_table *table, int32_t index)
{
    struct ipc_object **page;

    if (index < 0 || index >= IPC_INDEX_MAX)
        return NULL;
    page = table->pages[index / IPC_PER_PAGE];
    return page ? page[index % IPC_PER_PAGE] : NULL;
}

int32_t ipc_id(const struct ipc_object *o)
{
    return (int32_t)((uint32_t)o->perm.seq << ID_SHIFT) + o->index;
}

struct ipc_object *ipc_find_locked(const struct ipc_table *table, int32_t id)
{
    struct ipc_object *o =
        id < 0 ? NULL : ipc_at_locked(table, (int32_t)((uint32_t)id & ((1U << ID_SHIFT) - 1)));

    return o && ipc_id(o) == id ? o : NULL;
}

int32_t ipc_highest_locked(const struct ipc_table *table)
{
    uint32_t left = table->indices.used;
    int32_t highest = 0;

    for (int32_t i = 0; left && i < IPC_INDEX_MAX; i++) {
        if (ipc_at_locked(table, i)) {
            highest = i;
            left--;
        }
    }
    return highest;
}

static struct ipc_object *find_key_locked(const struct ipc_table *table, int32_t key)
{
    uint32_t left = table->indices.used;

    for (int32_t i = 0; left && i < IPC_INDEX_MAX; i++) {
        struct ipc_object *o = ipc_at_locked(table, i);

        left -= o != NULL;
        if (o && o->perm.key == key)
            return o;
    }
    return NULL;
}

int ipc_add_locked(struct ipc_table *table, struct ipc_object *o, const struct task *t, int32_t key,
                   uint32_t flags)
{
    struct ipc_object ***page;
    uint32_t index;
    int err = idalloc_get_cyclic(&table->indices, 0, &index);

    if (err < 0)
        return err;
    page = &table->pages[index / IPC_PER_PAGE];
    if (!*page) {
        *page = page_alloc(0);
        if (!*page) {
            idalloc_put(&table->indices, index);
            return -ENOMEM;
        }
    }
    if (table->last_index != UINT32_MAX && index <= table->last_index)
        table->seq = table->seq >= SEQ_MAX ? 0 : table->seq + 1;
    table->last_index = index;
    o->perm = (struct lx_ipc_perm){.key = key,
                                   .uid = t->cred->euid,
                                   .gid = t->cred->egid,
                                   .cuid = t->cred->euid,
                                   .cgid = t->cred->egid,
                                   .mode = flags & IPC_MODE_BITS,
                                   .seq = (uint16_t)table->seq};
    o->index = (int32_t)index;
    (*page)[index % IPC_PER_PAGE] = o;
    return 0;
}

void ipc_remove_locked(struct ipc_table *table, struct ipc_object *o)
{
    table->pages[o->index / IPC_PER_PAGE][o->index % IPC_PER_PAGE] = NULL;
    idalloc_put(&table->indices, (uint32_t)o->index);
}

int ipc_check_rights(const struct task *t, const struct ipc_object *o, uint32_t want)
{
    const struct lx_ipc_perm *p = &o->perm;
    const struct cred *c = t->cred;
    uint32_t granted = p->mode;

    want = want >> 6 | want >> 3 | want;
    if (c->euid == p->cuid || c->euid == p->uid)
        granted >>= 6;
    else if (cred_in_group(c, p->cgid) || cred_in_group(c, p->gid))
        granted >>= 3;
    if ((want & ~granted & 07) && !cred_capable(c, LX_CAP_IPC_OWNER))
        return -EACCES;
    return 0;
}

int ipc_get_locked(struct ipc_table *table, int32_t key, uint32_t flags, struct ipc_object **out)
{
    struct ipc_object *o = key == LX_IPC_PRIVATE ? NULL : find_key_locked(table, key);

    if (!o)
        return key == LX_IPC_PRIVATE || (flags & LX_IPC_CREAT) ? 0 : -ENOENT;
    if ((flags & LX_IPC_CREAT) && (flags & LX_IPC_EXCL))
        return -EEXIST;
    *out = o;
    return 1;
}

bool ipc_owns(const struct task *t, const struct ipc_object *o)
{
    return t->cred->euid == o->perm.uid || t->cred->euid == o->perm.cuid;
}

int ipc_check_owner(const struct task *t, const struct ipc_object *o)
{
    return ipc_owns(t, o) || cred_capable(t->cred, LX_CAP_SYS_ADMIN) ? 0 : -EPERM;
}

int ipc_set_owner(struct ipc_object *o, const struct lx_ipc_perm *perm)
{
    if (perm->uid == UINT32_MAX || perm->gid == UINT32_MAX)
        return -EINVAL;
    o->perm.uid = perm->uid;
    o->perm.gid = perm->gid;
    o->perm.mode = (o->perm.mode & ~IPC_MODE_BITS) | (perm->mode & IPC_MODE_BITS);
    return 0;
}

int64_t ipc_now(void)
{
    return (int64_t)(host_clock_ns(LX_CLOCK_REALTIME) / 1000000000U);
}
