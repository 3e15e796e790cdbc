/* Shared by the control server's files. Only its own thread touches these, but for the poke. */
#pragma once

#include "sentry/boot/boot_int.h"
#include "sentry/boot/control_codec.h"

#define CONTROL_CONNECTIONS 256
#define CONTROL_CONTAINERS  64 /* beside the sandbox's own */

/* A process started by CONTROL_EXEC; its connection may be gone already. */
struct control_exec {
    struct thread_group *tg;    /* counted */
    struct park_waiter *waiter; /* kmalloc: on tg's exit_waiters, unparks boot's main thread */
    struct tty *tty;            /* or NULL */
    int tty_fd;                 /* the host's terminal behind it, or -1 */
    int32_t holder;             /* see control.h */
};

struct control_session;

struct control_conn {
    int fd; /* -1: free */
    struct control_request head;
    uint8_t *payload; /* malloc'ed, head.size bytes */
    size_t have;      /* of header and payload together */
    int fds[CONTROL_FDS_MAX];
    int fd_count;
    struct boot_container *of;  /* whom requests are about; NULL: one that has gone */
    struct control_pod *holds;  /* CONTROL_CREATE's: it ends with the connection */
    struct control_pod *awaits; /* CONTROL_END's: its end is to be told */
    struct control_exec *exec;
    struct control_session *debug; /* a debugger's connection, or NULL */
    int trace; /* CONTROL_TRACE: boot_trace_attach's number + 1; else 0 */
};

struct control {
    struct boot *boot;
    int listen_fd, poke_fd;
    struct control_conn conns[CONTROL_CONNECTIONS];
    struct control_pod *pods[CONTROL_CONTAINERS];
};

/* To read the request in c. */
struct codec control_codec(const struct control_conn *c);
/* A reply; -errno with a text, or a result. 0, or -1: the connection is to be closed. */
int control_reply(struct control_conn *c, enum control_kind kind, int32_t result, const char *text,
                  size_t size) MUST_CHECK;
/* control_exec.c. Each answers the request in c; -1: the connection is to be closed. */
int control_do_exec(struct control *s, struct control_conn *c) MUST_CHECK;
void control_exec_check(struct control *s, struct control_conn *c);
void control_exec_forget(struct control_exec *e);
/* control_pod.c */
int control_do_of(struct control *s, struct control_conn *c) MUST_CHECK;
int control_do_create(struct control *s, struct control_conn *c) MUST_CHECK;
int control_do_end(struct control *s, struct control_conn *c) MUST_CHECK;
/* Its init, that was started with control_start, or never will be, has ended. */
void control_pod_finish(struct control *s, struct boot_container *b, int32_t status);
/* To be told of the end of its init. false: no memory. */
bool control_pod_watch(struct boot_container *b) MUST_CHECK;
/* The connection that made it has gone. */
void control_pod_close(struct control *s, struct control_pod *p);
/* Processes have ended. */
void control_pods_check(struct control *s);
/* control_hooks.c: lets init go on in the end. -1 with *why: and init is dead. */
int control_run_hooks(struct boot_container *b, struct thread_group *init,
                      struct boot_failure *why) MUST_CHECK;
/* control_gdb.c */
int control_do_gdb(struct control *s, struct control_conn *c) MUST_CHECK;
/* A thread may have stopped, or the process ended. */
void control_gdb_check(struct control_conn *c);
/* Detaches: the process goes on. */
void control_gdb_end(struct control_session *d);
/* control_debug.c */
int control_do_debug(struct control *s, struct control_conn *c) MUST_CHECK;
/* control_info.c */
int control_do_ps(struct control *s, struct control_conn *c) MUST_CHECK;
int control_do_holders(struct control *s, struct control_conn *c) MUST_CHECK;
int control_do_stats(struct control *s, struct control_conn *c) MUST_CHECK;
int control_do_figures(struct control *s, struct control_conn *c) MUST_CHECK;
int control_do_trace(struct control *s, struct control_conn *c) MUST_CHECK;
/* control_forward.c */
int control_do_forward(struct control *s, struct control_conn *c) MUST_CHECK;
