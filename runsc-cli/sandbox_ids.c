/* The user namespace's id maps, written from outside: by us, or by helpers that may. */
#include "runsc-cli/sandbox.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

char *id_map_text(const struct id_map *maps, size_t count)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);

    if (!f)
        return NULL;
    for (size_t i = 0; i < count; i++)
        fprintf(f, "%10u %10u %10u\n", maps[i].inside, maps[i].outside, maps[i].size);
    fclose(f);
    return text;
}

int write_id_maps(pid_t pid, const char *file, const struct id_map *maps, size_t count,
                  struct cli_error *err)
{
    char path[64], *text = id_map_text(maps, count);
    bool ok;

    if (!text)
        return fail(err, 1, "out of memory");
    snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
    ok = write_file(path, text);
    free(text);
    return ok ? 0 : fail_errno(err, 1, errno, "cannot write %s", file);
}

/*
 * An ordinary user's helper with the rights for it, by the host's /etc/subuid and subgid: newuidmap
 * or newgidmap.
 */
static int run_helper(const char *helper, pid_t pid, const struct id_map *maps, size_t count,
                      struct cli_error *err)
{
    char **words = calloc(3 * count + 3, sizeof(*words));
    size_t n = 0;
    pid_t child;
    int status;

    if (!words)
        return fail(err, 1, "out of memory");
    words[n++] = (char *)helper;
    if (asprintf(&words[n++], "%d", pid) < 0)
        return fail(err, 1, "out of memory");
    for (size_t i = 0; i < count; i++) {
        const uint32_t values[3] = {maps[i].inside, maps[i].outside, maps[i].size};

        for (int k = 0; k < 3; k++) {
            if (asprintf(&words[n++], "%u", values[k]) < 0)
                return fail(err, 1, "out of memory");
        }
    }
    if (posix_spawnp(&child, helper, NULL, NULL, words, environ) != 0)
        return fail(err, 1, "%s is needed for ids that are not one's own, and cannot be run",
                    helper);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    for (size_t i = 1; i < n; i++)
        free(words[i]);
    free(words);
    return status == 0 ? 0 : fail(err, 1, "%s does not grant these ids", helper);
}

static bool only(const struct id_map *maps, size_t count, uint32_t id)
{
    return count == 1 && maps[0].outside == id && maps[0].size == 1;
}

/* Their own id needs no rights, but then the groups cannot be changed any more. */
static int map_own_group(const struct sandbox *s, struct cli_error *err)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/setgroups", s->pid);
    if (!write_file(path, "deny"))
        return fail_errno(err, 1, errno, "cannot write %s", path);
    return write_id_maps(s->pid, "gid_map", s->gid_maps, s->gid_map_count, err);
}

int sandbox_map_ids(const struct sandbox *s, struct cli_error *err)
{
    bool root = geteuid() == 0;
    int r;

    if (s->uid_map_count == 0)
        return 0;
    if (root || only(s->uid_maps, s->uid_map_count, geteuid()))
        r = write_id_maps(s->pid, "uid_map", s->uid_maps, s->uid_map_count, err);
    else
        r = run_helper("newuidmap", s->pid, s->uid_maps, s->uid_map_count, err);
    if (r < 0)
        return -1;
    if (root)
        return write_id_maps(s->pid, "gid_map", s->gid_maps, s->gid_map_count, err);
    if (only(s->gid_maps, s->gid_map_count, getegid()))
        return map_own_group(s, err);
    return run_helper("newgidmap", s->pid, s->gid_maps, s->gid_map_count, err);
}

bool is_namespace_root(void)
{
    unsigned inside = 0, outside = 0, size = ~0U;
    FILE *f = fopen("/proc/self/uid_map", "re");
    bool mapped = f && fscanf(f, "%u %u %u", &inside, &outside, &size) == 3 && size != ~0U;

    if (f)
        fclose(f);
    return mapped;
}
