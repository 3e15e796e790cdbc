/* runsc state, list and ps: looking, without locks. */
#include "runsc-cli/lifecycle.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const struct opt state_opts[] = {{0}};

int cmd_state(const struct global_options *global, void *opts, int argc, char **args,
              struct cli_error *err)
{
    struct container c;
    json_object *o;

    if (container_open(global, args[0], UNLOCKED, &c, err) < 0)
        return -1;
    o = container_describe(&c);
    json_print(o);
    json_object_put(o);
    container_close(&c);
    return 0;
}

/* ---- list ---- */

struct format_options {
    const char *format;
    bool quiet;
};

#define F(field) offsetof(struct format_options, field)
const struct opt list_opts[] = {
    {"format", 'f', OPT_STRING, F(format), "table|json", "(default table)"},
    {"quiet", 'q', OPT_FLAG, F(quiet), NULL, "IDs only"},
    {0},
};

static int wants_json(const struct format_options *o, bool *out, struct cli_error *err)
{
    *out = o->format && strcmp(o->format, "json") == 0;
    if (o->format && !*out && strcmp(o->format, "table") != 0)
        return fail(err, 1, "invalid format option");
    return 0;
}

static void print_row(json_object *o)
{
    printf("%-12s %-8lld %-10s %-20s %-24s %s\n", json_string_or(o, "id", ""),
           (long long)json_int(o, "pid", 0), json_string_or(o, "status", ""),
           json_string_or(o, "bundle", ""), json_string_or(o, "created", ""),
           json_string_or(o, "owner", ""));
}

static void print_list(json_object *list, const struct format_options *o, bool json)
{
    if (json) {
        puts(json_object_to_json_string_ext(list, JSON_C_TO_STRING_PLAIN |
                                                      JSON_C_TO_STRING_NOSLASHESCAPE));
        return;
    }
    if (!o->quiet)
        printf("%-12s %-8s %-10s %-20s %-24s %s\n", "ID", "PID", "STATUS", "BUNDLE", "CREATED",
               "OWNER");
    for (size_t i = 0; i < json_length(list); i++) {
        json_object *c = json_object_array_get_idx(list, i);

        if (o->quiet)
            puts(json_string_or(c, "id", ""));
        else
            print_row(c);
    }
}

int cmd_list(const struct global_options *global, void *opts, int argc, char **args,
             struct cli_error *err)
{
    json_object *list = json_object_new_array();
    char **ids;
    size_t count;
    bool json;

    if (wants_json(opts, &json, err) < 0 || container_list(global, &ids, &count, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        struct cli_error ignored = {.status = 1};
        struct container c;

        if (container_open(global, ids[i], UNLOCKED, &c, &ignored) == 0) {
            json_object_array_add(list, container_describe(&c));
            container_close(&c);
        }
    }
    print_list(list, opts, json);
    json_object_put(list);
    return 0;
}

/* ---- ps ---- */

const struct opt ps_opts[] = {
    {"format", 'f', OPT_STRING, F(format), "table|json", "(default table)"},
    {0},
};

static void print_time(char out[32], uint64_t seconds)
{
    snprintf(out, 32, "%02llu:%02llu:%02llu", (unsigned long long)(seconds / 3600),
             (unsigned long long)(seconds / 60 % 60), (unsigned long long)(seconds % 60));
}

/* The host's name for uid, as ps(1) has it, or NULL. */
static const struct passwd *user_of(unsigned uid)
{
    FILE *f = fopen("/etc/passwd", "re");
    const struct passwd *p = NULL;

    while (f && (p = fgetpwent(f)) && p->pw_uid != uid)
        ;
    if (f)
        fclose(f);
    return p;
}

/* Lines of CONTROL_PS; the sentry's word, so taken apart with care. */
static void print_table(char *text)
{
    char *line;

    printf("%-8s %5s %5s  C STIME TTY          TIME CMD\n", "UID", "PID", "PPID");
    while ((line = strsep(&text, "\n"))) {
        unsigned long long age, cpu_ms;
        char tty[16], name[64], cpu[32], when[16], user[16];
        const struct passwd *known;
        int pid, ppid;
        unsigned uid;
        struct tm tm;
        time_t t;

        if (sscanf(line, "%d %d %u %llu %llu %15s %63[^\n]", &pid, &ppid, &uid, &age, &cpu_ms, tty,
                   name) != 7)
            continue;
        t = time(NULL) - (time_t)age;
        strftime(when, sizeof(when), "%H:%M", localtime_r(&t, &tm));
        print_time(cpu, cpu_ms / 1000);
        snprintf(user, sizeof(user), "%u", uid);
        known = user_of(uid);
        printf("%-8s %5d %5d  0 %s %-8s %s %s\n", known ? known->pw_name : user, pid, ppid, when,
               tty, cpu, name);
    }
}

static int print_pids(const struct container *c, struct cli_error *err)
{
    char *text = NULL, *rest, *line;

    if (control_request(c, CONTROL_HOLDERS, 0, &text, err) < 0)
        return -1;
    printf("[%d", c->pid);
    rest = text;
    while ((line = strsep(&rest, "\n"))) {
        if (*line)
            printf(",%d", atoi(line));
    }
    puts("]");
    free(text);
    return 0;
}

/*
 * table: the processes inside, by their numbers there. json: the host's processes that stand for
 * the container and its execs, those that carry their status.
 */
int cmd_ps(const struct global_options *global, void *opts, int argc, char **args,
           struct cli_error *err)
{
    struct container c;
    char *text = NULL;
    const char *status;
    bool json;
    int r = 0;

    if (wants_json(opts, &json, err) < 0 || container_open(global, args[0], UNLOCKED, &c, err) < 0)
        return -1;
    status = container_status(&c, NULL);
    if (strcmp(status, "stopped") == 0) { /* as runc: there are none, and nothing is wrong */
        if (json)
            puts("[]");
        else
            text = strdup("");
    } else if (json) {
        r = print_pids(&c, err);
    } else {
        r = control_request(&c, CONTROL_PS, 0, &text, err);
    }
    if (r >= 0 && text)
        print_table(text);
    free(text);
    container_close(&c);
    return r < 0 ? -1 : 0;
}
