/*
 * An OCI bundle's config.json (runtime-spec 1.2) into a boot_config. What this version can't honour
 * is an error that names it, or a warning on the log where the spec lets a runtime go on.
 */
#pragma once

#include "runsc-cli/sandbox.h"

struct spec {
    void *json; /* owns every string below */
    char *root_path;
    bool terminal;
};

/* Reads BUNDLE/config.json over the defaults already in config. spec must outlive config's use. */
int spec_load(const char *bundle, struct boot_config *config, struct spec *spec,
              struct cli_error *err);
