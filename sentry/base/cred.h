/*
 * Credentials: immutable once published, shared by reference; a change makes a copy (cred_copy,
 * edit, swap). The same struct serves tasks, open files and the VFS's checks. Source:
 * credentials(7), capabilities(7).
 */
#pragma once

#include "sentry/base/ref.h"

#define CRED_CAP_LAST 40
#define CRED_CAP_FULL ((1ULL << (CRED_CAP_LAST + 1)) - 1)
#define CRED_MAX_GROUPS 65536

struct cred {
    struct ref ref;
    uint32_t uid, euid, suid, fsuid;
    uint32_t gid, egid, sgid, fsgid;
    /* bit n: capability n */
    uint64_t cap_permitted, cap_effective, cap_inheritable, cap_bounding, cap_ambient;
    uint32_t securebits;
    bool no_new_privs;
    uint32_t group_count;
    uint32_t *groups; /* kmalloc, sorted; owned */
};

/* root with every capability. NULL: out of memory. */
struct cred *cred_alloc_root(void) MUST_CHECK;
struct cred *cred_copy(const struct cred *c) MUST_CHECK;
struct cred *cred_get(const struct cred *c);
void cred_put(const struct cred *c);
bool cred_in_group(const struct cred *c, uint32_t gid); /* fsgid or a supplementary group */
bool cred_capable(const struct cred *c, int cap);       /* in the effective set */
/* Replaces the supplementary groups by a copy, sorted. -ENOMEM. */
int cred_set_groups(struct cred *c, const uint32_t *groups, uint32_t count) MUST_CHECK;
