/*
 * /proc/sys: the system settings programs read. Few can be written: host and domain name, and
 * limits that mean nothing here but are set by scripts are refused, not swallowed. Takes uts_lock.
 */
#include "fs/inotify.h"
#include "fs/pipe.h"
#include "fs/proc/net.h"
#include "platform/host/host.h"
#include "sentry/abi/sched.h"
#include "sentry/base/hash.h"
#include "sentry/base/log.h"
#include "sentry/kernel/limits.h"
#include "sentry/kernel/namespace.h"

#define CAP_LAST_CAP  CRED_CAP_LAST
#define MAX_MAP_COUNT 65530
#define MMAP_MIN_ADDR 65536
#define NR_OPEN       1048576
#define FILE_MAX      9223372036854775807UL
#define OVERFLOW_ID   65534
#define NGROUPS_MAX   65536

#define SYS_TEXT(fn, ...)                                                                          \
    static int fn(const struct proc_entry *e, struct strbuf *sb)                                   \
    {                                                                                              \
        strbuf_printf(sb, __VA_ARGS__);                                                            \
        return 0;                                                                                  \
    }

/* ---- kernel ---- */

SYS_TEXT(show_osrelease, "%s\n", UTS_RELEASE)
SYS_TEXT(show_ostype, "%s\n", UTS_SYSNAME)
SYS_TEXT(show_version, "%s\n", UTS_VERSION)
SYS_TEXT(show_pid_max, "%d\n", PID_MAX)
SYS_TEXT(show_threads_max, "%d\n", THREADS_MAX)
SYS_TEXT(show_cap_last_cap, "%d\n", CAP_LAST_CAP)
SYS_TEXT(show_ngroups_max, "%d\n", NGROUPS_MAX)
SYS_TEXT(show_overflow_id, "%d\n", OVERFLOW_ID)
SYS_TEXT(show_randomize, "2\n")
SYS_TEXT(show_zero, "0\n")
SYS_TEXT(show_one, "1\n")
SYS_TEXT(show_two, "2\n")
SYS_TEXT(show_shm_max, "18446744073692774399\n")
SYS_TEXT(show_shmmni, "4096\n")
SYS_TEXT(show_sem, "32000\t1024000000\t500\t32000\n")
SYS_TEXT(show_msgmax, "8192\n")
SYS_TEXT(show_msgmnb, "16384\n")
SYS_TEXT(show_msgmni, "32000\n")
SYS_TEXT(show_printk, "4\t4\t1\t7\n")

#define UTS_NAME_MAX 64U

/* Names are those of who reads or writes. */
static struct uts_ns *uts_of(const struct proc_entry *e)
{
    return e->reader ? e->reader->uts_ns : e->k->uts_ns;
}

static int show_uts(const struct proc_entry *e, const char *name, struct strbuf *sb)
{
    mutex_lock(&e->k->uts_lock);
    strbuf_printf(sb, "%s\n", name);
    mutex_unlock(&e->k->uts_lock);
    return 0;
}

static int store_uts(const struct proc_entry *e, char *name, const char *text)
{
    const char *end = strchr(text, '\n');
    size_t n = end ? (size_t)(end - text) : strlen(text);

    if (e->reader && !task_capable(e->reader, LX_CAP_SYS_ADMIN))
        return -EPERM;
    n = MIN(n, UTS_NAME_MAX);
    mutex_lock(&e->k->uts_lock);
    memcpy(name, text, n);
    name[n] = '\0';
    mutex_unlock(&e->k->uts_lock);
    return 0;
}

static int show_core_pattern(const struct proc_entry *e, struct strbuf *sb)
{
    return show_uts(e, e->k->core.pattern, sb);
}

/* Handlers behind a pipe are not there: as if core_pattern could not name one. */
static int store_core_pattern(const struct proc_entry *e, char *text, size_t size)
{
    char *end = strchr(text, '\n');

    if (end)
        *end = '\0';
    if (*text == '|') {
        log_warn("core_pattern: programs that read cores from a pipe are not supported");
        return -EINVAL;
    }
    mutex_lock(&e->k->uts_lock);
    str_copy(e->k->core.pattern, text, sizeof(e->k->core.pattern));
    mutex_unlock(&e->k->uts_lock);
    return 0;
}

static int show_core_uses_pid(const struct proc_entry *e, struct strbuf *sb)
{
    strbuf_printf(sb, "%u\n", READ_ONCE(e->k->core.uses_pid));
    return 0;
}

static int store_core_uses_pid(const struct proc_entry *e, char *text, size_t size)
{
    uint64_t value;
    int err = proc_parse_number(text, &value);

    if (!err)
        WRITE_ONCE(e->k->core.uses_pid, (uint32_t)value);
    return err;
}

static int show_hostname(const struct proc_entry *e, struct strbuf *sb)
{
    return show_uts(e, uts_of(e)->hostname, sb);
}

static int store_hostname(const struct proc_entry *e, char *text, size_t size)
{
    return store_uts(e, uts_of(e)->hostname, text);
}

static int show_domainname(const struct proc_entry *e, struct strbuf *sb)
{
    return show_uts(e, uts_of(e)->domainname, sb);
}

static int store_domainname(const struct proc_entry *e, char *text, size_t size)
{
    return store_uts(e, uts_of(e)->domainname, text);
}

static void put_uuid(uint8_t bytes[16], struct strbuf *sb)
{
    bytes[6] = (bytes[6] & 0x0f) | 0x40; /* version 4 */
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    for (int i = 0; i < 16; i++)
        strbuf_printf(sb, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", bytes[i]);
    strbuf_putc(sb, '\n');
}

static int show_uuid(const struct proc_entry *e, struct strbuf *sb)
{
    uint8_t bytes[16];

    if (host_getrandom(bytes, sizeof(bytes)) != sizeof(bytes))
        return -EIO;
    put_uuid(bytes, sb);
    return 0;
}

/* The same for as long as the sandbox lives: from its start time and the arena's secret seed. */
static int show_boot_id(const struct proc_entry *e, struct strbuf *sb)
{
    uint8_t bytes[16];

    for (uint64_t i = 0; i < 2; i++) {
        uint64_t h = hash_u64(e->k->boot_realtime_ns ^ e->k->boot_monotonic_ns << 1, 0xb007 + i);

        memcpy(bytes + i * 8, &h, 8);
    }
    put_uuid(bytes, sb);
    return 0;
}

SYS_TEXT(show_entropy, "256\n")

static PROC_NODES(random_nodes) = {
    PROC_FILE("boot_id", show_boot_id),
    PROC_FILE("entropy_avail", show_entropy),
    PROC_FILE("poolsize", show_entropy),
    PROC_FILE("uuid", show_uuid),
};

static PROC_NODES(yama_nodes) = {
    PROC_FILE("ptrace_scope", show_one),
};

static PROC_NODES(kernel_nodes) = {
    PROC_FILE("cap_last_cap", show_cap_last_cap),
    PROC_RW("core_pattern", show_core_pattern, store_core_pattern),
    PROC_RW("core_uses_pid", show_core_uses_pid, store_core_uses_pid),
    PROC_FILE("dmesg_restrict", show_one),
    PROC_RW("domainname", show_domainname, store_domainname),
    PROC_RW("hostname", show_hostname, store_hostname),
    PROC_FILE("kptr_restrict", show_two),
    PROC_FILE("msgmax", show_msgmax),
    PROC_FILE("msgmnb", show_msgmnb),
    PROC_FILE("msgmni", show_msgmni),
    PROC_FILE("ngroups_max", show_ngroups_max),
    PROC_FILE("osrelease", show_osrelease),
    PROC_FILE("ostype", show_ostype),
    PROC_FILE("overflowgid", show_overflow_id),
    PROC_FILE("overflowuid", show_overflow_id),
    PROC_FILE("panic", show_zero),
    PROC_FILE("perf_event_paranoid", show_two),
    PROC_FILE("pid_max", show_pid_max),
    PROC_FILE("printk", show_printk),
    PROC_DIR("random", random_nodes),
    PROC_FILE("randomize_va_space", show_randomize),
    PROC_FILE("sem", show_sem),
    PROC_FILE("shmall", show_shm_max),
    PROC_FILE("shmmax", show_shm_max),
    PROC_FILE("shmmni", show_shmmni),
    PROC_FILE("tainted", show_zero),
    PROC_FILE("threads-max", show_threads_max),
    PROC_FILE("version", show_version),
    PROC_DIR("yama", yama_nodes),
};

/* ---- vm ---- */

SYS_TEXT(show_max_map_count, "%d\n", MAX_MAP_COUNT)
SYS_TEXT(show_mmap_min_addr, "%d\n", MMAP_MIN_ADDR)
SYS_TEXT(show_swappiness, "60\n")
SYS_TEXT(show_overcommit_ratio, "50\n")
SYS_TEXT(show_dirty_ratio, "20\n")

static PROC_NODES(vm_nodes) = {
    PROC_FILE("dirty_ratio", show_dirty_ratio),
    PROC_FILE("max_map_count", show_max_map_count),
    PROC_FILE("mmap_min_addr", show_mmap_min_addr),
    PROC_FILE("nr_hugepages", show_zero),
    PROC_FILE("overcommit_memory", show_zero),
    PROC_FILE("overcommit_ratio", show_overcommit_ratio),
    PROC_FILE("swappiness", show_swappiness),
};

/* ---- fs ---- */

SYS_TEXT(show_file_max, "%lu\n", FILE_MAX)
SYS_TEXT(show_file_nr, "1024\t0\t%lu\n", FILE_MAX)
SYS_TEXT(show_nr_open, "%d\n", NR_OPEN)
SYS_TEXT(show_pipe_max_size, "%u\n", PIPE_MAX_SIZE)
SYS_TEXT(show_pipe_soft, "16384\n")
SYS_TEXT(show_inotify_events, "%u\n", INOTIFY_MAX_EVENTS)
SYS_TEXT(show_inotify_instances, "%u\n", INOTIFY_MAX_INSTANCES)
SYS_TEXT(show_inotify_watches, "%u\n", INOTIFY_MAX_WATCHES)

static PROC_NODES(inotify_nodes) = {
    PROC_FILE("max_queued_events", show_inotify_events),
    PROC_FILE("max_user_instances", show_inotify_instances),
    PROC_FILE("max_user_watches", show_inotify_watches),
};

SYS_TEXT(show_mq_messages, "%d\n", MQUEUE_MESSAGES_MAX)
SYS_TEXT(show_mq_size, "%d\n", MQUEUE_SIZE_MAX)
SYS_TEXT(show_mq_queues, "%d\n", MQUEUE_MAX)

static PROC_NODES(mqueue_nodes) = {
    PROC_FILE("msg_default", show_mq_messages),
    PROC_FILE("msg_max", show_mq_messages),
    PROC_FILE("msgsize_default", show_mq_size),
    PROC_FILE("msgsize_max", show_mq_size),
    PROC_FILE("queues_max", show_mq_queues),
};

static PROC_NODES(fs_nodes) = {
    PROC_FILE("file-max", show_file_max),
    PROC_FILE("file-nr", show_file_nr),
    PROC_DIR("inotify", inotify_nodes),
    PROC_DIR("mqueue", mqueue_nodes),
    PROC_FILE("nr_open", show_nr_open),
    PROC_FILE("pipe-max-size", show_pipe_max_size),
    PROC_FILE("pipe-user-pages-hard", show_zero),
    PROC_FILE("pipe-user-pages-soft", show_pipe_soft),
    PROC_FILE("protected_hardlinks", show_zero),
    PROC_FILE("protected_symlinks", show_zero),
    PROC_FILE("suid_dumpable", show_zero),
};

/* ---- user ---- */

SYS_TEXT(show_max_namespaces, "0\n")

static PROC_NODES(user_nodes) = {
    PROC_FILE("max_user_namespaces", show_max_namespaces),
};

static PROC_NODES(sys_nodes) = {
    PROC_DIR("fs", fs_nodes),
    PROC_DIR("kernel", kernel_nodes),
    {.name = "net",
     .mode = LX_S_IFDIR | 0555,
     .inode_ops = &proc_sys_net_ops,
     .file_ops = &proc_sys_net_file_ops},
    PROC_DIR("user", user_nodes),
    PROC_DIR("vm", vm_nodes),
};

DEFINE_OPS(proc_node, proc_sys_node) = PROC_DIR("sys", sys_nodes);
