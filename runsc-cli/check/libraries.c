/* Loading a program's files in the loader's order, and what is seen of them at once. */
#include "runsc-cli/check/libraries.h"

#include "runsc-cli/compat/text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX    (1ULL << 30)
#define ALL_MAX     (3ULL << 30)
#define SCRIPT_LINE 256

static void add_line(char *list[CHECK_PROBLEMS], size_t *count, const char *fmt, va_list ap)
{
    char *line;

    if (*count >= CHECK_PROBLEMS || vasprintf(&line, fmt, ap) < 0)
        return;
    for (size_t i = 0; i < *count; i++) {
        if (strcmp(list[i], line) == 0) {
            free(line);
            return;
        }
    }
    list[(*count)++] = line;
}

void add_problem(struct check *c, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add_line(c->problems, &c->problem_count, fmt, ap);
    va_end(ap);
}

void add_note(struct check *c, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add_line(c->notes, &c->note_count, fmt, ap);
    va_end(ap);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static const uint8_t *map_file(int fd, size_t *size)
{
    struct stat st;
    void *p;

    if (fstat(fd, &st) < 0 || st.st_size <= 0 || (uint64_t)st.st_size > FILE_MAX)
        return NULL;
    p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    *size = (size_t)st.st_size;
    return p == MAP_FAILED ? NULL : p;
}

/* Its place among the objects, or NULL: it is not there, or (with *wrong set) no good. */
static struct scan_object *load(struct check *c, const char *path, const char **wrong)
{
    struct scan_object *o = &c->scan.objects[c->scan.object_count];
    int fd = broker_open(c->broker, path);
    const uint8_t *data;
    size_t size, all = 0;

    if (fd < 0)
        return NULL;
    data = map_file(fd, &size);
    close(fd);
    for (size_t i = 0; i < c->scan.object_count; i++)
        all += c->scan.objects[i].elf.size;
    if (!data || all + size > ALL_MAX) {
        *wrong = "it is empty or too big";
        return NULL;
    }
    if (elf_parse(data, size, &o->elf) < 0) {
        *wrong = o->elf.problem;
        elf_free(&o->elf);
        munmap((void *)data, size);
        return NULL;
    }
    o->path = copy_string(path);
    o->name = copy_string(base_name(path));
    o->interpreter = false;
    c->scan.object_count++;
    c->scan.cut |= o->elf.cut;
    return o;
}

static bool is_loaded(const struct check *c, const char *name)
{
    for (size_t i = 1; i < c->scan.object_count; i++) {
        const struct scan_object *o = &c->scan.objects[i];

        if (strcmp(o->name, name) == 0 || strcmp(o->path, name) == 0 ||
            (o->elf.soname && strcmp(o->elf.soname, name) == 0))
            return true;
    }
    return false;
}

/* $ORIGIN, $LIB, $PLATFORM, with braces or without; appended to out. */
static size_t put_variable(const char *s, const char *origin, FILE *out)
{
    static const char *const names[] = {"ORIGIN", "LIB", "PLATFORM"};
    const char *const values[] = {origin, "lib/x86_64-linux-gnu", "x86_64"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        size_t n = strlen(names[i]);

        if (s[1] == '{' && strncmp(s + 2, names[i], n) == 0 && s[2 + n] == '}') {
            fputs(values[i], out);
            return n + 3;
        }
        if (strncmp(s + 1, names[i], n) == 0) {
            fputs(values[i], out);
            return n + 1;
        }
    }
    fputc('$', out);
    return 1;
}

static char *expand(const char *s, size_t n, const char *path)
{
    size_t length = (size_t)(base_name(path) - path), at = 0, size;
    char *origin = copy_bytes(path, length > 1 ? length - 1 : length), *copy = copy_bytes(s, n);
    char *out = NULL;
    FILE *f = open_memstream(&out, &size);

    while (f && copy[at]) {
        if (copy[at] == '$')
            at += put_variable(copy + at, origin, f);
        else
            fputc(copy[at++], f);
    }
    if (f)
        fclose(f);
    free(origin);
    free(copy);
    return out ? out : copy_string("");
}

static struct scan_object *try_dirs(struct check *c, const char *list, const char *origin,
                                    const char *name, const char **wrong)
{
    struct scan_object *o = NULL;

    while (list && *list && !o) {
        size_t n = strcspn(list, ":");
        char *dir = expand(list, n, origin), *path = format_string("%s/%s", dir, name);

        o = *dir == '/' ? load(c, path, wrong) : NULL;
        free(dir);
        free(path);
        list += n + (list[n] == ':');
    }
    return o;
}

static struct scan_object *find_library(struct check *c, size_t by, const char *name)
{
    const struct scan_object *parent = &c->scan.objects[by], *program = &c->scan.objects[0];
    const char *wrong = NULL;
    struct scan_object *o = NULL;

    if (strchr(name, '/')) {
        char *path = expand(name, strlen(name), parent->path);

        o = load(c, path, &wrong);
        free(path);
    }
    if (!o && !parent->elf.runpath)
        o = try_dirs(c, parent->elf.rpath, parent->path, name, &wrong);
    if (!o && !parent->elf.runpath && !program->elf.runpath)
        o = try_dirs(c, program->elf.rpath, program->path, name, &wrong);
    if (!o)
        o = try_dirs(c, parent->elf.runpath, parent->path, name, &wrong);
    for (size_t i = 0; i < c->dirs.count && !o; i++) {
        char *path = format_string("%s/%s", c->dirs.items[i], name);

        o = load(c, path, &wrong);
        free(path);
    }
    if (!o)
        add_problem(c, "library %s, which %s needs, is not found%s%s", name, parent->name,
                    wrong ? "; a file of that name is " : "", wrong ? wrong : "");
    return o;
}

static void load_libraries(struct check *c)
{
    for (size_t i = 0; i < c->scan.object_count; i++) {
        for (size_t k = 0; k < c->scan.objects[i].elf.needed_count; k++) {
            const char *name = c->scan.objects[i].elf.needed[k];

            if (c->scan.object_count >= SCAN_OBJECTS) {
                add_note(c, "it loads more than %d libraries: not all were looked at",
                         SCAN_OBJECTS);
                return;
            }
            if (!is_loaded(c, name))
                find_library(c, i, name);
        }
    }
}

/* "#! /bin/sh -e": what runs it. */
static char *script_interpreter(struct check *c, const char *path)
{
    int fd = broker_open(c->broker, path);
    char line[SCRIPT_LINE] = "", *at = line + 2, *end;
    ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);

    if (fd >= 0)
        close(fd);
    if (n < 3 || line[0] != '#' || line[1] != '!')
        return NULL;
    line[n] = '\0';
    at += strspn(at, " \t");
    end = at + strcspn(at, " \t\n");
    return *at == '/' ? copy_bytes(at, (size_t)(end - at)) : NULL;
}

bool load_program(struct check *c, const char *path)
{
    const char *wrong = NULL;
    char *interpreter = script_interpreter(c, path);
    struct scan_object *o;

    if (interpreter) {
        add_note(c, "%s is a script: what is said here is of its interpreter %s", path,
                 interpreter);
        path = interpreter;
    }
    if (!load(c, path, &wrong)) {
        add_problem(c, "%s: %s", path, wrong ? wrong : "there is no such file");
        free(interpreter);
        return false;
    }
    if (c->scan.objects[0].elf.interpreter) {
        path = c->scan.objects[0].elf.interpreter;
        o = load(c, path, &wrong);
        if (o)
            o->interpreter = true;
        else
            add_problem(c, "the loader %s: %s", path, wrong ? wrong : "there is no such file");
    } else if (c->scan.objects[0].elf.needed_count) {
        add_note(c, "it names libraries but no loader: it is a library itself");
    }
    load_libraries(c);
    free(interpreter);
    return true;
}
