/* Pseudoterminals: line discipline, modes, job control, packet mode, hangup. */
#include "abi.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static int master, slave;
static volatile sig_atomic_t got;

static void on_signal(int signo)
{
    got = signo;
}

static void quote(const char *what, const char *p, long n)
{
    printf("%s %ld%s%s \"", what, n, n < 0 ? " " : "", n < 0 ? strerrorname_np(errno) : "");
    for (long i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];

        if (c >= 32 && c < 127)
            printf("%c", c);
        else
            printf("\\x%02x", c);
    }
    printf("\"\n");
}

/* What there is, read until nothing more comes. */
static void drain(const char *what, int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char buf[8192];
    long n = 0, r;

    while (n < (long)sizeof(buf) && poll(&p, 1, 30) == 1 && (p.revents & POLLIN)) {
        r = read(fd, buf + n, sizeof(buf) - (size_t)n);
        if (r <= 0)
            break;
        n += r;
    }
    quote(what, buf, n);
}

static void type(const char *text)
{
    if (write(master, text, strlen(text)) < 0)
        printf("type: %s\n", strerrorname_np(errno));
}

static void read_once(const char *what, int fd, size_t size)
{
    char buf[8192];
    long n = read(fd, buf, size);

    quote(what, buf, n);
}

static void open_pair(void)
{
    master = posix_openpt(O_RDWR | O_NOCTTY);
    SHOW(master >= 0);
    SHOW(open(ptsname(master), O_RDWR | O_NOCTTY));
    SHOW(unlockpt(master));
    slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_NONBLOCK);
    SHOW(slave >= 0);
    SHOW(isatty(slave));
    SHOW(isatty(master));
}

static void show_modes(void)
{
    struct termios t;

    SHOW(tcgetattr(slave, &t));
    printf("%x %x %x %x\n", t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag);
    for (int i = 0; i < 19; i++)
        printf("%x ", t.c_cc[i]);
    printf("\n%u %u\n", (unsigned)cfgetospeed(&t), (unsigned)cfgetispeed(&t));
}

static void canonical(void)
{
    type("hello\n");
    drain("echo", master);
    drain("line", slave);
    type("abc\x7f\x7fx\n");
    drain("erase echo", master);
    drain("erased", slave);
    type("one two\x17three\n");
    drain("werase echo", master);
    drain("werased", slave);
    type("gone\x15kept\n");
    drain("kill echo", master);
    drain("killed", slave);
    type("a\tb\x7f\x7fz\n");
    drain("tab echo", master);
    drain("tab", slave);
    type("x\x16\x03y\n");
    drain("lnext echo", master);
    drain("lnext", slave);
    type("ab\x12" "c\n");
    drain("reprint echo", master);
    drain("reprinted", slave);
    type("\x01\x7f\n");
    drain("control echo", master);
    drain("control", slave);
    type("part");
    read_once("no line yet", slave, 10);
    type("\x04");
    read_once("eof after part", slave, 10);
    type("\x04");
    read_once("eof", slave, 10);
    read_once("after eof", slave, 10);
    type("first\nsecond\n");
    read_once("short", slave, 3);
    read_once("rest", slave, 100);
    read_once("next", slave, 100);
    drain("echo", master);
    if (write(slave, "out\nput\ttab\r\n", 13) != 13)
        printf("short write\n");
    drain("output", master);
    type("\rcr\r");
    drain("cr echo", master);
    drain("cr", slave);
    int n;
    type("abc\nde");
    drain("typed ahead", master);
    SHOW(ioctl(slave, FIONREAD, &n));
    SHOW(n);
    SHOW(tcflush(slave, TCIFLUSH));
    SHOW(ioctl(slave, FIONREAD, &n));
    SHOW(n);
    drain("flushed echo", master);
}

static void long_line(void)
{
    static char text[6000];
    char buf[8192];

    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = '\n';
    for (size_t at = 0; at < sizeof(text);) {
        long n = write(master, text + at, sizeof(text) - at < 500 ? sizeof(text) - at : 500);

        if (n <= 0)
            break;
        at += (size_t)n;
        struct pollfd p = {.fd = master, .events = POLLIN};
        while (poll(&p, 1, 10) == 1 && read(master, buf, sizeof(buf)) > 0)
            ;
    }
    long n = read(slave, buf, sizeof(buf));
    printf("long line: %ld ends %d\n", n, n > 0 ? buf[n - 1] : -1);
    drain("rest", master);
}

static void set_raw(int min, int vtime)
{
    struct termios t;

    tcgetattr(slave, &t);
    cfmakeraw(&t);
    t.c_cc[VMIN] = (cc_t)min;
    t.c_cc[VTIME] = (cc_t)vtime;
    SHOW(tcsetattr(slave, TCSANOW, &t));
}

static int64_t now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static void raw(void)
{
    struct pollfd p = {.fd = slave, .events = POLLIN};
    int64_t t0;

    set_raw(1, 0);
    type("a\x03\r\n\x04");
    drain("raw echo", master);
    drain("raw", slave);
    if (write(slave, "\n\t", 2) != 2)
        printf("short write\n");
    drain("raw output", master);
    fcntl(slave, F_SETFL, O_RDWR);
    set_raw(0, 0);
    read_once("min 0 time 0", slave, 10);
    set_raw(0, 2);
    t0 = now();
    read_once("min 0 time 2", slave, 10);
    CHECK(now() - t0 >= 190000000 && now() - t0 < 2000000000);
    set_raw(3, 0);
    type("ab");
    SHOW(poll(&p, 1, 20));
    type("c");
    SHOW(poll(&p, 1, 1000));
    read_once("min 3", slave, 10);
    set_raw(5, 1);
    type("xy");
    SHOW(poll(&p, 1, 1000));
    read_once("min 5 time 1", slave, 10);
    /* Kept over the change to canonical mode. */
    set_raw(1, 0);
    type("kept");
    poll(&p, 1, 1000); /* Linux passes it on from a kernel thread */
    struct termios t;
    tcgetattr(slave, &t);
    t.c_lflag |= ICANON;
    SHOW(tcsetattr(slave, TCSANOW, &t));
    SHOW(poll(&p, 1, 200));
    fcntl(slave, F_SETFL, O_RDWR | O_NONBLOCK);
    read_once("pushed", slave, 10);
}

static void sane(const struct termios *t)
{
    SHOW(tcsetattr(slave, TCSAFLUSH, t));
}

static void packet(void)
{
    int on = 1, off = 0;

    SHOW(ioctl(master, TIOCPKT, &on));
    if (write(slave, "data", 4) != 4)
        printf("short write\n");
    read_once("packet", master, 100);
    SHOW(tcflush(slave, TCOFLUSH));
    read_once("flush", master, 100);
    SHOW(tcflow(slave, TCOOFF));
    read_once("stop", master, 100);
    fcntl(slave, F_SETFL, O_RDWR | O_NONBLOCK);
    SHOW(write(slave, "x", 1));
    SHOW(tcflow(slave, TCOON));
    read_once("start", master, 100);
    SHOW(ioctl(master, TIOCPKT, &off));
    type("\x13");
    usleep(30000);
    SHOW(write(slave, "x", 1));
    type("\x11");
    usleep(30000);
    SHOW(write(slave, "x", 1));
    drain("flow", master);
}

static void misc(void)
{
    struct winsize ws = {24, 80, 0, 0}, got_ws;
    int n = 0;

    SHOW(ioctl(slave, TIOCGWINSZ, &got_ws));
    SHOW(got_ws.ws_row);
    SHOW(ioctl(master, TIOCSWINSZ, &ws));
    SHOW(ioctl(slave, TIOCGWINSZ, &got_ws));
    SHOW(got_ws.ws_col);
    SHOW(ioctl(slave, TIOCGPGRP, &n));
    SHOW(ioctl(slave, TIOCGSID, &n));
    SHOW(ioctl(slave, TIOCNOTTY));
    SHOW(ioctl(slave, TIOCGETD, &n));
    SHOW(n);
    n = 99;
    SHOW(ioctl(slave, TIOCSETD, &n));
    SHOW(ioctl(slave, TIOCOUTQ, &n));
    SHOW(ioctl(slave, 0x5499, &n));
    SHOW(tcsendbreak(slave, 0));
    SHOW(tcdrain(slave));
    int peer = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
    SHOW(peer >= 0 && isatty(peer));
    close(peer);
    SHOW(open("/dev/tty", O_RDWR) >= 0 || errno == ENXIO);
    SHOW(lseek(slave, 0, SEEK_CUR));
}

static void child_body(int report)
{
    char line[64];
    pid_t worker;
    int status, n;

    setsid();
    SHOW(ioctl(slave, TIOCSCTTY, 0));
    SHOW(tcgetpgrp(slave) == getpid());
    SHOW(tcgetsid(slave) == getpid());
    SHOW(open("/dev/tty", O_RDWR) >= 0);
    sigaction(SIGINT, &(struct sigaction){.sa_handler = on_signal}, NULL);
    fcntl(slave, F_SETFL, O_RDWR);
    if (write(report, "1", 1) != 1)
        _exit(1);
    n = (int)read(slave, line, sizeof(line)); /* ^C comes */
    printf("read %d %s signal %d\n", n, n < 0 ? strerrorname_np(errno) : "", got);
    /* A background group that reads is stopped. */
    worker = fork();
    if (!worker) {
        setpgid(0, 0);
        signal(SIGTTIN, SIG_DFL);
        n = (int)read(slave, line, sizeof(line));
        _exit(n == 5 ? 7 : 8);
    }
    setpgid(worker, worker);
    waitpid(worker, &status, WUNTRACED);
    SHOW(WIFSTOPPED(status) ? WSTOPSIG(status) : -1);
    SHOW(tcsetpgrp(slave, worker));
    kill(worker, SIGCONT);
    if (write(report, "2", 1) != 1)
        _exit(1);
    waitpid(worker, &status, 0);
    SHOW(WEXITSTATUS(status));
    /* In the background now: changing the terminal needs SIGTTOU ignored. */
    signal(SIGTTOU, SIG_IGN);
    SHOW(tcsetpgrp(slave, getpgrp()));
    SHOW(tcsetpgrp(slave, 999999));
    signal(SIGWINCH, on_signal);
    got = 0;
    if (write(report, "3", 1) != 1)
        _exit(1);
    while (!got)
        usleep(1000);
    SHOW(got == SIGWINCH);
    signal(SIGHUP, on_signal);
    got = 0;
    if (write(report, "4", 1) != 1)
        _exit(1);
    while (!got)
        usleep(1000);
    SHOW(got == SIGHUP);
    SHOW(read(slave, line, 10));
    SHOW(write(slave, "x", 1));
    struct pollfd p = {.fd = slave, .events = POLLIN};
    SHOW(poll(&p, 1, 0));
    SHOW(p.revents);
    SHOW(tcgetpgrp(slave));
    struct termios t;
    SHOW(tcgetattr(slave, &t));
    SHOW(open("/dev/tty", O_RDWR));
    _exit(0);
}

static void job_control(void)
{
    struct winsize ws = {50, 100, 0, 0};
    int report[2], status;
    char c;
    pid_t pid;

    fflush(stdout);
    if (pipe(report))
        return;
    pid = fork();
    if (!pid) {
        close(master);
        child_body(report[1]);
    }
    close(slave);
    if (read(report[0], &c, 1) != 1)
        return;
    usleep(20000);
    type("typed\x03");
    if (read(report[0], &c, 1) != 1)
        return;
    drain("^C echo", master); /* the child waits for the next line: it prints nothing now */
    type("word\n");
    if (read(report[0], &c, 1) != 1)
        return;
    ioctl(master, TIOCSWINSZ, &ws);
    if (read(report[0], &c, 1) != 1)
        return;
    close(master);
    waitpid(pid, &status, 0);
    SHOW(status);
}

static void closed_slave(void)
{
    char buf[8];

    open_pair();
    if (write(slave, "bye", 3) != 3)
        printf("short write\n");
    close(slave);
    struct pollfd p = {.fd = master, .events = POLLIN};
    SHOW(poll(&p, 1, 0));
    SHOW(p.revents);
    SHOW(read(master, buf, 8));
    SHOW(read(master, buf, 8));
    SHOW(poll(&p, 1, 0));
    SHOW(p.revents);
    slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    SHOW(poll(&p, 1, 0));
    SHOW(close(master));
    SHOW(close(slave));
}

int main(void)
{
    struct termios t;

    setbuf(stdout, NULL);
    open_pair();
    show_modes();
    tcgetattr(slave, &t);
    canonical();
    long_line();
    raw();
    sane(&t);
    packet();
    misc();
    job_control();
    closed_slave();
    return 0;
}
