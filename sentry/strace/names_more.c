/* Names of flags and enumerations for what is decoded by request, and inside structures. Tables
 * only. */
#include "sentry/abi/fcntl.h"
#include "sentry/abi/sched.h"
#include "sentry/abi/tty.h"
#include "sentry/strace/strace_int.h"

#define END {0, NULL}

/* clang-format off */
static const struct strace_name fdflags_bits[] = {{1, "FD_CLOEXEC"}, END};
static const struct strace_name lcktype_enums[] = {{0, "F_RDLCK"}, {1, "F_WRLCK"},
    {2, "F_UNLCK"}, END};
static const struct strace_name ownertype_enums[] = {
    {0, "F_OWNER_TID"}, {1, "F_OWNER_PID"}, {2, "F_OWNER_PGRP"}, END};
static const struct strace_name tcflow_enums[] = {
    {0, "TCOOFF"}, {1, "TCOON"}, {2, "TCIOFF"}, {3, "TCION"}, END};
static const struct strace_name tcflush_enums[] = {
    {0, "TCIFLUSH"}, {1, "TCOFLUSH"}, {2, "TCIOFLUSH"}, END};
static const struct strace_name iflag_bits[] = {
    {1, "IGNBRK"}, {2, "BRKINT"}, {4, "IGNPAR"}, {8, "PARMRK"}, {0x10, "INPCK"}, {0x20, "ISTRIP"},
    {0x40, "INLCR"}, {0x80, "IGNCR"}, {0x100, "ICRNL"}, {0x200, "IUCLC"}, {0x400, "IXON"},
    {0x800, "IXANY"}, {0x1000, "IXOFF"}, {0x2000, "IMAXBEL"}, {0x4000, "IUTF8"}, END};
static const struct strace_name oflag_bits[] = {
    {1, "OPOST"}, {2, "OLCUC"}, {4, "ONLCR"}, {8, "OCRNL"}, {0x10, "ONOCR"}, {0x20, "ONLRET"},
    {0x40, "OFILL"}, {0x80, "OFDEL"}, END};
static const struct strace_name cflag_enums[] = {
    {0, "B0"}, {7, "B300"}, {9, "B1200"}, {11, "B2400"}, {12, "B4800"}, {13, "B9600"},
    {14, "B19200"},
    {15, "B38400"}, {0x1001, "B57600"}, {0x1002, "B115200"}, END};
static const struct strace_name cflag_bits[] = {
    {0x30, "CS8"}, {0x20, "CS7"}, {0x10, "CS6"}, {0x40, "CSTOPB"}, {0x80, "CREAD"},
    {0x100, "PARENB"},
    {0x200, "PARODD"}, {0x400, "HUPCL"}, {0x800, "CLOCAL"}, {0x80000000, "CRTSCTS"}, END};
static const struct strace_name lflag_bits[] = {
    {1, "ISIG"}, {2, "ICANON"}, {4, "XCASE"}, {8, "ECHO"}, {0x10, "ECHOE"}, {0x20, "ECHOK"},
    {0x40, "ECHONL"}, {0x80, "NOFLSH"}, {0x100, "TOSTOP"}, {0x200, "ECHOCTL"}, {0x400, "ECHOPRT"},
    {0x800, "ECHOKE"}, {0x1000, "FLUSHO"}, {0x4000, "PENDIN"}, {0x8000, "IEXTEN"},
    {0x10000, "EXTPROC"}, END};
static const struct strace_name iff_bits[] = {
    {1, "IFF_UP"}, {2, "IFF_BROADCAST"}, {4, "IFF_DEBUG"}, {8, "IFF_LOOPBACK"},
    {0x10, "IFF_POINTOPOINT"}, {0x40, "IFF_RUNNING"}, {0x80, "IFF_NOARP"}, {0x100, "IFF_PROMISC"},
    {0x200, "IFF_ALLMULTI"}, {0x400, "IFF_MASTER"}, {0x800, "IFF_SLAVE"},
    {0x1000, "IFF_MULTICAST"}, END};
static const struct strace_name seccompmode_enums[] = {
    {0, "SECCOMP_MODE_DISABLED"}, {1, "SECCOMP_MODE_STRICT"}, {2, "SECCOMP_MODE_FILTER"}, END};
static const struct strace_name seccompop_enums[] = {
    {0, "SECCOMP_SET_MODE_STRICT"}, {1, "SECCOMP_SET_MODE_FILTER"},
    {2, "SECCOMP_GET_ACTION_AVAIL"},
    {3, "SECCOMP_GET_NOTIF_SIZES"}, END};
static const struct strace_name seccomp_bits[] = {
    {1, "SECCOMP_FILTER_FLAG_TSYNC"}, {2, "SECCOMP_FILTER_FLAG_LOG"},
    {4, "SECCOMP_FILTER_FLAG_SPEC_ALLOW"}, {8, "SECCOMP_FILTER_FLAG_NEW_LISTENER"},
    {0x10, "SECCOMP_FILTER_FLAG_TSYNC_ESRCH"}, {0x20, "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"},
    END};
static const struct strace_name cap_enums[] = {
    {0, "CAP_CHOWN"}, {1, "CAP_DAC_OVERRIDE"}, {2, "CAP_DAC_READ_SEARCH"}, {3, "CAP_FOWNER"},
    {4, "CAP_FSETID"}, {5, "CAP_KILL"}, {6, "CAP_SETGID"}, {7, "CAP_SETUID"}, {8, "CAP_SETPCAP"},
    {9, "CAP_LINUX_IMMUTABLE"}, {10, "CAP_NET_BIND_SERVICE"}, {11, "CAP_NET_BROADCAST"},
    {12, "CAP_NET_ADMIN"}, {13, "CAP_NET_RAW"}, {14, "CAP_IPC_LOCK"}, {15, "CAP_IPC_OWNER"},
    {16, "CAP_SYS_MODULE"}, {17, "CAP_SYS_RAWIO"}, {18, "CAP_SYS_CHROOT"}, {19, "CAP_SYS_PTRACE"},
    {20, "CAP_SYS_PACCT"}, {21, "CAP_SYS_ADMIN"}, {22, "CAP_SYS_BOOT"}, {23, "CAP_SYS_NICE"},
    {24, "CAP_SYS_RESOURCE"}, {25, "CAP_SYS_TIME"}, {26, "CAP_SYS_TTY_CONFIG"}, {27, "CAP_MKNOD"},
    {28, "CAP_LEASE"}, {29, "CAP_AUDIT_WRITE"}, {30, "CAP_AUDIT_CONTROL"}, {31, "CAP_SETFCAP"},
    {32, "CAP_MAC_OVERRIDE"}, {33, "CAP_MAC_ADMIN"}, {34, "CAP_SYSLOG"}, {35, "CAP_WAKE_ALARM"},
    {36, "CAP_BLOCK_SUSPEND"}, {37, "CAP_AUDIT_READ"}, {38, "CAP_PERFMON"}, {39, "CAP_BPF"},
    {40, "CAP_CHECKPOINT_RESTORE"}, END};
static const struct strace_name ambient_enums[] = {
    {1, "PR_CAP_AMBIENT_IS_SET"}, {2, "PR_CAP_AMBIENT_RAISE"}, {3, "PR_CAP_AMBIENT_LOWER"},
    {4, "PR_CAP_AMBIENT_CLEAR_ALL"}, END};
static const struct strace_name sched_enums[] = {
    {0, "SCHED_OTHER"}, {1, "SCHED_FIFO"}, {2, "SCHED_RR"}, {3, "SCHED_BATCH"}, {5, "SCHED_IDLE"},
    {6, "SCHED_DEADLINE"}, {7, "SCHED_EXT"}, END};
static const struct strace_name sched_bits[] = {{0x40000000, "SCHED_RESET_ON_FORK"}, END};
static const struct strace_name idtype_enums[] = {
    {0, "P_ALL"}, {1, "P_PID"}, {2, "P_PGID"}, {3, "P_PIDFD"}, END};
static const struct strace_name priowhich_enums[] = {
    {0, "PRIO_PROCESS"}, {1, "PRIO_PGRP"}, {2, "PRIO_USER"}, END};
static const struct strace_name ioprio_enums[] = {
    {1, "IOPRIO_WHO_PROCESS"}, {2, "IOPRIO_WHO_PGRP"}, {3, "IOPRIO_WHO_USER"}, END};
static const struct strace_name ipckey_enums[] = {{0, "IPC_PRIVATE"}, END};
static const struct strace_name ipccmd_enums[] = {
    {0, "IPC_RMID"}, {1, "IPC_SET"}, {2, "IPC_STAT"}, {3, "IPC_INFO"}, {11, "SHM_LOCK"},
    {12, "SHM_UNLOCK"}, {13, "SHM_STAT"}, {14, "SHM_INFO"}, {15, "SHM_STAT_ANY"}, END};
static const struct strace_name semcmd_enums[] = {
    {0, "IPC_RMID"}, {1, "IPC_SET"}, {2, "IPC_STAT"}, {3, "IPC_INFO"}, {11, "GETPID"},
    {12, "GETVAL"}, {13, "GETALL"}, {14, "GETNCNT"}, {15, "GETZCNT"}, {16, "SETVAL"},
    {17, "SETALL"}, {18, "SEM_STAT"}, {19, "SEM_INFO"}, {20, "SEM_STAT_ANY"}, END};
static const struct strace_name msgcmd_enums[] = {
    {0, "IPC_RMID"}, {1, "IPC_SET"}, {2, "IPC_STAT"}, {3, "IPC_INFO"}, {11, "MSG_STAT"},
    {12, "MSG_INFO"}, {13, "MSG_STAT_ANY"}, END};
static const struct strace_name shmat_bits[] = {
    {010000, "SHM_RDONLY"}, {020000, "SHM_RND"}, {040000, "SHM_REMAP"}, {0100000, "SHM_EXEC"},
    END};
static const struct strace_name membarrier_enums[] = {
    {0, "MEMBARRIER_CMD_QUERY"}, {1, "MEMBARRIER_CMD_GLOBAL"},
    {2, "MEMBARRIER_CMD_GLOBAL_EXPEDITED"},
    {4, "MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED"}, {8, "MEMBARRIER_CMD_PRIVATE_EXPEDITED"},
    {16, "MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED"},
    {32, "MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE"},
    {64, "MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE"}, END};
static const struct strace_name kcmp_enums[] = {
    {0, "KCMP_FILE"}, {1, "KCMP_VM"}, {2, "KCMP_FILES"}, {3, "KCMP_FS"}, {4, "KCMP_SIGHAND"},
    {5, "KCMP_IO"}, {6, "KCMP_SYSVSEM"}, {7, "KCMP_EPOLL_TFD"}, END};
static const struct strace_name futex2_enums[] = {
    {0, "FUTEX2_SIZE_U8"}, {1, "FUTEX2_SIZE_U16"}, {2, "FUTEX2_SIZE_U32"},
    {3, "FUTEX2_SIZE_U64"}, END};
static const struct strace_name futex2_bits[] = {{4, "FUTEX2_NUMA"}, {128, "FUTEX2_PRIVATE"}, END};
static const struct strace_name altstack_bits[] = {
    {1, "SS_ONSTACK"}, {2, "SS_DISABLE"}, {0x80000000, "SS_AUTODISARM"}, END};
static const struct strace_name sigev_enums[] = {
    {0, "SIGEV_SIGNAL"}, {1, "SIGEV_NONE"}, {2, "SIGEV_THREAD"}, {4, "SIGEV_THREAD_ID"}, END};
static const struct strace_name resolve_bits[] = {
    {1, "RESOLVE_NO_XDEV"}, {2, "RESOLVE_NO_MAGICLINKS"}, {4, "RESOLVE_NO_SYMLINKS"},
    {8, "RESOLVE_BENEATH"}, {16, "RESOLVE_IN_ROOT"}, {32, "RESOLVE_CACHED"}, END};
static const struct strace_name fstype_enums[] = {
    {0xef53, "EXT2_SUPER_MAGIC"}, {0x01021994, "TMPFS_MAGIC"}, {0x9fa0, "PROC_SUPER_MAGIC"},
    {0x62656572, "SYSFS_MAGIC"}, {0x794c7630, "OVERLAYFS_SUPER_MAGIC"},
    {0x1cd1, "DEVPTS_SUPER_MAGIC"},
    {0x58465342, "XFS_SUPER_MAGIC"}, {0x9123683e, "BTRFS_SUPER_MAGIC"},
    {0x63677270, "CGROUP2_SUPER_MAGIC"},
    {0x6969, "NFS_SUPER_MAGIC"}, {0x01021997, "V9FS_MAGIC"}, END};
static const struct strace_name tcpstate_enums[] = {
    {1, "TCP_ESTABLISHED"}, {2, "TCP_SYN_SENT"}, {3, "TCP_SYN_RECV"}, {4, "TCP_FIN_WAIT1"},
    {5, "TCP_FIN_WAIT2"}, {6, "TCP_TIME_WAIT"}, {7, "TCP_CLOSE"}, {8, "TCP_CLOSE_WAIT"},
    {9, "TCP_LAST_ACK"}, {10, "TCP_LISTEN"}, {11, "TCP_CLOSING"}, END};
static const struct strace_name pmtudisc_enums[] = {
    {0, "IP_PMTUDISC_DONT"}, {1, "IP_PMTUDISC_WANT"}, {2, "IP_PMTUDISC_DO"},
    {3, "IP_PMTUDISC_PROBE"},
    {4, "IP_PMTUDISC_INTERFACE"}, {5, "IP_PMTUDISC_OMIT"}, END};
static const struct strace_name nltype_enums[] = {
    {1, "NLMSG_NOOP"}, {2, "NLMSG_ERROR"}, {3, "NLMSG_DONE"}, {16, "RTM_NEWLINK"},
    {17, "RTM_DELLINK"},
    {18, "RTM_GETLINK"}, {19, "RTM_SETLINK"}, {20, "RTM_NEWADDR"}, {21, "RTM_DELADDR"},
    {22, "RTM_GETADDR"}, {24, "RTM_NEWROUTE"}, {25, "RTM_DELROUTE"}, {26, "RTM_GETROUTE"},
    {28, "RTM_NEWNEIGH"}, {29, "RTM_DELNEIGH"}, {30, "RTM_GETNEIGH"}, {32, "RTM_NEWRULE"},
    {33, "RTM_DELRULE"}, {34, "RTM_GETRULE"}, END};
static const struct strace_name nlflags_bits[] = {
    {1, "NLM_F_REQUEST"}, {2, "NLM_F_MULTI"}, {4, "NLM_F_ACK"}, {8, "NLM_F_ECHO"},
    {0x10, "NLM_F_DUMP_INTR"}, {0x20, "NLM_F_DUMP_FILTERED"}, {0x300, "NLM_F_DUMP"},
    {0x100, "NLM_F_ROOT"}, {0x200, "NLM_F_MATCH"}, {0x400, "NLM_F_ATOMIC"},
    {0x800, "NLM_F_APPEND"}, END};
static const struct strace_name clone3_bits[] = {
    {0x100, "CLONE_VM"}, {0x200, "CLONE_FS"}, {0x400, "CLONE_FILES"}, {0x800, "CLONE_SIGHAND"},
    {0x1000, "CLONE_PIDFD"}, {0x2000, "CLONE_PTRACE"}, {0x4000, "CLONE_VFORK"},
    {0x8000, "CLONE_PARENT"},
    {0x10000, "CLONE_THREAD"}, {0x20000, "CLONE_NEWNS"}, {0x40000, "CLONE_SYSVSEM"},
    {0x80000, "CLONE_SETTLS"}, {0x100000, "CLONE_PARENT_SETTID"},
    {0x200000, "CLONE_CHILD_CLEARTID"},
    {0x400000, "CLONE_DETACHED"}, {0x800000, "CLONE_UNTRACED"}, {0x1000000, "CLONE_CHILD_SETTID"},
    {0x2000000, "CLONE_NEWCGROUP"}, {0x4000000, "CLONE_NEWUTS"}, {0x8000000, "CLONE_NEWIPC"},
    {0x10000000, "CLONE_NEWUSER"}, {0x20000000, "CLONE_NEWPID"}, {0x40000000, "CLONE_NEWNET"},
    {0x80000000, "CLONE_IO"}, {0x100000000, "CLONE_CLEAR_SIGHAND"},
    {0x200000000, "CLONE_INTO_CGROUP"},
    {0x80, "CLONE_NEWTIME"}, END};
static const struct strace_name newfd_bits[] = {{LX_O_CLOEXEC, "O_CLOEXEC"},
    {LX_O_NONBLOCK, "O_NONBLOCK"},
    {LX_O_DIRECT, "O_DIRECT"}, END};
static const struct strace_name epollcreate_bits[] = {{LX_O_CLOEXEC, "EPOLL_CLOEXEC"}, END};
static const struct strace_name tfd_bits[] = {{LX_O_CLOEXEC, "TFD_CLOEXEC"},
    {LX_O_NONBLOCK, "TFD_NONBLOCK"}, END};
static const struct strace_name mlockall_bits[] = {
    {1, "MCL_CURRENT"}, {2, "MCL_FUTURE"}, {4, "MCL_ONFAULT"}, END};
static const struct strace_name mlock2_bits[] = {{1, "MLOCK_ONFAULT"}, END};
static const struct strace_name syncrange_bits[] = {
    {1, "SYNC_FILE_RANGE_WAIT_BEFORE"}, {2, "SYNC_FILE_RANGE_WRITE"},
    {4, "SYNC_FILE_RANGE_WAIT_AFTER"}, END};
/* clang-format on */

#define BITS(name)  {#name, 0, NULL, name##_bits}
#define ENUMS(name) {#name, ~0ULL, name##_enums, NULL}

const struct strace_set strace_more_sets[] = {
    BITS(fdflags),
    ENUMS(lcktype),
    ENUMS(ownertype),
    ENUMS(tcflow),
    ENUMS(tcflush),
    BITS(iflag),
    BITS(oflag),
    {"cflag", 0x100f, cflag_enums, cflag_bits},
    BITS(lflag),
    BITS(iff),
    ENUMS(seccompmode),
    ENUMS(seccompop),
    BITS(seccomp),
    ENUMS(cap),
    ENUMS(ambient),
    {"sched", 0xbfffffff, sched_enums, sched_bits},
    ENUMS(idtype),
    ENUMS(priowhich),
    ENUMS(ioprio),
    ENUMS(ipckey),
    ENUMS(ipccmd),
    ENUMS(msgcmd),
    ENUMS(semcmd),
    BITS(shmat),
    ENUMS(membarrier),
    ENUMS(kcmp),
    {"futex2", 3, futex2_enums, futex2_bits},
    BITS(altstack),
    ENUMS(sigev),
    BITS(resolve),
    ENUMS(fstype),
    ENUMS(tcpstate),
    ENUMS(pmtudisc),
    ENUMS(nltype),
    BITS(nlflags),
    BITS(clone3),
    BITS(syncrange),
    BITS(newfd),
    BITS(mlockall),
    BITS(mlock2),
    BITS(epollcreate),
    BITS(tfd),
    {NULL, 0, NULL, NULL},
};
