/* gdb's queries: what we can, threads, and objects read in pieces (qXfer). */
#include "runsc-cli/gdb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The piece "offset,length" of an object. */
static void put_piece(struct gdb *g, const char *range, const void *data, size_t size)
{
    char *comma;
    size_t offset = strtoul(range, &comma, 16);
    size_t want = *comma == ',' ? strtoul(comma + 1, NULL, 16) : 0;

    want = MIN(want, (size_t)GDB_PACKET_MAX / 2);
    if (offset >= size) {
        gdb_put(g, "l");
        return;
    }
    want = MIN(want, size - offset);
    gdb_put(g, offset + want < size ? "m" : "l");
    gdb_put_binary(g, (const char *)data + offset, want);
}

static void put_threads(struct gdb *g, const char *range)
{
    static char xml[GDB_THREADS * 64 + 64];
    size_t n = (size_t)snprintf(xml, sizeof(xml), "<?xml version=\"1.0\"?><threads>");

    for (size_t i = 0; i < g->thread_count; i++) {
        char name[sizeof(g->threads[i].name)];

        /* Names are the guest's: letters only go into the document. */
        memcpy(name, g->threads[i].name, sizeof(name));
        for (char *p = name; *p; p++) {
            if ((unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e || strchr("<>&\"'", *p))
                *p = '?';
        }
        n += (size_t)snprintf(xml + n, sizeof(xml) - n, "<thread id=\"%x\" name=\"%s\"/>",
                              (unsigned)g->threads[i].tid, name);
    }
    n += (size_t)snprintf(xml + n, sizeof(xml) - n, "</threads>");
    put_piece(g, range, xml, n);
}

static void put_asked(struct gdb *g, enum control_gdb_op op, const char *range)
{
    struct control_gdb q = {0};
    static char data[4096];
    size_t size = 0;

    if (gdb_call(g, op, &q, NULL, 0, data, sizeof(data), &size) < 0)
        gdb_put(g, "E01");
    else
        put_piece(g, range, data, size);
}

static void transfer(struct gdb *g, const char *what)
{
    struct control_thread *t = gdb_thread(g, g->current);

    if (strncmp(what, "features:read:target.xml:", 25) == 0) {
        const char *xml = gdb_load_regs(g, g->current) < 0 ? "" : gdb_target_xml(g);

        put_piece(g, what + 25, xml, strlen(xml));
    } else if (strncmp(what, "threads:read::", 14) == 0) {
        put_threads(g, what + 14);
    } else if (strncmp(what, "auxv:read::", 11) == 0) {
        put_asked(g, CONTROL_GDB_AUXV, what + 11);
    } else if (strncmp(what, "exec-file:read:", 15) == 0) {
        const char *range = strchr(what + 15, ':');

        put_asked(g, CONTROL_GDB_EXE, range ? range + 1 : "");
    } else if (strncmp(what, "siginfo:read::", 14) == 0) {
        if (t && t->signo)
            put_piece(g, what + 14, t->siginfo, sizeof(t->siginfo));
        else
            gdb_put(g, "E01");
    }
}

static void supported(struct gdb *g)
{
    gdb_put(g,
            "PacketSize=%x;QStartNoAckMode+;qXfer:features:read+;qXfer:threads:read+;"
            "qXfer:auxv:read+;qXfer:exec-file:read+;qXfer:siginfo:read+;swbreak+;vContSupported+;"
            "exec-events+",
            GDB_PACKET_MAX - 1);
}

static void list(struct gdb *g)
{
    for (size_t i = 0; i < g->thread_count; i++)
        gdb_put(g, "%s%x", i ? "," : "m", (unsigned)g->threads[i].tid);
    if (g->thread_count == 0)
        gdb_put(g, "l");
}

static bool starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

void gdb_query(struct gdb *g, char *packet)
{
    struct control_thread *t;

    if (starts(packet, "qSupported")) {
        supported(g);
    } else if (strcmp(packet, "QStartNoAckMode") == 0) {
        g->no_ack = true;
        gdb_put(g, "OK");
    } else if (starts(packet, "qXfer:")) {
        transfer(g, packet + 6);
    } else if (strcmp(packet, "qfThreadInfo") == 0) {
        list(g);
    } else if (strcmp(packet, "qsThreadInfo") == 0) {
        gdb_put(g, "l");
    } else if (starts(packet, "qThreadExtraInfo,")) {
        t = gdb_thread(g, (int32_t)strtol(packet + 17, NULL, 16));
        if (t)
            gdb_put_hex(g, t->name, strlen(t->name));
        else
            gdb_put(g, "E01");
    } else if (strcmp(packet, "qC") == 0) {
        gdb_put(g, "QC%x", (unsigned)g->current);
    } else if (starts(packet, "qAttached")) {
        gdb_put(g, "1");
    } else if (starts(packet, "qSymbol:")) {
        gdb_put(g, "OK");
    }
}
