/*
 * runsc bwrap, and runsc called as bwrap: bubblewrap's front end. What it asks for becomes a
 * sandbox of ours, which has all namespaces of its own in any case.
 */
#include "runsc-cli/cli.h"

#include "runsc-cli/bwrap.h"
#include "runsc-cli/caller.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define ALL_CAPS 0x1ffffffffffULL

const struct opt bwrap_opts[] = {{0}};

static struct bwrap bwrap;

/* ---- what is told outside ---- */

static void add_namespaces(FILE *f, pid_t pid, const char *separator)
{
    static const struct {
        const char *name;
        uint32_t bit;
    } all[] = {{"cgroup", BWRAP_CGROUP}, {"ipc", BWRAP_IPC}, {"mnt", 0},
               {"net", BWRAP_NET},       {"pid", BWRAP_PID}, {"uts", BWRAP_UTS}};

    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        char path[64];
        struct stat st;

        if (all[i].bit && !(bwrap.unshare & all[i].bit))
            continue;
        snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, all[i].name);
        if (stat(path, &st) == 0)
            fprintf(f, ",%s\"%s-namespace\": %llu", separator, all[i].name,
                    (unsigned long long)st.st_ino);
    }
}

static void write_about(int fd, pid_t pid, const char *separator, const char *end)
{
    FILE *f = fd < 0 ? NULL : fdopen(fcntl(fd, F_DUPFD_CLOEXEC, 3), "w");

    if (!f)
        return;
    fprintf(f, "{%s\"child-pid\": %d", separator, pid);
    add_namespaces(f, pid, separator);
    fputs(end, f);
    fclose(f);
}

static void tell_started(const struct sandbox *s)
{
    write_about(bwrap.info_fd, s->pid, "\n    ", "\n}\n");
    write_about(bwrap.status_fd, s->pid, " ", " }\n");
    if (bwrap.info_fd >= 0)
        close(bwrap.info_fd);
}

static void tell_ended(int status)
{
    if (bwrap.status_fd >= 0)
        dprintf(bwrap.status_fd, "{ \"exit-code\": %d }\n", status);
}

/* ---- what the command gets ---- */

static int read_filter(int fd, struct boot_process *p, struct cli_error *err)
{
    size_t size = 0, room = BPF_INSNS_MAX * sizeof(struct bpf_insn);
    char *code = malloc(room + 1);
    ssize_t n;

    while (code && size <= room && (n = read(fd, code + size, room + 1 - size)) != 0) {
        if (n < 0 && errno != EINTR)
            return fail_errno(err, 1, errno, "Can't read seccomp data");
        size += n > 0 ? (size_t)n : 0;
    }
    if (!code || size > room || size == 0 || size % sizeof(struct bpf_insn))
        return fail(err, 1, "Invalid seccomp data, must be multiple of 8");
    p->seccomp = (const struct bpf_insn *)code;
    p->seccomp_count = (uint32_t)(size / sizeof(struct bpf_insn));
    return 0;
}

/* The caller's own directory where it is there inside too, else HOME, else the root. */
static const char *working_directory(void)
{
    static char cwd[4096];
    const char *home = NULL;

    if (bwrap.chdir)
        return bwrap.chdir;
    if (getcwd(cwd, sizeof(cwd)) && bwrap_has_directory(&bwrap, cwd))
        return cwd;
    for (size_t i = 0; i < bwrap.env_count; i++) {
        if (strncmp(bwrap.env[i], "HOME=", 5) == 0)
            home = bwrap.env[i] + 5;
    }
    return home && *home == '/' && bwrap_has_directory(&bwrap, home) ? home : "/";
}

static int set_pwd(const char *cwd, struct cli_error *err)
{
    char *text;

    if (asprintf(&text, "PWD=%s", cwd) < 0)
        return fail(err, 1, "out of memory");
    for (size_t i = 0; i < bwrap.env_count; i++) {
        if (strncmp(bwrap.env[i], "PWD=", 4) == 0) {
            bwrap.env[i] = text;
            return 0;
        }
    }
    bwrap.env[bwrap.env_count++] = text;
    return 0;
}

/* As bubblewrap leaves them: root keeps its own unless some are named. */
static void set_caps(struct boot_process *p)
{
    bool some = bwrap.caps_set && bwrap.caps;

    for (int i = 0; i < 5; i++)
        p->caps[i] = some || (i < 2 && p->uid == 0) ? bwrap.caps : 0;
    if (!bwrap.caps && (geteuid() != 0 || (bwrap.unshare & BWRAP_USER)))
        p->caps[3] = 0; /* only an own user namespace lets go of the bounds */
    else
        p->caps[3] = ALL_CAPS;
}

/* Locks that others on the host see, held as long as we are there. */
static int take_locks(struct cli_error *err)
{
    for (size_t i = 0; i < bwrap.lock_count; i++) {
        struct flock lock = {.l_type = F_RDLCK};
        char *path;
        int fd;

        if (!bwrap_host_path(&bwrap, bwrap.locks[i], &path))
            return fail(err, 1, "--lock-file %s: it is not on the host's file systems",
                        bwrap.locks[i]);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return fail_errno(err, 1, errno, "Unable to open lock file %s", bwrap.locks[i]);
        if (fcntl(fd, F_SETLK, &lock) < 0)
            return fail_errno(err, 1, errno, "Unable to lock file %s", bwrap.locks[i]);
    }
    return 0;
}

static int set_up(const struct global_options *global, struct sandbox *s, struct cli_error *err)
{
    struct boot_process *p = &s->config.init;

    s->config.root_overlay = true; /* what is made in it stays in memory */
    s->config.mounts = bwrap.mounts;
    s->config.mount_count = bwrap.mount_count;
    s->config.hostname = bwrap.hostname;
    s->block_fd = bwrap.block_fd;
    s->on_spawn = tell_started;
    p->umask = umask(022);
    p->argv = (const char *const *)bwrap.command;
    p->envp = bwrap.env;
    p->uid = bwrap.uid >= 0 ? (uint32_t)bwrap.uid : p->uid;
    p->gid = bwrap.gid >= 0 ? (uint32_t)bwrap.gid : p->gid;
    s->config.make_uid = p->uid;
    s->config.make_gid = p->gid;
    p->groups = caller_groups(&p->group_count);
    p->cwd = working_directory();
    p->ordinary = true;
    p->no_new_privs = true;
    p->tty_fd = bwrap.new_session ? -1 : caller_terminal();
    set_caps(p);
    if (set_pwd(p->cwd, err) < 0 || take_locks(err) < 0)
        return -1;
    bwrap.env[bwrap.env_count] = NULL;
    if (bwrap.seccomp_fd >= 0 && read_filter(bwrap.seccomp_fd, p, err) < 0)
        return -1;
    if ((bwrap.unshare & BWRAP_NET) && !bwrap.share_net)
        s->network = NETWORK_NONE;
    return caller_network(global, s, false, err);
}

int cmd_bwrap(const struct global_options *global, void *opts, int argc, char **args,
              struct cli_error *err)
{
    enum bwrap_done done;
    struct sandbox s;
    int status;

    err->status = 1;
    /* The words begin behind the program's name. */
    if (bwrap_parse(&bwrap, args - 1, (size_t)argc + 1, &done, err) < 0)
        return -1;
    if (done == BWRAP_PRINTED)
        return 0;
    if (bwrap.die_with_parent)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (sandbox_defaults(global, &s, err) < 0 || caller_descriptors(0, &s.config.init, err) < 0 ||
        set_up(global, &s, err) < 0)
        return -1;
    status = sandbox_run_foreground(&s, err);
    if (status < 0)
        err->status = 1; /* bubblewrap knows no other of its own */
    else
        tell_ended(status);
    return status;
}
