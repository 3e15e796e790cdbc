/* The flight recorder's events as lines of text, for the reports of crashes. */
#pragma once

#include "sentry/kernel/recorder.h"

#define RECORD_LINE_MAX 160

/* With its newline; ago_us: before the last. Async-signal-safe. */
void record_line(const struct record *e, uint64_t ago_us, char line[RECORD_LINE_MAX]);
/*
 * The last count events, the oldest first; of one task only, or of all (tid 0). say is called with
 * each line.
 */
void records_say(const struct recorder *r, uint32_t count, int32_t tid,
                 void (*say)(void *arg, const char *line), void *arg);
