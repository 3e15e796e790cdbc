/*
 * Included before everything else in the conformance cases when they are compiled for mpk: there
 * they run in guest processes, without libc. What they use of it is replaced by functions of
 * shim.c; what needs the test's own process is asked of a server thread there (server.c).
 */
#pragma once

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include "platform/host/host.h"
#include "sentry/base/slab.h"

#define malloc(n) kmalloc(n)
#define free(p) kfree(p)
#define aligned_alloc(align, n) kmalloc((n) < 2049 ? 4096 : (n))
#define pwrite(fd, p, n, at) host_pwrite(fd, p, n, at)
#define pread(fd, p, n, at) host_pread(fd, p, n, at)
#define close(fd) host_close(fd)
#define kill(pid, signo) shim_kill(pid, signo)
#define pause() sleep_us(1000)
#define pthread_create(thread, attr, fn, arg) shim_thread_create(thread, fn, arg)
#define pthread_join(thread, result) shim_thread_join(thread)
#define sched_getaffinity(pid, size, mask) shim_affinity(size, mask)
#undef snprintf
#define snprintf(buf, size, ...) cv_snprintf(buf, size, __VA_ARGS__)

int cv_snprintf(char *buf, size_t size, const char *fmt, ...);
void sleep_us(unsigned us);
int shim_kill(pid_t pid, int signo);
int shim_affinity(size_t size, void *mask);
int shim_thread_create(pthread_t *thread, void *(*fn)(void *arg), void *arg);
void shim_thread_join(pthread_t thread);

/* Asked of the test's own process; the fields are the server's to read once word is set. */
enum shim_op { SHIM_THREAD, SHIM_PROCESSES, SHIM_FDS };
struct shim_call {
    uint32_t word; /* futex: 0 free, 1 asked, 2 answered */
    enum shim_op op;
    void *(*fn)(void *arg);
    void *arg;
    char name[32];
    int32_t pids[8];
    int64_t result;
};
/* A thread of the test's process: done when fn has returned. */
struct shim_thread {
    void *(*fn)(void *arg);
    void *arg;
    uint32_t done; /* futex */
};
/* The arena's root while a test runs. */
struct shim_root {
    uint32_t lock; /* futex: 1 while a call is made */
    int32_t code_fd;
    char code_name[64];
    struct shim_call call;
    uint32_t case_done;
    void (*case_run)(void);
    void (*steps)(void *box);
};

/* Runs root->case_run on the arena stack that ends at top. */
void shim_run_case(struct shim_root *root, void *top);
