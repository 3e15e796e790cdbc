/* bubblewrap's options, by a table: each with the number of words it takes. */
#include "runsc-cli/bwrap.h"

#include "runsc-cli/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARGS_MAX  (1U << 20) /* bytes from one --args */
#define DEPTH_MAX 16         /* of --args within --args */
#define ALL_CAPS  0x1ffffffffffULL

enum option {
    O_HELP,
    O_VERSION,
    O_ARGS,
    O_UNSHARE,
    O_UNSHARE_ALL,
    O_SHARE_NET,
    O_NOT_HERE,
    O_DISABLE_USERNS,
    O_UID,
    O_GID,
    O_HOSTNAME,
    O_CHDIR,
    O_CLEARENV,
    O_SETENV,
    O_UNSETENV,
    O_LOCK_FILE,
    O_SYNC_FD,
    O_BIND,
    O_REMOUNT_RO,
    O_PROC,
    O_DEV,
    O_TMPFS,
    O_MQUEUE,
    O_DIR,
    O_FILE,
    O_DATA,
    O_RO_DATA,
    O_SYMLINK,
    O_SECCOMP,
    O_BLOCK_FD,
    O_INFO_FD,
    O_STATUS_FD,
    O_NEW_SESSION,
    O_DIE_WITH_PARENT,
    O_AS_PID_1,
    O_CAP_ADD,
    O_CAP_DROP,
    O_PERMS,
    O_SIZE,
    O_CHMOD,
};

static const struct bwrap_option {
    const char *name;
    int words;
    enum option what;
    uint32_t arg;
    const char *help;
} table[] = {
    {"--help", 0, O_HELP, 0, "Print this help"},
    {"--version", 0, O_VERSION, 0, "Print version"},
    {"--args", 1, O_ARGS, 0, "Parse NUL-separated options from this descriptor"},
    {"--unshare-all", 0, O_UNSHARE_ALL, 0, "Every namespace of its own"},
    {"--share-net", 0, O_SHARE_NET, 0, "But not the network"},
    {"--unshare-user", 0, O_UNSHARE, BWRAP_USER, "A user namespace of its own"},
    {"--unshare-user-try", 0, O_UNSHARE, BWRAP_USER, "The same"},
    {"--unshare-ipc", 0, O_UNSHARE, BWRAP_IPC, "An ipc namespace of its own (always so)"},
    {"--unshare-pid", 0, O_UNSHARE, BWRAP_PID, "A pid namespace of its own (always so)"},
    {"--unshare-net", 0, O_UNSHARE, BWRAP_NET, "Loopback only"},
    {"--unshare-uts", 0, O_UNSHARE, BWRAP_UTS, "A uts namespace of its own (always so)"},
    {"--unshare-cgroup", 0, O_UNSHARE, BWRAP_CGROUP, "A cgroup namespace of its own (always so)"},
    {"--unshare-cgroup-try", 0, O_UNSHARE, BWRAP_CGROUP, "The same"},
    {"--userns", 1, O_NOT_HERE, 0, NULL},
    {"--userns2", 1, O_NOT_HERE, 0, NULL},
    {"--pidns", 1, O_NOT_HERE, 0, NULL},
    {"--disable-userns", 0, O_DISABLE_USERNS, 0, "No user namespaces inside (always so)"},
    {"--assert-userns-disabled", 0, O_DISABLE_USERNS, 1, "The same"},
    {"--uid", 1, O_UID, 0, "The command's user; with --unshare-user"},
    {"--gid", 1, O_GID, 0, "Its group"},
    {"--hostname", 1, O_HOSTNAME, 0, "The host's name inside; with --unshare-uts"},
    {"--chdir", 1, O_CHDIR, 0, "The command's working directory"},
    {"--clearenv", 0, O_CLEARENV, 0, "No environment but PWD"},
    {"--setenv", 2, O_SETENV, 0, "Set a variable"},
    {"--unsetenv", 1, O_UNSETENV, 0, "Unset a variable"},
    {"--lock-file", 1, O_LOCK_FILE, 0, "Lock this file while the command runs"},
    {"--sync-fd", 1, O_SYNC_FD, 0, "Keep this descriptor open while the command runs"},
    {"--bind", 2, O_BIND, 0, "A host path at a place inside"},
    {"--bind-try", 2, O_BIND, BIND_TRY, "The same, if there is one"},
    {"--dev-bind", 2, O_BIND, BIND_DEVICES, "The same, with devices: those of this kernel"},
    {"--dev-bind-try", 2, O_BIND, BIND_DEVICES | BIND_TRY, "The same, if there is one"},
    {"--ro-bind", 2, O_BIND, BIND_READONLY, "A host path, read-only"},
    {"--ro-bind-try", 2, O_BIND, BIND_READONLY | BIND_TRY, "The same, if there is one"},
    {"--bind-fd", 2, O_BIND, BIND_FD, "What a descriptor has open"},
    {"--ro-bind-fd", 2, O_BIND, BIND_FD | BIND_READONLY, "The same, read-only"},
    {"--remount-ro", 1, O_REMOUNT_RO, 0, "Make a mount read-only"},
    {"--exec-label", 1, O_NOT_HERE, 0, NULL},
    {"--file-label", 1, O_NOT_HERE, 0, NULL},
    {"--proc", 1, O_PROC, 0, "Mount a procfs"},
    {"--dev", 1, O_DEV, 0, "Mount a small /dev"},
    {"--tmpfs", 1, O_TMPFS, 0, "Mount a tmpfs"},
    {"--mqueue", 1, O_MQUEUE, 0, "Mount the message queues' filesystem"},
    {"--dir", 1, O_DIR, 0, "Make a directory"},
    {"--file", 2, O_FILE, 0, "Make a file of a descriptor's content"},
    {"--bind-data", 2, O_DATA, 0, "Mount a file of a descriptor's content"},
    {"--ro-bind-data", 2, O_RO_DATA, 0, "The same, read-only"},
    {"--symlink", 2, O_SYMLINK, 0, "Make a symbolic link: target, place"},
    {"--seccomp", 1, O_SECCOMP, 0, "A filter for the command from this descriptor"},
    {"--add-seccomp-fd", 1, O_SECCOMP, 1, "The same; only one is supported"},
    {"--block-fd", 1, O_BLOCK_FD, 0, "Wait for a byte here before the command starts"},
    {"--userns-block-fd", 1, O_NOT_HERE, 0, NULL},
    {"--info-fd", 1, O_INFO_FD, 0, "Write about the sandbox here, as JSON"},
    {"--json-status-fd", 1, O_STATUS_FD, 0, "Write its state here, as JSON a line each"},
    {"--new-session", 0, O_NEW_SESSION, 0, "No controlling terminal"},
    {"--die-with-parent", 0, O_DIE_WITH_PARENT, 0, "End when our parent ends"},
    {"--as-pid-1", 0, O_AS_PID_1, 0, "The command is process 1 (always so)"},
    {"--cap-add", 1, O_CAP_ADD, 0, "Give a capability, or ALL"},
    {"--cap-drop", 1, O_CAP_DROP, 0, "Take a capability, or ALL"},
    {"--perms", 1, O_PERMS, 0, "Octal permissions of what the next option makes"},
    {"--size", 1, O_SIZE, 0, "The next tmpfs's size in bytes"},
    {"--chmod", 2, O_CHMOD, 0, "Change permissions: octal, path"},
};

static void print_help(FILE *f)
{
    fputs("usage: bwrap [OPTIONS...] [--] COMMAND [ARGS...]\n\n", f);
    for (size_t i = 0; i < ARRAY_SIZE(table); i++)
        fprintf(f, "    %-26s %s\n", table[i].name,
                table[i].help ? table[i].help : "Not supported here");
}

int bwrap_fd(const char *text, const char *option, struct cli_error *err)
{
    char *end;
    long fd = strtol(text, &end, 10);

    if (*text == '\0' || *end || fd < 0 || fcntl((int)fd, F_GETFD) < 0)
        return fail(err, 1, "Invalid fd: %s %s", option, text);
    fcntl((int)fd, F_SETFD, FD_CLOEXEC);
    return (int)fd;
}

static int set_number(int64_t *out, const char *text, int base, int64_t max, const char *option,
                      struct cli_error *err)
{
    char *end;
    long long value;

    errno = 0;
    value = strtoll(text, &end, base);
    if (errno || *text == '\0' || *end || value < 0 || value > max)
        return fail(err, 1, "Invalid value for %s: %s", option, text);
    *out = value;
    return 0;
}

static void unset_env(struct bwrap *b, const char *name)
{
    size_t n = strlen(name);

    for (size_t i = 0; i < b->env_count; i++) {
        if (strncmp(b->env[i], name, n) != 0 || b->env[i][n] != '=')
            continue;
        memmove(&b->env[i], &b->env[i + 1], (b->env_count - i - 1) * sizeof(b->env[0]));
        b->env_count--;
        i--;
    }
}

static int set_env(struct bwrap *b, const char *name, const char *value, struct cli_error *err)
{
    char *text;

    unset_env(b, name);
    if (b->env_count + 2 >= BWRAP_ENV || asprintf(&text, "%s=%s", name, value) < 0)
        return fail(err, 1, "too many environment variables");
    b->env[b->env_count++] = text;
    return 0;
}

static void clear_env(struct bwrap *b)
{
    const char *pwd = NULL;

    for (size_t i = 0; i < b->env_count; i++) {
        if (strncmp(b->env[i], "PWD=", 4) == 0)
            pwd = b->env[i];
    }
    b->env_count = 0;
    if (pwd)
        b->env[b->env_count++] = pwd;
}

static int change_caps(struct bwrap *b, const char *name, bool give, struct cli_error *err)
{
    uint64_t caps = ALL_CAPS;
    int cap;

    if (strcasecmp(name, "ALL") != 0) {
        cap = spec_capability(name);
        if (cap < 0)
            return fail(err, 1, "unknown cap: %s", name);
        caps = 1ULL << cap;
    }
    b->caps = give ? b->caps | caps : b->caps & ~caps;
    b->caps_set = true;
    return 0;
}

static int take_fd(int *out, const char *text, const char *option, struct cli_error *err)
{
    *out = bwrap_fd(text, option, err);
    return *out < 0 ? -1 : 0;
}

static int apply_setting(struct bwrap *b, const struct bwrap_option *o, char **w,
                         struct cli_error *err)
{
    switch (o->what) {
    case O_UNSHARE:
        b->unshare |= o->arg;
        return 0;
    case O_UNSHARE_ALL:
        b->unshare |= BWRAP_USER | BWRAP_IPC | BWRAP_PID | BWRAP_NET | BWRAP_UTS | BWRAP_CGROUP;
        return 0;
    case O_SHARE_NET:
        b->share_net = true;
        return 0;
    case O_DISABLE_USERNS:
        b->disable_userns = b->disable_userns || o->arg == 0;
        return 0;
    case O_UID:
        return set_number(&b->uid, w[0], 10, UINT32_MAX - 1, o->name, err);
    case O_GID:
        return set_number(&b->gid, w[0], 10, UINT32_MAX - 1, o->name, err);
    case O_HOSTNAME:
        b->hostname = w[0];
        return 0;
    case O_CHDIR:
        b->chdir = w[0];
        return 0;
    case O_CLEARENV:
        clear_env(b);
        return 0;
    case O_SETENV:
        return set_env(b, w[0], w[1], err);
    case O_UNSETENV:
        unset_env(b, w[0]);
        return 0;
    case O_NEW_SESSION:
        b->new_session = true;
        return 0;
    case O_DIE_WITH_PARENT:
        b->die_with_parent = true;
        return 0;
    case O_AS_PID_1:
        b->as_pid_1 = true;
        return 0;
    case O_CAP_ADD:
    case O_CAP_DROP:
        return change_caps(b, w[0], o->what == O_CAP_ADD, err);
    case O_PERMS:
        return set_number(&b->next_perms, w[0], 8, 07777, o->name, err);
    case O_SIZE:
        return set_number(&b->next_size, w[0], 10, INT64_MAX / 2, o->name, err);
    default:
        return fail(err, 1, "%s is not supported here", o->name);
    }
}

static int apply_fd(struct bwrap *b, const struct bwrap_option *o, char **w, struct cli_error *err)
{
    switch (o->what) {
    case O_LOCK_FILE:
        if (b->lock_count == BWRAP_LOCKS)
            return fail(err, 1, "too many lock files");
        b->locks[b->lock_count++] = w[0];
        return 0;
    case O_SYNC_FD:
        return bwrap_fd(w[0], o->name, err) < 0 ? -1 : 0;
    case O_SECCOMP:
        if (b->seccomp_fd >= 0 && o->arg)
            return fail(err, 1, "%s: more than one filter is not supported", o->name);
        return take_fd(&b->seccomp_fd, w[0], o->name, err);
    case O_BLOCK_FD:
        return take_fd(&b->block_fd, w[0], o->name, err);
    case O_INFO_FD:
        return take_fd(&b->info_fd, w[0], o->name, err);
    case O_STATUS_FD:
        return take_fd(&b->status_fd, w[0], o->name, err);
    default:
        return apply_setting(b, o, w, err);
    }
}

static int apply(struct bwrap *b, const struct bwrap_option *o, char **w, struct cli_error *err)
{
    switch (o->what) {
    case O_BIND:
        return bwrap_bind(b, w[0], w[1], o->arg, err);
    case O_REMOUNT_RO:
        return bwrap_mount(b, BOOT_REMOUNT_READONLY, w[0], err);
    case O_PROC:
        return bwrap_mount(b, BOOT_MOUNT_PROC, w[0], err);
    case O_DEV:
        return bwrap_mount(b, BOOT_MOUNT_DEV, w[0], err);
    case O_TMPFS:
        return bwrap_mount(b, BOOT_MOUNT_TMPFS, w[0], err);
    case O_MQUEUE:
        return bwrap_mount(b, BOOT_MOUNT_MQUEUE, w[0], err);
    case O_DIR:
        return bwrap_mount(b, BOOT_MAKE_DIRECTORY, w[0], err);
    case O_FILE:
        return bwrap_file(b, BOOT_MAKE_FILE, w[0], w[1], false, err);
    case O_DATA:
    case O_RO_DATA:
        return bwrap_file(b, BOOT_MOUNT_DATA, w[0], w[1], o->what == O_RO_DATA, err);
    case O_SYMLINK:
        return bwrap_link(b, w[0], w[1], err);
    case O_CHMOD:
        return bwrap_mode(b, w[0], w[1], err);
    default:
        return apply_fd(b, o, w, err);
    }
}

static int parse(struct bwrap *b, char **words, size_t count, size_t *used, int depth,
                 enum bwrap_done *out, struct cli_error *err);

/* Words ended by a NUL each, as long as the process. */
static int parse_from_fd(struct bwrap *b, const char *text, int depth, enum bwrap_done *out,
                         struct cli_error *err)
{
    int fd = bwrap_fd(text, "--args", err);
    char *data = malloc(ARGS_MAX + 1), **words;
    size_t size = 0, count = 0, used;
    ssize_t n;

    if (fd < 0)
        return -1;
    while (data && size < ARGS_MAX && (n = read(fd, data + size, ARGS_MAX - size)) != 0) {
        if (n < 0 && errno != EINTR)
            return fail_errno(err, 1, errno, "Can't read --args data");
        size += n > 0 ? (size_t)n : 0;
    }
    words = data ? calloc(size + 2, sizeof(*words)) : NULL;
    if (!words || size == ARGS_MAX || depth == DEPTH_MAX)
        return fail(err, 1, "Exceeded maximum number of arguments");
    data[size] = '\0';
    for (char *p = data; p < data + size; p += strlen(p) + 1)
        words[count++] = p;
    close(fd);
    return parse(b, words, count, &used, depth + 1, out, err);
}

static int parse(struct bwrap *b, char **words, size_t count, size_t *used, int depth,
                 enum bwrap_done *out, struct cli_error *err)
{
    static const char *const counts[] = {"", "an argument", "two arguments"};
    size_t i = 0;

    while (i < count && words[i][0] == '-') {
        const struct bwrap_option *o = table;
        int r;

        if (strcmp(words[i], "--") == 0) {
            i++;
            break;
        }
        while (o < table + ARRAY_SIZE(table) && strcmp(o->name, words[i]) != 0)
            o++;
        if (o == table + ARRAY_SIZE(table))
            return fail(err, 1, "Unknown option %s", words[i]);
        if (count - i - 1 < (size_t)o->words)
            return fail(err, 1, "%s takes %s", o->name, counts[o->words]);
        if (o->what == O_HELP || o->what == O_VERSION) {
            if (o->what == O_HELP)
                print_help(stdout);
            else
                puts("bubblewrap " BWRAP_VERSION);
            *out = BWRAP_PRINTED;
            return 0;
        }
        r = o->what == O_ARGS ? parse_from_fd(b, words[i + 1], depth, out, err)
                              : apply(b, o, &words[i + 1], err);
        if (r < 0 || *out == BWRAP_PRINTED)
            return r;
        i += 1 + (size_t)o->words;
    }
    *used = i;
    return 0;
}

static int check(const struct bwrap *b, struct cli_error *err)
{
    if (b->hostname && !(b->unshare & BWRAP_UTS))
        return fail(err, 1, "Specifying --hostname requires --unshare-uts");
    if (b->uid >= 0 && !(b->unshare & BWRAP_USER) && geteuid() == 0)
        return fail(err, 1, "Specifying --uid requires --unshare-user or --userns");
    if (b->gid >= 0 && !(b->unshare & BWRAP_USER) && geteuid() == 0)
        return fail(err, 1, "Specifying --gid requires --unshare-user or --userns");
    if (b->disable_userns && !(b->unshare & BWRAP_USER))
        return fail(err, 1, "--disable-userns requires --unshare-user");
    return 0;
}

int bwrap_parse(struct bwrap *b, char **words, size_t count, enum bwrap_done *out,
                struct cli_error *err)
{
    size_t used = 0;

    *out = BWRAP_RUN;
    b->uid = b->gid = b->next_perms = b->next_size = -1;
    b->block_fd = b->info_fd = b->status_fd = b->seccomp_fd = -1;
    b->caps = geteuid() == 0 ? ALL_CAPS : 0;
    for (char **e = environ; *e && b->env_count + 2 < BWRAP_ENV; e++)
        b->env[b->env_count++] = *e;
    if (parse(b, words + 1, count - 1, &used, 0, out, err) < 0)
        return -1;
    if (*out == BWRAP_PRINTED)
        return 0;
    if (used + 1 >= count) {
        print_help(stderr);
        return fail(err, 1, "no command was given");
    }
    b->command = words + 1 + used;
    return check(b, err);
}
