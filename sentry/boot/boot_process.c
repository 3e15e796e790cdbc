/*
 * Processes started from outside: credentials, descriptors, and the program looked up in PATH; init
 * and those beside it. Takes no locks.
 */
#include "fs/devpts/tty.h"
#include "fs/hostfs/host_io.h"
#include "sentry/base/slab.h"
#include "sentry/boot/boot_int.h"
#include "sentry/kernel/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail_with(struct boot_failure *why, int status, const char *fmt, ...) PRINTF_LIKE(3, 4);
static int fail_with(struct boot_failure *why, int status, const char *fmt, ...)
{
    va_list ap;

    why->status = status;
    va_start(ap, fmt);
    vsnprintf(why->text, sizeof(why->text), fmt, ap);
    va_end(ap);
    return -1;
}

static struct cred *make_cred(const struct boot_process *c)
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

/* Is fd the terminal tty_fd, perhaps opened another time? */
static bool same_terminal(int fd, int tty_fd)
{
    struct stat st, tty;

    return isatty(fd) && fstat(fd, &st) == 0 && fstat(tty_fd, &tty) == 0 &&
           st.st_rdev == tty.st_rdev;
}

/* By its name in the guest's tree, so that ttyname(3) finds it; without one where there is none. */
static int open_terminal(struct boot_container *b, struct tty *tty, uint32_t flags,
                         const struct cred *cred, struct file **out)
{
    char name[32];

    snprintf(name, sizeof(name), "/dev/pts/%d", tty->index);
    if (vfs_open_at(&b->ctx, NULL, name, flags | O_NOCTTY, 0, 0, out) == 0)
        return 0;
    return tty_open_file(tty, flags, cred, out);
}

static int install_one(struct boot_container *b, const struct boot_process *p, int i,
                       struct tty *tty, struct fdtable *files, const struct cred *cred)
{
    int fd = p->fds[i], flags = fd < 0 ? -1 : fcntl(fd, F_GETFL), r;
    struct file *f;

    if (flags < 0)
        return 0; /* closed outside: closed inside */
    if (tty && same_terminal(fd, p->tty_fd)) {
        r = open_terminal(b, tty, (uint32_t)flags & O_ACCMODE, cred, &f);
        close(fd);
    } else {
        r = host_stream_create(b->host_io, fd, (uint32_t)flags & (O_ACCMODE | O_APPEND), cred, &f);
    }
    if (r == 0)
        r = fdtable_replace(files, i, f, false, UINT64_MAX);
    return MIN(r, 0);
}

static int install_fds(struct boot_container *b, const struct boot_process *p, struct tty *tty,
                       struct fdtable *files, const struct cred *cred)
{
    int r = 0;

    for (size_t i = 0; i < p->fd_count; i++) {
        if (r == 0)
            r = install_one(b, p, (int)i, tty, files, cred);
        else if (p->fds[i] >= 0)
            close(p->fds[i]);
    }
    return r;
}

/* 0 and *status 0 when path can be run; else the errno. */
static int runnable(struct boot_container *b, const struct cred *cred, const struct path *cwd,
                    const char *path)
{
    struct vfs_ctx ctx = b->ctx;
    struct kstat st;
    struct path p;
    int r;

    ctx.cred = cred;
    r = vfs_walk(&ctx, cwd, path, WALK_FOLLOW, &p);
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
static int search_path(struct boot_container *b, const struct cred *cred, const struct path *cwd,
                       const char *path, const char *name, char **out)
{
    int seen = -ENOENT;

    while (*path) {
        size_t n = strcspn(path, ":");
        char *candidate = NULL;
        int r;

        if (asprintf(&candidate, "%.*s/%s", n ? (int)n : 1, n ? path : ".", name) < 0)
            return -ENOMEM;
        r = runnable(b, cred, cwd, candidate);
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

static int program_failed(struct boot_failure *why, const char *name, int r)
{
    if (r == -ENOENT && !strchr(name, '/'))
        return fail_with(why, 127, "exec: \"%s\": executable file not found in $PATH", name);
    if (r == -EISDIR)
        return fail_with(why, 126, "exec: \"%s\": is a directory: permission denied", name);
    if (r == -EAGAIN)
        return fail_with(why, 1,
                         "cannot start \"%s\": no process can be made (limits of the host or of "
                         "the sandbox's cgroup on processes, or its end)",
                         name);
    return fail_with(why, r == -ENOENT ? 127 : 126, "exec: \"%s\": %s", name,
                     r == -ENOENT    ? "no such file or directory"
                     : r == -EACCES  ? "permission denied"
                     : r == -ENOEXEC ? "exec format error"
                                     : boot_error(r));
}

static int find_program(struct boot_container *b, const struct boot_process *p,
                        const struct cred *cred, char **out, struct boot_failure *why)
{
    const char *name = p->exe ? p->exe : p->argv[0], *path = env_get(p->envp, "PATH");
    struct path cwd;
    int r = vfs_walk(&b->ctx, NULL, p->cwd, WALK_FOLLOW | WALK_DIRECTORY, &cwd);

    if (r == -ENOENT && b->boot->control &&
        !load_acquire(&b->started)) { /* as runc: init's is made */
        r = boot_make_directories(b, p->cwd, true);
        if (r == 0)
            r = vfs_walk(&b->ctx, NULL, p->cwd, WALK_FOLLOW | WALK_DIRECTORY, &cwd);
    }
    if (r < 0)
        return fail_with(why, 1, "cannot enter the working directory %s: %s", p->cwd,
                         boot_error(r));
    if (!strchr(name, '/')) {
        r = search_path(b, cred, &cwd,
                        path ? path
                             : "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                        name, out);
    } else {
        r = runnable(b, cred, &cwd, name);
        *out = r == 0 ? strdup(name) : NULL;
        if (r == 0 && !*out)
            r = -ENOMEM;
    }
    path_put(&cwd);
    return r < 0 ? program_failed(why, name, r) : 0;
}

int boot_find_program(struct boot_container *b, const struct boot_process *p, char **out,
                      struct boot_failure *why)
{
    const struct cred *cred = make_cred(p);
    int r;

    if (!cred)
        return fail_with(why, 1, "out of memory");
    r = find_program(b, p, cred, out, why);
    cred_put(cred);
    return r;
}

static void fill_args(struct init_args *args, const struct boot_container *b,
                      const struct boot_process *p)
{
    *args = (struct init_args){
        .argv = p->argv,
        .envp = p->envp,
        .cwd = p->cwd,
        .umask = p->umask,
        .mount_ns = b->mount_ns,
        .root = b->ctx.root,
        .ordinary = p->ordinary,
        .oom_score_adj = p->oom_score_adj,
        .nice = p->nice,
        .ioprio = p->ioprio,
        .personality = p->personality,
        .sched_policy = p->sched_policy,
        .sched_priority = p->sched_priority,
        .cell = b->cell,
        .pid_ns = b->pid_ns,
        .uts_ns = b->uts_ns,
        .ipc_ns = b->ipc_ns,
        .first = p == &b->config->init,
    };
    memcpy(args->rlimits, p->rlimits, sizeof(args->rlimits));
}

/*
 * The environment with a HOME, where a container's process has none or an empty one: *out, to be
 * freed with its first string; NULL when it has.
 */
static int add_home(struct boot_container *b, const struct boot_process *p, const char ***out)
{
    const char *home = env_get(p->envp, "HOME");
    size_t n = 0, at = 1;

    *out = NULL;
    if (!b->boot->control || (home && *home))
        return 0;
    while (p->envp[n])
        n++;
    *out = calloc(n + 2, sizeof(**out));
    if (!*out)
        return -ENOMEM;
    (*out)[0] = boot_home(b, p->uid);
    if (!(*out)[0]) {
        free(*out);
        return -ENOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        if (strncmp(p->envp[i], "HOME=", 5) != 0)
            (*out)[at++] = p->envp[i];
    }
    return 0;
}

static void drop_home(const char **envp)
{
    if (envp)
        free((char *)(uintptr_t)envp[0]);
    free(envp);
}

/* Descriptors, filter, program: what can fail before a process is made. */
static int prepare_args(struct boot_container *b, const struct boot_process *p, struct tty *tty,
                        struct init_args *args, char **program, struct boot_failure *why)
{
    int r = install_fds(b, p, tty, args->files, args->cred);

    if (r < 0)
        return fail_with(why, 1, "cannot pass standard input and output on: %s", boot_error(r));
    if (p->seccomp) {
        r = seccomp_filter_create(p->seccomp, p->seccomp_count, &args->seccomp);
        if (r < 0)
            return fail_with(why, 1, "cannot use the seccomp profile: %s", boot_error(r));
    }
    return find_program(b, p, args->cred, program, why);
}

int boot_start_process(struct boot_container *b, const struct boot_process *p, struct tty *tty,
                       struct parker *parker, struct thread_group **out, struct boot_failure *why)
{
    const char **envp;
    struct init_args args;
    char *program = NULL;
    int r;

    fill_args(&args, b, p);
    if (add_home(b, p, &envp) < 0)
        return fail_with(why, 1, "out of memory");
    if (envp)
        args.envp = envp;
    args.tty = tty;
    args.parker = parker;
    args.cred = make_cred(p);
    args.files = args.cred ? fdtable_create() : NULL;
    if (!args.files) {
        drop_home(envp);
        return fail_with(why, 1, "out of memory");
    }
    r = prepare_args(b, p, tty, &args, &program, why);
    if (r < 0) {
        fdtable_put(args.files);
    } else {
        args.exe = program;
        r = out ? kernel_start_process(b->kernel, &args, out) : kernel_start_init(b->kernel, &args);
        r = r < 0 ? program_failed(why, p->argv[0], r) : 0;
    }
    free(program);
    drop_home(envp);
    seccomp_filter_put(args.seccomp);
    cred_put(args.cred);
    return r;
}
