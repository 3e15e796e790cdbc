/* Signals when a file becomes ready: O_ASYNC, FIOASYNC, F_SETOWN. Source: fcntl(2), "Managing
 * signals"; open(2), O_ASYNC. */
#pragma once

#include "fs/file.h"

struct task;

/*
 * Turns signals for f on or off; on behalf of t, whose descriptor fd it is. -ENOTTY: f never
 * becomes ready, or always is. The file's last put turns them off.
 */
int fasync_set(struct task *t, struct file *f, int fd, bool on) MUST_CHECK;
/* t has set f's owner: signals come in its name from now on. */
void fasync_owner(struct task *t, struct file *f);
