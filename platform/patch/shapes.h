/*
 * The few shapes of instructions that patching relies on, known by their bytes alone: the helper
 * uses them to choose, the sentry to check what the helper chose. Freestanding, no state.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * Bytes of the instruction at p if it is one that does the same wherever it stands: moves between
 * registers, of constants and to and from memory not addressed by %rip, lea, xor and test of
 * registers. 0: not one of these, or longer than n.
 */
unsigned shape_movable(const uint8_t *p, unsigned n);

/* Bytes of the padding instruction (nop of any size, int3) at p; 0: something else. */
unsigned shape_padding(const uint8_t *p, unsigned n);

/* Every byte may be part of padding, whatever the padding's start is, or all are 0. */
bool shape_padding_bytes(const uint8_t *p, unsigned n);
