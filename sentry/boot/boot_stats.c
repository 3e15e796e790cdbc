/*
 * What the sandbox counted, as a table, JSON or Prometheus text: calls, how they entered, memory by
 * owner. Runs on the control thread, or on the main one at the end. Locks: the slabs', one at a
 * time.
 */
#include "sentry/boot/boot_int.h"

#include "platform/platform_impl.h"
#include "sentry/base/arena.h"
#include "sentry/base/slab.h"
#include "syscalls/stats.h"
#include "syscalls/syscalls.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NS_PER_S 1e9

typedef unsigned long long number; /* for %llu */

struct counted {
    const char *name;
    struct call_count c;
};

struct figures {
    bool counted, entered; /* calls, their entries: are there any figures? */
    struct counted calls[SYSCALL_MAX + 1];
    size_t call_count;
    uint64_t patched, trapped;
};

static int by_time(const void *a, const void *b)
{
    const struct counted *x = a, *y = b;

    return x->c.total_ns < y->c.total_ns ? 1 : x->c.total_ns > y->c.total_ns ? -1 : 0;
}

static void collect(struct boot *b, struct figures *f)
{
    f->entered = platform_entries(&f->patched, &f->trapped);
    for (uint64_t nr = 0; nr <= SYSCALL_MAX; nr++) {
        const struct syscall_row *row = syscall_row(nr);
        struct counted *slot = &f->calls[f->call_count];

        if (!syscall_stats_get(b->kernel, nr, &slot->c))
            return;
        f->counted = true;
        slot->name = row ? row->name : "unknown";
        f->call_count += slot->c.calls > 0;
    }
    qsort(f->calls, f->call_count, sizeof(f->calls[0]), by_time);
}

/* ---- table ---- */

static void table_slab(const struct slab_type *type, uint64_t live, void *arg)
{
    fprintf(arg, "%-28s %12llu %14llu\n", type->name, (number)live, (number)(live * type->size));
}

static void print_table(const struct figures *f, FILE *out)
{
    if (!f->counted)
        fputs("system calls are not counted (runsc --stats, runsc stats --collect on)\n", out);
    else
        fprintf(out, "%-24s %12s %10s %14s %12s %12s\n", "call", "count", "errors", "total ms",
                "average us", "longest us");
    for (size_t i = 0; i < f->call_count; i++) {
        const struct call_count *c = &f->calls[i].c;

        fprintf(out, "%-24s %12llu %10llu %14.3f %12.2f %12.2f\n", f->calls[i].name,
                (number)c->calls, (number)c->errors, (double)c->total_ns / 1e6,
                (double)c->total_ns / 1e3 / (double)c->calls, (double)c->max_ns / 1e3);
    }
    if (f->entered)
        fprintf(out, "\nentered by patched sites %llu, by traps %llu\n", (number)f->patched,
                (number)f->trapped);
    fprintf(out, "\nkernel memory: %llu bytes of pages; %llu untyped objects\n",
            (number)(arena_pages_used() * PAGE_SIZE), (number)kmalloc_live());
    fprintf(out, "%-28s %12s %14s\n", "type", "objects", "bytes");
    slab_for_each_live(table_slab, out);
}

/* ---- JSON: names are the kernel's own and need no escapes ---- */

struct json_list {
    FILE *out;
    bool any;
};

static void json_slab(const struct slab_type *type, uint64_t live, void *arg)
{
    struct json_list *l = arg;

    fprintf(l->out, "%s{\"type\":\"%s\",\"objects\":%llu,\"bytes\":%llu}", l->any ? "," : "",
            type->name, (number)live, (number)(live * type->size));
    l->any = true;
}

static void print_json(const struct figures *f, FILE *out)
{
    struct json_list list = {.out = out};

    fputc('{', out);
    if (f->counted)
        fputs("\"calls\":[", out);
    for (size_t i = 0; i < f->call_count; i++) {
        const struct call_count *c = &f->calls[i].c;

        fprintf(out,
                "%s{\"name\":\"%s\",\"count\":%llu,\"errors\":%llu,\"total_ns\":%llu,"
                "\"max_ns\":%llu}",
                i ? "," : "", f->calls[i].name, (number)c->calls, (number)c->errors,
                (number)c->total_ns, (number)c->max_ns);
    }
    if (f->counted)
        fputs("],", out);
    if (f->entered)
        fprintf(out, "\"entries\":{\"patched\":%llu,\"trapped\":%llu},", (number)f->patched,
                (number)f->trapped);
    fprintf(out, "\"memory\":{\"page_bytes\":%llu,\"untyped_objects\":%llu,\"types\":[",
            (number)(arena_pages_used() * PAGE_SIZE), (number)kmalloc_live());
    slab_for_each_live(json_slab, &list);
    fputs("]}}\n", out);
}

/* ---- Prometheus' text format, version 0.0.4 ---- */

static void metric(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP cvisor_%s %s\n# TYPE cvisor_%s %s\n", name, help, name, type);
}

static void prometheus_objects(const struct slab_type *type, uint64_t live, void *arg)
{
    fprintf(arg, "cvisor_objects{type=\"%s\"} %llu\n", type->name, (number)live);
}

static void prometheus_bytes(const struct slab_type *type, uint64_t live, void *arg)
{
    fprintf(arg, "cvisor_object_bytes{type=\"%s\"} %llu\n", type->name,
            (number)(live * type->size));
}

static void prometheus_calls(const struct figures *f, FILE *out)
{
    metric(out, "syscalls_total", "counter", "System calls.");
    for (size_t i = 0; i < f->call_count; i++)
        fprintf(out, "cvisor_syscalls_total{name=\"%s\"} %llu\n", f->calls[i].name,
                (number)f->calls[i].c.calls);
    metric(out, "syscall_errors_total", "counter", "System calls that failed.");
    for (size_t i = 0; i < f->call_count; i++)
        fprintf(out, "cvisor_syscall_errors_total{name=\"%s\"} %llu\n", f->calls[i].name,
                (number)f->calls[i].c.errors);
    metric(out, "syscall_seconds_total", "counter", "Time in system calls, waiting included.");
    for (size_t i = 0; i < f->call_count; i++)
        fprintf(out, "cvisor_syscall_seconds_total{name=\"%s\"} %.9f\n", f->calls[i].name,
                (double)f->calls[i].c.total_ns / NS_PER_S);
    metric(out, "syscall_longest_seconds", "gauge", "The longest system call.");
    for (size_t i = 0; i < f->call_count; i++)
        fprintf(out, "cvisor_syscall_longest_seconds{name=\"%s\"} %.9f\n", f->calls[i].name,
                (double)f->calls[i].c.max_ns / NS_PER_S);
}

static void print_prometheus(const struct figures *f, FILE *out)
{
    if (f->counted)
        prometheus_calls(f, out);
    if (f->entered) {
        metric(out, "entries_total", "counter", "System calls by how they entered.");
        fprintf(out, "cvisor_entries_total{path=\"patched\"} %llu\n", (number)f->patched);
        fprintf(out, "cvisor_entries_total{path=\"trapped\"} %llu\n", (number)f->trapped);
    }
    metric(out, "kernel_page_bytes", "gauge", "Pages of the kernel's memory in use.");
    fprintf(out, "cvisor_kernel_page_bytes %llu\n", (number)(arena_pages_used() * PAGE_SIZE));
    metric(out, "untyped_objects", "gauge", "Untyped allocations of the kernel.");
    fprintf(out, "cvisor_untyped_objects %llu\n", (number)kmalloc_live());
    metric(out, "objects", "gauge", "Kernel objects by type.");
    slab_for_each_live(prometheus_objects, out);
    metric(out, "object_bytes", "gauge", "Bytes in kernel objects by type.");
    slab_for_each_live(prometheus_bytes, out);
}

char *boot_stats_text(struct boot *b, enum control_figures format, size_t *out_size)
{
    struct figures *f = calloc(1, sizeof(*f));
    char *text = NULL;
    FILE *out = f ? open_memstream(&text, out_size) : NULL;

    if (out) {
        collect(b, f);
        if (format == CONTROL_FIGURES_JSON)
            print_json(f, out);
        else if (format == CONTROL_FIGURES_PROMETHEUS)
            print_prometheus(f, out);
        else
            print_table(f, out);
        if (fclose(out) != 0) {
            free(text);
            text = NULL;
        }
    }
    free(f);
    return text;
}

void boot_stats_end(struct boot *b)
{
    size_t size = 0;
    char *text = boot_stats_text(
        b, b->config->log_json ? CONTROL_FIGURES_JSON : CONTROL_FIGURES_TABLE, &size);

    /* A log that can't be written is no reason to fail. */
    for (size_t at = 0; text && at < size;) {
        ssize_t n = write(b->config->log_fd, text + at, size - at);

        if (n <= 0)
            break;
        at += (size_t)n;
    }
    free(text);
}
