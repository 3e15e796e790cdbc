/* Shared by boot's own files. */
#pragma once

#include "fs/vfs.h"
#include "sentry/boot/boot.h"
#include "sentry/boot/boot_net.h"
#include "sentry/boot/control.h"
#include "sentry/kernel/cell.h"
#include "sentry/kernel/kernel.h"

struct control;
struct host_io;
struct fd_link;
struct boot_pcap;
struct reporter;
struct trace_session;
struct tty;
struct uts_ns;

/* A container: the sandbox's own, or one beside it (control_pod.c). */
struct boot_container {
    struct boot *boot;
    const struct boot_config *config; /* beside: what control_codec.c says is a container's */
    struct kernel *kernel;            /* the sandbox's, as is host_io */
    struct host_io *host_io;
    struct cell *cell;     /* which processes are its own; one reference */
    struct pid_ns *pid_ns; /* references, as are uts_ns, ipc_ns and mount_ns */
    struct uts_ns *uts_ns;
    struct ipc_ns *ipc_ns;
    struct mount_ns *mount_ns;
    struct vfs_ctx ctx; /* root's view of its tree */
    struct tty *tty;    /* init's: over the host's terminal, or NULL */
    struct thread_group *init; /* of one beside, while it runs: one reference */
    uint32_t started;   /* init runs or ran; written by whoever starts it */
    int32_t end_status; /* before it started: the wait status of a container killed by then */
    uint32_t ended;     /* end_status counts */
};

struct boot {
    const struct boot_config *config;
    const char *platform; /* the chosen one's name */
    struct kernel *kernel;
    struct host_io *host_io;
    struct boot_container own;
    uint64_t files_max; /* descriptors the sandbox may have */
    struct control *control;
    struct fd_link *links[BOOT_LINK_MAX]; /* to the host, borrowed from their interfaces */
    uint32_t link_count;
    struct boot_pcap *pcap;       /* --pcap, or NULL */
    struct reporter *reporter;    /* --crash-report, or NULL */
    struct trace_session *traces; /* TRACE_SESSIONS of them */
    uint32_t forwards;            /* connections of control_forward.c */
};

/* Tells the CLI and returns status. */
int boot_fail(const struct boot_config *c, int status, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The text of -errno. */
const char *boot_error(int64_t r);
/* boot_pcap.c: 0, or a status after boot_fail. */
int boot_pcap_start(struct boot *b) MUST_CHECK;
/* What was seen gets into the file. */
void boot_pcap_finish(struct boot *b);
/* boot_trace.c: --strace and --trace-out. 0, or a status after boot_fail. */
int boot_trace_start(struct boot *b) MUST_CHECK;
/*
 * Lines of the calls chosen are collected, and after boot_trace_go go to fd (taken over), until
 * boot_trace_detach. The session's number, or -errno with *what: the list that is wrong.
 */
struct strace_choice;
int boot_trace_attach(struct boot *b, const struct strace_choice *choice, bool json, int fd,
                      const char **what) MUST_CHECK;
int boot_trace_go(struct boot *b, int session) MUST_CHECK;
void boot_trace_detach(struct boot *b, int session);
/* What was traced gets to where it goes, but for readers that don't read. */
void boot_trace_finish(struct boot *b);
int boot_start_thread(void (*fn)(void *), void *arg) MUST_CHECK;
/* A signal for init from outside; a container that was not started ends of a deadly one. */
void boot_signal_init(struct boot_container *b, int signo);
bool boot_signal_is_deadly(int signo); /* to one that was not started */
/* What the configuration says of host and domain names. */
void boot_set_names(struct uts_ns *uts, const struct boot_config *c);

/* boot_fs.c: root and mounts. 0, or a status after boot_fail. */
int boot_fs_create(struct boot_container *b);
int boot_fs_mounts(struct boot_container *b);
/* Closes the descriptors of rows that were not mounted. */
void boot_fs_drop(const struct boot_config *c, size_t from);
/* mkdir -p, as far as the tree allows; with last false, not the last name. */
int boot_make_directories(struct boot_container *b, const char *path, bool last) MUST_CHECK;
/* What a file is mounted on, referenced: an empty one is made where none is. */
int boot_file_mountpoint(struct boot_container *b, const char *destination,
                         struct path *out) MUST_CHECK;
/* boot_make.c: rows that are no mounts of trees. */
int boot_make(struct boot_container *b, const struct boot_mount *m) MUST_CHECK;
int boot_remount_readonly(struct boot_container *b, const char *destination) MUST_CHECK;
/* The root becomes read-only where it is to be. */
int boot_fs_seal(struct boot_container *b);
/* boot_paths.c: devices, sysctls, masked and read-only paths; after the mounts. */
int boot_paths_setup(struct boot_container *b);
/* boot_tty.c: a terminal of the host as a guest's, which is uid's; its window size now. */
int boot_tty_create(struct boot_container *b, int host_fd, uint32_t uid,
                    struct tty **out) MUST_CHECK;
void boot_tty_resize(struct tty *tty, int host_fd);

/* boot_home.c: "HOME=..." of uid by the guest's /etc/passwd, malloc'ed; NULL: no memory. */
char *boot_home(struct boot_container *b, uint32_t uid) MUST_CHECK;

/* boot_process.c: credentials, descriptors, the program. */
struct boot_failure {
    int status; /* exit status: 1, 126, 127 */
    char text[512];
};
/*
 * The program of p, by the rules of execvp over the guest's PATH: *out malloc'ed. 0, or -1 with
 * *why.
 */
int boot_find_program(struct boot_container *b, const struct boot_process *p, char **out,
                      struct boot_failure *why) MUST_CHECK;
/*
 * Starts p as init (out NULL) or beside it, with tty as its terminal (NULL: none). Takes p's
 * descriptors over, also on failure. parker: the caller's own. 0, or -1 with *why.
 */
int boot_start_process(struct boot_container *b, const struct boot_process *p, struct tty *tty,
                       struct parker *parker, struct thread_group **out,
                       struct boot_failure *why) MUST_CHECK;

/* boot_stats.c: what was counted, malloc'ed, or NULL; and all of it to the log, at the end. */
char *boot_stats_text(struct boot *b, enum control_figures format, size_t *out_size) MUST_CHECK;
void boot_stats_end(struct boot *b);

/* send(2) without SIGPIPE: what was sent, or -1 and errno. */
int64_t boot_send(int fd, const void *data, size_t size);
/* control.c: the server. control_create before, control_started once the CLI has committed. */
int control_create(struct boot *b) MUST_CHECK;
int control_serve(struct boot *b) MUST_CHECK;
/* From boot's main thread: a process started from outside may have ended. */
void control_poke(struct control *c);
/* Writes the status file. */
void control_publish(const struct boot_container *b, enum control_state state, int32_t status);
