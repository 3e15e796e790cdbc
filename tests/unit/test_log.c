/* The log's two formats, cuts and escapes; and that hashing depends on all it is given. */
#define _GNU_SOURCE
#include <regex.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "sentry/base/arena.h"
#include "sentry/base/hash.h"
#include "sentry/base/log.h"
#include "tests/unit/fixture.h"

static char line[8192];

/* What the log wrote since the last call. */
static const char *written(void)
{
    ssize_t n = pread(ro_globals.log_fd, line, sizeof(line) - 1, 0);

    cr_assert_geq(n, 0);
    line[n] = '\0';
    cr_assert_eq(ftruncate(ro_globals.log_fd, 0), 0);
    cr_assert_eq(lseek(ro_globals.log_fd, 0, SEEK_SET), 0);
    return line;
}

static void open_log(void)
{
    ro_globals.log_fd = memfd_create("log", 0);
    ro_globals.log_level = LOG_INFO;
}

static bool matches(const char *text, const char *pattern)
{
    regex_t re;
    bool found;

    cr_assert_eq(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
    found = regexec(&re, text, 0, NULL, 0) == 0;
    regfree(&re);
    return found;
}

TestSuite(log, .init = open_log);

Test(log, text_lines)
{
    static const char want[] = "^I[0-9]{4} [0-9:]{8}\\.[0-9]{6} value 5\\\\x0aof \"x\"\n$";
    char today[16];
    time_t now = time(NULL);

    log_info("value %d\nof \"%s\"", 5, "x");
    cr_assert(matches(written(), want), "%s", line);
    strftime(today, sizeof(today), "I%m%d ", gmtime(&now));
    cr_assert(strncmp(line, today, 5) == 0 || time(NULL) / 86400 != now / 86400);
    log_debug("hidden");
    cr_assert_str_eq(written(), "");
}

Test(log, json_lines)
{
    static const char want[] =
        "^\\{\"time\":\"20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-9:]{8}\\.[0-9]{6}Z\","
        "\"level\":\"error\",\"msg\":\"a \\\\\"quoted\\\\\\\\\\\\\" \\\\u0001 thing\"\\}\n$";

    ro_globals.log_json = 1;
    log_error("a \"quoted\\\" \x01 thing");
    cr_assert(matches(written(), want), "%s", line);
}

Test(log, long_texts_are_cut_but_stay_lines)
{
    for (int json = 0; json < 2; json++) {
        ro_globals.log_json = json;
        log_error("%5000s", "\x01");
        cr_assert_gt(strlen(written()), 1000);
        cr_assert(matches(line, json ? " \"}\n$" : " \n$"));
    }
}

Test(log, a_closed_log_is_silent)
{
    ro_globals.log_fd = -1;
    cr_assert(!log_enabled(LOG_ERROR));
    log_error("nowhere");
}

Test(hash, depends_on_everything)
{
    char data[40] = {0};
    uint64_t base, seen[41];

    ro_globals.hash_seed = 1;
    base = hash_bytes(data, sizeof(data), 0);
    cr_assert_neq(base, hash_bytes(data, sizeof(data), 1));
    cr_assert_eq(base, hash_bytes(data, sizeof(data), 0));
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = 1;
        cr_assert_neq(base, hash_bytes(data, sizeof(data), 0), "byte %zu", i);
        data[i] = 0;
    }
    for (size_t n = 0; n <= sizeof(data); n++) {
        seen[n] = hash_bytes(data, n, 0);
        for (size_t m = 0; m < n; m++)
            cr_assert_neq(seen[n], seen[m], "lengths %zu and %zu", n, m);
    }
    cr_assert_neq(hash_u64(1, 0), hash_u64(2, 0));
    cr_assert_neq(hash_u64(1, 0), hash_u64(0, 1));
    ro_globals.hash_seed = 2;
    cr_assert_neq(base, hash_bytes(data, sizeof(data), 0));
}

Test(hash, spreads_small_numbers)
{
    unsigned buckets[256] = {0};

    for (uint64_t i = 0; i < 25600; i++)
        buckets[hash_u64(i, 7) % 256]++;
    for (int i = 0; i < 256; i++)
        cr_assert(buckets[i] > 50 && buckets[i] < 170, "bucket %d: %u", i, buckets[i]);
}
