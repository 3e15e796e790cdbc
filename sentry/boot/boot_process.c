/*
 * The first process: its credentials, descriptors, and the program looked up in PATH. Takes no
 * locks.
 */
#include "fs/devpts/tty.h"
#include "fs/hostfs/host_io.h"
#include "sentry/base/slab.h"
#include "sentry/boot/boot_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct cred *make_cred(const struct boot_config *c)
{
    struct cred *cred = cred_alloc_root();

    if (!cred)
        return NULL;
    cred->uid = cred->euid = cred->suid = cred->fsuid = c->uid;
    cred->gid = cred->egid = cred->sgid = cred->fsgid = c->gid;
    cred->cap_permitted = c->caps[0];
    cred->cap_effective = c->caps[1];
    cred->cap_inheritable = c->caps[2];
    cred->cap_bounding = c->caps[3];
    cred->cap_ambient = c->caps[4];
    cred->no_new_privs = c->no_new_privs;
    if (cred_set_groups(cred, c->groups, c->group_count) < 0) {
        cred_put(cred);
        return NULL;
    }
    return cred;
}

static bool same_terminal(int fd)
{
    struct stat st, in;

    return isatty(fd) && fstat(fd, &st) == 0 && fstat(0, &in) == 0 && st.st_rdev == in.st_rdev;
}

/* By its name in the guest's tree, so that ttyname(3) finds it; without one where there is none. */
static int open_terminal(struct boot *b, uint32_t flags, const struct cred *cred, struct file **out)
{
    char name[32];

    snprintf(name, sizeof(name), "/dev/pts/%d", b->tty->index);
    if (vfs_open_at(&b->ctx, NULL, name, flags | O_NOCTTY, 0, 0, out) == 0)
        return 0;
    return tty_open_file(b->tty, flags, cred, out);
}

static int install_stdio(struct boot *b, struct fdtable *files, const struct cred *cred)
{
    for (int i = 0; i < 3; i++) {
        int fd = b->config->stdio[i];
        struct file *f;
        int r, flags = fd < 0 ? -1 : fcntl(fd, F_GETFL);

        if (flags < 0)
            continue; /* closed outside: closed inside */
        if (b->tty && same_terminal(fd))
            r = open_terminal(b, (uint32_t)flags & O_ACCMODE, cred, &f);
        else
            r = host_stream_create(b->host_io, fd, (uint32_t)flags & (O_ACCMODE | O_APPEND), cred,
                                   &f);
        if (r == 0)
            r = fdtable_replace(files, i, f, false, UINT64_MAX);
        if (r < 0)
            return r;
    }
    return 0;
}

/* 0 and *status 0 when path can be run; else the errno. */
static int runnable(struct boot *b, const struct cred *cred, const char *path)
{
    struct vfs_ctx ctx = b->ctx;
    struct kstat st;
    struct path p;
    int r;

    ctx.cred = cred;
    r = vfs_walk(&ctx, &b->ctx.cwd, path, WALK_FOLLOW, &p);
    if (r < 0)
        return r;
    r = vfs_getattr(&p, &st);
    if (r == 0 && (st.mode & LX_S_IFMT) == LX_S_IFDIR)
        r = -EISDIR;
    if (r == 0)
        r = vfs_access(&ctx, &p, MAY_EXEC);
    path_put(&p);
    return r;
}

static const char *env_get(const char *const *envp, const char *name)
{
    size_t n = strlen(name);

    for (; *envp; envp++) {
        if (strncmp(*envp, name, n) == 0 && (*envp)[n] == '=')
            return *envp + n + 1;
    }
    return NULL;
}

/* execvp's rule over the guest's PATH; *out malloc'ed. */
static int find_program(struct boot *b, const struct cred *cred, const char *name, char **out)
{
    const char *path = env_get(b->config->envp, "PATH");
    int seen = -ENOENT;

    if (strchr(name, '/')) {
        *out = strdup(name);
        return *out ? runnable(b, cred, name) : -ENOMEM;
    }
    if (!path)
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    while (*path) {
        size_t n = strcspn(path, ":");
        char *candidate = malloc(n + strlen(name) + 3);
        int r;

        if (!candidate)
            return -ENOMEM;
        memcpy(candidate, n ? path : ".", n ? n : 1);
        strcpy(candidate + (n ? n : 1), "/");
        strcat(candidate, name);
        r = runnable(b, cred, candidate);
        if (r == 0) {
            *out = candidate;
            return 0;
        }
        free(candidate);
        if (r == -EACCES)
            seen = r;
        path += n + (path[n] == ':');
    }
    return seen;
}

static int enter_cwd(struct boot *b)
{
    struct path p;
    int r = vfs_walk(&b->ctx, NULL, b->config->cwd, WALK_FOLLOW | WALK_DIRECTORY, &p);

    if (r < 0)
        return r;
    path_put(&b->ctx.cwd);
    b->ctx.cwd = p;
    return 0;
}

static int program_failed(struct boot *b, int r)
{
    const char *name = b->config->argv[0];

    if (r == -ENOENT && !strchr(name, '/'))
        return boot_fail(b, 127, "exec: \"%s\": executable file not found in $PATH", name);
    if (r == -EISDIR)
        return boot_fail(b, 126, "exec: \"%s\": is a directory", name);
    return boot_fail(b, r == -ENOENT ? 127 : 126, "exec: \"%s\": %s", name,
                     r == -ENOENT   ? "no such file or directory"
                     : r == -EACCES ? "permission denied"
                                    : boot_error(r));
}

int boot_start_init(struct boot *b)
{
    const struct boot_config *c = b->config;
    const struct cred *cred = make_cred(c);
    struct init_args args = {.argv = c->argv, .envp = c->envp, .cwd = c->cwd, .umask = c->umask};
    char *program = NULL;
    int r;

    args.files = fdtable_create();
    if (!cred || !args.files)
        return boot_fail(b, 1, "out of memory");
    r = enter_cwd(b);
    if (r < 0)
        return boot_fail(b, 1, "cannot enter the working directory %s: %s", c->cwd, boot_error(r));
    r = install_stdio(b, args.files, cred);
    if (r < 0)
        return boot_fail(b, 1, "cannot pass standard input and output on: %s", boot_error(r));
    r = find_program(b, cred, c->argv[0], &program);
    if (r < 0)
        return program_failed(b, r);
    args.exe = program;
    args.cred = cred;
    args.mount_ns = b->mount_ns;
    args.root = b->ctx.root;
    memcpy(args.rlimits, c->rlimits, sizeof(args.rlimits));
    args.ordinary = c->init_is_ordinary;
    args.tty = b->tty;
    r = kernel_start_init(b->kernel, &args);
    free(program);
    return r < 0 ? program_failed(b, r) : 0;
}
