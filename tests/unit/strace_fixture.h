/*
 * A sink whose lines tests look at: choose starts one, expect_line looks at all lines so far.
 */
#pragma once

#include "sentry/strace/sink.h"
#include "tests/unit/task_fixture.h"

static struct strace_sink *sink;
static char text[1 << 20]; /* all lines so far */
static size_t text_size;

/* Lines of this choice from now on. -EINVAL as strace_options_create. */
static UNUSED int choose_format(struct strace_choice choice, enum strace_format format)
{
    const struct strace_sink_config config = {.format = format, .waits = false, .logged = true};
    struct strace_options *o = NULL;
    const char *what;
    int r = strace_options_create(&choice, &o, &what);

    if (r == 0)
        cr_assert_eq(strace_sink_start(kern, o, &config, &sink), 0);
    return r;
}

static UNUSED int choose(struct strace_choice choice)
{
    return choose_format(choice, STRACE_TEXT);
}

/* What is in the sink goes to text. */
static UNUSED void drain(void)
{
    const uint8_t *data;
    uint64_t dropped;
    uint32_t n;

    while (sink && (n = strace_sink_take(sink, &data, &dropped)) > 0) {
        cr_assert_lt(text_size + n, sizeof(text));
        memcpy(text + text_size, data, n);
        text_size += n;
    }
    text[text_size] = '\0';
}

static UNUSED void choose_none(void)
{
    if (!sink)
        return;
    strace_sink_stop(kern, sink);
    drain();
    strace_sink_free(sink);
    sink = NULL;
}

static UNUSED void trace_setup(void)
{
    tasks_setup();
    cr_assert_eq(choose((struct strace_choice){0}), 0);
}

static UNUSED void trace_teardown(void)
{
    choose_none();
    strace_sinks_free(kern);
    tasks_teardown();
}

static UNUSED void expect_line(const char *part)
{
    drain();
    cr_assert_not_null(strstr(text, part), "\"%s\" is not in:\n%s", part, text);
}
