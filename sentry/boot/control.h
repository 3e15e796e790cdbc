/*
 * The control protocol between the CLI and a running sandbox: a stream socket in the container's
 * state directory, and a small status file there. Native byte order: both ends are one binary.
 *
 * A request is a header, then size bytes; descriptors ride on its first byte. Every request is
 * answered by one reply: a header, then size bytes of text. CONTROL_EXEC's connection stays:
 * further requests on it are about that process, and a reply with kind CONTROL_EXITED comes when it
 * ends. The sentry closes connections that break these rules; the CLI believes nothing of what it
 * reads.
 */
#pragma once

#include "sentry/abi/types.h"

#define CONTROL_MAGIC       0x43565331U
#define CONTROL_REQUEST_MAX (8U << 20)
#define CONTROL_REPLY_MAX   (4U << 20)
#define CONTROL_FDS_MAX     253 /* what one message can carry: SCM_MAX_FD */

enum control_op {
    CONTROL_START = 1,  /* runs init; arg unused */
    CONTROL_SIGNAL,     /* arg: the number; to init, or the connection's process */
    CONTROL_SIGNAL_ALL, /* to every process */
    CONTROL_EXEC,       /* payload: control_codec.h: codec_exec, codec_process */
    CONTROL_PS,         /* text: "PID PPID UID START_S CPU_MS TTY NAME" a line each */
    CONTROL_HOLDERS,    /* text: the numbers of host processes that stand for execs, a line each */
    CONTROL_PAUSE,
    CONTROL_RESUME,
    CONTROL_STATS,   /* text: "name value" a line each */
    CONTROL_RESIZE,  /* arg: rows << 16 | columns; 0: ask the terminal */
    CONTROL_DEBUG,   /* arg: enum control_debug; text: as that says */
    CONTROL_FIGURES, /* arg: enum control_figures; text: as that says */
    CONTROL_GDB,     /* arg: enum control_gdb_op; payload: struct control_gdb, then data */
    /* payload: struct control_trace; behind the reply come trace lines until either end closes */
    CONTROL_TRACE,
    /*
     * arg: a port of the guest's. Three descriptors: what is read from the first goes there, what
     * comes from there into the second, behind an int32_t that says whether it could be connected
     * (0 or -errno). The third is a socket. A byte on it, either way, says that the end that comes
     * is a reset. Who asked ends its half of it when both other ones have ended, and waits for its
     * whole end; who just goes leaves a reset.
     */
    CONTROL_FORWARD,
    /* arg unused; text: a container's id. What comes on this connection is about that one. */
    CONTROL_OF,
    /*
     * Payload: control_codec.h: codec_pod, codec_container. Makes a container beside the sandbox's
     * own, created. Its files' trees lie below BOOT_POD_DIRECTORY. What went wrong goes to its
     * error_fd, as at boot. It ends with this connection, on which a reply with kind
     * CONTROL_EXITED says that its init did; requests on it are about it.
     */
    CONTROL_CREATE,
    /* Text: a container's id. Ends it, and answers when it has gone; also when there is none. */
    CONTROL_END,
};

/* What was counted, as a text; or to start and stop counting. */
enum control_figures {
    CONTROL_FIGURES_TABLE,
    CONTROL_FIGURES_JSON,
    CONTROL_FIGURES_PROMETHEUS,
    CONTROL_FIGURES_START,
    CONTROL_FIGURES_STOP,
};

/*
 * Debugging a process: CONTROL_GDB_ATTACH binds it to the connection, whose end detaches. While
 * it runs, a reply of kind CONTROL_EVENT says that a thread stopped, CONTROL_EXITED that the
 * process is gone. All threads are stopped before any but ATTACH, RUN and HALT is asked for.
 */
enum control_gdb_op {
    CONTROL_GDB_ATTACH = 1, /* tid: the process. Result: its number inside */
    CONTROL_GDB_HALT,       /* stops all threads; data: struct control_thread each */
    CONTROL_GDB_GET_REGS,   /* tid; data: struct lx_user_regs, then the XSAVE image */
    CONTROL_GDB_SET_REGS,   /* the same, given */
    CONTROL_GDB_READ,       /* addr, size; data: as much as can be read */
    CONTROL_GDB_WRITE,      /* addr, data */
    CONTROL_GDB_BREAK,      /* addr */
    CONTROL_GDB_UNBREAK,    /* addr */
    CONTROL_GDB_RUN,        /* data: struct control_resume each; the others stay */
    CONTROL_GDB_KILL,
    CONTROL_GDB_AUXV,  /* data: pairs of uint64_t */
    CONTROL_GDB_EXE,   /* data: the program's path inside */
    CONTROL_GDB_OPEN,  /* data: a path inside, of a regular file; result: a small number for it */
    CONTROL_GDB_PREAD, /* tid: that number; addr: where, size; data */
    CONTROL_GDB_CLOSE, /* tid: that number */
};

#define CONTROL_GDB_DATA_MAX 65536

struct control_gdb {
    uint64_t addr;
    int32_t tid;
    uint32_t size;
};

struct control_thread {
    int32_t tid;
    uint32_t stopped; /* 0: only a signal that kills can wake it now */
    uint32_t event;   /* enum debug_event */
    int32_t signo;
    char name[16];
    uint8_t siginfo[128];
};

struct control_resume {
    int32_t tid; /* -1: all that are not named */
    uint32_t step;
    int32_t signo;
};

/* Behind it strings, each ended by a NUL: calls, processes, paths, as in strace.h; "": all. */
struct control_trace {
    uint32_t json, failed;
};

enum control_debug {
    /*
     * Four lines a task: its address in the kernel (hexadecimal), tid, tgid, uid, state (R S T Z),
     * 1 when guest code may run, the host's number of its guest thread in the sandbox (0: unknown),
     * then rip rsp rax rbx rcx rdx rsi rdi rbp r8 to r15, hexadecimal, as of its last way into the
     * kernel; the system call it is in, or nothing; its name; the mapping that rip is in, or
     * nothing.
     */
    CONTROL_DEBUG_TASKS,
    CONTROL_DEBUG_LANDLOCK, /* "enforced", "absent", "unknown" */
};

struct control_request {
    uint32_t magic, op, size, arg;
};

enum control_kind { CONTROL_REPLY = 1, CONTROL_EXITED, CONTROL_EVENT };

struct control_reply {
    uint32_t magic, kind, size;
    /* REPLY: 0 or more, or -errno with a text; EXITED: the wait status */
    int32_t result;
};

/*
 * The status file, written by the sentry alone. It stays when the sentry is gone: state RUNNING of
 * a dead process means it was killed.
 */
enum control_state {
    CONTROL_CREATING,
    CONTROL_CREATED,
    CONTROL_RUNNING,
    CONTROL_PAUSED,
    CONTROL_STOPPED
};

struct control_status {
    uint32_t magic, state;
    int32_t status; /* STOPPED: init's wait status */
    uint32_t unused;
};
