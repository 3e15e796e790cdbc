/* POSIX message queues: names, order, limits, waiting, notification, as files and in poll. */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char name[64];

static const char *err(long ret)
{
    return ret < 0 ? strerrorname_np(errno) : "ok";
}

static mqd_t make(int flags, long messages, long size)
{
    struct mq_attr attr = {.mq_maxmsg = messages, .mq_msgsize = size};

    return mq_open(name, O_RDWR | O_CREAT | flags, 0640, &attr);
}

static void show(const char *what, mqd_t q)
{
    struct mq_attr a;

    printf("%s %s", what, err(mq_getattr(q, &a)));
    printf(" flags %lx %ld x %ld, %ld there\n", a.mq_flags & O_NONBLOCK, a.mq_maxmsg, a.mq_msgsize,
           a.mq_curmsgs);
}

static void receive(const char *what, mqd_t q, size_t room)
{
    char data[64] = "";
    unsigned priority = 99;
    long n = mq_receive(q, data, room, &priority);

    printf("%s %ld %s %u %.20s\n", what, n, err(n), priority, data);
}

static void names(void)
{
    char longest[300];
    mqd_t q = make(O_EXCL, 4, 32), again;

    memset(longest, 'a', sizeof(longest));
    longest[0] = '/';
    longest[299] = '\0';
    printf("create %s\n", err(q));
    printf("excl %s\n", err(make(O_EXCL, 4, 32)));
    again = mq_open(name, O_RDONLY);
    printf("open %s\n", err(again));
    show("the same", again);
    printf("to a reader %s\n", err(mq_send(again, "x", 1, 0)));
    printf("cloexec %d\n", fcntl(again, F_GETFD) & FD_CLOEXEC);
    mq_close(again);
    printf("none %s\n", err(mq_open("/nothing-of-this-name", O_RDONLY)));
    printf("slash %s %s\n", err(mq_open("/a/b", O_RDONLY)), err(mq_open("/", O_RDONLY)));
    printf("dots %s long %s\n", err(mq_open("/..", O_RDONLY)), err(mq_open(longest, O_RDONLY)));
    printf("unlink none %s\n", err(mq_unlink("/nothing-of-this-name")));
    printf("unlink %s\n", err(mq_unlink(name)));
    printf("gone %s\n", err(mq_open(name, O_RDONLY)));
    printf("still works %s\n", err(mq_send(q, "x", 1, 0)));
    printf("close %s %s\n", err(mq_close(q)), err(mq_close(q)));
    printf("no queue %s %s\n", err(mq_send(0, "x", 1, 0)),
           err(mq_getattr(1, &(struct mq_attr){0})));
    printf("attr %s", err(make(0, 0, 32)));
    printf(" %s", err(make(0, 4, -1)));
    printf(" %s\n", err(make(0, 4, 1L << 40)));
}

static void order(void)
{
    struct timespec past = {1, 0}, bad = {1, 1000000000};
    char buf[32];
    mqd_t q = make(0, 5, 32);

    mq_send(q, "first of 1", 11, 1);
    mq_send(q, "of 7", 5, 7);
    mq_send(q, "second of 1", 12, 1);
    mq_send(q, "", 0, 0);
    mq_send(q, "of 3", 5, 3);
    show("five", q);
    printf("full %s %s\n", err(mq_timedsend(q, "x", 1, 0, &past)),
           err(mq_timedsend(q, "x", 1, 0, &bad)));
    receive("small room", q, 31);
    for (int i = 0; i < 5; i++)
        receive("in order", q, 32);
    printf("empty %s %s\n", err(mq_timedreceive(q, buf, 32, NULL, &past)),
           err(mq_timedreceive(q, buf, 32, NULL, &bad)));
    printf("too long %s priority %s\n", err(mq_send(q, name, 33, 0)),
           err(mq_send(q, "x", 1, 32768)));
    printf("fault %s\n", err(mq_send(q, (char *)8, 1, 0)));
    printf("highest %s\n", err(mq_send(q, "x", 1, 32767)));
    receive("highest", q, 32);
    printf("flags %s", err(mq_setattr(q, &(struct mq_attr){.mq_flags = O_NONBLOCK}, NULL)));
    printf(" %s\n", err(mq_setattr(q, &(struct mq_attr){.mq_flags = O_APPEND}, NULL)));
    show("nonblocking", q);
    receive("would block", q, 32);
    mq_close(q);
    mq_unlink(name);
}

static void waiting(void)
{
    struct pollfd p;
    mqd_t q = make(0, 2, 32);
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        receive("child", q, 32);
        for (int i = 0; i < 100; i++) {
            char data[32];

            if (mq_receive(q, data, 32, NULL) != 4)
                _exit(1);
        }
        fflush(stdout);
        _exit(0);
    }
    mq_send(q, "hello", 6, 5);
    for (int i = 0; i < 100; i++)
        mq_send(q, "data", 4, i % 3);
    waitpid(pid, &status, 0);
    printf("all %x\n", status);
    p = (struct pollfd){.fd = q, .events = POLLIN | POLLOUT};
    printf("poll %d %x\n", poll(&p, 1, 0), p.revents);
    mq_send(q, "a", 1, 0);
    poll(&p, 1, 0);
    printf("one: %x\n", p.revents);
    mq_send(q, "a", 1, 0);
    poll(&p, 1, 0);
    printf("two: %x\n", p.revents);
    mq_close(q);
    mq_unlink(name);
}

static volatile sig_atomic_t signals, code, value, sender;

static void on_signal(int signo, siginfo_t *info, void *context)
{
    (void)signo;
    (void)context;
    signals++;
    code = info->si_code;
    value = info->si_value.sival_int;
    sender = info->si_pid == getpid();
}

static void on_interrupt(int signo)
{
    (void)signo;
}

static void notices(void)
{
    struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO},
                     quiet = {.sa_handler = on_interrupt};
    struct sigevent ev = {
        .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 42};
    struct sigevent bad = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = 99};
    char buf[32], text[200];
    mqd_t q = make(0, 4, 32);
    int status;
    pid_t pid;

    sigaction(SIGUSR1, &sa, NULL);
    sigaction(SIGALRM, &quiet, NULL);
    printf("bad %s\n", err(mq_notify(q, &bad)));
    printf("ask %s again %s\n", err(mq_notify(q, &ev)), err(mq_notify(q, &ev)));
    mq_send(q, "x", 1, 0);
    printf("told %d %d %d %d\n", (int)signals, (int)code, (int)value, (int)sender);
    mq_send(q, "y", 1, 0);
    printf("once %d, ask %s\n", (int)signals, err(mq_notify(q, &ev)));
    mq_send(q, "z", 1, 0); /* it was not empty */
    printf("not empty %d\n", (int)signals);
    text[read(q, text, sizeof(text) - 1)] = '\0';
    text[29] = '\0'; /* the process has a number */
    printf("text \"%s\"\n", text);
    printf("no more %s\n", err(mq_notify(q, NULL)));
    while (mq_timedreceive(q, buf, 32, NULL, &(struct timespec){1, 0}) > 0)
        ;
    mq_send(q, "x", 1, 0);
    printf("unasked %d\n", (int)signals);
    mq_receive(q, buf, 32, NULL);
    pid = fork();
    if (pid == 0) {
        do
            mq_receive(q, buf, 32, NULL);
        while (buf[0] != 'e');
        _exit(0);
    }
    mq_send(q, "x", 1, 0);
    mq_send(q, "e", 1, 0);
    waitpid(pid, &status, 0);
    printf("waited %x\n", status);
    ualarm(20000, 20000);
    printf("signal %s\n", err(mq_receive(q, buf, 32, NULL)));
    ualarm(0, 0);
    mq_close(q);
    mq_unlink(name);
}

static void as_files(void)
{
    char path[100], link[100] = "";
    struct rlimit limit = {1000, 1000};
    struct statfs fs;
    struct stat st;
    mqd_t q;

    mkdir("mq", 0755);
    printf("mount %s\n", err(mount("mqueue", "mq", "mqueue", 0, NULL)));
    umask(022);
    q = make(0, 4, 32);
    printf("magic %s %lx\n", err(statfs("mq", &fs)), (long)fs.f_type);
    snprintf(path, sizeof(path), "mq%s", name);
    printf("stat %s", err(stat(path, &st)));
    printf(" %o size %ld links %ld\n", st.st_mode, (long)st.st_size, (long)st.st_nlink);
    printf("directory %s", err(mkdir("mq/d", 0755)));
    printf(" %s %s\n", err(symlink("x", "mq/s")), err(mkfifo("mq/f", 0600)));
    printf("rename %s\n", err(rename(path, "mq/other")) ? "answered" : "");
    snprintf(path, sizeof(path), "/proc/self/fd/%d", q);
    printf("link %d\n", readlink(path, link, sizeof(link) - 1) > 0 && strstr(link, name) != NULL);
    mq_close(q);
    mq_unlink(name);
    mq_unlink("/other");
    setrlimit(RLIMIT_MSGQUEUE, &limit);
    printf("limit %s\n", err(make(0, 4, 8192)));
    printf("below %s\n", err(make(0, 1, 32)));
    mq_unlink(name);
    umount("mq");
    rmdir("mq");
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    snprintf(name, sizeof(name), "/cvisor-abi-%d", getpid());
    names();
    order();
    waiting();
    notices();
    as_files();
    return 0;
}
