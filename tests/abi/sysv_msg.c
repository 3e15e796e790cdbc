/* System V message queues: types and order, waiting for a message and for room, limits, control,
 * removal while waited for. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/wait.h>
#include <unistd.h>

struct text {
    long type;
    char data[20000];
};

static const char *err(long ret)
{
    return ret < 0 ? strerrorname_np(errno) : "ok";
}

static int send(int id, long type, const char *data, int flags)
{
    struct text m = {.type = type};

    strcpy(m.data, data);
    return msgsnd(id, &m, strlen(data) + 1, flags);
}

static void receive(const char *what, int id, long type, size_t size, int flags)
{
    struct text m = {0};
    long n = msgrcv(id, &m, size, type, flags);

    printf("%s %ld %s %ld %.20s\n", what, n, err(n), m.type, m.data);
}

static void keys(void)
{
    key_t key = 0x53000000 + getpid();
    int id = msgget(key, IPC_CREAT | IPC_EXCL | 0600);
    struct msqid_ds ds;

    printf("create %s\n", err(id));
    printf("again %s %d\n", err(msgget(key, IPC_CREAT | IPC_EXCL | 0600)), msgget(key, 0600) == id);
    printf("none %s\n", err(msgget(key + 1, 0600)));
    printf("stat %s", err(msgctl(id, IPC_STAT, &ds)));
    printf(" %lu %lu %lu %o %d %d %d\n", ds.msg_cbytes, ds.msg_qnum, ds.msg_qbytes,
           ds.msg_perm.mode, ds.msg_lspid, ds.msg_stime != 0, ds.msg_ctime != 0);
    printf("remove %s\n", err(msgctl(id, IPC_RMID, NULL)));
    printf("gone %s %s %s\n", err(send(id, 1, "x", 0)), err(msgctl(id, IPC_STAT, &ds)),
           err(msgrcv(id, &(struct text){0}, 1, 0, 0)));
    printf("negative %s %s\n", err(send(-1, 1, "x", 0)), err(msgctl(-1, IPC_STAT, &ds)));
}

static void types(int id)
{
    struct text m = {.type = 0};
    struct msqid_ds ds;

    printf("type %s %s\n", err(msgsnd(id, &m, 1, 0)), err(send(id, -3, "x", 0)));
    printf("size %s %s\n", err(msgsnd(id, &(struct text){.type = 1}, 8193, 0)),
           err(msgsnd(id, &(struct text){.type = 1}, (size_t)-1, 0)));
    printf("fault %s\n", err(msgsnd(id, (void *)8, 1, 0)));
    for (int i = 1; i <= 6; i++) {
        char data[10];

        sprintf(data, "m%d", i);
        send(id, (i * 5) % 7, data, 0);
    }
    receive("first", id, 0, 100, 0);
    receive("of type", id, 4, 100, 0);
    receive("not of type", id, 3, 100, MSG_EXCEPT);
    receive("lowest up to", id, -6, 100, 0);
    receive("none up to", id, -1, 100, IPC_NOWAIT);
    receive("too long", id, 0, 1, 0);
    receive("cut", id, 0, 1, MSG_NOERROR);
    receive("copy", id, 0, 100, MSG_COPY | IPC_NOWAIT);
    receive("copy beyond", id, 5, 100, MSG_COPY | IPC_NOWAIT);
    receive("copy waits", id, 0, 100, MSG_COPY);
    receive("last", id, 0, 100, 0);
    receive("empty", id, 0, 100, IPC_NOWAIT);
    printf("no text %s\n", err(msgsnd(id, &(struct text){.type = 9}, 0, 0)));
    receive("no text", id, 0, 0, 0);
    msgctl(id, IPC_STAT, &ds);
    printf("left %lu %lu by %d %d\n", ds.msg_cbytes, ds.msg_qnum, ds.msg_lspid == getpid(),
           ds.msg_lrpid == getpid());
}

static void room(int id)
{
    struct text m = {.type = 1};
    struct msqid_ds ds;
    int status, n = 0;
    pid_t pid;

    while (msgsnd(id, &m, 8192, IPC_NOWAIT) == 0)
        n++;
    printf("full after %d %s\n", n, err(-1));
    pid = fork();
    if (pid == 0) {
        m.type = 2;
        _exit(msgsnd(id, &m, 100, 0) != 0);
    }
    printf("takes %zd\n", msgrcv(id, &m, 8192, 0, 0));
    waitpid(pid, &status, 0);
    printf("sent %x\n", status);
    msgctl(id, IPC_STAT, &ds);
    printf("holds %lu %lu\n", ds.msg_cbytes, ds.msg_qnum);
    ds.msg_qbytes = 50;
    printf("smaller %s\n", err(msgctl(id, IPC_SET, &ds)));
    printf("no room %s\n", err(send(id, 1, "x", IPC_NOWAIT)));
    while (msgrcv(id, &m, 8192, 0, IPC_NOWAIT) >= 0)
        ;
    for (n = 0; msgsnd(id, &m, 0, IPC_NOWAIT) == 0; n++)
        ;
    printf("empty ones %d\n", n);
    while (msgrcv(id, &m, 8192, 0, IPC_NOWAIT) >= 0)
        ;
    ds.msg_qbytes = 16384;
    msgctl(id, IPC_SET, &ds);
}

static void conversation(int id)
{
    int status, sum = 0;

    for (int i = 1; i <= 3; i++) {
        if (fork() == 0) {
            for (int j = 0; j < 100; j++) {
                struct text m;

                if (msgrcv(id, &m, 100, i, 0) < 0)
                    _exit(1);
                m.type += 10;
                if (msgsnd(id, &m, 4, 0) < 0)
                    _exit(1);
            }
            _exit(0);
        }
    }
    for (int j = 0; j < 100; j++) {
        for (int i = 1; i <= 3; i++)
            send(id, i, "abc", 0);
        for (int i = 13; i >= 11; i--) {
            struct text m;

            sum += msgrcv(id, &m, 100, i, 0) == 4;
        }
    }
    while (wait(&status) > 0)
        sum += status;
    printf("answers %d\n", sum);
}

static void on_signal(int signo)
{
    (void)signo;
}

static void ends(int id)
{
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct text m = {.type = 5};
    struct msginfo info;
    pid_t pid;
    int status;

    sigaction(SIGUSR1, &sa, NULL);
    pid = fork();
    if (pid == 0) {
        long r = msgrcv(id, &m, 10, 77, 0);

        printf("signal %s\n", err(r));
        msgsnd(id, &m, 1, 0);
        do {
            r = msgrcv(id, &m, 10, 77, 0); /* a late signal may come */
        } while (r < 0 && errno == EINTR);
        printf("removed %s\n", err(r));
        fflush(stdout);
        _exit(0);
    }
    do {
        kill(pid, SIGUSR1); /* until it came in time */
        usleep(1000);
    } while (msgrcv(id, &m, 10, 5, IPC_NOWAIT) < 0);
    printf("info %d\n", msgctl(0, MSG_INFO, (struct msqid_ds *)&info) >= 0);
    printf("limits %d", msgctl(0, IPC_INFO, (struct msqid_ds *)&info) >= 0);
    printf(" %d %d\n", info.msgmax, info.msgmnb);
    fflush(stdout);
    msgctl(id, IPC_RMID, NULL);
    waitpid(pid, &status, 0);
}

int main(void)
{
    int id;

    setvbuf(stdout, NULL, _IOLBF, 0);
    keys();
    id = msgget(IPC_PRIVATE, 0600);
    types(id);
    room(id);
    conversation(id);
    ends(id);
    return 0;
}
