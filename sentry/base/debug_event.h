/*
 * Why a debugged task has stopped: what the kernel says, and the control protocol carries to the
 * CLI.
 */
#pragma once

enum debug_event {
    DEBUG_ASKED,  /* debug_interrupt, or a new thread while halting */
    DEBUG_SIGNAL, /* a signal is about to be taken */
    DEBUG_BREAK,  /* a breakpoint of the tracer's; rip is its address again */
    DEBUG_STEP,   /* the step is done */
    DEBUG_EXEC,   /* a new program, before its first instruction; breakpoints are gone */
};
