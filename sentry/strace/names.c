/* Names of flags, errors and signals for trace lines. Tables only. */
#include "sentry/abi/errno.h"
#include "sentry/abi/fcntl.h"
#include "sentry/abi/mman.h"
#include "sentry/abi/mount.h"
#include "sentry/abi/poll.h"
#include "sentry/abi/sched.h"
#include "sentry/abi/signal_num.h"
#include "sentry/abi/socket.h"
#include "sentry/abi/time_num.h"
#include "sentry/abi/tty.h"
#include "sentry/strace/strace_int.h"

static const struct strace_name open_enums[] = {
    {LX_O_RDONLY, "O_RDONLY"}, {LX_O_WRONLY, "O_WRONLY"}, {LX_O_RDWR, "O_RDWR"}, {0, NULL},
};
static const struct strace_name open_bits[] = {
    {LX_O_CREAT, "O_CREAT"}, {LX_O_EXCL, "O_EXCL"}, {LX_O_NOCTTY, "O_NOCTTY"},
    {LX_O_TRUNC, "O_TRUNC"}, {LX_O_APPEND, "O_APPEND"}, {LX_O_NONBLOCK, "O_NONBLOCK"},
    {LX_O_SYNC, "O_SYNC"}, {LX_O_DSYNC, "O_DSYNC"}, {LX_O_ASYNC, "O_ASYNC"},
    {LX_O_DIRECT, "O_DIRECT"}, {LX_O_LARGEFILE, "O_LARGEFILE"}, {LX_O_TMPFILE, "O_TMPFILE"},
    {LX_O_DIRECTORY, "O_DIRECTORY"}, {LX_O_NOFOLLOW, "O_NOFOLLOW"}, {LX_O_NOATIME, "O_NOATIME"},
    {LX_O_CLOEXEC, "O_CLOEXEC"}, {LX_O_PATH, "O_PATH"}, {0, NULL},
};
static const struct strace_name at_bits[] = {
    {LX_AT_SYMLINK_NOFOLLOW, "AT_SYMLINK_NOFOLLOW"}, {LX_AT_REMOVEDIR, "AT_REMOVEDIR"},
    {LX_AT_SYMLINK_FOLLOW, "AT_SYMLINK_FOLLOW"}, {LX_AT_NO_AUTOMOUNT, "AT_NO_AUTOMOUNT"},
    {LX_AT_EMPTY_PATH, "AT_EMPTY_PATH"}, {LX_AT_STATX_FORCE_SYNC, "AT_STATX_FORCE_SYNC"},
    {LX_AT_STATX_DONT_SYNC, "AT_STATX_DONT_SYNC"}, {LX_AT_RECURSIVE, "AT_RECURSIVE"}, {0, NULL},
};
static const struct strace_name access_bits[] = {
    {4, "R_OK"}, {2, "W_OK"}, {1, "X_OK"}, {0, NULL},
};
static const struct strace_name whence_enums[] = {
    {LX_SEEK_SET, "SEEK_SET"}, {LX_SEEK_CUR, "SEEK_CUR"}, {LX_SEEK_END, "SEEK_END"},
    {LX_SEEK_DATA, "SEEK_DATA"}, {LX_SEEK_HOLE, "SEEK_HOLE"}, {0, NULL},
};
static const struct strace_name fcntl_enums[] = {
    {LX_F_DUPFD, "F_DUPFD"}, {LX_F_GETFD, "F_GETFD"}, {LX_F_SETFD, "F_SETFD"},
    {LX_F_GETFL, "F_GETFL"}, {LX_F_SETFL, "F_SETFL"}, {LX_F_GETLK, "F_GETLK"},
    {LX_F_SETLK, "F_SETLK"}, {LX_F_SETLKW, "F_SETLKW"}, {LX_F_SETOWN, "F_SETOWN"},
    {LX_F_GETOWN, "F_GETOWN"}, {LX_F_SETSIG, "F_SETSIG"}, {LX_F_GETSIG, "F_GETSIG"},
    {LX_F_SETOWN_EX, "F_SETOWN_EX"}, {LX_F_GETOWN_EX, "F_GETOWN_EX"},
    {LX_F_OFD_GETLK, "F_OFD_GETLK"}, {LX_F_OFD_SETLK, "F_OFD_SETLK"},
    {LX_F_OFD_SETLKW, "F_OFD_SETLKW"}, {LX_F_SETLEASE, "F_SETLEASE"},
    {LX_F_GETLEASE, "F_GETLEASE"}, {LX_F_NOTIFY, "F_NOTIFY"},
    {LX_F_DUPFD_CLOEXEC, "F_DUPFD_CLOEXEC"}, {LX_F_SETPIPE_SZ, "F_SETPIPE_SZ"},
    {LX_F_GETPIPE_SZ, "F_GETPIPE_SZ"}, {LX_F_ADD_SEALS, "F_ADD_SEALS"},
    {LX_F_GET_SEALS, "F_GET_SEALS"}, {LX_F_GET_RW_HINT, "F_GET_RW_HINT"},
    {LX_F_SET_RW_HINT, "F_SET_RW_HINT"}, {0, NULL},
};
static const struct strace_name flock_enums[] = {
    {LX_LOCK_SH, "LOCK_SH"}, {LX_LOCK_EX, "LOCK_EX"}, {LX_LOCK_UN, "LOCK_UN"}, {0, NULL},
};
static const struct strace_name flock_bits[] = {
    {LX_LOCK_NB, "LOCK_NB"}, {0, NULL},
};
static const struct strace_name seals_bits[] = {
    {LX_F_SEAL_SEAL, "F_SEAL_SEAL"}, {LX_F_SEAL_SHRINK, "F_SEAL_SHRINK"},
    {LX_F_SEAL_GROW, "F_SEAL_GROW"}, {LX_F_SEAL_WRITE, "F_SEAL_WRITE"},
    {LX_F_SEAL_FUTURE_WRITE, "F_SEAL_FUTURE_WRITE"}, {0, NULL},
};
static const struct strace_name rename_bits[] = {
    {LX_RENAME_NOREPLACE, "RENAME_NOREPLACE"}, {LX_RENAME_EXCHANGE, "RENAME_EXCHANGE"},
    {LX_RENAME_WHITEOUT, "RENAME_WHITEOUT"}, {0, NULL},
};
static const struct strace_name rwf_bits[] = {
    {1, "RWF_HIPRI"}, {2, "RWF_DSYNC"}, {4, "RWF_SYNC"}, {8, "RWF_NOWAIT"}, {16, "RWF_APPEND"},
    {32, "RWF_NOAPPEND"}, {0, NULL},
};
static const struct strace_name close_range_bits[] = {
    {2, "CLOSE_RANGE_UNSHARE"}, {4, "CLOSE_RANGE_CLOEXEC"}, {0, NULL},
};
static const struct strace_name fallocate_bits[] = {
    {LX_FALLOC_FL_KEEP_SIZE, "FALLOC_FL_KEEP_SIZE"},
    {LX_FALLOC_FL_PUNCH_HOLE, "FALLOC_FL_PUNCH_HOLE"},
    {LX_FALLOC_FL_COLLAPSE_RANGE, "FALLOC_FL_COLLAPSE_RANGE"},
    {LX_FALLOC_FL_ZERO_RANGE, "FALLOC_FL_ZERO_RANGE"},
    {LX_FALLOC_FL_INSERT_RANGE, "FALLOC_FL_INSERT_RANGE"},
    {LX_FALLOC_FL_UNSHARE_RANGE, "FALLOC_FL_UNSHARE_RANGE"}, {0, NULL},
};
static const struct strace_name fadvise_enums[] = {
    {LX_POSIX_FADV_NORMAL, "POSIX_FADV_NORMAL"}, {LX_POSIX_FADV_RANDOM, "POSIX_FADV_RANDOM"},
    {LX_POSIX_FADV_SEQUENTIAL, "POSIX_FADV_SEQUENTIAL"},
    {LX_POSIX_FADV_WILLNEED, "POSIX_FADV_WILLNEED"},
    {LX_POSIX_FADV_DONTNEED, "POSIX_FADV_DONTNEED"}, {LX_POSIX_FADV_NOREUSE, "POSIX_FADV_NOREUSE"},
    {0, NULL},
};
static const struct strace_name splice_bits[] = {
    {LX_SPLICE_F_MOVE, "SPLICE_F_MOVE"}, {LX_SPLICE_F_NONBLOCK, "SPLICE_F_NONBLOCK"},
    {LX_SPLICE_F_MORE, "SPLICE_F_MORE"}, {LX_SPLICE_F_GIFT, "SPLICE_F_GIFT"}, {0, NULL},
};
static const struct strace_name prot_bits[] = {
    {LX_PROT_READ, "PROT_READ"}, {LX_PROT_WRITE, "PROT_WRITE"}, {LX_PROT_EXEC, "PROT_EXEC"},
    {LX_PROT_GROWSDOWN, "PROT_GROWSDOWN"}, {LX_PROT_GROWSUP, "PROT_GROWSUP"}, {0, NULL},
};
static const struct strace_name mmap_enums[] = {
    {LX_MAP_SHARED, "MAP_SHARED"}, {LX_MAP_PRIVATE, "MAP_PRIVATE"},
    {LX_MAP_SHARED_VALIDATE, "MAP_SHARED_VALIDATE"}, {0, NULL},
};
static const struct strace_name mmap_bits[] = {
    {LX_MAP_FIXED, "MAP_FIXED"}, {LX_MAP_ANONYMOUS, "MAP_ANONYMOUS"}, {LX_MAP_32BIT, "MAP_32BIT"},
    {LX_MAP_GROWSDOWN, "MAP_GROWSDOWN"}, {LX_MAP_DENYWRITE, "MAP_DENYWRITE"},
    {LX_MAP_EXECUTABLE, "MAP_EXECUTABLE"}, {LX_MAP_LOCKED, "MAP_LOCKED"},
    {LX_MAP_NORESERVE, "MAP_NORESERVE"}, {LX_MAP_POPULATE, "MAP_POPULATE"},
    {LX_MAP_NONBLOCK, "MAP_NONBLOCK"}, {LX_MAP_STACK, "MAP_STACK"},
    {LX_MAP_HUGETLB, "MAP_HUGETLB"}, {LX_MAP_SYNC, "MAP_SYNC"},
    {LX_MAP_FIXED_NOREPLACE, "MAP_FIXED_NOREPLACE"}, {0, NULL},
};
static const struct strace_name mremap_bits[] = {
    {LX_MREMAP_MAYMOVE, "MREMAP_MAYMOVE"}, {LX_MREMAP_FIXED, "MREMAP_FIXED"},
    {LX_MREMAP_DONTUNMAP, "MREMAP_DONTUNMAP"}, {0, NULL},
};
static const struct strace_name msync_bits[] = {
    {1, "MS_ASYNC"}, {2, "MS_INVALIDATE"}, {4, "MS_SYNC"}, {0, NULL},
};
static const struct strace_name madvise_enums[] = {
    {LX_MADV_NORMAL, "MADV_NORMAL"}, {LX_MADV_RANDOM, "MADV_RANDOM"},
    {LX_MADV_SEQUENTIAL, "MADV_SEQUENTIAL"}, {LX_MADV_WILLNEED, "MADV_WILLNEED"},
    {LX_MADV_DONTNEED, "MADV_DONTNEED"}, {LX_MADV_FREE, "MADV_FREE"},
    {LX_MADV_REMOVE, "MADV_REMOVE"}, {LX_MADV_DONTFORK, "MADV_DONTFORK"},
    {LX_MADV_DOFORK, "MADV_DOFORK"}, {LX_MADV_MERGEABLE, "MADV_MERGEABLE"},
    {LX_MADV_UNMERGEABLE, "MADV_UNMERGEABLE"}, {LX_MADV_HUGEPAGE, "MADV_HUGEPAGE"},
    {LX_MADV_NOHUGEPAGE, "MADV_NOHUGEPAGE"}, {LX_MADV_DONTDUMP, "MADV_DONTDUMP"},
    {LX_MADV_DODUMP, "MADV_DODUMP"}, {LX_MADV_WIPEONFORK, "MADV_WIPEONFORK"},
    {LX_MADV_KEEPONFORK, "MADV_KEEPONFORK"}, {LX_MADV_COLD, "MADV_COLD"},
    {LX_MADV_PAGEOUT, "MADV_PAGEOUT"}, {LX_MADV_POPULATE_READ, "MADV_POPULATE_READ"},
    {LX_MADV_POPULATE_WRITE, "MADV_POPULATE_WRITE"}, {0, NULL},
};
static const struct strace_name memfd_bits[] = {
    {LX_MFD_CLOEXEC, "MFD_CLOEXEC"}, {LX_MFD_ALLOW_SEALING, "MFD_ALLOW_SEALING"},
    {LX_MFD_HUGETLB, "MFD_HUGETLB"}, {0, NULL},
};
static const struct strace_name clone_enums[] = {
    {LX_SIGCHLD, "SIGCHLD"}, {0, NULL},
};
static const struct strace_name clone_bits[] = {
    {LX_CLONE_VM, "CLONE_VM"}, {LX_CLONE_FS, "CLONE_FS"}, {LX_CLONE_FILES, "CLONE_FILES"},
    {LX_CLONE_SIGHAND, "CLONE_SIGHAND"}, {LX_CLONE_PIDFD, "CLONE_PIDFD"},
    {LX_CLONE_PTRACE, "CLONE_PTRACE"}, {LX_CLONE_VFORK, "CLONE_VFORK"},
    {LX_CLONE_PARENT, "CLONE_PARENT"}, {LX_CLONE_THREAD, "CLONE_THREAD"},
    {LX_CLONE_NEWNS, "CLONE_NEWNS"}, {LX_CLONE_SYSVSEM, "CLONE_SYSVSEM"},
    {LX_CLONE_SETTLS, "CLONE_SETTLS"}, {LX_CLONE_PARENT_SETTID, "CLONE_PARENT_SETTID"},
    {LX_CLONE_CHILD_CLEARTID, "CLONE_CHILD_CLEARTID"}, {LX_CLONE_UNTRACED, "CLONE_UNTRACED"},
    {LX_CLONE_CHILD_SETTID, "CLONE_CHILD_SETTID"}, {LX_CLONE_NEWCGROUP, "CLONE_NEWCGROUP"},
    {LX_CLONE_NEWUTS, "CLONE_NEWUTS"}, {LX_CLONE_NEWIPC, "CLONE_NEWIPC"},
    {LX_CLONE_NEWUSER, "CLONE_NEWUSER"}, {LX_CLONE_NEWPID, "CLONE_NEWPID"},
    {LX_CLONE_NEWNET, "CLONE_NEWNET"}, {LX_CLONE_IO, "CLONE_IO"},
    {LX_CLONE_CLEAR_SIGHAND, "CLONE_CLEAR_SIGHAND"}, {0, NULL},
};
static const struct strace_name wait_bits[] = {
    {1, "WNOHANG"}, {2, "WUNTRACED"}, {4, "WEXITED"}, {8, "WCONTINUED"}, {0x1000000, "WNOWAIT"},
    {0x20000000, "__WNOTHREAD"}, {0x40000000, "__WALL"}, {0x80000000, "__WCLONE"}, {0, NULL},
};
static const struct strace_name futex_enums[] = {
    {LX_FUTEX_WAIT, "FUTEX_WAIT"}, {LX_FUTEX_WAKE, "FUTEX_WAKE"},
    {LX_FUTEX_REQUEUE, "FUTEX_REQUEUE"}, {LX_FUTEX_CMP_REQUEUE, "FUTEX_CMP_REQUEUE"},
    {LX_FUTEX_WAKE_OP, "FUTEX_WAKE_OP"}, {LX_FUTEX_LOCK_PI, "FUTEX_LOCK_PI"},
    {LX_FUTEX_UNLOCK_PI, "FUTEX_UNLOCK_PI"}, {LX_FUTEX_TRYLOCK_PI, "FUTEX_TRYLOCK_PI"},
    {LX_FUTEX_WAIT_BITSET, "FUTEX_WAIT_BITSET"}, {LX_FUTEX_WAKE_BITSET, "FUTEX_WAKE_BITSET"},
    {LX_FUTEX_WAIT_REQUEUE_PI, "FUTEX_WAIT_REQUEUE_PI"},
    {LX_FUTEX_CMP_REQUEUE_PI, "FUTEX_CMP_REQUEUE_PI"}, {LX_FUTEX_LOCK_PI2, "FUTEX_LOCK_PI2"},
    {0, NULL},
};
static const struct strace_name futex_bits[] = {
    {128, "FUTEX_PRIVATE_FLAG"}, {256, "FUTEX_CLOCK_REALTIME"}, {0, NULL},
};
static const struct strace_name clockid_enums[] = {
    {LX_CLOCK_REALTIME, "CLOCK_REALTIME"}, {LX_CLOCK_MONOTONIC, "CLOCK_MONOTONIC"},
    {LX_CLOCK_PROCESS_CPUTIME_ID, "CLOCK_PROCESS_CPUTIME_ID"},
    {LX_CLOCK_THREAD_CPUTIME_ID, "CLOCK_THREAD_CPUTIME_ID"},
    {LX_CLOCK_MONOTONIC_RAW, "CLOCK_MONOTONIC_RAW"},
    {LX_CLOCK_REALTIME_COARSE, "CLOCK_REALTIME_COARSE"},
    {LX_CLOCK_MONOTONIC_COARSE, "CLOCK_MONOTONIC_COARSE"}, {LX_CLOCK_BOOTTIME, "CLOCK_BOOTTIME"},
    {LX_CLOCK_REALTIME_ALARM, "CLOCK_REALTIME_ALARM"},
    {LX_CLOCK_BOOTTIME_ALARM, "CLOCK_BOOTTIME_ALARM"}, {LX_CLOCK_TAI, "CLOCK_TAI"}, {0, NULL},
};
static const struct strace_name timer_bits[] = {
    {1, "TIMER_ABSTIME"}, {2, "TFD_TIMER_CANCEL_ON_SET"}, {0, NULL},
};
static const struct strace_name sigmask_enums[] = {
    {0, "SIG_BLOCK"}, {1, "SIG_UNBLOCK"}, {2, "SIG_SETMASK"}, {0, NULL},
};
static const struct strace_name family_enums[] = {
    {LX_AF_UNSPEC, "AF_UNSPEC"}, {LX_AF_UNIX, "AF_UNIX"}, {LX_AF_INET, "AF_INET"},
    {LX_AF_INET6, "AF_INET6"}, {LX_AF_NETLINK, "AF_NETLINK"}, {LX_AF_PACKET, "AF_PACKET"},
    {LX_AF_VSOCK, "AF_VSOCK"}, {0, NULL},
};
static const struct strace_name socktype_enums[] = {
    {LX_SOCK_STREAM, "SOCK_STREAM"}, {LX_SOCK_DGRAM, "SOCK_DGRAM"}, {LX_SOCK_RAW, "SOCK_RAW"},
    {LX_SOCK_SEQPACKET, "SOCK_SEQPACKET"}, {0, NULL},
};
static const struct strace_name socktype_bits[] = {
    {LX_SOCK_CLOEXEC, "SOCK_CLOEXEC"}, {LX_SOCK_NONBLOCK, "SOCK_NONBLOCK"}, {0, NULL},
};
static const struct strace_name msg_bits[] = {
    {LX_MSG_OOB, "MSG_OOB"}, {LX_MSG_PEEK, "MSG_PEEK"}, {LX_MSG_DONTROUTE, "MSG_DONTROUTE"},
    {LX_MSG_CTRUNC, "MSG_CTRUNC"}, {LX_MSG_TRUNC, "MSG_TRUNC"}, {LX_MSG_DONTWAIT, "MSG_DONTWAIT"},
    {LX_MSG_EOR, "MSG_EOR"}, {LX_MSG_WAITALL, "MSG_WAITALL"}, {LX_MSG_NOSIGNAL, "MSG_NOSIGNAL"},
    {LX_MSG_MORE, "MSG_MORE"}, {LX_MSG_WAITFORONE, "MSG_WAITFORONE"},
    {LX_MSG_ERRQUEUE, "MSG_ERRQUEUE"}, {LX_MSG_CMSG_CLOEXEC, "MSG_CMSG_CLOEXEC"}, {0, NULL},
};
static const struct strace_name sol_enums[] = {
    {LX_SOL_SOCKET, "SOL_SOCKET"}, {LX_SOL_IP, "SOL_IP"}, {LX_SOL_TCP, "SOL_TCP"},
    {LX_SOL_UDP, "SOL_UDP"}, {LX_SOL_IPV6, "SOL_IPV6"}, {LX_SOL_ICMPV6, "SOL_ICMPV6"},
    {LX_SOL_RAW, "SOL_RAW"}, {LX_SOL_PACKET, "SOL_PACKET"}, {LX_SOL_NETLINK, "SOL_NETLINK"},
    {0, NULL},
};
static const struct strace_name shutdown_enums[] = {
    {LX_SHUT_RD, "SHUT_RD"}, {LX_SHUT_WR, "SHUT_WR"}, {LX_SHUT_RDWR, "SHUT_RDWR"}, {0, NULL},
};
static const struct strace_name epollctl_enums[] = {
    {LX_EPOLL_CTL_ADD, "EPOLL_CTL_ADD"}, {LX_EPOLL_CTL_DEL, "EPOLL_CTL_DEL"},
    {LX_EPOLL_CTL_MOD, "EPOLL_CTL_MOD"}, {0, NULL},
};
static const struct strace_name efd_bits[] = {
    {LX_EFD_SEMAPHORE, "EFD_SEMAPHORE"}, {LX_EFD_CLOEXEC, "EFD_CLOEXEC"},
    {LX_EFD_NONBLOCK, "EFD_NONBLOCK"}, {0, NULL},
};
static const struct strace_name inotify_bits[] = {
    {LX_IN_ACCESS, "IN_ACCESS"},
    {LX_IN_MODIFY, "IN_MODIFY"},
    {LX_IN_ATTRIB, "IN_ATTRIB"},
    {LX_IN_CLOSE_WRITE, "IN_CLOSE_WRITE"},
    {LX_IN_CLOSE_NOWRITE, "IN_CLOSE_NOWRITE"},
    {LX_IN_OPEN, "IN_OPEN"},
    {LX_IN_MOVED_FROM, "IN_MOVED_FROM"},
    {LX_IN_MOVED_TO, "IN_MOVED_TO"},
    {LX_IN_CREATE, "IN_CREATE"},
    {LX_IN_DELETE, "IN_DELETE"},
    {LX_IN_DELETE_SELF, "IN_DELETE_SELF"},
    {LX_IN_MOVE_SELF, "IN_MOVE_SELF"},
    {LX_IN_ONLYDIR, "IN_ONLYDIR"},
    {LX_IN_DONT_FOLLOW, "IN_DONT_FOLLOW"},
    {LX_IN_EXCL_UNLINK, "IN_EXCL_UNLINK"},
    {LX_IN_MASK_CREATE, "IN_MASK_CREATE"},
    {LX_IN_MASK_ADD, "IN_MASK_ADD"},
    {LX_IN_ISDIR, "IN_ISDIR"},
    {LX_IN_ONESHOT, "IN_ONESHOT"},
    {0, NULL},
};
static const struct strace_name mount_bits[] = {
    {LX_MS_RDONLY, "MS_RDONLY"}, {LX_MS_NOSUID, "MS_NOSUID"}, {LX_MS_NODEV, "MS_NODEV"},
    {LX_MS_NOEXEC, "MS_NOEXEC"}, {LX_MS_SYNCHRONOUS, "MS_SYNCHRONOUS"},
    {LX_MS_REMOUNT, "MS_REMOUNT"}, {LX_MS_MANDLOCK, "MS_MANDLOCK"}, {LX_MS_DIRSYNC, "MS_DIRSYNC"},
    {LX_MS_NOATIME, "MS_NOATIME"}, {LX_MS_NODIRATIME, "MS_NODIRATIME"}, {LX_MS_BIND, "MS_BIND"},
    {LX_MS_MOVE, "MS_MOVE"}, {LX_MS_REC, "MS_REC"}, {LX_MS_SILENT, "MS_SILENT"},
    {LX_MS_UNBINDABLE, "MS_UNBINDABLE"}, {LX_MS_PRIVATE, "MS_PRIVATE"}, {LX_MS_SLAVE, "MS_SLAVE"},
    {LX_MS_SHARED, "MS_SHARED"}, {LX_MS_RELATIME, "MS_RELATIME"},
    {LX_MS_STRICTATIME, "MS_STRICTATIME"}, {LX_MS_LAZYTIME, "MS_LAZYTIME"}, {0, NULL},
};
static const struct strace_name umount_bits[] = {
    {1, "MNT_FORCE"}, {2, "MNT_DETACH"}, {4, "MNT_EXPIRE"}, {8, "UMOUNT_NOFOLLOW"}, {0, NULL},
};
static const struct strace_name xattr_bits[] = {
    {LX_XATTR_CREATE, "XATTR_CREATE"}, {LX_XATTR_REPLACE, "XATTR_REPLACE"}, {0, NULL},
};
static const struct strace_name rlimit_enums[] = {
    {LX_RLIMIT_CPU, "RLIMIT_CPU"}, {LX_RLIMIT_FSIZE, "RLIMIT_FSIZE"},
    {LX_RLIMIT_DATA, "RLIMIT_DATA"}, {LX_RLIMIT_STACK, "RLIMIT_STACK"},
    {LX_RLIMIT_CORE, "RLIMIT_CORE"}, {LX_RLIMIT_RSS, "RLIMIT_RSS"},
    {LX_RLIMIT_NPROC, "RLIMIT_NPROC"}, {LX_RLIMIT_NOFILE, "RLIMIT_NOFILE"},
    {LX_RLIMIT_MEMLOCK, "RLIMIT_MEMLOCK"}, {LX_RLIMIT_AS, "RLIMIT_AS"},
    {LX_RLIMIT_LOCKS, "RLIMIT_LOCKS"}, {LX_RLIMIT_SIGPENDING, "RLIMIT_SIGPENDING"},
    {LX_RLIMIT_MSGQUEUE, "RLIMIT_MSGQUEUE"}, {LX_RLIMIT_NICE, "RLIMIT_NICE"},
    {LX_RLIMIT_RTPRIO, "RLIMIT_RTPRIO"}, {LX_RLIMIT_RTTIME, "RLIMIT_RTTIME"}, {0, NULL},
};
static const struct strace_name arch_prctl_enums[] = {
    {LX_ARCH_SET_GS, "ARCH_SET_GS"}, {LX_ARCH_SET_FS, "ARCH_SET_FS"},
    {LX_ARCH_GET_FS, "ARCH_GET_FS"}, {LX_ARCH_GET_GS, "ARCH_GET_GS"},
    {LX_ARCH_GET_CPUID, "ARCH_GET_CPUID"}, {LX_ARCH_SET_CPUID, "ARCH_SET_CPUID"}, {0, NULL},
};
static const struct strace_name prctl_enums[] = {
    {LX_PR_SET_PDEATHSIG, "PR_SET_PDEATHSIG"}, {LX_PR_GET_PDEATHSIG, "PR_GET_PDEATHSIG"},
    {LX_PR_GET_DUMPABLE, "PR_GET_DUMPABLE"}, {LX_PR_SET_DUMPABLE, "PR_SET_DUMPABLE"},
    {LX_PR_GET_KEEPCAPS, "PR_GET_KEEPCAPS"}, {LX_PR_SET_KEEPCAPS, "PR_SET_KEEPCAPS"},
    {LX_PR_SET_NAME, "PR_SET_NAME"}, {LX_PR_GET_NAME, "PR_GET_NAME"},
    {LX_PR_GET_SECCOMP, "PR_GET_SECCOMP"}, {LX_PR_SET_SECCOMP, "PR_SET_SECCOMP"},
    {LX_PR_CAPBSET_READ, "PR_CAPBSET_READ"}, {LX_PR_CAPBSET_DROP, "PR_CAPBSET_DROP"},
    {LX_PR_GET_SECUREBITS, "PR_GET_SECUREBITS"}, {LX_PR_SET_SECUREBITS, "PR_SET_SECUREBITS"},
    {LX_PR_SET_TIMERSLACK, "PR_SET_TIMERSLACK"}, {LX_PR_GET_TIMERSLACK, "PR_GET_TIMERSLACK"},
    {LX_PR_SET_MM, "PR_SET_MM"}, {LX_PR_SET_CHILD_SUBREAPER, "PR_SET_CHILD_SUBREAPER"},
    {LX_PR_GET_CHILD_SUBREAPER, "PR_GET_CHILD_SUBREAPER"},
    {LX_PR_SET_NO_NEW_PRIVS, "PR_SET_NO_NEW_PRIVS"},
    {LX_PR_GET_NO_NEW_PRIVS, "PR_GET_NO_NEW_PRIVS"}, {LX_PR_SET_THP_DISABLE, "PR_SET_THP_DISABLE"},
    {LX_PR_GET_THP_DISABLE, "PR_GET_THP_DISABLE"}, {LX_PR_CAP_AMBIENT, "PR_CAP_AMBIENT"},
    {LX_PR_SET_VMA, "PR_SET_VMA"}, {0, NULL},
};
static const struct strace_name random_bits[] = {
    {1, "GRND_NONBLOCK"}, {2, "GRND_RANDOM"}, {4, "GRND_INSECURE"}, {0, NULL},
};
static const struct strace_name ioctl_enums[] = {
    {LX_TCGETS, "TCGETS"}, {LX_TCSETS, "TCSETS"}, {LX_TCSETSW, "TCSETSW"}, {LX_TCSETSF, "TCSETSF"},
    {LX_TCSBRK, "TCSBRK"}, {LX_TCSBRKP, "TCSBRKP"}, {LX_TCXONC, "TCXONC"}, {LX_TCFLSH, "TCFLSH"},
    {LX_TIOCGWINSZ, "TIOCGWINSZ"}, {LX_TIOCSWINSZ, "TIOCSWINSZ"}, {LX_TIOCGPGRP, "TIOCGPGRP"},
    {LX_TIOCSPGRP, "TIOCSPGRP"}, {LX_TIOCSCTTY, "TIOCSCTTY"}, {LX_TIOCNOTTY, "TIOCNOTTY"},
    {LX_TIOCEXCL, "TIOCEXCL"}, {LX_TIOCNXCL, "TIOCNXCL"}, {LX_TIOCGSID, "TIOCGSID"},
    {LX_TIOCGPTN, "TIOCGPTN"}, {LX_TIOCSPTLCK, "TIOCSPTLCK"}, {LX_TIOCGPTLCK, "TIOCGPTLCK"},
    {LX_TIOCGPTPEER, "TIOCGPTPEER"}, {LX_TIOCPKT, "TIOCPKT"}, {LX_TIOCOUTQ, "TIOCOUTQ"},
    {LX_TIOCSTI, "TIOCSTI"}, {LX_TIOCGETD, "TIOCGETD"}, {LX_TIOCSETD, "TIOCSETD"},
    {LX_FIONREAD, "FIONREAD"}, {LX_FIONBIO, "FIONBIO"}, {LX_FIOCLEX, "FIOCLEX"},
    {LX_FIONCLEX, "FIONCLEX"}, {LX_FIOASYNC, "FIOASYNC"}, {LX_FS_IOC_GETFLAGS, "FS_IOC_GETFLAGS"},
    {LX_FS_IOC_SETFLAGS, "FS_IOC_SETFLAGS"}, {LX_FS_IOC_GETVERSION, "FS_IOC_GETVERSION"},
    {LX_FS_IOC_SETVERSION, "FS_IOC_SETVERSION"}, {LX_FICLONE, "FICLONE"},
    {LX_FICLONERANGE, "FICLONERANGE"}, {LX_SIOCATMARK, "SIOCATMARK"}, {LX_SIOCGPGRP, "SIOCGPGRP"},
    {LX_SIOCSPGRP, "SIOCSPGRP"}, {LX_SIOCGIFNAME, "SIOCGIFNAME"},
    {LX_SIOCGIFINDEX, "SIOCGIFINDEX"}, {LX_SIOCGIFCONF, "SIOCGIFCONF"},
    {LX_SIOCGIFFLAGS, "SIOCGIFFLAGS"}, {LX_SIOCSIFFLAGS, "SIOCSIFFLAGS"},
    {LX_SIOCGIFADDR, "SIOCGIFADDR"}, {LX_SIOCSIFADDR, "SIOCSIFADDR"},
    {LX_SIOCGIFNETMASK, "SIOCGIFNETMASK"}, {LX_SIOCSIFNETMASK, "SIOCSIFNETMASK"},
    {LX_SIOCGIFBRDADDR, "SIOCGIFBRDADDR"}, {LX_SIOCSIFBRDADDR, "SIOCSIFBRDADDR"},
    {LX_SIOCGIFDSTADDR, "SIOCGIFDSTADDR"}, {LX_SIOCGIFHWADDR, "SIOCGIFHWADDR"},
    {LX_SIOCSIFHWADDR, "SIOCSIFHWADDR"}, {LX_SIOCGIFMTU, "SIOCGIFMTU"},
    {LX_SIOCSIFMTU, "SIOCSIFMTU"}, {LX_SIOCGIFMETRIC, "SIOCGIFMETRIC"},
    {LX_SIOCGIFTXQLEN, "SIOCGIFTXQLEN"}, {LX_SIOCSIFTXQLEN, "SIOCSIFTXQLEN"},
    {LX_SIOCGSTAMP, "SIOCGSTAMP"}, {LX_SIOCGSTAMPNS, "SIOCGSTAMPNS"}, {LX_SIOCADDRT, "SIOCADDRT"},
    {LX_SIOCDELRT, "SIOCDELRT"}, {LX_SIOCETHTOOL, "SIOCETHTOOL"}, {0, NULL},
};

static const struct strace_name poll_bits[] = {
    {LX_POLLIN, "POLLIN"}, {LX_POLLPRI, "POLLPRI"}, {LX_POLLOUT, "POLLOUT"},
    {LX_POLLERR, "POLLERR"}, {LX_POLLHUP, "POLLHUP"}, {LX_POLLNVAL, "POLLNVAL"},
    {LX_POLLRDNORM, "POLLRDNORM"}, {LX_POLLRDBAND, "POLLRDBAND"}, {LX_POLLWRNORM, "POLLWRNORM"},
    {LX_POLLWRBAND, "POLLWRBAND"}, {LX_POLLMSG, "POLLMSG"}, {LX_POLLRDHUP, "POLLRDHUP"}, {0, NULL},
};
static const struct strace_name epoll_bits[] = {
    {LX_EPOLLIN, "EPOLLIN"}, {LX_EPOLLPRI, "EPOLLPRI"}, {LX_EPOLLOUT, "EPOLLOUT"},
    {LX_EPOLLERR, "EPOLLERR"}, {LX_EPOLLHUP, "EPOLLHUP"}, {LX_EPOLLRDNORM, "EPOLLRDNORM"},
    {LX_EPOLLRDBAND, "EPOLLRDBAND"}, {LX_EPOLLWRNORM, "EPOLLWRNORM"},
    {LX_EPOLLWRBAND, "EPOLLWRBAND"}, {LX_EPOLLMSG, "EPOLLMSG"}, {LX_EPOLLRDHUP, "EPOLLRDHUP"},
    {LX_EPOLLEXCLUSIVE, "EPOLLEXCLUSIVE"}, {LX_EPOLLWAKEUP, "EPOLLWAKEUP"},
    {LX_EPOLLONESHOT, "EPOLLONESHOT"}, {LX_EPOLLET, "EPOLLET"}, {0, NULL},
};
static const struct strace_name sigaction_bits[] = {
    {1, "SA_NOCLDSTOP"}, {2, "SA_NOCLDWAIT"}, {4, "SA_SIGINFO"}, {0x4000000, "SA_RESTORER"},
    {0x8000000, "SA_ONSTACK"}, {0x10000000, "SA_RESTART"}, {0x40000000, "SA_NODEFER"},
    {0x80000000, "SA_RESETHAND"}, {0, NULL},
};
static const struct strace_name statx_bits[] = {
    {0x7ff, "STATX_BASIC_STATS"}, {0x800, "STATX_BTIME"}, {0x1000, "STATX_MNT_ID"},
    {0x2000, "STATX_DIOALIGN"}, {0x4000, "STATX_MNT_ID_UNIQUE"}, {0, NULL},
};
static const struct strace_name who_enums[] = {
    {0, "RUSAGE_SELF"}, {1, "RUSAGE_THREAD"}, {0xffffffff, "RUSAGE_CHILDREN"}, {0, NULL},
};
static const struct strace_name itimer_enums[] = {
    {0, "ITIMER_REAL"}, {1, "ITIMER_VIRTUAL"}, {2, "ITIMER_PROF"}, {0, NULL},
};

static const struct strace_set sets[] = {
    {"poll", 0, NULL, poll_bits},
    {"epoll", 0, NULL, epoll_bits},
    {"sigaction", 0, NULL, sigaction_bits},
    {"statx", 0, NULL, statx_bits},
    {"rusage", 0xffffffff, who_enums, NULL},
    {"itimer", ~0ULL, itimer_enums, NULL},
    {"open", LX_O_ACCMODE, open_enums, open_bits},
    {"at", 0, NULL, at_bits},
    {"access", 0, NULL, access_bits},
    {"whence", ~0ULL, whence_enums, NULL},
    {"fcntl", ~0ULL, fcntl_enums, NULL},
    {"flock", ~(uint64_t)LX_LOCK_NB, flock_enums, flock_bits},
    {"seals", 0, NULL, seals_bits},
    {"rename", 0, NULL, rename_bits},
    {"rwf", 0, NULL, rwf_bits},
    {"close_range", 0, NULL, close_range_bits},
    {"fallocate", 0, NULL, fallocate_bits},
    {"fadvise", ~0ULL, fadvise_enums, NULL},
    {"splice", 0, NULL, splice_bits},
    {"prot", 0, NULL, prot_bits},
    {"mmap", 15, mmap_enums, mmap_bits},
    {"mremap", 0, NULL, mremap_bits},
    {"msync", 0, NULL, msync_bits},
    {"madvise", ~0ULL, madvise_enums, NULL},
    {"memfd", 0, NULL, memfd_bits},
    {"clone", LX_CSIGNAL, clone_enums, clone_bits},
    {"wait", 0, NULL, wait_bits},
    {"futex", 127, futex_enums, futex_bits},
    {"clockid", ~0ULL, clockid_enums, NULL},
    {"timer", 0, NULL, timer_bits},
    {"sigmask", ~0ULL, sigmask_enums, NULL},
    {"family", ~0ULL, family_enums, NULL},
    {"socktype", 15, socktype_enums, socktype_bits},
    {"msg", 0, NULL, msg_bits},
    {"sol", ~0ULL, sol_enums, NULL},
    {"shutdown", ~0ULL, shutdown_enums, NULL},
    {"epollctl", ~0ULL, epollctl_enums, NULL},
    {"efd", 0, NULL, efd_bits},
    {"inotify", 0, NULL, inotify_bits},
    {"mount", 0, NULL, mount_bits},
    {"umount", 0, NULL, umount_bits},
    {"xattr", 0, NULL, xattr_bits},
    {"rlimit", ~0ULL, rlimit_enums, NULL},
    {"arch_prctl", ~0ULL, arch_prctl_enums, NULL},
    {"prctl", ~0ULL, prctl_enums, NULL},
    {"random", 0, NULL, random_bits},
    {"ioctl", ~0ULL, ioctl_enums, NULL},
};

static const char *const errnos[] = {
    [1] = "EPERM", [2] = "ENOENT", [3] = "ESRCH", [4] = "EINTR", [5] = "EIO", [6] = "ENXIO",
    [7] = "E2BIG", [8] = "ENOEXEC", [9] = "EBADF", [10] = "ECHILD", [11] = "EAGAIN",
    [12] = "ENOMEM", [13] = "EACCES", [14] = "EFAULT", [15] = "ENOTBLK", [16] = "EBUSY",
    [17] = "EEXIST", [18] = "EXDEV", [19] = "ENODEV", [20] = "ENOTDIR", [21] = "EISDIR",
    [22] = "EINVAL", [23] = "ENFILE", [24] = "EMFILE", [25] = "ENOTTY", [26] = "ETXTBSY",
    [27] = "EFBIG", [28] = "ENOSPC", [29] = "ESPIPE", [30] = "EROFS", [31] = "EMLINK",
    [32] = "EPIPE", [33] = "EDOM", [34] = "ERANGE", [35] = "EDEADLK", [36] = "ENAMETOOLONG",
    [37] = "ENOLCK", [38] = "ENOSYS", [39] = "ENOTEMPTY", [40] = "ELOOP", [42] = "ENOMSG",
    [43] = "EIDRM", [44] = "ECHRNG", [45] = "EL2NSYNC", [46] = "EL3HLT", [47] = "EL3RST",
    [48] = "ELNRNG", [49] = "EUNATCH", [50] = "ENOCSI", [51] = "EL2HLT", [52] = "EBADE",
    [53] = "EBADR", [54] = "EXFULL", [55] = "ENOANO", [56] = "EBADRQC", [57] = "EBADSLT",
    [59] = "EBFONT", [60] = "ENOSTR", [61] = "ENODATA", [62] = "ETIME", [63] = "ENOSR",
    [64] = "ENONET", [65] = "ENOPKG", [66] = "EREMOTE", [67] = "ENOLINK", [68] = "EADV",
    [69] = "ESRMNT", [70] = "ECOMM", [71] = "EPROTO", [72] = "EMULTIHOP", [73] = "EDOTDOT",
    [74] = "EBADMSG", [75] = "EOVERFLOW", [76] = "ENOTUNIQ", [77] = "EBADFD", [78] = "EREMCHG",
    [79] = "ELIBACC", [80] = "ELIBBAD", [81] = "ELIBSCN", [82] = "ELIBMAX", [83] = "ELIBEXEC",
    [84] = "EILSEQ", [85] = "ERESTART", [86] = "ESTRPIPE", [87] = "EUSERS", [88] = "ENOTSOCK",
    [89] = "EDESTADDRREQ", [90] = "EMSGSIZE", [91] = "EPROTOTYPE", [92] = "ENOPROTOOPT",
    [93] = "EPROTONOSUPPORT", [94] = "ESOCKTNOSUPPORT", [95] = "EOPNOTSUPP", [96] = "EPFNOSUPPORT",
    [97] = "EAFNOSUPPORT", [98] = "EADDRINUSE", [99] = "EADDRNOTAVAIL", [100] = "ENETDOWN",
    [101] = "ENETUNREACH", [102] = "ENETRESET", [103] = "ECONNABORTED", [104] = "ECONNRESET",
    [105] = "ENOBUFS", [106] = "EISCONN", [107] = "ENOTCONN", [108] = "ESHUTDOWN",
    [109] = "ETOOMANYREFS", [110] = "ETIMEDOUT", [111] = "ECONNREFUSED", [112] = "EHOSTDOWN",
    [113] = "EHOSTUNREACH", [114] = "EALREADY", [115] = "EINPROGRESS", [116] = "ESTALE",
    [117] = "EUCLEAN", [118] = "ENOTNAM", [119] = "ENAVAIL", [120] = "EISNAM", [121] = "EREMOTEIO",
    [122] = "EDQUOT", [123] = "ENOMEDIUM", [124] = "EMEDIUMTYPE", [125] = "ECANCELED",
    [126] = "ENOKEY", [127] = "EKEYEXPIRED", [128] = "EKEYREVOKED", [129] = "EKEYREJECTED",
    [130] = "EOWNERDEAD", [131] = "ENOTRECOVERABLE", [132] = "ERFKILL", [133] = "EHWPOISON",
};

static const char *const signals[] = {
    [1] = "SIGHUP", [2] = "SIGINT", [3] = "SIGQUIT", [4] = "SIGILL", [5] = "SIGTRAP",
    [6] = "SIGABRT", [7] = "SIGBUS", [8] = "SIGFPE", [9] = "SIGKILL", [10] = "SIGUSR1",
    [11] = "SIGSEGV", [12] = "SIGUSR2", [13] = "SIGPIPE", [14] = "SIGALRM", [15] = "SIGTERM",
    [16] = "SIGSTKFLT", [17] = "SIGCHLD", [18] = "SIGCONT", [19] = "SIGSTOP", [20] = "SIGTSTP",
    [21] = "SIGTTIN", [22] = "SIGTTOU", [23] = "SIGURG", [24] = "SIGXCPU", [25] = "SIGXFSZ",
    [26] = "SIGVTALRM", [27] = "SIGPROF", [28] = "SIGWINCH", [29] = "SIGIO", [30] = "SIGPWR",
    [31] = "SIGSYS",
};

const struct strace_set *strace_find_set(const char *name, size_t size)
{
    for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
        if (strace_name_is(sets[i].name, name, size))
            return &sets[i];
    }
    for (const struct strace_set *s = strace_more_sets; s->name; s++) {
        if (strace_name_is(s->name, name, size))
            return s;
    }
    return NULL;
}

static bool print_enum(struct strbuf *out, const struct strace_set *set, uint64_t value)
{
    for (const struct strace_name *n = set->enums; n && n->name; n++) {
        if (n->value == value) {
            strbuf_puts(out, n->name);
            return true;
        }
    }
    return false;
}

void strace_print_set(struct strbuf *out, const struct strace_set *set, uint64_t value)
{
    uint64_t left = set->bits ? value & ~set->enum_mask : 0;
    bool any = false;

    value &= 0xffffffff | set->enum_mask;
    if (set->enums) {
        any = print_enum(out, set, value & set->enum_mask);
        if (!any)
            left |= value & set->enum_mask;
    }
    for (const struct strace_name *n = set->bits; n && n->name; n++) {
        if (!n->value || (left & n->value) != n->value)
            continue;
        if (any)
            strbuf_putc(out, '|');
        strbuf_puts(out, n->name);
        left &= ~n->value;
        any = true;
    }
    if (left || !any)
        strbuf_printf(out, left ? "%s0x%llx" : "%s%llu", any ? "|" : "", (unsigned long long)left);
}

const char *strace_errno_name(int err)
{
    switch (err) {
    case ERESTARTSYS:
        return "ERESTARTSYS";
    case ERESTARTNOINTR:
        return "ERESTARTNOINTR";
    case ERESTARTNOHAND:
        return "ERESTARTNOHAND";
    case ERESTART_RESTARTBLOCK:
        return "ERESTART_RESTARTBLOCK";
    default:
        return err > 0 && (size_t)err < ARRAY_SIZE(errnos) ? errnos[err] : NULL;
    }
}

const char *strace_signal_name(int signo)
{
    return signo > 0 && (size_t)signo < ARRAY_SIZE(signals) ? signals[signo] : NULL;
}
