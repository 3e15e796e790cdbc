/*
 * startContainer hooks: programs of the container's own tree, run inside it when init is loaded and
 * has not run yet. Runs on the control thread, which serves nobody else meanwhile.
 */
#include "sentry/boot/control_int.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define OUTPUT_MAX       300 /* of what one prints, for the error */
#define STEP_MS          2
#define STEPS_PER_SECOND (1000 / STEP_MS)

/* A file of nobody else's that holds text; -1. */
static int file_with(const char *text)
{
    int fd = memfd_create("hook", MFD_CLOEXEC);

    if (fd >= 0 && (write(fd, text, strlen(text)) < 0 || lseek(fd, 0, SEEK_SET) < 0)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* Until it has exited or its time is up: its wait status. */
static int32_t wait_for(struct thread_group *tg, uint32_t timeout_s)
{
    uint64_t left = timeout_s ? (uint64_t)timeout_s * STEPS_PER_SECOND : UINT64_MAX;

    for (; !load_acquire(&tg->exited); left--) {
        if (left == 0) {
            (void)!signal_send_outside(tg, LX_SIGKILL);
            left = UINT64_MAX;
        }
        poll(NULL, 0, STEP_MS);
    }
    return kernel_reap_process(tg);
}

/* How it ended, and the beginning of what it printed. */
static void tell(const struct boot_hook *h, int32_t status, int output, struct boot_failure *why)
{
    char text[OUTPUT_MAX + 1];
    ssize_t n = pread(output, text, OUTPUT_MAX, 0);

    text[n > 0 ? n : 0] = '\0';
    why->status = 1;
    snprintf(why->text, sizeof(why->text),
             "error running startContainer hook %.100s: %s %d, stdout and stderr: %s", h->path,
             status & 0x7f ? "signal" : "exit status",
             status & 0x7f ? status & 0x7f : status >> 8 & 0xff, text);
}

static int run_hook(struct boot_container *b, const struct boot_hook *h, struct boot_failure *why)
{
    int output = file_with("");
    int fds[3] = {file_with(b->config->hook_state), fcntl(output, F_DUPFD_CLOEXEC, 3),
                  fcntl(output, F_DUPFD_CLOEXEC, 3)};
    struct boot_process p = b->config->init;
    struct thread_group *tg;
    int32_t status;

    p.argv = h->argv;
    p.exe = h->path;
    p.envp = h->envp;
    p.cwd = "/";
    p.fds = fds;
    p.fd_count = 3;
    p.tty_fd = -1;
    p.ordinary = true;
    if (boot_start_process(b, &p, NULL, &b->kernel->control_parker, &tg, why) < 0) {
        close(output);
        return -1;
    }
    status = wait_for(tg, h->timeout_s);
    if (status)
        tell(h, status, output, why);
    close(output);
    return status ? -1 : 0;
}

int control_run_hooks(struct boot_container *b, struct thread_group *init, struct boot_failure *why)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < b->config->start_hook_count; i++)
        r = run_hook(b, &b->config->start_hooks[i], why);
    if (r < 0)
        (void)!signal_send_outside(init, LX_SIGKILL);
    cell_release(b->cell, init);
    return r;
}
