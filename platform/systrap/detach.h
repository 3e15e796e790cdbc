/*
 * Private to the sentry side: guests that others than their kernel threads resume. What it is for
 * is in detach.c.
 */
#pragma once

#include "platform/systrap/systrap.h"

/* detach.c */
int64_t systrap_wait(struct platform_ctx *ctx, uint32_t *word, uint32_t expected,
                     uint64_t deadline_ns);
bool systrap_resume_for(struct platform_ctx *ctx, const struct cpu_regs *regs);
int systrap_ctx_launch(struct platform_ctx *ctx, const struct cpu_regs *regs, uint64_t tid_addr,
                       uint32_t tid, bool *out_launched, void (*entry)(void *arg), void *arg);

/* systrap.c */
/* The command that makes the guest go on with regs. */
uint32_t systrap_write_registers(struct platform_ctx *ctx, const struct cpu_regs *regs);

bool systrap_canonical(uint64_t addr);
/* Nothing but rax is another than ctx's thread knows. */
bool systrap_unchanged(const struct platform_ctx *ctx, const struct cpu_regs *regs);

/* channel.c */
/* Resumes the guest by command without waiting; false when the stub is not there for it. */
bool channel_detach(struct platform_ctx *ctx, uint32_t command) MUST_CHECK;
/* The same for a new one, by STUB_LAUNCH; its owner is taken to sleep on slot.turn. */
bool channel_launch(struct platform_ctx *ctx) MUST_CHECK;
/* Before sleeping on slot.notice: true when there is no need to. */
bool channel_notice(struct platform_ctx *ctx) MUST_CHECK;
/* The event of a detached guest: as channel_resume. */
int channel_attach(struct platform_ctx *ctx) MUST_CHECK;

/* policy.c: policy_resume, but by another thread than the owner; nobody waits. */
void policy_detach(struct platform_ctx *ctx);
/* The owner waits for a detached guest: may it spin? */
bool policy_attach(struct platform_ctx *ctx);
/* The same for a new one. */
void policy_launch(struct platform_ctx *ctx);
