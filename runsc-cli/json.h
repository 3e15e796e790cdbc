/*
 * Reading and making JSON over json-c, with its types checked. Getters return borrowed values; a
 * member of another type counts as absent unless said.
 */
#pragma once

#include "runsc-cli/error.h"

#include <json-c/json.h>

#define JSON_MAX (16U << 20)

json_object *json_get(json_object *o, const char *key, json_type type);
/* NULL: absent. */
const char *json_string(json_object *o, const char *key);
const char *json_string_or(json_object *o, const char *key, const char *otherwise);
bool json_is_true(json_object *o, const char *key);
int64_t json_int(json_object *o, const char *key, int64_t otherwise);
size_t json_length(json_object *array);
/* Absent: *out is left. An error when it is no number or out of range. */
int json_u32(json_object *o, const char *key, uint32_t *out, struct cli_error *err);
/* A NULL-terminated malloc'ed array of borrowed strings. */
int json_strings(json_object *o, const char *key, const char *const **out, struct cli_error *err);
void json_add_string(json_object *o, const char *key, const char *value);
void json_add_int(json_object *o, const char *key, int64_t value);
void json_add_bool(json_object *o, const char *key, bool value);

/* The object in a file of at most JSON_MAX bytes; name for messages. NULL with *err. */
json_object *json_read_fd(int fd, const char *name, struct cli_error *err);
/* Two spaces a level, as runc prints; a newline behind. */
void json_print(json_object *o);
