/*
 * System V message queues: queues by key and id, messages with types. Source: msgget(2), msgop(2),
 * msgctl(2).
 *
 * A queue lives while it is in the table or somebody sends to it or receives from it. Removed, it
 * ends all waits with EIDRM, and its messages are lost.
 */
#pragma once

#include "sentry/kernel/ipc.h"

struct msg;
struct msgq_space;

#define MSG_MAX_QUEUES IPC_INDEX_MAX
#define MSG_MAX_SIZE   8192
#define MSG_MAX_BYTES  16384 /* in a queue, if nobody changes it */

#define LX_MSG_NOERROR 010000U
#define LX_MSG_EXCEPT  020000U
#define LX_MSG_COPY    040000U

enum lx_msg_cmd { LX_MSG_STAT = 11, LX_MSG_INFO, LX_MSG_STAT_ANY };

struct lx_msqid_ds {
    struct lx_ipc_perm perm;
    int64_t stime, rtime, ctime;
    uint64_t bytes, count, max_bytes;
    int32_t lspid, lrpid;
    uint64_t unused[2];
};

struct lx_msginfo {
    int32_t pool, map, max, max_bytes, queues, segment_size, headers;
    uint16_t segments;
};

_Static_assert(sizeof(struct lx_msqid_ds) == 120, "msqid64_ds");
_Static_assert(sizeof(struct lx_msginfo) == 32, "msginfo");

int msgq_space_create(struct msgq_space **out) MUST_CHECK;
/* No task is left. */
void msgq_space_destroy(struct msgq_space *s);

/* A message of size bytes (at most MSG_MAX_SIZE) to fill; NULL: no memory. */
struct msg *msgq_alloc(int64_t type, size_t size) MUST_CHECK;
void msgq_free(struct msg *m);
void *msgq_data(struct msg *m);
size_t msgq_size(const struct msg *m);
int64_t msgq_type(const struct msg *m);

int msgq_get_queue(struct task *t, int32_t key, uint32_t flags, int32_t *out_id) MUST_CHECK;
/* m is the queue's on success. */
int msgq_send(struct task *t, int32_t id, struct msg *m, uint32_t flags) MUST_CHECK;
/* The message, the caller's now, of at most size bytes unless LX_MSG_NOERROR. */
int msgq_receive(struct task *t, int32_t id, size_t size, int64_t type, uint32_t flags,
                 struct msg **out) MUST_CHECK;

/* The parts of msgctl, as shm.h has them. */
int msgq_stat(struct task *t, int32_t id, bool by_index, bool any, struct lx_msqid_ds *out,
              int32_t *out_id) MUST_CHECK;
int msgq_set(struct task *t, int32_t id, const struct lx_msqid_ds *to) MUST_CHECK;
int msgq_remove(struct task *t, int32_t id) MUST_CHECK;
/* The highest index in use; usage: MSG_INFO's, else IPC_INFO's. */
int32_t msgq_info(struct task *t, bool usage, struct lx_msginfo *out);
