/* System V semaphores: sets, operations together or not at all, waiting, undoing, control, removal
 * while waited for. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

union semun {
    int val;
    struct semid_ds *buf;
    unsigned short *array;
    struct seminfo *info;
};

static const char *err(long ret)
{
    return ret < 0 ? strerrorname_np(errno) : "ok";
}

static int value(int id, int num)
{
    return semctl(id, num, GETVAL);
}

static int op(int id, int num, int by, int flags)
{
    struct sembuf b = {(unsigned short)num, (short)by, (short)flags};

    return semop(id, &b, 1);
}

static void wait_for(int id, int num, int cmd, int count)
{
    while (semctl(id, num, cmd) != count)
        usleep(1000);
}

static void keys(void)
{
    key_t key = 0x52000000 + getpid();
    int id = semget(key, 3, IPC_CREAT | IPC_EXCL | 0600);
    struct semid_ds ds;
    union semun u = {.buf = &ds};

    printf("create %s\n", err(id));
    printf("again %s\n", err(semget(key, 3, IPC_CREAT | IPC_EXCL | 0600)));
    printf("find %d %d\n", semget(key, 0, 0) == id, semget(key, 3, 0600) == id);
    printf("larger %s\n", err(semget(key, 4, 0600)));
    printf("none %s\n", err(semget(key + 1, 1, 0600)));
    printf("nothing %s\n", err(semget(IPC_PRIVATE, 0, 0600)));
    printf("negative %s\n", err(semget(IPC_PRIVATE, -1, 0600)));
    printf("too many %s\n", err(semget(IPC_PRIVATE, 32001, 0600)));
    printf("stat %s", err(semctl(id, 0, IPC_STAT, u)));
    printf(" nsems %lu mode %o otime %d ctime %d\n", ds.sem_nsems, ds.sem_perm.mode,
           ds.sem_otime != 0, ds.sem_ctime != 0);
    ds.sem_perm.mode = 0640;
    printf("set %s", err(semctl(id, 0, IPC_SET, u)));
    semctl(id, 0, IPC_STAT, u);
    printf(" mode %o\n", ds.sem_perm.mode);
    printf("remove %s\n", err(semctl(id, 0, IPC_RMID)));
    printf("gone %s %s %s\n", err(semctl(id, 0, IPC_RMID)), err(op(id, 0, 1, 0)),
           err(semctl(id, 0, GETVAL)));
    printf("negative id %s %s\n", err(semctl(-1, 0, GETVAL)), err(op(-1, 0, 1, 0)));
}

static void operations(int id)
{
    struct sembuf both[] = {{0, 2, 0}, {1, -1, IPC_NOWAIT}},
                  swap[] = {{0, -2, 0}, {1, 2, 0}, {2, 0, 0}}, many[501];
    unsigned short all[3] = {1, 2, 3};
    union semun u = {.array = all};
    struct timespec soon = {0, 1000000}, bad = {0, 2000000000}, never = {-1, 0};

    printf("none done %s: %d %d\n", err(semop(id, both, 2)), value(id, 0), value(id, 1));
    printf("grow %s %d\n", err(op(id, 0, 2, 0)), value(id, 0));
    printf("three %s: %d %d %d\n", err(semop(id, swap, 3)), value(id, 0), value(id, 1),
           value(id, 2));
    printf("no room %s\n", err(op(id, 0, 32767, 0)));
    printf("beyond %s %d\n", err(op(id, 0, 1, 0)), value(id, 0));
    printf("not zero %s\n", err(op(id, 0, 0, IPC_NOWAIT)));
    printf("which %s %s\n", err(op(id, 3, 1, 0)), err(semop(id, swap, 0)));
    memset(many, 0, sizeof(many));
    printf("many %s %s\n", err(semop(id, many, 501)), err(semop(id, many, 1 << 20)));
    printf("fault %s\n", err(semop(id, (struct sembuf *)8, 1)));
    printf("timeout %s %s %s\n", err(semtimedop(id, &(struct sembuf){2, -1, 0}, 1, &soon)),
           err(semtimedop(id, &(struct sembuf){2, -1, 0}, 1, &bad)),
           err(semtimedop(id, &(struct sembuf){2, -1, 0}, 1, &never)));
    printf("setall %s: %d %d %d\n", err(semctl(id, 0, SETALL, u)), value(id, 0), value(id, 1),
           value(id, 2));
    all[1] = 40000;
    printf("range %s %s %s\n", err(semctl(id, 0, SETALL, u)),
           err(semctl(id, 0, SETVAL, (union semun){.val = 32768})),
           err(semctl(id, 0, SETVAL, (union semun){.val = -1})));
    printf("num %s %s %s\n", err(semctl(id, 3, SETVAL, (union semun){.val = 1})),
           err(semctl(id, -1, GETVAL)), err(semctl(id, 0, 99)));
    memset(all, 0, sizeof(all));
    printf("getall %s", err(semctl(id, 0, GETALL, u)));
    printf(" %d %d %d\n", all[0], all[1], all[2]);
    printf("pid %d\n", semctl(id, 0, GETPID) == getpid());
    semctl(id, 0, SETALL, (union semun){.array = (unsigned short[3]){0}});
}

static void waits(int id)
{
    int status;
    pid_t a = fork(), b;

    if (a == 0) {
        struct sembuf two[] = {{0, -1, 0}, {1, -1, 0}};

        printf("child has both %s\n", err(semop(id, two, 2)));
        fflush(stdout);
        _exit(0);
    }
    wait_for(id, 0, GETNCNT, 1);
    b = fork();
    if (b == 0)
        _exit(op(id, 2, 0, 0));
    semctl(id, 2, SETVAL, (union semun){.val = 0});
    waitpid(b, &status, 0);
    printf("zero was there %x\n", status);
    semctl(id, 2, SETVAL, (union semun){.val = 1});
    b = fork();
    if (b == 0)
        _exit(op(id, 2, 0, 0));
    wait_for(id, 2, GETZCNT, 1);
    printf("counts %d %d %d %d\n", semctl(id, 0, GETNCNT), semctl(id, 1, GETNCNT),
           semctl(id, 2, GETNCNT), semctl(id, 2, GETZCNT));
    op(id, 0, 1, 0);
    wait_for(id, 1, GETNCNT, 1); /* now it waits for the other, and has taken none */
    printf("not half %d\n", value(id, 0));
    op(id, 1, 1, 0);
    waitpid(a, &status, 0);
    printf("both %x: %d %d, by %d\n", status, value(id, 0), value(id, 1),
           semctl(id, 1, GETPID) == a);
    op(id, 2, -1, 0);
    waitpid(b, &status, 0);
    printf("zero %x\n", status);
}

static void on_alarm(int signo)
{
    (void)signo;
}

static void interrupted(int id)
{
    struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    pid_t pid;
    int status;

    sigaction(SIGUSR1, &sa, NULL);
    semctl(id, 0, SETALL, (union semun){.array = (unsigned short[3]){0}});
    pid = fork();
    if (pid == 0) {
        printf("signal %s\n", err(op(id, 0, -1, 0)));
        printf("removed %s\n", err(op(id, 1, -1, 0)));
        fflush(stdout);
        _exit(0);
    }
    wait_for(id, 0, GETNCNT, 1);
    kill(pid, SIGUSR1);
    wait_for(id, 1, GETNCNT, 1);
    printf("left %d\n", semctl(id, 0, GETNCNT));
    fflush(stdout);
    semctl(id, 0, IPC_RMID);
    waitpid(pid, &status, 0);
}

static void undo(int id)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        op(id, 0, 5, SEM_UNDO);
        op(id, 0, -2, SEM_UNDO);
        op(id, 1, 3, 0);
        op(id, 2, 7, SEM_UNDO);
        semctl(id, 2, SETVAL, (union semun){.val = 9}); /* forgets what was to be undone */
        printf("inside %d %d %d\n", value(id, 0), value(id, 1), value(id, 2));
        fflush(stdout);
        kill(getpid(), SIGKILL);
    }
    waitpid(pid, &status, 0);
    printf("undone %d %d %d\n", value(id, 0), value(id, 1), value(id, 2));
    pid = fork();
    if (pid == 0) { /* what a waiting process gets when the holder dies; not beneath nothing */
        op(id, 1, 2, SEM_UNDO);
        if (fork() == 0)
            _exit(0); /* a child has nothing to undo */
        wait(NULL);
        op(id, 1, -4, 0);
        printf("before %d\n", value(id, 1));
        fflush(stdout);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    printf("clamped %d, by %d\n", value(id, 1), semctl(id, 1, GETPID) == pid);
    printf("too much %s\n", err(op(id, 0, 32767, SEM_UNDO)));
    printf("too much %s\n", err(op(id, 0, -32767, 0)));
    printf("range %s\n", err(op(id, 0, 32767, SEM_UNDO)));
    op(id, 0, -value(id, 0), 0);
}

/* Four processes, a counter that only the semaphore guards. */
static void exclusion(int id)
{
    int pipes[2], status, bad = 0, n = 0;
    FILE *f = tmpfile();

    if (pipe(pipes) < 0)
        return;
    semctl(id, 0, SETVAL, (union semun){.val = 1});
    fprintf(f, "%8d", 0);
    fflush(f);
    for (int i = 0; i < 4; i++) {
        if (fork() == 0) {
            char text[16] = "";

            for (int j = 0; j < 200; j++) {
                op(id, 0, -1, SEM_UNDO);
                if (pread(fileno(f), text, 8, 0) != 8)
                    _exit(1);
                sprintf(text, "%8d", atoi(text) + 1);
                if (pwrite(fileno(f), text, 8, 0) != 8)
                    _exit(1);
                op(id, 0, 1, SEM_UNDO);
            }
            _exit(0);
        }
    }
    while (wait(&status) > 0)
        bad |= status;
    rewind(f);
    if (fscanf(f, "%d", &n) != 1)
        n = -1;
    printf("exclusion %d %x\n", n, bad);
}

static void listed(int id)
{
    struct seminfo info;
    char line[200];
    int mine = 0, highest = semctl(0, 0, SEM_INFO, (union semun){.info = &info});
    FILE *f = fopen("/proc/sysvipc/sem", "r");

    printf("info %d %d %d\n", highest >= 0, info.semusz >= 1, info.semaem >= 3);
    printf("limits %s", err(semctl(0, 0, IPC_INFO, (union semun){.info = &info})));
    printf(" %d %d %d %d\n", info.semmsl, info.semopm, info.semvmx, info.semaem);
    while (f && fgets(line, sizeof(line), f)) {
        int key, n, mode, count;

        if (sscanf(line, "%d %d %o %d", &key, &n, &mode, &count) == 4 && n == id)
            mine += mode == 0600 && count == 3;
    }
    printf("proc %d\n", mine);
}

int main(void)
{
    int id;

    setvbuf(stdout, NULL, _IOLBF, 0);
    keys();
    id = semget(IPC_PRIVATE, 3, 0600);
    operations(id);
    waits(id);
    undo(id);
    exclusion(id);
    listed(id);
    interrupted(id);
    return 0;
}
