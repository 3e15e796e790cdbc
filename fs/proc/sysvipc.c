/* /proc/sysvipc: a line for each System V object that the reader may read. Takes their tables'
 * locks. */
#include "fs/proc/proc_int.h"
#include "sentry/kernel/msgq.h"
#include "sentry/kernel/sem.h"
#include "sentry/kernel/shm.h"

typedef unsigned long long number;

static int show_msg(const struct proc_entry *e, struct strbuf *sb)
{
    struct lx_msginfo info;
    struct lx_msqid_ds ds;
    int32_t highest, id;

    strbuf_puts(sb,
                "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid"
                "  cgid      stime      rtime      ctime\n");
    highest = e->reader ? msgq_info(e->reader, false, &info) : -1;
    for (int32_t i = 0; i <= highest; i++) {
        const struct lx_ipc_perm *p = &ds.perm;

        if (msgq_stat(e->reader, i, true, true, &ds, &id))
            continue;
        strbuf_printf(
            sb, "%10d %10d  %4o  %10llu %10llu %5d %5d %5u %5u %5u %5u %10lld %10lld %10lld\n",
            p->key, id, p->mode, (number)ds.bytes, (number)ds.count, ds.lspid, ds.lrpid, p->uid,
            p->gid, p->cuid, p->cgid, (long long)ds.stime, (long long)ds.rtime,
            (long long)ds.ctime);
    }
    return 0;
}

static int show_sem(const struct proc_entry *e, struct strbuf *sb)
{
    struct lx_seminfo info;
    struct lx_semid_ds ds;
    int32_t highest, id;

    strbuf_puts(sb, "       key      semid perms      nsems   uid   gid  cuid  cgid      otime"
                    "      ctime\n");
    highest = e->reader ? sem_info(e->reader, false, &info) : -1;
    for (int32_t i = 0; i <= highest; i++) {
        const struct lx_ipc_perm *p = &ds.perm;

        if (sem_stat(e->reader, i, true, true, &ds, &id))
            continue;
        strbuf_printf(sb, "%10d %10d  %4o %10llu %5u %5u %5u %5u %10lld %10lld\n", p->key, id,
                      p->mode, (number)ds.count, p->uid, p->gid, p->cuid, p->cgid,
                      (long long)ds.otime, (long long)ds.ctime);
    }
    return 0;
}

static int show_shm(const struct proc_entry *e, struct strbuf *sb)
{
    struct lx_shminfo info;
    struct lx_shmid_ds ds;
    int32_t highest, id;

    strbuf_puts(sb,
                "       key      shmid perms                  size  cpid  lpid nattch   uid   gid"
                "  cuid  cgid      atime      dtime      ctime                   rss"
                "                  swap\n");
    highest = e->reader ? shm_limits(e->reader, &info) : -1;
    for (int32_t i = 0; i <= highest; i++) {
        const struct lx_ipc_perm *p = &ds.perm;

        if (shm_stat(e->reader, i, true, true, &ds, &id))
            continue;
        strbuf_printf(sb,
                      "%10d %10d  %4o %21llu %5d %5d  %5llu %5u %5u %5u %5u %10lld %10lld %10lld "
                      "%21llu %21u\n",
                      p->key, id, p->mode, (number)ds.size, ds.cpid, ds.lpid, (number)ds.attached,
                      p->uid, p->gid, p->cuid, p->cgid, (long long)ds.atime, (long long)ds.dtime,
                      (long long)ds.ctime, (number)shm_resident(e->reader, i) * PAGE_SIZE, 0U);
    }
    return 0;
}

static PROC_NODES(sysvipc_nodes) = {
    PROC_FILE("msg", show_msg),
    PROC_FILE("sem", show_sem),
    PROC_FILE("shm", show_shm),
};

DEFINE_OPS(proc_node, proc_sysvipc_node) = PROC_DIR("sysvipc", sysvipc_nodes);
