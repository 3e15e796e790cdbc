/* The look of the HTML report, and the script that filters its table. Nothing else is loaded. */
#pragma once

#include "runsc-cli/compat/compat.h"

extern const char html_style[], html_script[];
