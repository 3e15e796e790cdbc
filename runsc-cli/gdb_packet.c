/* Packets of gdb's remote protocol: framing, acknowledgements, escapes, hex. */
#include "runsc-cli/gdb.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t gdb_hex_bytes(const char *hex, void *out, size_t room)
{
    uint8_t *to = out;
    size_t n = 0;

    for (; n < room && digit(hex[0]) >= 0 && digit(hex[1]) >= 0; hex += 2)
        to[n++] = (uint8_t)(digit(hex[0]) << 4 | digit(hex[1]));
    return n;
}

size_t gdb_unescape(char *data, size_t size)
{
    size_t n = 0;

    for (size_t i = 0; i < size; i++) {
        if (data[i] == '}' && i + 1 < size)
            data[n++] = (char)(data[++i] ^ 0x20);
        else
            data[n++] = data[i];
    }
    return n;
}

int gdb_receive(struct gdb *g)
{
    ssize_t n;

    if (g->in_size == sizeof(g->in))
        return -1; /* longer than what was said to be taken */
    n = read(g->fd, g->in + g->in_size, sizeof(g->in) - g->in_size);
    if (n < 0 && errno == EINTR)
        return 0;
    if (n <= 0)
        return -1;
    g->in_size += (size_t)n;
    return 0;
}

static bool send_bytes(int fd, const char *data, size_t size)
{
    while (size) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        data += n;
        size -= (size_t)n;
    }
    return true;
}

static void use(struct gdb *g, size_t n)
{
    memmove(g->in, g->in + n, g->in_size - n);
    g->in_size -= n;
}

int gdb_take_packet(struct gdb *g, char *packet, size_t *size)
{
    char *hash;
    uint8_t sum = 0;
    size_t n;

    while (g->in_size && g->in[0] != '$') {
        bool interrupt = g->in[0] == 3;

        use(g, 1); /* acknowledgements: the transport loses nothing */
        if (interrupt)
            return 2;
    }
    hash = memchr(g->in, '#', g->in_size);
    if (!hash || (size_t)(hash - g->in) + 3 > g->in_size)
        return 0;
    n = (size_t)(hash - g->in) - 1;
    if (n >= GDB_PACKET_MAX)
        return -1;
    memcpy(packet, g->in + 1, n);
    packet[n] = '\0';
    *size = n;
    for (size_t i = 0; i < n; i++)
        sum = (uint8_t)(sum + (uint8_t)packet[i]);
    if (sum != (digit(hash[1]) << 4 | digit(hash[2]))) {
        use(g, n + 4);
        return g->no_ack || !send_bytes(g->fd, "-", 1) ? -1 : 0;
    }
    use(g, n + 4);
    return g->no_ack || send_bytes(g->fd, "+", 1) ? 1 : -1;
}

void gdb_answer_start(struct gdb *g)
{
    g->out[0] = '$';
    g->out_size = 1;
}

void gdb_put(struct gdb *g, const char *fmt, ...)
{
    size_t room = sizeof(g->out) - 4 - g->out_size;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(g->out + g->out_size, room, fmt, ap);
    va_end(ap);
    if (n > 0)
        g->out_size += (size_t)n < room ? (size_t)n : room - 1;
}

void gdb_put_hex(struct gdb *g, const void *data, size_t size)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < size && g->out_size + 6 < sizeof(g->out); i++) {
        g->out[g->out_size++] = "0123456789abcdef"[p[i] >> 4];
        g->out[g->out_size++] = "0123456789abcdef"[p[i] & 15];
    }
}

void gdb_put_binary(struct gdb *g, const void *data, size_t size)
{
    const char *p = data;

    for (size_t i = 0; i < size && g->out_size + 6 < sizeof(g->out); i++) {
        if (p[i] == '$' || p[i] == '#' || p[i] == '}' || p[i] == '*') {
            g->out[g->out_size++] = '}';
            g->out[g->out_size++] = (char)(p[i] ^ 0x20);
        } else {
            g->out[g->out_size++] = p[i];
        }
    }
}

int gdb_send(struct gdb *g)
{
    uint8_t sum = 0;

    for (size_t i = 1; i < g->out_size; i++)
        sum = (uint8_t)(sum + (uint8_t)g->out[i]);
    g->out[g->out_size++] = '#';
    g->out[g->out_size++] = "0123456789abcdef"[sum >> 4];
    g->out[g->out_size++] = "0123456789abcdef"[sum & 15];
    return send_bytes(g->fd, g->out, g->out_size) ? 0 : -1;
}
