/* Parsing of options by tables, and their help text. */
#include "runsc-cli/opts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HELP_COLUMN 28

static const struct opt *find(const struct opt *table, const char *word, size_t n)
{
    for (; table && table->name; table++) {
        if ((strlen(table->name) == n && strncmp(table->name, word, n) == 0) ||
            (n == 1 && table->letter == word[0]))
            return table;
    }
    return NULL;
}

static bool truth(const char *s, bool *out)
{
    static const char *const yes[] = {"true", "1", "t", "T", "TRUE", "True"};
    static const char *const no[] = {"false", "0", "f", "F", "FALSE", "False"};

    for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
        if (strcmp(s, yes[i]) == 0 || strcmp(s, no[i]) == 0) {
            *out = strcmp(s, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

static int append(struct string_list *list, const char *value, struct cli_error *err)
{
    const char **items = realloc(list->items, (list->count + 1) * sizeof(*items));

    if (!items)
        return fail(err, 1, "out of memory");
    items[list->count++] = value;
    list->items = items;
    return 0;
}

static int store(const struct opt *o, void *into, const char *value, struct cli_error *err)
{
    void *at = (char *)into + o->offset;
    char *end;

    switch (o->kind) {
    case OPT_FLAG:
        if (!truth(value, at))
            return fail(err, 1, "invalid boolean value \"%s\" for -%s", value, o->name);
        return 0;
    case OPT_STRING:
    case OPT_MAYBE:
        *(const char **)at = value;
        return 0;
    case OPT_INT:
        errno = 0;
        *(int64_t *)at = strtoll(value, &end, 0);
        if (errno || end == value || *end)
            return fail(err, 1, "invalid value \"%s\" for flag -%s", value, o->name);
        return 0;
    case OPT_LIST:
    default:
        return append(at, value, err);
    }
}

int opts_parse(const struct opt *table, void *into, int argc, char **argv, bool *help,
               struct cli_error *err)
{
    int i = 1;

    while (i < argc && argv[i][0] == '-' && argv[i][1]) {
        const char *word = argv[i] + (argv[i][1] == '-' ? 2 : 1);
        const char *eq = strchr(word, '='), *value = eq ? eq + 1 : NULL;
        size_t n = eq ? (size_t)(eq - word) : strlen(word);
        const struct opt *o;

        i++;
        if (n == 0 && !eq)
            return i; /* "--" */
        o = find(table, word, n);
        if (!o && ((n == 4 && strncmp(word, "help", 4) == 0) || (n == 1 && word[0] == 'h'))) {
            *help = true;
            return i;
        }
        if (!o)
            return fail(err, 1, "flag provided but not defined: -%.*s", (int)n, word);
        if (!value && o->kind == OPT_FLAG)
            value = "true";
        if (!value && o->kind == OPT_MAYBE)
            value = "";
        if (!value && i >= argc)
            return fail(err, 1, "flag needs an argument: -%.*s", (int)n, word);
        if (!value)
            value = argv[i++];
        if (store(o, into, value, err) < 0)
            return -1;
    }
    return i;
}

/* The words of the option at argv[i]: 1, or 2 with its value; 0 when it is none. */
static int option_words(const struct opt *table, int argc, char **argv, int i)
{
    const char *word = argv[i] + (argv[i][0] == '-') + (argv[i][0] == '-' && argv[i][1] == '-');
    size_t n = strcspn(word, "=");
    const struct opt *o = find(table, word, n);

    if (argv[i][0] != '-' || n == 0)
        return 0;
    return !o || word[n] || o->kind == OPT_FLAG || o->kind == OPT_MAYBE || i + 1 == argc ? 1 : 2;
}

void opts_reorder(const struct opt *table, int argc, char **argv)
{
    char **others = calloc((size_t)argc + 1, sizeof(*others));
    int end = 1, options = 1, count = 0;

    if (!others)
        return; /* then it is taken as it stands */
    while (end < argc && strcmp(argv[end], "--") != 0) {
        int n = option_words(table, argc, argv, end);

        if (n == 0)
            others[count++] = argv[end++];
        while (n-- > 0)
            argv[options++] = argv[end++];
    }
    memcpy(argv + options, others, (size_t)count * sizeof(*others));
    free(others);
}

void opts_print(const struct opt *table)
{
    char left[64];

    for (; table && table->name; table++) {
        int n;

        if (!table->help)
            continue;
        n = snprintf(left, sizeof(left), table->kind == OPT_MAYBE ? "--%s[=%s%s]" : "--%s%s%s",
                     table->name, table->kind == OPT_FLAG || table->kind == OPT_MAYBE ? "" : " ",
                     table->kind == OPT_FLAG ? "" : table->value);
        if (table->letter && n > 0 && (size_t)n < sizeof(left))
            snprintf(left + n, sizeof(left) - (size_t)n, ", -%c", table->letter);
        if (strlen(left) > HELP_COLUMN)
            printf("   %s\n%*s%s\n", left, HELP_COLUMN + 4, "", table->help);
        else
            printf("   %-*s %s\n", HELP_COLUMN, left, table->help);
    }
}
