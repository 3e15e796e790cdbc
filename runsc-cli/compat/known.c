/*
 * Known differences: a line each, `program[/case] [platform] reason`, with wildcards as a shell has
 * them; a colon may stand before the reason. Text behind # at a line's start is a comment.
 */
#include "runsc-cli/compat/compat.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FILE (4U << 20)

static bool is_platform(const char *s)
{
    static const char *const names[] = {"systrap", "notify", "ptrace", "mpk", "auto", "*"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(s, names[i]) == 0)
            return true;
    }
    return false;
}

/* Drops a colon at its end. */
static bool drop_colon(char *s)
{
    size_t n = strlen(s);

    if (n < 2 || s[n - 1] != ':')
        return false;
    s[n - 1] = '\0';
    return true;
}

static void parse_line(char *line, struct known_list *out, size_t *size)
{
    char *rest = NULL, *pattern = strtok_r(line, " \t\r", &rest), *word, *end;
    const char *platform = "*";

    if (!pattern || *pattern == '#')
        return;
    rest += strspn(rest, " \t");
    if (!drop_colon(pattern)) {
        size_t n = strcspn(rest, " \t\r");

        word = copy_bytes(rest, n);
        drop_colon(word);
        if (is_platform(word)) {
            platform = word;
            rest += n;
            rest += strspn(rest, " \t");
        }
        platform = copy_string(platform);
        free(word);
    } else {
        platform = copy_string(platform);
    }
    for (end = rest + strlen(rest); end > rest && strchr(" \t\r", end[-1]); end--)
        ;
    out->items = grow_array(out->items, out->count, size, sizeof(*out->items));
    out->items[out->count++] = (struct known){.pattern = copy_string(pattern),
                                              .platform = (char *)platform,
                                              .reason = copy_bytes(rest, (size_t)(end - rest))};
}

int known_parse(char *text, const char *name, struct known_list *out, struct cli_error *err)
{
    size_t size = out->count, number = 0;
    char *rest = text, *line;

    while ((line = strsep(&rest, "\n"))) {
        size_t before = out->count;

        number++;
        parse_line(line, out, &size);
        if (out->count > before && !*out->items[before].reason)
            return fail(err, 2, "%s:%zu: a reason is expected", name, number);
    }
    return 0;
}

int known_read(const char *path, struct known_list *out, struct cli_error *err)
{
    FILE *f = fopen(path, "re");
    char *text;
    size_t n;
    int r;

    if (!f)
        return fail_errno(err, 2, errno, "cannot read %s", path);
    text = alloc_zeroed(MAX_FILE + 1);
    n = fread(text, 1, MAX_FILE, f);
    r = n == MAX_FILE ? fail(err, 2, "%s is too long", path) : known_parse(text, path, out, err);
    fclose(f);
    free(text);
    return r;
}

static bool matches(const char *pattern, const char *program, const char *case_name)
{
    char *full = *case_name ? format_string("%s/%s", program, case_name) : NULL;
    bool found = fnmatch(pattern, program, 0) == 0 || (full && fnmatch(pattern, full, 0) == 0);

    free(full);
    return found;
}

const char *known_reason(const struct known_list *list, const char *program, const char *case_name,
                         const char *platform)
{
    const char *slash = strrchr(program, '/');

    for (size_t i = 0; i < list->count; i++) {
        struct known *k = &list->items[i];

        if ((strcmp(k->platform, "*") == 0 || strcmp(k->platform, platform) == 0) &&
            (matches(k->pattern, program, case_name) ||
             (slash && matches(k->pattern, slash + 1, case_name)))) {
            atomic_store(&k->used, true);
            return k->reason;
        }
    }
    return NULL;
}
