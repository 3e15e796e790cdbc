/* Pseudoterminals of the host for containers with a terminal. */
#pragma once

#include "runsc-cli/spec.h"

struct console {
    int master, slave; /* -1: none */
    void *relay;
};

/* A pair, the slave in raw mode (the guest's line discipline does the editing), its size set. */
int console_open(struct console *c, const struct spec_terminal *size, struct cli_error *err);
/* The master to whoever listens on the socket at path; ours is closed. */
int console_send(struct console *c, const char *path, struct cli_error *err);
/* Copies between our stdin and stdout and the master, in the background, until the slave is closed.
 */
int console_relay(struct console *c, struct cli_error *err);
/* Waits for the last of its output. */
void console_finish(struct console *c);
/* A descriptor with one byte of text, or a few, to a unix socket. */
int send_descriptor(const char *path, int fd, const char *text, struct cli_error *err);
