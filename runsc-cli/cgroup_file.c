/* Reading and writing single cgroup files. */
#include "runsc-cli/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX_BYTES 65536

const char *cgroup_path_of(const struct container *c, const char *controller)
{
    json_object *a = json_get(c->json, "cgroups", json_type_array);

    for (size_t i = 0; i < json_length(a); i++) {
        json_object *o = json_object_array_get_idx(a, i);
        const char *list = json_string_or(o, "controller", "");
        size_t n = strlen(controller);

        /* v1 mounts several together: "cpu,cpuacct" */
        for (const char *p = list; p; p = strchr(p, ',')) {
            p += *p == ',';
            if (strncmp(p, controller, n) == 0 && (p[n] == '\0' || p[n] == ',') &&
                (n > 0 || *list == '\0'))
                return json_string(o, "path");
        }
    }
    return NULL;
}

bool cgroup_is_v2(const struct container *c)
{
    return cgroup_path_of(c, "") != NULL;
}

int cgroup_write(const char *dir, const char *file, const char *text)
{
    char path[PATH_MAX];
    ssize_t n;
    int fd, r;

    snprintf(path, sizeof(path), "%s/%s", dir, file);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    n = write(fd, text, strlen(text));
    r = n < 0 ? -errno : 0;
    close(fd);
    return r;
}

char *cgroup_read(const char *dir, const char *file)
{
    char path[PATH_MAX], *text = malloc(FILE_MAX_BYTES);
    ssize_t n, total = 0;
    int fd;

    snprintf(path, sizeof(path), "%s/%s", dir, file);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && text && total < FILE_MAX_BYTES - 1 &&
           (n = read(fd, text + total, (size_t)(FILE_MAX_BYTES - 1 - total))) > 0)
        total += n;
    if (fd < 0 || !text) {
        free(text);
        return NULL;
    }
    close(fd);
    text[total] = '\0';
    return text;
}

/* v2's "max" is the largest number. */
static int64_t number(const char *text)
{
    return strncmp(text, "max", 3) == 0 ? INT64_MAX : strtoll(text, NULL, 10);
}

int64_t cgroup_read_int(const char *dir, const char *file, int64_t otherwise)
{
    char *text = dir ? cgroup_read(dir, file) : NULL;
    int64_t v = text ? number(text) : otherwise;

    free(text);
    return v;
}

int64_t cgroup_read_key(const char *dir, const char *file, const char *key, int64_t otherwise)
{
    char *text = dir ? cgroup_read(dir, file) : NULL, *p = text;
    size_t n = strlen(key);
    int64_t v = otherwise;

    while (p) {
        if (strncmp(p, key, n) == 0 && p[n] == ' ') {
            v = number(p + n + 1);
            break;
        }
        p = strchr(p, '\n');
        p += p != NULL;
    }
    free(text);
    return v;
}
