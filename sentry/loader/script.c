/*
 * "#!" lines: the interpreter's path, one optional argument, as Linux's binfmt_script splits them.
 * No locks.
 */
#include "sentry/loader/loader_int.h"

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Both: the first such position in [p, end), or end. */
static const char *skip_blanks(const char *p, const char *end)
{
    while (p < end && blank(*p))
        p++;
    return p;
}

static const char *find_blank_or_nul(const char *p, const char *end)
{
    while (p < end && *p && !blank(*p))
        p++;
    return p;
}

struct line {
    const char *name, *name_end, *arg, *end; /* arg NULL: none */
};

static int parse(const char *head, struct line *l)
{
    const char *buf_end = head + EXEC_HEAD_SIZE - 1, *end = memchr(head, '\n', EXEC_HEAD_SIZE);

    if (!end) {
        const char *first = skip_blanks(head + 2, buf_end);

        /* A path that fills the buffer may be cut short. */
        if (first == buf_end || find_blank_or_nul(first, buf_end) == buf_end)
            return -ENOEXEC;
        end = buf_end;
    }
    while (end > head + 2 && blank(end[-1]))
        end--;
    l->end = end;
    l->name = skip_blanks(head + 2, end);
    if (l->name == end)
        return -ENOEXEC;
    l->name_end = find_blank_or_nul(l->name, end);
    if (l->name_end == l->name)
        return -ENOEXEC;
    l->arg = NULL;
    if (l->name_end < end && *l->name_end) {
        const char *arg = skip_blanks(l->name_end, end);

        if (arg < end)
            l->arg = arg;
    }
    return 0;
}

/* [from, to) as a string, ended early by a NUL in it. */
static char *piece(const char *from, const char *to)
{
    char *s = kmalloc((size_t)(to - from) + 1);

    if (s)
        memcpy(s, from, (size_t)(to - from));
    return s;
}

int script_expand(struct exec_args *args, const char *script, const char head[EXEC_HEAD_SIZE],
                  char **out_interp)
{
    char *name, *arg = NULL;
    const char *strings[3];
    unsigned count = 0;
    struct line l;
    int ret;

    if (head[0] != '#' || head[1] != '!')
        return 0;
    ret = parse(head, &l);
    if (ret < 0)
        return ret;
    name = piece(l.name, l.name_end);
    if (l.arg)
        arg = piece(l.arg, l.end);
    ret = -ENOMEM;
    if (!name || (l.arg && !arg))
        goto fail;
    strings[count++] = name;
    if (arg)
        strings[count++] = arg;
    strings[count++] = script;
    ret = exec_args_replace_first(args, strings, count);
    if (ret < 0)
        goto fail;
    kfree(arg);
    *out_interp = name;
    return 1;
fail:
    kfree(name);
    kfree(arg);
    return ret;
}
