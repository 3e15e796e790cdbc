/*
 * What the sandbox counted, as a table or JSON: calls, how they entered, memory by owner. Runs on
 * the control thread, or on the main one at the end. Not here: collecting it (figures.c),
 * Prometheus' text (boot_metrics.c). Locks: the slabs', one at a time.
 */
#include "sentry/boot/figures.h"

#include "sentry/base/arena.h"
#include "sentry/base/slab.h"

#include <stdlib.h>
#include <unistd.h>

/* ---- table ---- */

static void table_slab(const struct slab_type *type, uint64_t live, void *arg)
{
    fprintf(arg, "%-28s %12llu %14llu\n", type->name, (number)live, (number)(live * type->size));
}

static double share(uint64_t of, const struct figures *f)
{
    return 100.0 * (double)of / (double)MAX(f->patched + f->trapped, 1UL);
}

static void print_table(const struct figures *f, FILE *out)
{
    if (!f->counted)
        fputs("system calls are not counted (runsc --stats, runsc stats --collect on)\n", out);
    else
        fprintf(out, "%-24s %12s %10s %14s %12s %12s %12s\n", "call", "count", "errors", "total ms",
                "p50 us", "p99 us", "longest us");
    for (size_t i = 0; i < f->call_count; i++) {
        const struct call_count *c = &f->calls[i].c;

        fprintf(out, "%-24s %12llu %10llu %14.3f %12.2f %12.2f %12.2f\n", f->calls[i].name,
                (number)c->calls, (number)c->errors, (double)c->total_ns / 1e6,
                (double)call_count_quantile(c, 500) / 1e3,
                (double)call_count_quantile(c, 990) / 1e3, (double)c->max_ns / 1e3);
    }
    if (f->entered)
        fprintf(out, "\nentered by patched sites %llu (%.1f%%), by traps %llu (%.1f%%)\n",
                (number)f->patched, share(f->patched, f), (number)f->trapped, share(f->trapped, f));
    fprintf(out, "\n%-28s %14s\n", "memory", "bytes");
    for (int i = 0; i < OWNER_COUNT; i++)
        fprintf(out, "%-28s %14llu\n", figures_owners[i], (number)f->owned[i]);
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

    fprintf(out, "{\"counting\":%s,", f->counting ? "true" : "false");
    if (f->counted)
        fputs("\"calls\":[", out);
    for (size_t i = 0; i < f->call_count; i++) {
        const struct call_count *c = &f->calls[i].c;

        fprintf(out,
                "%s{\"name\":\"%s\",\"count\":%llu,\"errors\":%llu,\"total_ns\":%llu,"
                "\"max_ns\":%llu,\"p50_ns\":%llu,\"p99_ns\":%llu,\"log2_ns\":[",
                i ? "," : "", f->calls[i].name, (number)c->calls, (number)c->errors,
                (number)c->total_ns, (number)c->max_ns, (number)call_count_quantile(c, 500),
                (number)call_count_quantile(c, 990));
        for (int n = 0; n < CALL_BUCKETS; n++)
            fprintf(out, n ? ",%llu" : "%llu", (number)c->buckets[n]);
        fputs("]}", out);
    }
    if (f->counted)
        fputs("],", out);
    if (f->entered)
        fprintf(out, "\"entries\":{\"patched\":%llu,\"trapped\":%llu},", (number)f->patched,
                (number)f->trapped);
    for (int i = 0; i < OWNER_COUNT; i++)
        fprintf(out, "%s{\"owner\":\"%s\",\"bytes\":%llu}", i ? "," : "\"owners\":[",
                figures_owners[i], (number)f->owned[i]);
    fprintf(out, "],\"memory\":{\"page_bytes\":%llu,\"untyped_objects\":%llu,\"types\":[",
            (number)(arena_pages_used() * PAGE_SIZE), (number)kmalloc_live());
    slab_for_each_live(json_slab, &list);
    fputs("]}}\n", out);
}

char *boot_stats_text(struct boot *b, enum control_figures format, size_t *out_size)
{
    struct figures *f = figures_collect(b);
    char *text = NULL;
    FILE *out = f ? open_memstream(&text, out_size) : NULL;

    if (out) {
        if (format == CONTROL_FIGURES_JSON)
            print_json(f, out);
        else if (format == CONTROL_FIGURES_PROMETHEUS)
            figures_metrics(f, out);
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
