/*
 * The micro benchmarks: one static program, run bare and inside every platform. Each line: name,
 * then the least ns per operation over several batches. Arguments: names to run (all by default).
 */
#include "bench.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define BATCHES 7

static const char *self;

static void bench_getpid(long n)
{
    for (long i = 0; i < n; i++)
        syscall(SYS_getpid);
}

static int zero_fd, null_fd, file_fd, tmp_fd;
static char buffer[65536];

static void bench_read_zero(long n)
{
    for (long i = 0; i < n; i++) {
        if (read(zero_fd, buffer, 1) != 1)
            die("read /dev/zero");
    }
}

static void bench_write_null(long n)
{
    for (long i = 0; i < n; i++) {
        if (write(null_fd, buffer, 1) != 1)
            die("write /dev/null");
    }
}

static void bench_pread_4k(long n)
{
    for (long i = 0; i < n; i++) {
        if (pread(file_fd, buffer, 4096, 0) != 4096)
            die("pread");
    }
}

static void bench_pread_64k(long n)
{
    for (long i = 0; i < n; i++) {
        if (pread(file_fd, buffer, 65536, 0) != 65536)
            die("pread");
    }
}

static void bench_open_close(long n)
{
    for (long i = 0; i < n; i++) {
        int fd = open("/etc/passwd", O_RDONLY);

        if (fd < 0)
            die("open");
        close(fd);
    }
}

static void bench_stat(long n)
{
    struct stat st;

    for (long i = 0; i < n; i++) {
        if (stat("/etc/passwd", &st) < 0)
            die("stat");
    }
}

static void bench_access(long n)
{
    for (long i = 0; i < n; i++) {
        if (access("/etc/passwd", R_OK) < 0)
            die("access");
    }
}

static void bench_absent(long n)
{
    for (long i = 0; i < n; i++) {
        if (access("/etc/no-such-file", F_OK) == 0 || errno != ENOENT)
            die("access of nothing");
    }
}

static void bench_pwrite_4k(long n)
{
    for (long i = 0; i < n; i++) {
        if (pwrite(tmp_fd, buffer, 4096, (i & 15) * 4096) != 4096)
            die("pwrite");
    }
}

static void bench_pipe_pingpong(long n)
{
    int a[2], b[2];
    char c = 0;
    pid_t pid;

    if (pipe(a) < 0 || pipe(b) < 0)
        die("pipe");
    pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0) {
        for (long i = 0; i < n; i++) {
            if (read(a[0], &c, 1) != 1 || write(b[1], &c, 1) != 1)
                _exit(1);
        }
        _exit(0);
    }
    for (long i = 0; i < n; i++) {
        if (write(a[1], &c, 1) != 1 || read(b[0], &c, 1) != 1)
            die("ping-pong");
    }
    waitpid(pid, NULL, 0);
    for (int i = 0; i < 2; i++) {
        close(a[i]);
        close(b[i]);
    }
}

static uint32_t turn;

static void futex_pass(uint32_t from, uint32_t to)
{
    uint32_t seen;

    while ((seen = __atomic_load_n(&turn, __ATOMIC_ACQUIRE)) != from)
        syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
    __atomic_store_n(&turn, to, __ATOMIC_RELEASE);
    syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *futex_peer(void *arg)
{
    for (long i = 0; i < (long)arg; i++)
        futex_pass(1, 0);
    return NULL;
}

static void bench_futex_pingpong(long n)
{
    pthread_t t;

    turn = 0;
    if (pthread_create(&t, NULL, futex_peer, (void *)n))
        die("thread");
    for (long i = 0; i < n; i++)
        futex_pass(0, 1);
    pthread_join(t, NULL);
}

static void bench_fork(long n)
{
    for (long i = 0; i < n; i++) {
        pid_t pid = fork();

        if (pid == 0)
            _exit(0);
        if (pid < 0 || waitpid(pid, NULL, 0) != pid)
            die("fork");
    }
}

static void bench_fork_exec(long n)
{
    for (long i = 0; i < n; i++) {
        pid_t pid = fork();

        if (pid == 0) {
            execl(self, self, "nothing", (char *)NULL);
            _exit(1);
        }
        if (pid < 0 || waitpid(pid, NULL, 0) != pid)
            die("fork");
    }
}

static void *thread_body(void *arg)
{
    return arg;
}

static void bench_thread(long n)
{
    for (long i = 0; i < n; i++) {
        pthread_t t;

        if (pthread_create(&t, NULL, thread_body, NULL))
            die("thread");
        pthread_join(t, NULL);
    }
}

#define FAULT_PAGES 1024

static void bench_page_fault(long n)
{
    for (long i = 0; i < n; i += FAULT_PAGES) {
        char *p = mmap(NULL, FAULT_PAGES * 4096, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (p == MAP_FAILED)
            die("mmap");
        madvise(p, FAULT_PAGES * 4096, MADV_NOHUGEPAGE);
        for (int j = 0; j < FAULT_PAGES; j++)
            p[j * 4096] = 1;
        munmap(p, FAULT_PAGES * 4096);
    }
}

static void bench_mmap_munmap(long n)
{
    for (long i = 0; i < n; i++) {
        char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (p == MAP_FAILED)
            die("mmap");
        *p = 1;
        munmap(p, 4096);
    }
}

/*
 * A call trapped to a handler in the same process and back: what trapping alone costs. Native only.
 */
static char dispatch_selector;
static int absent; /* what was to be measured is not there: no figure */

static void sigsys_handler(int signo, siginfo_t *si, void *context)
{
    ucontext_t *uc = context;

    (void)signo;
    (void)si;
    dispatch_selector = 0;
    uc->uc_mcontext.gregs[REG_RAX] = 1234;
}

static void bench_sigsys(long n)
{
    struct sigaction sa = {.sa_sigaction = sigsys_handler, .sa_flags = SA_SIGINFO};

    sigaction(SIGSYS, &sa, NULL);
    if (prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, &dispatch_selector) < 0) {
        absent = 1;
        return;
    }
    for (long i = 0; i < n; i++) {
        dispatch_selector = 1;
        if (syscall(SYS_getpid) != 1234)
            die("trap");
    }
    prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0, 0, 0);
}

static void bench_clock(long n)
{
    for (long i = 0; i < n; i++)
        now_ns();
}

static const struct {
    const char *name;
    void (*run)(long n);
    long count; /* operations a batch */
} benches[] = {
    {"getpid", bench_getpid, 20000},
    {"read-zero-1", bench_read_zero, 20000},
    {"write-null-1", bench_write_null, 20000},
    {"pread-4k", bench_pread_4k, 10000},
    {"pread-64k", bench_pread_64k, 3000},
    {"open-close", bench_open_close, 3000},
    {"stat", bench_stat, 5000},
    {"access", bench_access, 5000},
    {"access-absent", bench_absent, 5000},
    {"pwrite-4k-tmpfs", bench_pwrite_4k, 5000},
    {"pipe-pingpong", bench_pipe_pingpong, 2000},
    {"futex-pingpong", bench_futex_pingpong, 2000},
    {"thread", bench_thread, 300},
    {"fork-exit-wait", bench_fork, 100},
    {"fork-exec-wait", bench_fork_exec, 50},
    {"page-fault", bench_page_fault, 8 * FAULT_PAGES},
    {"mmap-touch-munmap", bench_mmap_munmap, 2000},
    {"clock-gettime", bench_clock, 100000},
    {"sigsys-bare", bench_sigsys, 20000},
};

static int wanted(int argc, char **argv, const char *name)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], name) == 0)
            return 1;
    }
    return argc == 1;
}

int main(int argc, char **argv)
{
    static char path[4096];
    ssize_t n;

    if (argc == 2 && strcmp(argv[1], "nothing") == 0)
        return 0;
    n = readlink("/proc/self/exe", path, sizeof(path) - 1);
    self = n > 0 ? path : argv[0];
    zero_fd = open("/dev/zero", O_RDONLY);
    null_fd = open("/dev/null", O_WRONLY);
    file_fd = open(self, O_RDONLY);
    tmp_fd = memfd_create("bench", 0);
    if (zero_fd < 0 || null_fd < 0 || file_fd < 0 || tmp_fd < 0)
        die("open");
    for (size_t i = 0; i < sizeof(benches) / sizeof(benches[0]); i++) {
        double best = 1e18;

        if (!wanted(argc, argv, benches[i].name))
            continue;
        absent = 0;
        for (int b = 0; b < BATCHES && !absent; b++) {
            uint64_t start = now_ns();
            double each;

            benches[i].run(benches[i].count);
            each = (double)(now_ns() - start) / (double)benches[i].count;
            best = each < best ? each : best;
        }
        if (absent)
            continue;
        printf("%s %.1f\n", benches[i].name, best);
        fflush(stdout);
    }
    return 0;
}
