/* runsc spec: a sample config.json, as runc's. */
#include "runsc-cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char sample[] =
    "{\n"
    "    \"ociVersion\": \"1.2.0\",\n"
    "    \"process\": {\n"
    "        \"terminal\": true,\n"
    "        \"user\": {\"uid\": 0, \"gid\": 0},\n"
    "        \"args\": [\"sh\"],\n"
    "        \"env\": [\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\", "
    "\"TERM=xterm\"],\n"
    "        \"cwd\": \"/\",\n"
    "        \"capabilities\": {\n"
    "            \"bounding\": [\"CAP_AUDIT_WRITE\", \"CAP_KILL\", \"CAP_NET_BIND_SERVICE\"],\n"
    "            \"effective\": [\"CAP_AUDIT_WRITE\", \"CAP_KILL\", \"CAP_NET_BIND_SERVICE\"],\n"
    "            \"permitted\": [\"CAP_AUDIT_WRITE\", \"CAP_KILL\", \"CAP_NET_BIND_SERVICE\"]\n"
    "        },\n"
    "        \"rlimits\": [{\"type\": \"RLIMIT_NOFILE\", \"hard\": 1024, \"soft\": 1024}],\n"
    "        \"noNewPrivileges\": true\n"
    "    },\n"
    "    \"root\": {\"path\": \"rootfs\", \"readonly\": true},\n"
    "    \"hostname\": \"runsc\",\n"
    "    \"mounts\": [\n"
    "        {\"destination\": \"/proc\", \"type\": \"proc\", \"source\": \"proc\"},\n"
    "        {\"destination\": \"/dev\", \"type\": \"tmpfs\", \"source\": \"tmpfs\",\n"
    "         \"options\": [\"nosuid\", \"strictatime\", \"mode=755\", \"size=65536k\"]},\n"
    "        {\"destination\": \"/dev/pts\", \"type\": \"devpts\", \"source\": \"devpts\",\n"
    "         \"options\": [\"nosuid\", \"noexec\", \"newinstance\", \"ptmxmode=0666\", "
    "\"mode=0620\", \"gid=5\"]},\n"
    "        {\"destination\": \"/dev/shm\", \"type\": \"tmpfs\", \"source\": \"shm\",\n"
    "         \"options\": [\"nosuid\", \"noexec\", \"nodev\", \"mode=1777\", \"size=65536k\"]},\n"
    "        {\"destination\": \"/dev/mqueue\", \"type\": \"mqueue\", \"source\": "
    "\"mqueue\",\n"
    "         \"options\": [\"nosuid\", \"noexec\", \"nodev\"]},\n"
    "        {\"destination\": \"/sys\", \"type\": \"sysfs\", \"source\": \"sysfs\",\n"
    "         \"options\": [\"nosuid\", \"noexec\", \"nodev\", \"ro\"]}\n"
    "    ],\n"
    "    \"linux\": {\"namespaces\": [{\"type\": \"pid\"}, {\"type\": \"network\"}, {\"type\": "
    "\"ipc\"}, {\"type\": "
    "\"uts\"}, {\"type\": \"mount\"}";
static const char sample_end[] =
    ",\n"
    "        \"maskedPaths\": [\"/proc/acpi\", \"/proc/asound\", \"/proc/kcore\", "
    "\"/proc/keys\",\n"
    "            \"/proc/latency_stats\", \"/proc/timer_list\", \"/proc/timer_stats\",\n"
    "            \"/proc/sched_debug\", \"/proc/scsi\", \"/sys/firmware\"],\n"
    "        \"readonlyPaths\": [\"/proc/bus\", \"/proc/fs\", \"/proc/irq\", \"/proc/sys\", "
    "\"/proc/sysrq-trigger\"]}\n"
    "}\n";

struct spec_options {
    const char *bundle;
    bool rootless;
};

const struct opt spec_opts[] = {
    {"bundle", 'b', OPT_STRING, offsetof(struct spec_options, bundle), "DIR",
     "where to (default: the current directory)"},
    {"rootless", 0, OPT_FLAG, offsetof(struct spec_options, rootless), NULL,
     "for an ordinary user: root inside is that user outside"},
    {0},
};

int cmd_spec(const struct global_options *global, void *opts, int argc, char **args,
             struct cli_error *err)
{
    const struct spec_options *o = opts;
    char path[PATH_MAX], maps[256] = "]";
    bool written;
    int fd;

    snprintf(path, sizeof(path), "%s/config.json", o->bundle ? o->bundle : ".");
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0 && errno == EEXIST)
        return fail(err, 1, "File config.json exists. Remove it first");
    if (fd < 0)
        return fail_errno(err, 1, errno, "cannot create %s", path);
    if (o->rootless)
        snprintf(maps, sizeof(maps),
                 ", {\"type\": \"user\"}],\n"
                 "        \"uidMappings\": [{\"containerID\": 0, \"hostID\": %u, \"size\": 1}],\n"
                 "        \"gidMappings\": [{\"containerID\": 0, \"hostID\": %u, \"size\": 1}]",
                 geteuid(), getegid());
    written = dprintf(fd, "%s%s%s", sample, maps, sample_end) > 0;
    return close(fd) == 0 && written ? 0 : fail(err, 1, "cannot write %s", path);
}
