/*
 * What is traced: the options' text into a bitmap of calls, process numbers and path prefixes, and
 * the questions asked of them. Built once, at boot or for a test; then only read. No locks.
 */
#include "sentry/abi/errno.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"
#include "sentry/strace/strace_int.h"
#include "syscalls/syscalls.h"

/* "*" any run of characters, "?" any one. */
static bool glob(const char *p, size_t size, const char *text)
{
    const char *star = NULL, *back = NULL, *end = p + size;

    while (*text) {
        if (p < end && *p == '*') {
            star = ++p;
            back = text;
        } else if (p < end && (*p == '?' || *p == *text)) {
            p++;
            text++;
        } else if (star) {
            p = star;
            text = ++back;
        } else {
            return false;
        }
    }
    while (p < end && *p == '*')
        p++;
    return p == end;
}

/* The next part of a list with commas; false at its end. */
static bool next_part(const char **list, const char **out, size_t *size)
{
    const char *comma;

    if (!*list || !**list)
        return false;
    comma = strchr(*list, ',');
    *out = *list;
    *size = comma ? (size_t)(comma - *list) : strlen(*list);
    *list = comma ? comma + 1 : *list + *size;
    return true;
}

static bool choose(struct strace_options *o, const char *pattern, size_t size, bool on)
{
    bool any = false;

    for (uint64_t nr = 0; nr < SYSCALL_MAX; nr++) {
        const struct syscall_row *row = syscall_row(nr);

        if (!row || !glob(pattern, size, row->name))
            continue;
        if (on)
            o->calls[nr / 64] |= 1ULL << (nr % 64);
        else
            o->calls[nr / 64] &= ~(1ULL << (nr % 64));
        any = true;
    }
    return any;
}

/* A list that starts by leaving something out starts from all. */
static int parse_calls(struct strace_options *o, const char *list)
{
    const char *part;
    size_t size;

    o->unknown = !list || !*list || *list == '!';
    memset(o->calls, o->unknown ? 0xff : 0, sizeof(o->calls));
    while (next_part(&list, &part, &size)) {
        bool on = *part != '!';

        if (size <= !on || !choose(o, part + !on, size - !on, on))
            return -EINVAL;
    }
    return 0;
}

static int parse_pids(struct strace_options *o, const char *list)
{
    const char *part;
    size_t size;

    while (next_part(&list, &part, &size)) {
        int32_t v = 0;

        if (size < 1 || size > 9 || o->pid_count == ARRAY_SIZE(o->pids))
            return -EINVAL;
        for (size_t i = 0; i < size; i++) {
            if (part[i] < '0' || part[i] > '9')
                return -EINVAL;
            v = v * 10 + (part[i] - '0');
        }
        o->pids[o->pid_count++] = v;
    }
    return 0;
}

static int parse_paths(struct strace_options *o, const char *list)
{
    const char *part;
    size_t size;

    while (next_part(&list, &part, &size)) {
        while (size > 1 && part[size - 1] == '/')
            size--;
        if (size < 1 || o->path_count == ARRAY_SIZE(o->paths))
            return -EINVAL;
        o->paths[o->path_count] = kmalloc(size + 1);
        if (!o->paths[o->path_count])
            return -ENOMEM;
        memcpy(o->paths[o->path_count++], part, size);
    }
    return 0;
}

void strace_options_free(struct strace_options *o)
{
    for (uint32_t i = 0; o && i < o->path_count; i++)
        kfree(o->paths[i]);
    kfree(o);
}

int strace_options_create(const struct strace_choice *from, struct strace_options **out,
                          const char **out_what)
{
    struct strace_options *o = kmalloc(sizeof(*o));
    int r;

    *out_what = "memory";
    if (!o)
        return -ENOMEM;
    o->failed = from->failed;
    *out_what = "calls";
    r = parse_calls(o, from->calls);
    if (r == 0) {
        *out_what = "pids";
        r = parse_pids(o, from->pids);
    }
    if (r == 0) {
        *out_what = "paths";
        r = parse_paths(o, from->paths);
    }
    if (r < 0)
        strace_options_free(o);
    else
        *out = o;
    return r;
}

static bool pid_wanted(const struct strace_options *o, const struct task *t)
{
    for (uint32_t i = 0; i < o->pid_count; i++) {
        if (o->pids[i] == t->tg->tgid || o->pids[i] == t->tid)
            return true;
    }
    return !o->pid_count;
}

/* /etc is before /etc and /etc/x, not before /etcetera. */
static bool path_below(const char *path, const char *prefix)
{
    size_t n = strlen(prefix);

    return strncmp(path, prefix, n) == 0 &&
           (!path[n] || path[n] == '/' || (n && prefix[n - 1] == '/'));
}

static bool path_wanted(const struct strace_options *o, struct task *t, uint64_t addr)
{
    char path[256]; /* prefixes are compared with this much of it */
    int64_t n = peek_in_str(&t->us, path, uaddr(addr), sizeof(path));

    if (n == -ENAMETOOLONG)
        path[sizeof(path) - 1] = '\0';
    if (n < 0 && n != -ENAMETOOLONG)
        return false;
    for (uint32_t i = 0; i < o->path_count; i++) {
        if (path_below(path, o->paths[i]))
            return true;
    }
    return false;
}

static bool paths_wanted(const struct strace_options *o, struct task *t,
                         const struct syscall_row *row, const uint64_t args[6])
{
    const char *kinds = row ? row->args : "";

    for (int i = 0; *kinds && i < STRACE_MAX_ARGS; i++) {
        struct strace_kind k = strace_kind_parse(kinds, &kinds);

        if (strace_kind_is(&k, "path") && path_wanted(o, t, args[i]))
            return true;
    }
    return !o->path_count;
}

bool strace_wanted(const struct strace_options *o, struct task *t, uint64_t nr,
                   const struct syscall_row *row, const uint64_t args[6])
{
    if (!o)
        return true;
    if (nr < SYSCALL_MAX ? !(o->calls[nr / 64] >> (nr % 64) & 1) : !o->unknown)
        return false;
    return pid_wanted(o, t) && paths_wanted(o, t, row, args);
}
