/*
 * System V shared memory: segments by key and id, over the memory of mm/shm.c. Source: shmget(2),
 * shmop(2), shmctl(2), sysvipc(7).
 *
 * A segment lives while it is in the table; it leaves the table when it is marked for removal and
 * nothing has it attached. Each mapping of it counts as an attachment, as a fork's copies do.
 */
#pragma once

#include "sentry/kernel/ipc.h"
#include "sentry/mm/usermem.h"

struct task;
struct shm_space;

#define SHM_MAX_SEGMENTS 4096
#define SHM_MAX_BYTES    (UINT64_MAX - (1ULL << 24))

#define LX_SHM_HUGETLB 04000U
#define LX_SHM_RDONLY  010000U
#define LX_SHM_RND     020000U
#define LX_SHM_REMAP   040000U
#define LX_SHM_EXEC    0100000U
#define LX_SHM_DEST    01000U /* in a mode: removed when the last detaches */
#define LX_SHM_LOCKED  02000U

enum lx_shm_cmd {
    LX_SHM_LOCK = 11,
    LX_SHM_UNLOCK,
    LX_SHM_STAT,
    LX_SHM_INFO,
    LX_SHM_STAT_ANY,
};

struct lx_shmid_ds {
    struct lx_ipc_perm perm;
    uint64_t size;
    int64_t atime, dtime, ctime;
    int32_t cpid, lpid;
    uint64_t attached, unused[2];
};

struct lx_shminfo {
    uint64_t max, min, segments, per_process, all, unused[4];
};

struct lx_shm_info {
    int32_t used, pad;
    uint64_t total, resident, swapped, swap_attempts, swap_successes; /* pages */
};

_Static_assert(sizeof(struct lx_shmid_ds) == 112, "shmid64_ds");

/* alive: counts the tables there are. */
int shm_space_create(uint32_t *alive, struct shm_space **out) MUST_CHECK;
/*
 * Its namespace has gone. What nobody has attached goes at once, the rest with its last attachment,
 * and the table with that.
 */
void shm_space_destroy(struct shm_space *s);

/* shmget: *out_id. Errors as shmget(2). */
int shm_get_segment(struct task *t, int32_t key, uint64_t size, uint32_t flags,
                    int32_t *out_id) MUST_CHECK;
/* shmat, shmdt. */
int shm_attach(struct task *t, int32_t id, uint64_t addr, uint32_t flags,
               uint64_t *out_addr) MUST_CHECK;
int shm_detach(struct task *t, uint64_t addr) MUST_CHECK;

/* The parts of shmctl. by_index: SHM_STAT's number, an index into the table; any: whatever the
 * rights. *out_id: the segment's. */
int shm_stat(struct task *t, int32_t id, bool by_index, bool any, struct lx_shmid_ds *out,
             int32_t *out_id) MUST_CHECK;
int shm_set_owner(struct task *t, int32_t id, const struct lx_ipc_perm *perm) MUST_CHECK;
int shm_remove(struct task *t, int32_t id) MUST_CHECK;
int shm_set_locked(struct task *t, int32_t id, bool locked) MUST_CHECK;
/* Pages in memory of the segment at this index. */
uint64_t shm_resident(struct task *t, int32_t index);
/* Both return the highest index in use. */
int32_t shm_limits(struct task *t, struct lx_shminfo *out);
int32_t shm_usage(struct task *t, struct lx_shm_info *out);
