/*
 * The figures as Prometheus reads them: its text format, version 0.0.4. Names are the kernel's own
 * and need no escapes. Locks: the slabs', one at a time.
 */
#include "sentry/base/arena.h"
#include "sentry/base/slab.h"
#include "sentry/boot/figures.h"

#define NS_PER_S 1e9
/* Bounds of buckets that are told: of 2^i ns each. From 256 ns to about 17 s, in steps of 4. */
#define FIRST_BOUND 8
#define LAST_BOUND  34

static void metric(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP cvisor_%s %s\n# TYPE cvisor_%s %s\n", name, help, name, type);
}

static void print_objects(const struct slab_type *type, uint64_t live, void *arg)
{
    fprintf(arg, "cvisor_objects{type=\"%s\"} %llu\n", type->name, (number)live);
}

static void print_bytes(const struct slab_type *type, uint64_t live, void *arg)
{
    fprintf(arg, "cvisor_object_bytes{type=\"%s\"} %llu\n", type->name,
            (number)(live * type->size));
}

/* The count is the buckets' sum, not the counter's: they may be a call apart. */
static void print_histogram(FILE *out, const struct counted *call)
{
    const struct call_count *c = &call->c;
    uint64_t below = 0;
    int next = FIRST_BOUND;

    for (int i = 0; i < CALL_BUCKETS; i++) {
        if (i == next && i <= LAST_BOUND) {
            fprintf(out, "cvisor_syscall_duration_seconds_bucket{name=\"%s\",le=\"%.9g\"} %llu\n",
                    call->name, (double)(1ULL << i) / NS_PER_S, (number)below);
            next += 2;
        }
        below += c->buckets[i];
    }
    fprintf(out, "cvisor_syscall_duration_seconds_bucket{name=\"%s\",le=\"+Inf\"} %llu\n",
            call->name, (number)below);
    fprintf(out, "cvisor_syscall_duration_seconds_sum{name=\"%s\"} %.9f\n", call->name,
            (double)c->total_ns / NS_PER_S);
    fprintf(out, "cvisor_syscall_duration_seconds_count{name=\"%s\"} %llu\n", call->name,
            (number)below);
}

static void print_calls(const struct figures *f, FILE *out)
{
    metric(out, "syscalls_total", "counter", "System calls.");
    for (size_t i = 0; i < f->call_count; i++)
        fprintf(out, "cvisor_syscalls_total{name=\"%s\"} %llu\n", f->calls[i].name,
                (number)f->calls[i].c.calls);
    metric(out, "syscall_errors_total", "counter", "System calls that failed.");
    for (size_t i = 0; i < f->call_count; i++)
        fprintf(out, "cvisor_syscall_errors_total{name=\"%s\"} %llu\n", f->calls[i].name,
                (number)f->calls[i].c.errors);
    metric(out, "syscall_duration_seconds", "histogram", "Time in system calls, waiting included.");
    for (size_t i = 0; i < f->call_count; i++)
        print_histogram(out, &f->calls[i]);
    metric(out, "syscall_longest_seconds", "gauge", "The longest system call.");
    for (size_t i = 0; i < f->call_count; i++)
        fprintf(out, "cvisor_syscall_longest_seconds{name=\"%s\"} %.9f\n", f->calls[i].name,
                (double)f->calls[i].c.max_ns / NS_PER_S);
}

void figures_metrics(const struct figures *f, FILE *out)
{
    if (f->call_count)
        print_calls(f, out);
    if (f->entered) {
        metric(out, "entries_total", "counter", "System calls by how they entered.");
        fprintf(out, "cvisor_entries_total{path=\"patched\"} %llu\n", (number)f->patched);
        fprintf(out, "cvisor_entries_total{path=\"trapped\"} %llu\n", (number)f->trapped);
    }
    metric(out, "memory_bytes", "gauge", "Memory by owner.");
    for (int i = 0; i < OWNER_COUNT; i++)
        fprintf(out, "cvisor_memory_bytes{owner=\"%s\"} %llu\n", figures_owners[i],
                (number)f->owned[i]);
    metric(out, "kernel_page_bytes", "gauge", "Pages of the kernel's memory in use.");
    fprintf(out, "cvisor_kernel_page_bytes %llu\n", (number)(arena_pages_used() * PAGE_SIZE));
    metric(out, "untyped_objects", "gauge", "Untyped allocations of the kernel.");
    fprintf(out, "cvisor_untyped_objects %llu\n", (number)kmalloc_live());
    metric(out, "objects", "gauge", "Kernel objects by type.");
    slab_for_each_live(print_objects, out);
    metric(out, "object_bytes", "gauge", "Bytes in kernel objects by type.");
    slab_for_each_live(print_bytes, out);
}
