/*
 * The kernel's log: formats into the stack and writes a line by one host call, so it needs no lock.
 */
#include "sentry/base/log.h"

#include "platform/host/host.h"
#include "sentry/base/arena.h"
#include "sentry/base/fmt.h"
#include "sentry/base/string.h"

#define LOG_TEXT_MAX        1024
#define HOST_CLOCK_REALTIME 0

static const char level_letters[] = "EWID";
static const char *const level_names[] = {"error", "warning", "info", "debug"};

struct civil_time {
    unsigned year, month, day, hour, minute, second, micros;
};

/* Gregorian date of a time since 1970, by eras of 400 years that start on March 1st. */
static void civil_from_ns(uint64_t ns, struct civil_time *out)
{
    uint64_t seconds = ns / 1000000000;
    uint64_t days = seconds / 86400 + 719468; /* since 0000-03-01 */
    uint64_t era = days / 146097, day_of_era = days % 146097;
    uint64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint64_t march_month = (5 * day_of_year + 2) / 153;

    out->day = (unsigned)(day_of_year - (153 * march_month + 2) / 5 + 1);
    out->month = (unsigned)(march_month < 10 ? march_month + 3 : march_month - 9);
    out->year = (unsigned)(year_of_era + era * 400 + (out->month <= 2));
    out->hour = (unsigned)(seconds % 86400 / 3600);
    out->minute = (unsigned)(seconds % 3600 / 60);
    out->second = (unsigned)(seconds % 60);
    out->micros = (unsigned)(ns % 1000000000 / 1000);
}

/* The run of characters at text that need no escape. */
static size_t plain_run(const char *text, bool json)
{
    size_t n = 0;

    for (;; n++) {
        unsigned char c = (unsigned char)text[n];

        if (c < 0x20 || c == 0x7f || (json && (c == '"' || c == '\\' || c > 0x7f)))
            return n;
    }
}

/* A text too long for sb ends before an escape that would be cut. */
static void add_json_text(struct strbuf *sb, const char *text)
{
    for (;;) {
        size_t n = plain_run(text, true);
        unsigned char c = (unsigned char)text[n];

        strbuf_add(sb, text, n);
        if (!c || sb->failed || sb->capacity - sb->size < sizeof("\\u0000"))
            return;
        strbuf_printf(sb, c == '"' || c == '\\' ? "\\%c" : "\\u%04x", c);
        text += n + 1;
    }
}

/* Text lines stay lines: what a guest chose must not look like another entry. */
static void add_plain_text(struct strbuf *sb, const char *text)
{
    for (;;) {
        size_t n = plain_run(text, false);

        strbuf_add(sb, text, n);
        if (!text[n])
            return;
        strbuf_printf(sb, "\\x%02x", (unsigned char)text[n]);
        text += n + 1;
    }
}

bool log_enabled(enum log_level level)
{
    return ro_globals.log_fd >= 0 && (int32_t)level <= ro_globals.log_level;
}

void log_time(uint64_t ns, char out[LOG_TIME_MAX])
{
    struct civil_time t;

    civil_from_ns(ns, &t);
    cv_snprintf(out, LOG_TIME_MAX, "%04u-%02u-%02uT%02u:%02u:%02u.%06uZ", t.year, t.month, t.day,
                t.hour, t.minute, t.second, t.micros);
}

void log_prefix(struct strbuf *out, enum log_level level, uint64_t ns)
{
    struct civil_time t;

    civil_from_ns(ns, &t);
    strbuf_putc(out, level_letters[level]);
    strbuf_digits(out, t.month * 100 + t.day, 4);
    strbuf_putc(out, ' ');
    strbuf_digits(out, t.hour, 2);
    strbuf_putc(out, ':');
    strbuf_digits(out, t.minute, 2);
    strbuf_putc(out, ':');
    strbuf_digits(out, t.second, 2);
    strbuf_putc(out, '.');
    strbuf_digits(out, t.micros, 6);
    strbuf_putc(out, ' ');
}

size_t log_format(enum log_level level, const char *text, char *line, size_t size)
{
    uint64_t now = host_clock_ns(HOST_CLOCK_REALTIME);
    char time[LOG_TIME_MAX];
    struct strbuf sb;

    /* Room for the end of the line is kept back: an over-long text is cut, not lost. */
    strbuf_init_fixed(&sb, line, size - 4);
    if (ro_globals.log_json) {
        log_time(now, time);
        strbuf_printf(&sb, "{\"time\":\"%s\",\"level\":\"%s\",\"msg\":\"", time,
                      level_names[level]);
        add_json_text(&sb, text);
    } else {
        log_prefix(&sb, level, now);
        add_plain_text(&sb, text);
    }
    sb.capacity = size;
    sb.failed = false;
    strbuf_puts(&sb, ro_globals.log_json ? "\"}\n" : "\n");
    return sb.size;
}

void log_write(enum log_level level, const char *fmt, ...)
{
    char text[LOG_TEXT_MAX], line[LOG_TEXT_MAX * 2];
    va_list ap;

    if (!log_enabled(level))
        return;
    va_start(ap, fmt);
    cv_vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    /* A log that can't be written is no reason to fail the sandbox. */
    (void)host_write(ro_globals.log_fd, line, log_format(level, text, line, sizeof(line)));
}
