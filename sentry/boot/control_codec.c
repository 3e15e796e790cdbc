/*
 * The fields of processes and containers, in order: written by the CLI, read by the sandbox. What a
 * reader finds may be anything. Takes no locks.
 */
#include "sentry/boot/control_codec.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_STRINGS 65536
#define MAX_GROUPS  65536
#define MAX_ROWS    4096 /* mounts, devices, hooks */

/* ---- words, strings, descriptors, lists ---- */

static void bytes(struct codec *k, void *data, size_t size)
{
    if (k->out) {
        k->failed |= size && fwrite(data, size, 1, k->out) != 1;
    } else if (k->failed || (size_t)(k->end - k->at) < size) {
        k->failed = true;
        memset(data, 0, size);
    } else {
        memcpy(data, k->at, size);
        k->at += size;
    }
}

static void number(struct codec *k, uint32_t *v)
{
    bytes(k, v, sizeof(*v));
}

static void flag(struct codec *k, bool *v)
{
    uint32_t n = k->out ? *v : 0; /* what is read into may hold anything */

    number(k, &n);
    *v = n != 0;
}

/* NULL is kept. */
static void text(struct codec *k, const char **s)
{
    uint32_t size = *s ? (uint32_t)strlen(*s) + 1 : 0;

    number(k, &size);
    if (k->out) {
        if (size)
            bytes(k, (void *)(uintptr_t)*s, size);
        return;
    }
    *s = NULL;
    if (k->failed || size == 0)
        return;
    if ((size_t)(k->end - k->at) < size || strnlen(k->at, size) != size - 1) {
        k->failed = true;
        return;
    }
    *s = k->at;
    k->at += size;
}

void codec_text(struct codec *k, const char **s)
{
    text(k, s);
    if (!k->out && !*s) {
        k->failed = true;
        *s = "";
    }
}

static void descriptor(struct codec *k, int *fd)
{
    uint32_t slot = 0;

    if (k->out && *fd >= 0) {
        if (k->fd_count == CONTROL_FDS_MAX) {
            k->failed = true;
            return;
        }
        k->fds[k->fd_count++] = *fd;
        slot = (uint32_t)k->fd_count;
    }
    number(k, &slot);
    if (k->out)
        return;
    *fd = -1;
    if (slot > k->fd_count || (slot && k->used[slot - 1])) {
        k->failed = true;
    } else if (slot) {
        *fd = k->fds[slot - 1];
        k->used[slot - 1] = true;
    }
}

/*
 * A list of *count elements and its memory, with a zeroed one behind it. Reading: it is new, unless
 * *count is too large for what comes; each element takes a word at least.
 */
static void *list(struct codec *k, const void *old, uint32_t *count, size_t size, uint32_t max)
{
    void **block;

    number(k, count);
    k->failed |= *count > max || (!k->out && *count > (size_t)(k->end - k->at) / 4);
    if (k->out)
        return (void *)(uintptr_t)old;
    if (k->failed)
        *count = 0;
    block = calloc(1, sizeof(*block) + (*count + 1UL) * size);
    if (!block) {
        k->failed = true;
        return NULL;
    }
    *block = k->blocks;
    k->blocks = block;
    return block + 1;
}

static void strings(struct codec *k, const char *const **s)
{
    uint32_t count = 0;
    const char **own;

    while (k->out && *s && (*s)[count])
        count++;
    own = list(k, *s, &count, sizeof(**s), MAX_STRINGS);
    for (uint32_t i = 0; own && i < count; i++) {
        const char *one = own[i];

        codec_text(k, &one);
        if (!k->out)
            own[i] = one;
    }
    if (!k->out)
        *s = own;
}

/* ---- processes ---- */

static void groups_and_filter(struct codec *k, struct boot_process *p)
{
    uint32_t *groups = list(k, p->groups, &p->group_count, sizeof(*groups), MAX_GROUPS);
    struct bpf_insn *filter =
        list(k, p->seccomp, &p->seccomp_count, sizeof(*filter), BPF_INSNS_MAX);

    if (groups)
        bytes(k, groups, p->group_count * sizeof(*groups));
    if (filter)
        bytes(k, filter, p->seccomp_count * sizeof(*filter));
    p->groups = groups;
    p->seccomp = p->seccomp_count ? filter : NULL;
}

static void descriptors(struct codec *k, struct boot_process *p)
{
    uint32_t count = (uint32_t)p->fd_count;
    int *fds = list(k, p->fds, &count, sizeof(*fds), CONTROL_FDS_MAX);

    for (uint32_t i = 0; fds && i < count; i++)
        descriptor(k, &fds[i]);
    p->fds = fds;
    p->fd_count = count;
    descriptor(k, &p->tty_fd);
}

void codec_process(struct codec *k, struct boot_process *p)
{
    uint32_t *words[] = {&p->uid,
                         &p->gid,
                         &p->umask,
                         &p->personality,
                         &p->ioprio,
                         &p->sched_policy,
                         &p->sched_priority,
                         (uint32_t *)&p->oom_score_adj,
                         (uint32_t *)&p->nice};

    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        number(k, words[i]);
    p->umask &= 0777;
    bytes(k, p->caps, sizeof(p->caps));
    bytes(k, p->rlimits, sizeof(p->rlimits));
    flag(k, &p->no_new_privs);
    flag(k, &p->ordinary);
    codec_text(k, &p->cwd);
    strings(k, &p->argv);
    strings(k, &p->envp);
    groups_and_filter(k, p);
    descriptors(k, p);
    if (!k->out && !k->failed)
        k->failed = !p->argv[0] || p->cwd[0] != '/';
}

void codec_exec(struct codec *k, struct codec_exec *e)
{
    flag(k, &e->ignore_paused);
    bytes(k, &e->holder, sizeof(e->holder));
}

/* ---- containers ---- */

static void mount_row(struct codec *k, struct boot_mount *m)
{
    uint32_t type = m->type;

    number(k, &type);
    number(k, &m->flags);
    number(k, &m->mode);
    codec_text(k, &m->destination);
    codec_text(k, &m->source);
    text(k, &m->name);
    text(k, &m->options);
    descriptor(k, &m->fd);
    k->failed |= type > BOOT_REMOUNT_READONLY;
    m->type = type;
}

static void device_row(struct codec *k, struct boot_device *d)
{
    uint32_t *words[] = {&d->mode, &d->major, &d->minor, &d->uid, &d->gid};

    codec_text(k, &d->path);
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        number(k, words[i]);
}

static void hook_row(struct codec *k, struct boot_hook *h)
{
    codec_text(k, &h->path);
    strings(k, &h->argv);
    strings(k, &h->envp);
    number(k, &h->timeout_s);
    k->failed |= !k->failed && (!h->path || !h->argv[0]);
}

static void rows(struct codec *k, struct boot_config *c)
{
    uint32_t mounts = (uint32_t)c->mount_count, devices = (uint32_t)c->device_count,
             hooks = (uint32_t)c->start_hook_count;
    struct boot_mount *m = list(k, c->mounts, &mounts, sizeof(*m), MAX_ROWS);
    struct boot_device *d = list(k, c->devices, &devices, sizeof(*d), MAX_ROWS);
    struct boot_hook *h = list(k, c->start_hooks, &hooks, sizeof(*h), MAX_ROWS);

    for (uint32_t i = 0; m && i < mounts; i++)
        mount_row(k, &m[i]);
    for (uint32_t i = 0; d && i < devices; i++)
        device_row(k, &d[i]);
    for (uint32_t i = 0; h && i < hooks; i++)
        hook_row(k, &h[i]);
    c->mounts = m;
    c->mount_count = mounts;
    c->devices = d;
    c->device_count = devices;
    c->start_hooks = h;
    c->start_hook_count = hooks;
}

void codec_container(struct codec *k, struct boot_config *c)
{
    int *fds[] = {&c->status_fd, &c->error_fd, &c->rootfs_fd};
    bool *flags[] = {&c->root_readonly, &c->root_overlay, &c->root_live};

    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        descriptor(k, fds[i]);
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
        flag(k, flags[i]);
    text(k, &c->hostname);
    text(k, &c->domainname);
    text(k, &c->hook_state);
    strings(k, &c->masked_paths);
    strings(k, &c->readonly_paths);
    rows(k, c);
    codec_process(k, &c->init);
    if (!k->out)
        k->failed |= c->status_fd < 0 || c->error_fd < 0 || c->rootfs_fd < 0 ||
                     (c->start_hook_count && !c->hook_state);
}

void codec_pod(struct codec *k, struct codec_pod *p)
{
    codec_text(k, &p->id);
    flag(k, &p->own_uts);
    flag(k, &p->own_ipc);
    text(k, &p->pids_of);
}

/* ---- reading ---- */

bool codec_done(const struct codec *k)
{
    for (size_t i = 0; i < k->fd_count; i++) {
        if (!k->used[i])
            return false;
    }
    return !k->failed && k->at == k->end;
}

void codec_free(struct codec *k)
{
    for (void **block = k->blocks, **next; block; block = next) {
        next = *block;
        free(block);
    }
    k->blocks = NULL;
}
