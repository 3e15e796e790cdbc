/* Private to sentry/loader. */
#pragma once

#include "sentry/abi/elf.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/mman.h"
#include "sentry/base/checked.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"
#include "sentry/loader/loader.h"

#define EXEC_HEAD_SIZE 256 /* what decides the kind of a program; also the longest #! line */

/* Reads n bytes at offset from a file: bytes (short at its end) or -errno. */
int64_t loader_read(struct file *f, uint64_t offset, void *buf, size_t n) MUST_CHECK;

/* script.c. If head starts with #!: 1, args rewritten and *out_interp kmalloc'ed; 0 when it is no
 * script. script: its path. */
int script_expand(struct exec_args *args, const char *script, const char head[EXEC_HEAD_SIZE],
                  char **out_interp) MUST_CHECK;
/* args.c: replaces argv[0] by count strings. */
int exec_args_replace_first(struct exec_args *args, const char *const *strings,
                            unsigned count) MUST_CHECK;

/* elf.c. Fills img from its file field (already set). interp_path: kmalloc'ed, NULL when there is
 * none; itself NULL for an interpreter. exec_stack may be NULL. */
int elf_read_image(struct elf_image *img, char **interp_path, bool *exec_stack) MUST_CHECK;
void elf_image_free(struct elf_image *img);

/* stack.c */
struct stack_info {
    uint64_t exe_bias, interp_base; /* interp_base 0: none */
    uint64_t stack_top;
};
int stack_build(const struct exec_plan *plan, const struct exec_args *args, const struct uspace *us,
                const struct loader_env *env, const struct stack_info *info,
                uint64_t *out_sp) MUST_CHECK;
/* layout.c: where things go. */
struct layout {
    uint64_t stack_top, mmap_top, pie_base, brk_random; /* stack_top: the address after the stack */
};
int layout_choose(const struct loader_env *env, struct layout *out) MUST_CHECK;
