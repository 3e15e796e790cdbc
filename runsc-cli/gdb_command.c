/* gdb's commands: registers, memory, breakpoints, running. Queries: gdb_query.c; files: gdb_file.c.
 */
#include "runsc-cli/gdb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void put_result(struct gdb *g, int r)
{
    if (r < 0)
        gdb_put(g, "E%02x", -r & 0xff);
    else
        gdb_put(g, "OK");
}

/* ---- registers ---- */

static int32_t chosen(struct gdb *g)
{
    struct control_thread *t = gdb_thread(g, g->current);

    return t && t->stopped ? g->current : 0;
}

static void read_registers(struct gdb *g, int from, int to)
{
    uint8_t value[16];
    int size;

    if (!chosen(g) || gdb_load_regs(g, g->current) < 0) {
        put_result(g, -ESRCH);
        return;
    }
    to = to < 0 ? gdb_register_count(g) : to;
    for (int i = from; i < to; i++) {
        size = gdb_get_register(g, i, value);
        if (size)
            gdb_put_hex(g, value, (size_t)size);
        else
            put_result(g, -EINVAL);
    }
}

static void write_all_registers(struct gdb *g, const char *hex)
{
    uint8_t value[16], old[16];
    int size = 1;

    if (!chosen(g) || gdb_load_regs(g, g->current) < 0) {
        put_result(g, -ESRCH);
        return;
    }
    for (int i = 0; i < gdb_register_count(g) && size; i++) {
        size = gdb_get_register(g, i, old);
        if (gdb_hex_bytes(hex, value, (size_t)size) != (size_t)size)
            break;
        gdb_set_register(g, i, value, (size_t)size);
        hex += 2 * size;
    }
    put_result(g, gdb_store_regs(g));
}

static void write_register(struct gdb *g, char *args)
{
    char *value;
    long number = strtol(args, &value, 16);
    uint8_t bytes[16];
    size_t size;

    if (*value++ != '=' || !chosen(g) || gdb_load_regs(g, g->current) < 0) {
        put_result(g, -ESRCH);
        return;
    }
    size = gdb_hex_bytes(value, bytes, sizeof(bytes));
    put_result(g, gdb_set_register(g, (int)number, bytes, size) ? gdb_store_regs(g) : -EINVAL);
}

/* ---- memory ---- */

static void read_memory(struct gdb *g, char *args)
{
    struct control_gdb q = {0};
    static uint8_t data[GDB_PACKET_MAX];
    size_t size = 0;
    char *comma;
    int r;

    q.addr = strtoull(args, &comma, 16);
    q.size = *comma == ',' ? (uint32_t)strtoul(comma + 1, NULL, 16) : 0;
    q.size = MIN(q.size, GDB_PACKET_MAX / 2U);
    r = gdb_call(g, CONTROL_GDB_READ, &q, NULL, 0, data, sizeof(data), &size);
    if (r < 0 || (size == 0 && q.size))
        put_result(g, r < 0 ? r : -EFAULT);
    else
        gdb_put_hex(g, data, size);
}

/* M: hex; X: bytes with escapes. */
static void write_memory(struct gdb *g, char *packet, size_t packet_size)
{
    struct control_gdb q = {0};
    char *comma, *colon, none[8], *data;
    size_t size;

    q.addr = strtoull(packet + 1, &comma, 16);
    colon = memchr(packet, ':', packet_size);
    if (*comma != ',' || !colon) {
        put_result(g, -EINVAL);
        return;
    }
    data = colon + 1;
    size = packet_size - (size_t)(data - packet);
    if (packet[0] == 'X')
        size = gdb_unescape(data, size);
    else
        size = gdb_hex_bytes(data, data, size / 2);
    if (size != strtoul(comma + 1, NULL, 16))
        put_result(g, -EINVAL);
    else
        put_result(
            g, size ? gdb_call(g, CONTROL_GDB_WRITE, &q, data, size, none, sizeof(none), NULL) : 0);
}

static void breakpoint(struct gdb *g, char *packet)
{
    struct control_gdb q = {0};
    bool set = packet[0] == 'Z';
    char none[8];
    size_t i = 0;
    int r;

    if (packet[1] != '0' || packet[2] != ',')
        return; /* the empty answer: gdb single-steps for watchpoints */
    q.addr = strtoull(packet + 3, NULL, 16);
    if (set && g->break_count == GDB_BREAKS) {
        put_result(g, -ENOSPC);
        return;
    }
    r = gdb_call(g, set ? CONTROL_GDB_BREAK : CONTROL_GDB_UNBREAK, &q, NULL, 0, none, sizeof(none),
                 NULL);
    while (i < g->break_count && g->breaks[i] != q.addr)
        i++;
    if (r >= 0 && set && i == g->break_count)
        g->breaks[g->break_count++] = q.addr;
    else if (!set && i < g->break_count)
        g->breaks[i] = g->breaks[--g->break_count];
    put_result(g, r);
}

/* ---- running ---- */

/* gdb numbers signals in its own way; the common ones differ from Linux here. */
static const struct {
    uint8_t gdb, linux_number;
} signals[] = {{10, 7},  {12, 31}, {16, 23}, {17, 19}, {18, 20}, {19, 18},
               {20, 17}, {23, 29}, {30, 10}, {31, 12}, {32, 30}};

int gdb_signal_to_linux(int n)
{
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        if (signals[i].gdb == n)
            return signals[i].linux_number;
    }
    if (n >= 45 && n <= 75) /* real-time signals 33 to 63 */
        return n - 12;
    return n == 77 ? 32 : n == 78 ? 64 : n;
}

int gdb_signal_from_linux(int n)
{
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        if (signals[i].linux_number == n)
            return signals[i].gdb;
    }
    if (n >= 33 && n <= 63)
        return n + 12;
    return n == 32 ? 77 : n == 64 ? 78 : n;
}

/* An action's letter and signal; *rest: behind it. */
static bool parse_action(const char *text, struct control_resume *o, char **rest)
{
    char letter = text[0] | 0x20;

    *o = (struct control_resume){.tid = -1, .step = letter == 's'};
    *rest = (char *)(uintptr_t)text + 1;
    if (letter != 'c' && letter != 's')
        return false;
    if (text[0] == 'C' || text[0] == 'S')
        o->signo = gdb_signal_to_linux((int)strtol(text + 1, rest, 16));
    return true;
}

/* False: it runs, and the answer comes when it stops. */
static bool start(struct gdb *g, const struct control_resume *orders, size_t count)
{
    if (count && gdb_run(g, orders, count))
        return false;
    if (g->closed || g->news.exited)
        gdb_put_stop(g);
    else if (count) { /* another stop is told first */
        struct control_thread *t = gdb_thread(g, g->current);

        gdb_put(g, "T%02xthread:%x;", gdb_signal_from_linux(t ? t->signo : 0),
                (unsigned)g->current);
    } else {
        put_result(g, -EINVAL);
    }
    return true;
}

/* c, s, C, S: the current thread so, the others go on. */
static bool plain_run(struct gdb *g, const char *packet)
{
    struct control_resume orders[2];
    char *rest;

    parse_action(packet, &orders[0], &rest);
    orders[0].tid = g->current;
    orders[1] = (struct control_resume){.tid = -1};
    return start(g, orders, 2);
}

static bool vcont(struct gdb *g, const char *text)
{
    struct control_resume orders[256];
    size_t n = 0;
    char *rest;

    while (*text == ';' && n < ARRAY_SIZE(orders)) {
        if (!parse_action(text + 1, &orders[n], &rest))
            break;
        if (*rest == ':') {
            orders[n].tid = (int32_t)strtol(rest + 1, &rest, 16);
            orders[n].tid = orders[n].tid == 0 ? -1 : orders[n].tid;
        }
        n++;
        text = rest;
    }
    return start(g, orders, *text ? 0 : n);
}

static bool verbose(struct gdb *g, char *packet)
{
    if (strcmp(packet, "vCont?") == 0) {
        gdb_put(g, "vCont;c;C;s;S");
    } else if (strncmp(packet, "vCont", 5) == 0) {
        return vcont(g, packet + 5);
    } else if (strncmp(packet, "vFile:", 6) == 0) {
        gdb_file(g, packet + 6);
    } else if (strncmp(packet, "vKill;", 6) == 0) {
        struct control_gdb q = {0};
        char none[8];

        put_result(g, gdb_call(g, CONTROL_GDB_KILL, &q, NULL, 0, none, sizeof(none), NULL));
        g->detached = true;
    }
    return true;
}

static void choose_thread(struct gdb *g, const char *packet)
{
    int32_t tid = (int32_t)strtol(packet + 2, NULL, 16);

    if (tid > 0 && !gdb_thread(g, tid)) {
        put_result(g, -ESRCH);
        return;
    }
    if (tid > 0)
        g->current = tid;
    put_result(g, 0);
}

static bool kill_it(struct gdb *g)
{
    struct control_gdb q = {0};
    char none[8];

    (void)gdb_call(g, CONTROL_GDB_KILL, &q, NULL, 0, none, sizeof(none), NULL);
    g->detached = true;
    return false;
}

bool gdb_command(struct gdb *g, char *packet, size_t size)
{
    switch (packet[0]) {
    case '?':
        gdb_put_stop(g);
        break;
    case 'g':
        read_registers(g, 0, -1);
        break;
    case 'G':
        write_all_registers(g, packet + 1);
        break;
    case 'p': {
        int n = (int)strtol(packet + 1, NULL, 16);

        read_registers(g, n, n + 1);
        break;
    }
    case 'P':
        write_register(g, packet + 1);
        break;
    case 'm':
        read_memory(g, packet + 1);
        break;
    case 'M':
    case 'X':
        write_memory(g, packet, size);
        break;
    case 'Z':
    case 'z':
        breakpoint(g, packet);
        break;
    case 'c':
    case 's':
    case 'C':
    case 'S':
        return plain_run(g, packet);
    case 'v':
        return verbose(g, packet);
    case 'H':
        choose_thread(g, packet);
        break;
    case 'T':
        put_result(g, gdb_thread(g, (int32_t)strtol(packet + 1, NULL, 16)) ? 0 : -ESRCH);
        break;
    case 'D':
        g->detached = true;
        put_result(g, gdb_store_regs(g));
        break;
    case 'k':
        return kill_it(g);
    case 'q':
    case 'Q':
        gdb_query(g, packet);
        break;
    default: /* the empty answer: not supported */
        break;
    }
    return true;
}
