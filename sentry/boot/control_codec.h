/*
 * What the CLI describes to a running sandbox, as bytes and descriptors: processes, containers. One
 * list of fields for both directions, so that the ends cannot disagree.
 *
 * Reading believes nothing: sizes are bounded, each descriptor is used once. What was read lives as
 * long as the codec and its payload; the descriptors are the caller's once codec_done says so.
 */
#pragma once

#include "sentry/boot/boot.h"
#include "sentry/boot/control.h"

#include <stdio.h>

struct codec {
    FILE *out;                  /* writing; else NULL */
    const char *at, *end;       /* reading: what is left of the payload */
    int fds[CONTROL_FDS_MAX];   /* writing: to be sent; reading: what came */
    bool used[CONTROL_FDS_MAX]; /* reading */
    size_t fd_count;
    void *blocks; /* reading: memory of lists, each linked to the one before */
    bool failed;  /* too long, too many, or not as it is to be */
};

/* CONTROL_EXEC's, before its process. */
struct codec_exec {
    bool ignore_paused;
    int32_t holder; /* the host's process that stands for it, for CONTROL_HOLDERS */
};

/* CONTROL_CREATE's, before its container: who it is, and which namespaces are its own. */
struct codec_pod {
    const char *id;
    bool own_uts, own_ipc;
    /* NULL: a pid namespace of its own; "": the sandbox's; else that of the container of this id */
    const char *pids_of;
};

void codec_pod(struct codec *k, struct codec_pod *p);
void codec_process(struct codec *k, struct boot_process *p);
void codec_exec(struct codec *k, struct codec_exec *e);
/* What of a configuration is one container's: not the sandbox's options. */
void codec_container(struct codec *k, struct boot_config *c);
/* An identifier: never NULL once read. */
void codec_text(struct codec *k, const char **text);
/* Reading: all is well, nothing is left over, and every descriptor is used. */
bool codec_done(const struct codec *k);
/* Frees what was read, but for the payload. */
void codec_free(struct codec *k);
