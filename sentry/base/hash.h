/* Seeded hashing for tables keyed by guest data (ro_globals.hash_seed). */
#pragma once

#include "sentry/base/compiler.h"

uint64_t hash_bytes(const void *data, size_t size, uint64_t salt);
uint64_t hash_u64(uint64_t value, uint64_t salt);
