/*
 * runsc gdbserver: gdb's remote protocol on one side (GDB manual, "Remote Protocol"), the sandbox's
 * debug requests on the other. What gdb sends is the user's own; what comes from the sandbox is
 * data, bounded, and never text of ours.
 */
#pragma once

#include "runsc-cli/control_client.h"
#include "sentry/abi/core.h"

#include <stdio.h>

#define GDB_PACKET_MAX 16384
#define GDB_THREADS    1024
#define GDB_BREAKS     1024
#define XSAVE_MAX      16384

struct gdb_regs {
    struct lx_user_regs user;
    uint8_t xsave[XSAVE_MAX];
};

struct gdb {
    int fd;         /* gdb's connection */
    int control_fd; /* the sandbox's */
    const struct container *container;
    int pid;
    bool no_ack, detached, closed;
    bool running;     /* gdb waits for a stop */
    bool interrupted; /* and has asked for it: told as SIGINT */
    struct debug_news news;
    struct control_thread threads[GDB_THREADS];
    size_t thread_count;
    bool told[GDB_THREADS]; /* its stop was told to gdb */
    uint64_t breaks[GDB_BREAKS];
    size_t break_count;
    int32_t current;      /* what Hg and stops choose */
    struct gdb_regs regs; /* of regs_tid, 0: of nobody */
    size_t xsave_size;
    int32_t regs_tid;
    bool regs_changed;
    /* the answer being made */
    char out[GDB_PACKET_MAX * 2 + 64];
    size_t out_size;
    /* what came and is not used yet */
    char in[GDB_PACKET_MAX * 2];
    size_t in_size;
};

/* ---- gdb_packet.c ---- */
/* 1: a packet in packet (NUL-terminated, *size bytes, escapes kept); 2: an interrupt; 0: not whole
 * yet; -1: broken. */
int gdb_take_packet(struct gdb *g, char *packet, size_t *size);
/* Reads what is there; -1: the end. */
int gdb_receive(struct gdb *g);
void gdb_answer_start(struct gdb *g);
void gdb_put(struct gdb *g, const char *fmt, ...) PRINTF_LIKE(2, 3);
void gdb_put_hex(struct gdb *g, const void *data, size_t size);
/* With escapes. */
void gdb_put_binary(struct gdb *g, const void *data, size_t size);
/* -1: gdb is gone. */
int gdb_send(struct gdb *g);
/* Hex digits into bytes, at most room: how many. */
size_t gdb_hex_bytes(const char *hex, void *out, size_t room);
size_t gdb_unescape(char *data, size_t size);

/* ---- gdb_target.c: the sandbox. 0 or more, or -errno ---- */
int gdb_call(struct gdb *g, enum control_gdb_op op, const struct control_gdb *q,
             const void *data, size_t size, void *out, size_t room, size_t *out_size);
/* Stops all threads and lists them. */
int gdb_halt(struct gdb *g);
/* g->regs become tid's; changes of another thread's are written back first. */
int gdb_load_regs(struct gdb *g, int32_t tid);
int gdb_store_regs(struct gdb *g);
struct control_thread *gdb_thread(struct gdb *g, int32_t tid);
/* Lets threads go as the orders say, or tells of a stop not told yet: false. */
bool gdb_run(struct gdb *g, const struct control_resume *orders, size_t count);
bool gdb_has_break(const struct gdb *g, uint64_t addr);

/* ---- gdb_regs.c ---- */
const char *gdb_target_xml(const struct gdb *g);
/* The register of that number in target.xml, NULL: none. */
int gdb_register_count(const struct gdb *g);
int gdb_get_register(const struct gdb *g, int number, uint8_t out[16]);
bool gdb_set_register(struct gdb *g, int number, const uint8_t *value, size_t size);

/* ---- gdb_command.c, gdb_query.c, gdb_file.c: make the answer ---- */
/* False: there is no answer yet, since the process runs; or none at all. */
bool gdb_command(struct gdb *g, char *packet, size_t size);
void gdb_query(struct gdb *g, char *packet);
void gdb_file(struct gdb *g, char *packet);
/* gdb's numbers of signals. */
int gdb_signal_to_linux(int n);
int gdb_signal_from_linux(int n);
/* A stop, or the end. */
void gdb_put_stop(struct gdb *g);
