/* The last system calls of a trace in JSON (sentry/strace), as lines for people. */
#include "runsc-cli/compat/run.h"
#include "runsc-cli/json.h"

#include <stdlib.h>
#include <string.h>

#define SHELL_PID 1 /* the shell that starts the test */

/* "3 cat: read(3, "", 4096) = 0"; NULL when the line is no call, or the shell's. */
static char *describe(json_object *o)
{
    const char *name = json_string(o, "name"), *error = json_string(o, "errno");
    json_object *args = json_get(o, "args", json_type_array);
    char *words = copy_string(""), *line;

    if (!name || json_int(o, "pid", 0) == SHELL_PID) {
        free(words);
        return NULL;
    }
    for (size_t i = 0; i < json_length(args); i++) {
        const char *arg = json_object_get_string(json_object_array_get_idx(args, i));
        char *longer = format_string("%s%s%s", words, i ? ", " : "", arg ? arg : "");

        free(words);
        words = longer;
    }
    line = format_string("%lld %s: %s(%s) = %lld%s%s", (long long)json_int(o, "tid", 0),
                         json_string_or(o, "comm", "?"), name, words,
                         (long long)json_int(o, "result", 0), error ? " " : "", error ? error : "");
    free(words);
    return line;
}

struct text last_calls(const struct text *trace, size_t max)
{
    size_t at = 0, n, count = 0;
    char **lines = alloc_zeroed(max * sizeof(*lines));
    struct text out = {0};
    const char *line;

    while (text_line(trace, &at, &line, &n)) {
        char *copy = copy_bytes(line, n), *text;
        json_object *o = json_tokener_parse(copy);

        free(copy);
        text = o ? describe(o) : NULL;
        json_object_put(o);
        if (!text)
            continue;
        free(lines[count % max]);
        lines[count++ % max] = text;
    }
    for (size_t i = count > max ? count - max : 0; i < count; i++) {
        text_add(&out, lines[i % max], strlen(lines[i % max]));
        text_add(&out, "\n", 1);
    }
    for (size_t i = 0; i < max; i++)
        free(lines[i]);
    free(lines);
    return out;
}
