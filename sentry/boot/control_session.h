/* A debugger's connection: between control_gdb.c and control_files.c. Control thread only. */
#pragma once

#include "sentry/boot/control_int.h"
#include "sentry/kernel/debug.h"

#define SESSION_FILES 64

struct control_session {
    struct boot *boot;
    struct debug_tracer *tracer; /* one reference */
    struct thread_group *tg;     /* counted */
    bool running;                /* a stop is to be told */
    uint32_t stops_seen;         /* tracer->stops when it was let run */
    bool exit_told;
    struct file *files[SESSION_FILES];
};

/* The answer to one request. */
struct session_reply {
    int32_t result;
    uint8_t *data; /* CONTROL_GDB_DATA_MAX bytes of room */
    uint32_t size;
};

/* control_files.c: what the debugger reads of the guest's files; as the guest's root sees them. */
int session_open(struct control_session *d, const char *path);
int session_pread(struct control_session *d, const struct control_gdb *q,
                  struct session_reply *out);
int session_close(struct control_session *d, int number);
void session_close_all(struct control_session *d);
