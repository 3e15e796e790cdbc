/* Reads /proc/self/maps once, before any guest exists. */
#include "platform/remote/vdso.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void note_mapping(const char *line, struct platform_facts *facts)
{
    unsigned long start, end;

    if (sscanf(line, "%lx-%lx", &start, &end) != 2)
        return;
    if (strstr(line, "[vdso]")) {
        facts->vdso_addr = start;
        facts->vdso_size = end - start;
    } else if (strstr(line, "[vvar")) {
        if (!facts->vvar_addr)
            facts->vvar_addr = start;
        facts->vvar_size = end - facts->vvar_addr;
    }
}

int remote_find_vdso(struct platform_facts *facts, uint64_t limit)
{
    char line[512];
    FILE *f = fopen("/proc/self/maps", "re");

    if (!f)
        return -errno;
    while (fgets(line, sizeof(line), f))
        note_mapping(line, facts);
    fclose(f);
    if (!facts->vdso_addr || facts->vvar_addr + facts->vvar_size != facts->vdso_addr ||
        facts->vdso_addr + facts->vdso_size > limit)
        facts->vdso_addr = facts->vdso_size = facts->vvar_addr = facts->vvar_size = 0;
    return 0;
}
