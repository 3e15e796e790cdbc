/* Several sandboxes' metrics made one text. The sandboxes' texts are believed only so far. */
#include "runsc-cli/metrics_merge.h"

#include <stdlib.h>
#include <string.h>

void metrics_print_label(FILE *out, const char *value)
{
    for (; *value; value++) {
        if (*value == '\\' || *value == '"')
            fputc('\\', out);
        if (*value == '\n')
            fputs("\\n", out);
        else
            fputc((unsigned char)*value < 0x20 || *value == 0x7f ? '?' : *value, out);
    }
}

static struct metrics_family *family(struct metrics *m, const char *name, size_t size)
{
    struct metrics_family *f;

    for (size_t i = 0; i < m->count; i++) {
        if (strlen(m->list[i].name) == size && strncmp(m->list[i].name, name, size) == 0)
            return &m->list[i];
    }
    if (m->count == METRICS_FAMILIES_MAX)
        return NULL;
    f = &m->list[m->count];
    *f = (struct metrics_family){.name = strndup(name, size), .head = strdup("")};
    f->out = open_memstream(&f->samples, &f->size);
    if (f->name && f->head && f->out) {
        m->count++;
        return f;
    }
    free(f->name);
    free(f->head);
    if (f->out)
        fclose(f->out);
    free(f->samples);
    return NULL;
}

/* A comment line of a family that has none of its kind yet. */
static bool add_head(struct metrics_family *f, const char *line, size_t size)
{
    size_t had = strlen(f->head), kind = strcspn(line + 2, " ") + 2;
    const char *at = strstr(f->head, kind == 6 && line[2] == 'H' ? "# HELP " : "# TYPE ");
    char *more;

    if (at)
        return true;
    more = realloc(f->head, had + size + 2);
    if (!more)
        return false;
    memcpy(more + had, line, size);
    memcpy(more + had + size, "\n", 2);
    f->head = more;
    return true;
}

static void add_sample(struct metrics_family *f, const char *sandbox, const char *line, size_t size)
{
    size_t name = strcspn(line, "{ ");
    bool labels = name < size && line[name] == '{';

    if (name >= size)
        return;
    fwrite(line, 1, name, f->out);
    fputs("{sandbox=\"", f->out);
    metrics_print_label(f->out, sandbox);
    fputs(labels ? "\"," : "\"}", f->out);
    fwrite(line + name + labels, 1, size - name - labels, f->out);
    fputc('\n', f->out);
}

bool metrics_add(struct metrics *m, const char *sandbox, const char *text)
{
    struct metrics_family *f = NULL;

    while (*text) {
        size_t size = strcspn(text, "\n");

        if (strncmp(text, "# HELP ", 7) == 0 || strncmp(text, "# TYPE ", 7) == 0) {
            f = family(m, text + 7, strcspn(text + 7, " \n"));
            if (!f || !add_head(f, text, size))
                return false;
        } else if (*text != '#' && f && strncmp(text, f->name, strlen(f->name)) == 0) {
            add_sample(f, sandbox, text, size);
        }
        text += size + (text[size] == '\n');
    }
    return true;
}

bool metrics_add_gauge(struct metrics *m, const char *name, const char *help, const char *sandbox,
                       double value)
{
    char *text = NULL;
    bool ok = asprintf(&text, "# HELP %s %s\n# TYPE %s gauge\n%s %g\n", name, help, name, name,
                       value) >= 0 &&
              metrics_add(m, sandbox, text);

    free(text);
    return ok;
}

char *metrics_finish(struct metrics *m, size_t *out_size)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, out_size);

    for (size_t i = 0; i < m->count; i++) {
        struct metrics_family *f = &m->list[i];
        bool whole = fclose(f->out) == 0;

        if (out && whole) {
            fputs(f->head, out);
            fwrite(f->samples, 1, f->size, out);
        }
        free(f->samples);
        free(f->head);
        free(f->name);
    }
    m->count = 0;
    if (out && fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}
