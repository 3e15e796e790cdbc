/* runsc create and run: from a bundle to a container, and the foreground wait. */
#include "runsc-cli/lifecycle.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define O(field) offsetof(struct create_opts, field)
const struct opt run_opts[] = {
    /* RUN_ONLY_OPTIONS of them; the rest is create's too */
    {"detach", 'd', OPT_FLAG, O(detach), NULL, "do not wait for its end"},
    {"keep", 0, OPT_FLAG, O(keep), NULL, "do not delete it when it has ended"},
    {"no-subreaper", 0, OPT_FLAG, O(no_subreaper), NULL, "taken and ignored: none is needed"},
    {"bundle", 'b', OPT_STRING, O(bundle), "DIR", "the bundle (default: the current directory)"},
    {"console-socket", 0, OPT_STRING, O(console_socket), "PATH",
     "socket that gets the terminal's master"},
    {"pid-file", 0, OPT_STRING, O(pid_file), "FILE", "where to write the process's number"},
    {"pidfd-socket", 0, OPT_STRING, O(pidfd_socket), "PATH", "socket that gets a pidfd of it"},
    {"no-pivot", 0, OPT_FLAG, O(no_pivot), NULL, "taken and ignored: nothing is pivoted"},
    {"no-new-keyring", 0, OPT_FLAG, O(no_new_keyring), NULL,
     "taken and ignored: no host keyring is used"},
    {"preserve-fds", 0, OPT_INT, O(preserve_fds), "N", "descriptors passed beyond stdio"},
    {0},
};

int cmd_create(const struct global_options *global, void *opts, int argc, char **args,
               struct cli_error *err)
{
    struct global_options quiet = *global;
    struct creation cr;

    quiet.quiet = true;
    if (lifecycle_create(&quiet, args[0], opts, false, &cr, err) < 0)
        return -1;
    container_close(&cr.container);
    return 0;
}

static int start_created(struct creation *cr, struct cli_error *err)
{
    if (lifecycle_start(&cr->container, err) == 0)
        return 0;
    err->status = 1;
    return -1;
}

static int attach(struct creation *cr, int signal_fd, struct cli_error *err)
{
    struct termios saved, raw;
    int status;

    if (cr->host_terminal && tcgetattr(0, &saved) == 0) {
        raw = saved;
        cfmakeraw(&raw);
        tcsetattr(0, TCSADRAIN, &raw);
    }
    if (cr->console.master >= 0 && console_relay(&cr->console, err) < 0)
        return -1;
    status = start_created(cr, err);
    if (status == 0) {
        release_descriptors(&cr->sandbox.config.init);
        container_unlock(&cr->container);
        status = sandbox_wait(cr->sandbox.pid, signal_fd);
        trace_out_end(cr->sandbox.config.trace_fd);
    }
    if (cr->host_terminal)
        tcsetattr(0, TCSADRAIN, &saved);
    return status;
}

static int run_foreground(const struct global_options *g, const char *id,
                          const struct create_opts *o, struct cli_error *err)
{
    struct cli_error ignored = {.status = 1};
    int signal_fd = sandbox_signals(err), status;
    struct creation cr;

    if (signal_fd < 0 || lifecycle_create(g, id, o, true, &cr, err) < 0)
        return -1;
    status = attach(&cr, signal_fd, err);
    if (status < 0)
        sandbox_abandon(&cr.sandbox);
    console_finish(&cr.console);
    if ((!o->keep || status < 0) && container_relock(&cr.container, &ignored) == 0 &&
        lifecycle_destroy(&cr.container, &ignored) < 0)
        cli_log(g, "warning", "%s", ignored.message);
    container_close(&cr.container);
    return status;
}

int cmd_run(const struct global_options *global, void *opts, int argc, char **args,
            struct cli_error *err)
{
    const struct create_opts *o = opts;
    struct global_options quiet = *global;
    struct cli_error ignored = {.status = 1};
    struct creation cr;

    if (!o->detach)
        return run_foreground(global, args[0], o, err);
    quiet.quiet = true;
    if (lifecycle_create(&quiet, args[0], o, false, &cr, err) < 0)
        return -1;
    if (start_created(&cr, err) < 0) {
        sandbox_abandon(&cr.sandbox);
        (void)lifecycle_destroy(&cr.container, &ignored);
        container_close(&cr.container);
        return -1;
    }
    container_close(&cr.container);
    return 0;
}
