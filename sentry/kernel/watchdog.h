/*
 * Looks for tasks stuck in the kernel: in one and the same system call at WATCHDOG_LOOKS looks in a
 * row, without sleeping: they wait for a lock, for the host, or run in circles. Who waits as guests
 * do (park) is not stuck.
 */
#pragma once

#include "sentry/kernel/kernel.h"

#define WATCHDOG_LOOKS       3
#define WATCHDOG_INTERVAL_MS 10000

/*
 * One look, WATCHDOG_INTERVAL_MS after the one before, by one thread only: how many tasks are newly
 * found stuck, each named on the log, once. Takes tasks_lock for each.
 */
uint32_t watchdog_look(struct kernel *k);
