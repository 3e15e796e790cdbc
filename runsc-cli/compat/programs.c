/* Which programs are to be run: from words and from lists. Nothing is run here. */
#include "runsc-cli/compat/programs.h"

#include "runsc-cli/compat/kinds.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_LIST (16U << 20)

static bool is_program(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* Absolute, or NULL. Links are left as they are: programs look at their own name. */
static char *find_program(const char *word, const char *folder)
{
    const char *path = getenv("PATH");
    char cwd[PATH_MAX], *full = NULL;

    if (*word == '/')
        return is_program(word) ? copy_string(word) : NULL;
    if (folder) {
        full = format_string("%s/%s", folder, word);
        if (is_program(full))
            return full;
        free(full);
    }
    if (strchr(word, '/')) {
        full = format_string("%s/%s", getcwd(cwd, sizeof(cwd)) ? cwd : "", word);
        if (is_program(full))
            return full;
        free(full);
        return NULL;
    }
    for (const char *at = path ? path : "/usr/bin:/bin"; *at;) {
        size_t n = strcspn(at, ":");

        full = format_string("%.*s/%s", (int)n, at, word);
        if (*full == '/' && is_program(full))
            return full;
        free(full);
        at += n + (at[n] == ':');
    }
    return NULL;
}

static char *default_name(char *const *argv, size_t argc)
{
    const char *slash = strrchr(argv[0], '/');
    char *name = copy_string(slash ? slash + 1 : argv[0]);

    for (size_t i = 1; i < argc; i++) {
        char *longer = format_string("%s %s", name, argv[i]);

        free(name);
        name = longer;
    }
    return name;
}

static int add_from(struct compat *c, const char *name, char *const *argv, size_t argc,
                    const char *folder, struct cli_error *err)
{
    char *path = find_program(argv[0], folder);
    struct program *p;

    if (!path)
        return fail(err, 2, "there is no program %s", argv[0]);
    c->programs = realloc(c->programs, (c->program_count + 1) * sizeof(*c->programs));
    if (!c->programs)
        return fail(err, 2, "out of memory");
    p = &c->programs[c->program_count++];
    *p = (struct program){.argc = argc, .argv = alloc_zeroed((argc + 1) * sizeof(*p->argv))};
    p->name = name ? copy_string(name) : default_name(argv, argc);
    p->argv[0] = path;
    for (size_t i = 1; i < argc; i++)
        p->argv[i] = copy_string(argv[i]);
    return 0;
}

int add_program(struct compat *c, const char *name, char *const *argv, size_t argc,
                struct cli_error *err)
{
    return add_from(c, name, argv, argc, NULL, err);
}

/* One word from *at on into buf, which has room for the whole line. False: an open quote. */
static bool take_word(const char **at, char *buf)
{
    const char *s = *at;
    char quote = '\0';

    for (; *s && (quote || !strchr(" \t\r", *s)); s++) {
        if (quote && *s == quote)
            quote = '\0';
        else if (!quote && (*s == '\'' || *s == '"'))
            quote = *s;
        else if (*s == '\\' && quote != '\'' && s[1])
            *buf++ = *++s;
        else
            *buf++ = *s;
    }
    *buf = '\0';
    *at = s;
    return !quote;
}

char **split_words(const char *line, size_t *count)
{
    size_t size = 0;
    char **words = NULL, *buf = alloc_zeroed(strlen(line) + 1);
    bool whole = true;

    *count = 0;
    for (line += strspn(line, " \t\r"); *line && whole; line += strspn(line, " \t\r")) {
        whole = take_word(&line, buf);
        words = grow_array(words, *count + 1, &size, sizeof(*words));
        words[(*count)++] = copy_string(buf);
    }
    words = grow_array(words, *count, &size, sizeof(*words));
    words[*count] = NULL;
    free(buf);
    if (whole)
        return words;
    while (*count > 0)
        free(words[--*count]);
    free(words);
    return NULL;
}

static int add_line(struct compat *c, char *line, const char *folder, struct cli_error *err)
{
    char **words, *name = NULL;
    size_t count, first = 0, n;
    int r = 0;

    if (line[strspn(line, " \t\r")] == '#')
        return 0;
    words = split_words(line, &count);
    if (!words)
        return fail(err, 2, "an open quote in: %.200s", line);
    n = count ? strlen(words[0]) : 0;
    if (count > 1 && n > 1 && words[0][n - 1] == ':') {
        words[0][n - 1] = '\0';
        name = words[first++];
    }
    if (count > first)
        r = add_from(c, name, words + first, count - first, folder, err);
    for (size_t i = 0; i < count; i++)
        free(words[i]);
    free(words);
    return r;
}

int read_list(struct compat *c, const char *path, struct cli_error *err)
{
    FILE *f = fopen(path, "re");
    char *real = realpath(path, NULL), *slash = real ? strrchr(real, '/') : NULL, *line = NULL;
    size_t size = 0;
    ssize_t n;
    int r = 0;

    if (!f) {
        free(real);
        return fail_errno(err, 2, errno, "cannot read %s", path);
    }
    if (slash)
        *slash = '\0';
    while (r == 0 && (n = getline(&line, &size, f)) >= 0) {
        if (n > 0 && line[n - 1] == '\n')
            line[n - 1] = '\0';
        r = n > (ssize_t)MAX_LIST ? fail(err, 2, "%s: a line is too long", path)
                                  : add_line(c, line, slash ? real : NULL, err);
    }
    free(line);
    free(real);
    fclose(f);
    return r;
}

void add_unit(struct compat *c, size_t *size, struct program *p, char *case_name)
{
    c->units = grow_array(c->units, c->unit_count, size, sizeof(*c->units));
    if (!p->unit_count++)
        p->first_unit = c->unit_count;
    c->units[c->unit_count++] = (struct unit){.program = p, .case_name = case_name};
}
