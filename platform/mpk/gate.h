/* The gate between guest code and the kernel (gate.S), as C sees it. */
#pragma once

#include "sentry/base/compiler.h"

struct exit_frame;
struct platform_ctx;

/* gate.S: the two forms of each; which one is in mpk_ro. */
extern const char mpk_signal_entry_keyed[], mpk_signal_entry_keyless[];
extern const char mpk_enter_window_keyed[], mpk_enter_window_end_keyed[];
extern const char mpk_enter_window_keyless[], mpk_enter_window_end_keyless[];
extern const char mpk_enter_quick_window_keyed[], mpk_enter_quick_window_end_keyed[];
extern const char mpk_enter_quick_window_keyless[], mpk_enter_quick_window_end_keyless[];
extern const char mpk_restorer[];
/*
 * Leaves for guest code with the registers in ctx->scratch. Returns when the guest has entered the
 * kernel again, or at once when there is a request.
 */
void mpk_enter_keyed(struct platform_ctx *ctx, struct exit_frame *frame);
void mpk_enter_keyless(struct platform_ctx *ctx, struct exit_frame *frame);
/* The same for a guest that minds neither rcx nor r11 nor a trap flag. */
void mpk_enter_quick_keyed(struct platform_ctx *ctx, struct exit_frame *frame);
void mpk_enter_quick_keyless(struct platform_ctx *ctx, struct exit_frame *frame);
/*
 * Where patched call sites go: rcx holds the address after the call, r11 nothing, the rest is the
 * guest's. The four bytes at check are the scratch's address shifted, negative: filled by the
 * zygote.
 */
extern const char mpk_call_entry_keyed[], mpk_call_entry_keyless[];
extern const char mpk_call_swapped_keyed[], mpk_call_swapped_keyless[];
extern const char mpk_call_trap_keyed[], mpk_call_trap_keyless[];
extern const char mpk_call_stack_keyed[], mpk_call_stack_keyless[];
extern const char mpk_call_saved_keyed[], mpk_call_saved_keyless[];
extern const char mpk_call_end_keyed[], mpk_call_end_keyless[];
extern const char mpk_call_check_keyed[], mpk_call_check_keyless[];
/* wrgsbase; nothing of the guest's comes back from here with another %gs. */
void mpk_set_gs(uint64_t base);
