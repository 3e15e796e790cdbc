/* The CLI's end of the control protocol. What comes back is bounded and believed only so far. */
#pragma once

#include "runsc-cli/container.h"
#include "sentry/boot/boot.h"

/* A connection to the sandbox, or -1 with *err ("container not running" when none listens). */
int control_connect(const struct container *c, struct cli_error *err);
/*
 * One request and its reply: the result (0 or more), or -errno with the reply's text in *err.
 * out_text (may be NULL): malloc'ed, NUL-terminated.
 */
int control_call(int fd, enum control_op op, uint32_t arg, char **out_text, struct cli_error *err);
/* The same with a connection of its own: -1 with *err. */
int control_request(const struct container *c, enum control_op op, uint32_t arg, char **out_text,
                    struct cli_error *err);
/* The same, but a sandbox that does not answer for so long is an error. */
int control_request_within(const struct container *c, int seconds, enum control_op op, uint32_t arg,
                           char **out_text, struct cli_error *err);
/* CONTROL_EXEC: the guest's pid, or -1 with *err. p's descriptors are sent, not closed. */
int control_exec(int fd, const struct boot_process *p, bool ignore_paused, struct cli_error *err);
struct codec_pod;
/* CONTROL_CREATE: 0, or -1 with *err, or without a text where error_fd has it. */
int control_make(int fd, const struct codec_pod *names, const struct boot_config *config,
                 struct cli_error *err);
/* CONTROL_END: the container of that id has gone from the sandbox. -1 with *err. */
int control_end(const struct container *sandbox, const char *id, int seconds,
                struct cli_error *err);
/* Takes one message of an exec's connection: 1: its end and its wait status; -1: the sandbox is
 * gone; 0: something else. */
int control_next(int fd, int32_t *status);
/*
 * CONTROL_GDB: one request with data, and its reply, whose data (at most room bytes) goes to out:
 * the result, or -errno (-EPIPE: the sandbox is gone). What else comes is counted: events, and the
 * process's end.
 */
struct debug_news {
    bool stopped, exited;
    int32_t status; /* wait status, when exited */
};
int control_gdb(int fd, enum control_gdb_op op, const struct control_gdb *q, const void *data,
                  size_t size, void *out, size_t room, size_t *out_size, struct debug_news *news);
/* A message that came by itself. -1: the sandbox is gone. */
int control_gdb_next(int fd, struct debug_news *news);
/* CONTROL_TRACE: 0, and lines follow on fd; -1 with *err. */
struct boot_trace;
int control_trace(int fd, const struct boot_trace *t, struct cli_error *err);
/* CONTROL_FORWARD: fds are sent, not closed. 0, or -1 with *err. */
int control_forward(int fd, uint16_t port, const int fds[3], struct cli_error *err);
int control_send(int fd, enum control_op op, uint32_t arg);
