/* The user namespace's id maps, written from outside by who may. */
#include "runsc-cli/sandbox.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int write_id_maps(pid_t pid, const char *file, const struct id_map *maps, size_t count,
                  struct cli_error *err)
{
    char path[64], *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    bool ok;

    if (!f)
        return fail(err, 1, "out of memory");
    for (size_t i = 0; i < count; i++)
        fprintf(f, "%u %u %u\n", maps[i].inside, maps[i].outside, maps[i].size);
    fclose(f);
    snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
    ok = write_file(path, text);
    free(text);
    return ok ? 0 : fail_errno(err, 1, errno, "cannot write %s", file);
}

int sandbox_map_ids(const struct sandbox *s, struct cli_error *err)
{
    if (s->uid_map_count == 0)
        return 0;
    if (write_id_maps(s->pid, "uid_map", s->uid_maps, s->uid_map_count, err) < 0)
        return -1;
    return write_id_maps(s->pid, "gid_map", s->gid_maps, s->gid_map_count, err);
}
