/* Reports of the sentry's own crashes. */
#pragma once

/* Once, before other threads start. */
void crash_install(void);
