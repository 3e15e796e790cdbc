/*
 * vFile: gdb reads programs and libraries as the debugged process has them. Source: GDB manual,
 * "Host I/O Packets".
 */
#include "runsc-cli/gdb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* gdb's own error numbers, where they are not Linux's: its fallback for these. */
#define FILEIO_EUNKNOWN 9999

static void put_error(struct gdb *g, int r)
{
    gdb_put(g, "F-1,%x", -r < 30 ? (unsigned)-r : FILEIO_EUNKNOWN);
}

static void open_file(struct gdb *g, const char *args)
{
    struct control_gdb q = {0};
    char path[4096], none[8], *comma;
    size_t n = gdb_hex_bytes(args, path, sizeof(path) - 1);
    int r;

    path[n] = '\0';
    comma = strchr(args, ',');
    if (!comma || (strtol(comma + 1, NULL, 16) & 3)) { /* for reading only */
        put_error(g, -EACCES);
        return;
    }
    r = gdb_call(g, CONTROL_GDB_OPEN, &q, path, n + 1, none, sizeof(none), NULL);
    if (r < 0)
        put_error(g, r);
    else
        gdb_put(g, "F%x", (unsigned)r);
}

static void read_file(struct gdb *g, const char *args)
{
    struct control_gdb q = {0};
    static char data[GDB_PACKET_MAX];
    size_t size = 0;
    char *at;
    int r;

    q.tid = (int32_t)strtol(args, &at, 16);
    if (*at == ',')
        q.size = (uint32_t)strtoul(at + 1, &at, 16);
    if (*at == ',')
        q.addr = strtoull(at + 1, &at, 16);
    q.size = MIN(q.size, GDB_PACKET_MAX / 2U); /* each byte may need an escape */
    r = gdb_call(g, CONTROL_GDB_PREAD, &q, NULL, 0, data, sizeof(data), &size);
    if (r < 0) {
        put_error(g, r);
        return;
    }
    gdb_put(g, "F%zx;", size);
    gdb_put_binary(g, data, size);
}

static void close_file(struct gdb *g, const char *args)
{
    struct control_gdb q = {.tid = (int32_t)strtol(args, NULL, 16)};
    char none[8];
    int r = gdb_call(g, CONTROL_GDB_CLOSE, &q, NULL, 0, none, sizeof(none), NULL);

    if (r < 0)
        put_error(g, r);
    else
        gdb_put(g, "F0");
}

void gdb_file(struct gdb *g, char *packet)
{
    if (strncmp(packet, "setfs:", 6) == 0)
        gdb_put(g, "F0"); /* there is one: the process's */
    else if (strncmp(packet, "open:", 5) == 0)
        open_file(g, packet + 5);
    else if (strncmp(packet, "pread:", 6) == 0)
        read_file(g, packet + 6);
    else if (strncmp(packet, "close:", 6) == 0)
        close_file(g, packet + 6);
}
