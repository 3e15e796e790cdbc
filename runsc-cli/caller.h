/* What a command that runs for its caller has from them. */
#pragma once

#include "runsc-cli/sandbox.h"

/* Supplementary groups, malloc'ed. */
uint32_t *caller_groups(uint32_t *count);
/*
 * stdio, and what else the caller has left open for the command: descriptors without close-on-exec;
 * with preserve > 0 only so many behind stdio. 0, or -1 with *err.
 */
int caller_descriptors(int64_t preserve, struct boot_process *p, struct cli_error *err);
/* 0 when our stdin is a terminal and ours to set; else (in the background, say) -1. */
int caller_terminal(void);
/*
 * A link of its own for s, or, without root, the caller's network by a gateway (own_files: the
 * guest's resolv.conf then names that); where it can't be made and was not asked for by name,
 * loopback has to do. 0, or -1 with *err.
 */
int caller_network(const struct global_options *global, struct sandbox *s, bool own_files,
                   struct cli_error *err);
