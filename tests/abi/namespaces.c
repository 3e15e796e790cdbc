/*
 * Entering pid and uts namespaces with setns, who is told which number of a process elsewhere, what
 * /proc says, host names, and System V objects. Where the caller may not make namespaces, there is
 * nothing to compare.
 */
#include "namespaces.h"

#include <fcntl.h>
#include <mqueue.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#define NOBODY        0x3fffffff /* beyond every pid_max */
#define PIDFD_OF(pid) ((int)syscall(SYS_pidfd_open, pid, 0))

/* ---- entering ---- */

static void enter_by(int fd, int kind, const char *how)
{
    pid_t pid = do_fork();

    if (!pid) {
        pid_t child;

        errno = 0;
        printf("setns by %s: %d %s\n", how, setns(fd, kind), strerrorname_np(errno));
        SHOW(getpid() > 1);
        child = do_fork();
        if (!child) {
            SHOW(getppid());
            SHOW(kill(1, 0));
            SHOW(getpid() > 1 && getpid() < 10);
            flush_exit(0);
        }
        show_status(child, "inside");
        flush_exit(0);
    }
    show_status(pid, how);
}

static void entering(void)
{
    int ready[2], fd, pidfd;
    char path[64];
    pid_t pid;

    if (pipe(ready))
        return;
    pid = clone_with(CLONE_NEWPID | CLONE_NEWUTS, NULL, 0);
    if (!pid) {
        SHOW(sethostname("inside", 6));
        fflush(stdout);
        let_go(ready[1]);
        for (;;)
            pause();
    }
    wait_for(ready[0]);
    snprintf(path, sizeof(path), "/proc/%d/ns/pid", pid);
    fd = open(path, O_RDONLY);
    pidfd = PIDFD_OF(pid);
    enter_by(fd, 0, "file");
    enter_by(fd, CLONE_NEWPID, "file and kind");
    SHOW(setns(fd, CLONE_NEWNS));
    SHOW(setns(pidfd, 0));
    SHOW(setns(pidfd, 1));
    SHOW(setns(0, 0));
    SHOW(setns(-1, 0));
    enter_by(pidfd, CLONE_NEWPID, "pidfd");
    if (!do_fork()) {
        char name[65];

        SHOW(setns(pidfd, CLONE_NEWUTS));
        SHOW(gethostname(name, sizeof(name)));
        puts(name);
        flush_exit(0);
    }
    SHOW(wait(NULL) > 0);
    SHOW(kill(pid, SIGKILL));
    show_status(pid, "entered");
    SHOW(setns(pidfd, CLONE_NEWPID));
    close(pidfd);
    pid = do_fork();
    if (!pid) {
        SHOW(setns(fd, 0));
        errno = 0;
        pid = do_fork();
        printf("fork into a dead one: %d %s\n", pid, strerrorname_np(errno));
        flush_exit(0);
    }
    show_status(pid, "late");
    close(fd);
}

/* Only downwards. */
static void entering_upwards(void)
{
    int fd = open("/proc/self/ns/pid", O_RDONLY);
    pid_t pid = clone_with(CLONE_NEWPID, NULL, 0);

    if (!pid) {
        SHOW(setns(fd, 0));
        flush_exit(0);
    }
    show_status(pid, "upwards");
    SHOW(setns(fd, 0)); /* where it is already */
    close(fd);
}

/* ---- who is told which number ---- */

static int peer_pid(int fd)
{
    struct ucred cred;
    socklen_t size = sizeof(cred);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) ? -1 : cred.pid;
}

static int receive_pid(int fd)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(struct ucred))];
    } control;
    char c;
    struct iovec iov = {&c, 1};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof(control)};
    struct ucred cred = {-2, 0, 0};

    if (recvmsg(fd, &m, 0) == 1 && m.msg_controllen)
        memcpy(&cred, CMSG_DATA(&control.head), sizeof(cred));
    return cred.pid;
}

static int send_pid(int fd, pid_t pid)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(struct ucred))];
    } control = {.head = {CMSG_LEN(sizeof(struct ucred)), SOL_SOCKET, SCM_CREDENTIALS}};
    struct iovec iov = {"x", 1};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = CMSG_LEN(sizeof(struct ucred))};
    struct ucred cred = {pid, getuid(), getgid()};

    memcpy(CMSG_DATA(&control.head), &cred, sizeof(cred));
    return (int)sendmsg(fd, &m, 0);
}

static void credentials(void)
{
    int pair[2], on = 1;
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair))
        return;
    setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
    setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
    SHOW(peer_pid(pair[0]) == getpid());
    SHOW(send_pid(pair[1], NOBODY)); /* nobody's */
    pid = clone_with(CLONE_NEWPID, NULL, 0);
    if (!pid) {
        SHOW(peer_pid(pair[0])); /* its maker is not here */
        SHOW(receive_pid(pair[0]));
        SHOW(send_pid(pair[0], 1));
        SHOW(send_pid(pair[0], 2));
        SHOW(write(pair[0], "x", 1));
        flush_exit(0);
    }
    SHOW(write(pair[1], "x", 1));
    SHOW(receive_pid(pair[1]) == pid);
    SHOW(receive_pid(pair[1]) == pid);
    show_status(pid, "sender");
    close(pair[0]);
    close(pair[1]);
}

static void owners_and_locks(void)
{
    struct flock lock = {.l_type = F_WRLCK};
    int fd = memfd_create("locked", 0), ready[2];
    pid_t pid;

    if (pipe(ready))
        return;
    SHOW(fcntl(fd, F_SETLK, &lock));
    pid = clone_with(CLONE_NEWPID, NULL, 0);
    if (!pid) {
        struct flock l = {.l_type = F_WRLCK};

        SHOW(fcntl(fd, F_GETLK, &l));
        SHOW(l.l_type == F_WRLCK);
        SHOW(l.l_pid);
        SHOW(fcntl(ready[0], F_SETOWN, getpid()));
        SHOW(fcntl(ready[0], F_GETOWN));
        SHOW(fcntl(ready[0], F_SETOWN, NOBODY));
        SHOW(fcntl(ready[0], F_SETOWN, -NOBODY));
        fflush(stdout);
        let_go(ready[1]);
        for (;;)
            pause();
    }
    wait_for(ready[0]);
    SHOW(fcntl(ready[0], F_GETOWN) == pid);
    SHOW(kill(pid, SIGKILL));
    show_status(pid, "owner");
    close(fd);
}

/* ---- /proc ---- */

static void show_line(const char *path, const char *key)
{
    FILE *f = fopen(path, "r");
    char line[256];

    while (f && fgets(line, sizeof(line), f))
        if (!strncmp(line, key, strlen(key)))
            fputs(line, stdout);
    if (f)
        fclose(f);
    else
        printf("%s: %s\n", path, strerrorname_np(errno));
}

static int same_file(const char *a, const char *b)
{
    char x[64] = "", y[64] = "";

    if (readlink(a, x, 63) < 0 || readlink(b, y, 63) < 0)
        return -1;
    return !strcmp(x, y);
}

static void proc_inside(void)
{
    char text[64] = "";
    pid_t child;

    SHOW(readlink("/proc/self", text, 63) > 0); /* as the mount's namespace numbers it */
    SHOW(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
    SHOW(mount("proc", "/proc", "proc", 0, NULL));
    SHOW(readlink("/proc/self", text, 63));
    SHOW(readlink("/proc/thread-self", text, 63));
    puts(text);
    show_line("/proc/self/status", "NSpid");
    show_line("/proc/1/status", "PPid");
    show_line("/proc/1/status", "NStgid");
    SHOW(access("/proc/2", F_OK));
    SHOW(access("/proc/1/task/1", F_OK));
    SHOW(same_file("/proc/self/ns/pid", "/proc/1/ns/pid_for_children"));
    child = clone_with(CLONE_NEWPID, NULL, 0);
    if (!child)
        pause();
    show_line("/proc/2/status", "NSpid");
    show_line("/proc/2/status", "PPid");
    SHOW(same_file("/proc/self/ns/pid", "/proc/2/ns/pid"));
    SHOW(same_file("/proc/self/ns/uts", "/proc/2/ns/uts"));
    SHOW(kill(2, SIGKILL));
    show_status(2, "nested init");
    flush_exit(0);
}

static void proc(void)
{
    pid_t pid = clone_with(CLONE_NEWPID | CLONE_NEWNS, NULL, 0);

    if (!pid)
        proc_inside();
    show_status(pid, "proc");
}

static void proc_from_outside(void)
{
    int ready[2];
    char path[64], line[64] = "";
    pid_t pid, outer, one;
    FILE *f;

    if (pipe(ready))
        return;
    pid = clone_with(CLONE_NEWPID, NULL, 0);
    if (!pid) {
        let_go(ready[1]);
        for (;;)
            pause();
    }
    wait_for(ready[0]);
    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    f = fopen(path, "r");
    while (f && fgets(line, sizeof(line), f) && strncmp(line, "NSpid", 5))
        ;
    if (f)
        fclose(f);
    /* Own namespaces of who runs this put more numbers before the two. */
    SHOW(sscanf(line, "NSpid:\t%d\t%d", &outer, &one) == 2 && outer == pid && one == 1);
    snprintf(path, sizeof(path), "/proc/%d/ns/pid", pid);
    SHOW(same_file("/proc/self/ns/pid", path));
    SHOW(kill(pid, SIGKILL));
    show_status(pid, "seen");
}

/* ---- uts ---- */

static void names(void)
{
    char before[65] = "", after[65] = "";
    pid_t pid;

    gethostname(before, sizeof(before));
    pid = do_fork();
    if (!pid) {
        struct utsname uts;

        SHOW(unshare(CLONE_NEWUTS));
        SHOW(sethostname("other", 5));
        SHOW(setdomainname("domain", 6));
        uname(&uts);
        puts(uts.nodename);
        puts(uts.domainname);
        show_line("/proc/sys/kernel/hostname", "");
        flush_exit(0);
    }
    show_status(pid, "names");
    gethostname(after, sizeof(after));
    SHOW(strcmp(before, after));
}

/* ---- ipc ---- */

/* Who leaves the namespace of a set takes its adjustments back. */
static void undo_left_behind(void)
{
    struct sembuf up = {0, 1, SEM_UNDO};
    int set = semget(0x6e73, 1, 0600);
    pid_t pid;

    pid = do_fork();
    if (!pid) {
        SHOW(semop(set, &up, 1));
        SHOW(semctl(set, 0, GETVAL));
        SHOW(unshare(CLONE_NEWIPC));
        SHOW(semctl(set, 0, GETVAL));
        flush_exit(0);
    }
    show_status(pid, "left");
    SHOW(semctl(set, 0, GETVAL));
    SHOW(clone_with(CLONE_NEWIPC | CLONE_SYSVSEM, NULL, 0));
}

/* In an ipc namespace of its own: the key may be another's. */
static void segments(void)
{
    char before[64] = "", after[64] = "", text[8192] = "";
    mqd_t queue = mq_open("/cvisor-ns", O_CREAT | O_EXCL | O_RDWR, 0600, NULL), other;
    int id = shmget(0x6e73, 4096, IPC_CREAT | IPC_EXCL | 0600);
    struct shmid_ds ds;
    char *at = shmat(id, NULL, 0), *inner;
    pid_t pid;

    strcpy(at, "outer");
    SHOW(semget(0x6e73, 1, IPC_CREAT | IPC_EXCL | 0600) >= 0);
    SHOW(msgget(0x6e73, IPC_CREAT | IPC_EXCL | 0600) >= 0);
    undo_left_behind();
    pid = clone_with(CLONE_NEWIPC | CLONE_NEWPID, NULL, 0);
    if (!pid) {
        pid_t child;

        SHOW(shmget(0x6e73, 4096, 0600)); /* not here */
        SHOW(shmctl(id, IPC_STAT, &ds));
        SHOW(semget(0x6e73, 1, 0600));
        SHOW(msgget(0x6e73, 0600));
        SHOW(mq_open("/cvisor-ns", O_RDWR));
        SHOW(mq_send(queue, "open", 5, 0)); /* stays */
        other = mq_open("/cvisor-ns", O_CREAT | O_EXCL | O_RDWR, 0600, NULL);
        SHOW(mq_send(other, "inside", 7, 0));
        puts(at); /* but what was attached stays */
        SHOW(shmget(0x6e73, 8192, IPC_CREAT | IPC_EXCL | 0600) >= 0);
        id = shmget(0x6e73, 0, 0);
        SHOW(shmctl(id, IPC_STAT, &ds));
        SHOW(ds.shm_cpid);
        inner = shmat(id, NULL, 0);
        strcpy(inner, "inner");
        child = clone_with(CLONE_NEWIPC, NULL, 0);
        if (!child) {
            SHOW(shmget(0x6e73, 0, 0));
            puts(inner);
            SHOW(shmget(IPC_PRIVATE, 4096, 0600) >= 0); /* goes with its namespace */
            flush_exit(0);
        }
        show_status(child, "inside");
        SHOW(readlink("/proc/self/ns/ipc", before, 63) > 0);
        SHOW(unshare(CLONE_NEWIPC));
        SHOW(readlink("/proc/self/ns/ipc", after, 63) > 0 && strcmp(before, after));
        SHOW(shmget(0x6e73, 0, 0));
        puts(inner); /* attached, its namespace gone */
        SHOW(shmdt(inner));
        SHOW(mq_open("/cvisor-ns", O_RDWR));
        SHOW(mq_receive(other, text, sizeof(text), NULL));
        puts(text);
        SHOW(mq_send(other, "again", 6, 0));
        SHOW(mq_close(other));
        flush_exit(0);
    }
    show_status(pid, "segments");
    SHOW(mq_receive(queue, text, sizeof(text), NULL));
    puts(text);
    SHOW(mq_unlink("/cvisor-ns"));
    SHOW(shmget(0x6e73, 0, 0) == id);
    SHOW(shmctl(id, IPC_STAT, &ds));
    SHOW(ds.shm_cpid == getpid());
    SHOW(shmctl(id, IPC_RMID, NULL));
    SHOW(shmdt(at));
    flush_exit(0);
}

int main(void)
{
    need_namespaces();
    entering();
    entering_upwards();
    credentials();
    owners_and_locks();
    proc();
    proc_from_outside();
    names();
    if (!clone_with(CLONE_NEWIPC, NULL, 0))
        segments();
    SHOW(wait(NULL) > 0);
    return 0;
}
