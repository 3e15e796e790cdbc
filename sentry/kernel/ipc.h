/*
 * What System V segments, semaphore sets and message queues have in common: tables of objects by
 * key and id, and rights. Source: sysvipc(7).
 *
 * A table's lock (rank OBJ) guards the table and each object's place in it. What else it guards is
 * the kind's business.
 */
#pragma once

#include "sentry/base/compiler.h"
#include "sentry/base/idalloc.h"
#include "sentry/base/lock.h"

struct task;

#define LX_IPC_PRIVATE 0
#define LX_IPC_CREAT   01000U
#define LX_IPC_EXCL    02000U
#define LX_IPC_NOWAIT  04000U

enum lx_ipc_cmd { LX_IPC_RMID, LX_IPC_SET, LX_IPC_STAT, LX_IPC_INFO };

struct lx_ipc_perm {
    int32_t key;
    uint32_t uid, gid, cuid, cgid, mode;
    uint16_t seq, pad[3];
    uint64_t unused[2];
};

/* Rights in all three places, for ipc_check_rights. */
#define IPC_READ      0444U
#define IPC_WRITE     0222U
#define IPC_EXECUTE   0111U
#define IPC_MODE_BITS 0777U

#define IPC_INDEX_MAX 32000
#define IPC_PER_PAGE  512

/* Embedded in each kind's object. */
struct ipc_object {
    struct lx_ipc_perm perm;
    int32_t index;
};

struct ipc_table {
    struct mutex lock;
    struct idalloc indices;
    uint32_t seq, last_index;
    struct ipc_object **pages[(IPC_INDEX_MAX + IPC_PER_PAGE - 1) / IPC_PER_PAGE];
};

/* limit: of objects, at most IPC_INDEX_MAX. */
void ipc_table_init(struct ipc_table *table, uint32_t limit);
/* No object is left in it. */
void ipc_table_destroy(struct ipc_table *table);

/* All with the table's lock held. */

/* Takes the object in, with its id and owner; -ENOSPC, -ENOMEM. */
int ipc_add_locked(struct ipc_table *table, struct ipc_object *o, const struct task *t, int32_t key,
                   uint32_t flags) MUST_CHECK;
void ipc_remove_locked(struct ipc_table *table, struct ipc_object *o);
/* NULL: there is none. */
struct ipc_object *ipc_find_locked(const struct ipc_table *table, int32_t id);
/* By its place in the table, as *_STAT commands and /proc/sysvipc go through it. */
struct ipc_object *ipc_at_locked(const struct ipc_table *table, int32_t index);
/* The highest index in use, or 0. */
int32_t ipc_highest_locked(const struct ipc_table *table);
int32_t ipc_id(const struct ipc_object *o);

/*
 * The common part of the *get calls: 1 and *out, an object that there is (rights are the caller's
 * to check); 0, one is to be made; -EEXIST, -ENOENT.
 */
int ipc_get_locked(struct ipc_table *table, int32_t key, uint32_t flags,
                   struct ipc_object **out) MUST_CHECK;
/* want: IPC_READ ..., or a mode asked for. -EACCES. */
int ipc_check_rights(const struct task *t, const struct ipc_object *o, uint32_t want) MUST_CHECK;
bool ipc_owns(const struct task *t, const struct ipc_object *o);
/* May t remove it and set its owner? -EPERM. */
int ipc_check_owner(const struct task *t, const struct ipc_object *o) MUST_CHECK;
/* Owner and mode as IPC_SET takes them; -EINVAL. */
int ipc_set_owner(struct ipc_object *o, const struct lx_ipc_perm *perm) MUST_CHECK;
/* Now, as the objects' times are kept: seconds since 1970. */
int64_t ipc_now(void);
