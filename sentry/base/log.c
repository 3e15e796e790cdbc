/*
 * The kernel's log: formats into the stack and writes a line by one host call, so it needs no lock.
 */
#include "sentry/base/log.h"

#include "platform/host/host.h"
#include "sentry/base/arena.h"
#include "sentry/base/fmt.h"
#include "sentry/base/string.h"

#define LOG_TEXT_MAX 1024
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

static void add_json_text(struct strbuf *sb, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\')
            strbuf_printf(sb, "\\%c", c);
        else if (c < 0x20 || c >= 0x7f)
            strbuf_printf(sb, "\\u%04x", c);
        else
            strbuf_putc(sb, (char)c);
    }
}

/* Text lines stay lines: what a guest chose must not look like another entry. */
static void add_plain_text(struct strbuf *sb, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (c < 0x20 || c == 0x7f)
            strbuf_printf(sb, "\\x%02x", c);
        else
            strbuf_putc(sb, (char)c);
    }
}

bool log_enabled(enum log_level level)
{
    return ro_globals.log_fd >= 0 && (int32_t)level <= ro_globals.log_level;
}

void log_write(enum log_level level, const char *fmt, ...)
{
    char text[LOG_TEXT_MAX], line[LOG_TEXT_MAX * 2];
    struct civil_time t;
    struct strbuf sb;
    va_list ap;

    if (!log_enabled(level))
        return;
    va_start(ap, fmt);
    cv_vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);

    civil_from_ns(host_clock_ns(HOST_CLOCK_REALTIME), &t);
    /* Room for the end of the line is kept back: an over-long text is cut, not lost. */
    strbuf_init_fixed(&sb, line, sizeof(line) - 4);
    if (ro_globals.log_json) {
        strbuf_printf(
            &sb, "{\"time\":\"%04u-%02u-%02uT%02u:%02u:%02u.%06uZ\",\"level\":\"%s\",\"msg\":\"",
            t.year, t.month, t.day, t.hour, t.minute, t.second, t.micros, level_names[level]);
        add_json_text(&sb, text);
    } else {
        strbuf_printf(&sb, "%c%02u%02u %02u:%02u:%02u.%06u ", level_letters[level], t.month, t.day,
                      t.hour, t.minute, t.second, t.micros);
        add_plain_text(&sb, text);
    }
    sb.capacity = sizeof(line);
    sb.failed = false;
    strbuf_puts(&sb, ro_globals.log_json ? "\"}\n" : "\n");
    /* A log that can't be written is no reason to fail the sandbox. */
    (void)host_write(ro_globals.log_fd, line, sb.size);
}
