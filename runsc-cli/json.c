/* Over json-c: typed getters, files in, text out. */
#include "runsc-cli/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_STRINGS 65536
#define MAX_DEPTH   64

json_object *json_get(json_object *o, const char *key, json_type type)
{
    json_object *v;

    return o && json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, key, &v) &&
                   json_object_is_type(v, type)
               ? v
               : NULL;
}

const char *json_string_or(json_object *o, const char *key, const char *otherwise)
{
    json_object *v = json_get(o, key, json_type_string);

    return v ? json_object_get_string(v) : otherwise;
}

const char *json_string(json_object *o, const char *key)
{
    return json_string_or(o, key, NULL);
}

bool json_is_true(json_object *o, const char *key)
{
    json_object *v = json_get(o, key, json_type_boolean);

    return v && json_object_get_boolean(v);
}

int64_t json_int(json_object *o, const char *key, int64_t otherwise)
{
    json_object *v = json_get(o, key, json_type_int);

    return v ? json_object_get_int64(v) : otherwise;
}

size_t json_length(json_object *array)
{
    return array ? json_object_array_length(array) : 0;
}

int json_u32(json_object *o, const char *key, uint32_t *out, struct cli_error *err)
{
    json_object *v = json_get(o, key, json_type_int);
    int64_t n = v ? json_object_get_int64(v) : 0;

    if (v && (n < 0 || n > UINT32_MAX))
        return fail(err, 1, "config.json: %s is out of range", key);
    if (v)
        *out = (uint32_t)n;
    return 0;
}

int json_strings(json_object *o, const char *key, const char *const **out, struct cli_error *err)
{
    json_object *a = json_get(o, key, json_type_array);
    size_t n = json_length(a);
    const char **list;

    if (n > MAX_STRINGS)
        return fail(err, 1, "config.json: %s is too long", key);
    list = calloc(n + 1, sizeof(*list));
    if (!list)
        return fail(err, 1, "out of memory");
    for (size_t i = 0; i < n; i++) {
        json_object *s = json_object_array_get_idx(a, i);

        if (!json_object_is_type(s, json_type_string)) {
            free(list);
            return fail(err, 1, "config.json: %s[%zu] is not a string", key, i);
        }
        list[i] = json_object_get_string(s);
    }
    *out = list;
    return 0;
}

void json_add_string(json_object *o, const char *key, const char *value)
{
    json_object_object_add(o, key, value ? json_object_new_string(value) : NULL);
}

void json_add_int(json_object *o, const char *key, int64_t value)
{
    json_object_object_add(o, key, json_object_new_int64(value));
}

void json_add_bool(json_object *o, const char *key, bool value)
{
    json_object_object_add(o, key, json_object_new_boolean(value));
}

json_object *json_read_fd(int fd, const char *name, struct cli_error *err)
{
    struct json_tokener *tok = json_tokener_new_ex(MAX_DEPTH);
    json_object *json = NULL;
    enum json_tokener_error e = json_tokener_continue;
    char buf[16384];
    size_t total = 0;
    ssize_t n = 0;

    if (!tok) {
        fail(err, 1, "out of memory");
        return NULL;
    }
    while (e == json_tokener_continue && total <= JSON_MAX &&
           (n = read(fd, buf, sizeof(buf))) > 0) {
        json = json_tokener_parse_ex(tok, buf, (int)n);
        e = json_tokener_get_error(tok);
        total += (size_t)n;
    }
    if (!json || !json_object_is_type(json, json_type_object)) {
        if (n < 0)
            fail_errno(err, 1, errno, "cannot read %s", name);
        else
            fail(err, 1, "%s is malformed: %s", name,
                 e == json_tokener_continue  ? "unexpected end"
                 : e == json_tokener_success ? "an object is expected"
                                             : json_tokener_error_desc(e));
        json_object_put(json);
        json = NULL;
    }
    json_tokener_free(tok);
    return json;
}

void json_print(json_object *o)
{
    puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
                                               JSON_C_TO_STRING_NOSLASHESCAPE));
}
