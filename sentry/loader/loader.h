/*
 * execve's loader, in steps so that what can fail fails while the old program still stands:
 *   1. exec_args_copy_in   the new argv and envp into kernel memory
 *   2. loader_prepare      scripts, ELF headers, the interpreter: everything is read and checked
 *   3. (the kernel: platform_exec, mm_create)
 *   4. loader_load         maps, builds the stack, fills the registers; an error now is fatal for
 * the task Knows no tasks. Source: execve(2), elf(5), Linux's fs/binfmt_elf.c behaviour as seen
 * from user space.
 */
#pragma once

#include "fs/file.h"
#include "platform/platform.h"
#include "sentry/mm/mm.h"

#define EXEC_MAX_STRING (128UL * 1024)      /* one string with its NUL: E2BIG */
#define EXEC_MAX_TOTAL  (6UL * 1024 * 1024) /* all strings and pointers */
#define EXEC_MIN_TOTAL  (128UL * 1024)

/* argv, then envp, packed as NUL-terminated strings. Owns its memory, path and file; zero it by
 * exec_args_init. */
struct exec_args {
    struct file *file; /* the program, one reference; loader_prepare leaves it */
    char *path;        /* as given to execve, kmalloc'ed: AT_EXECFN and a script's argument */
    char *strings;     /* kmalloc */
    size_t size, capacity;
    size_t argv_size; /* the part of size that is argv */
    uint32_t argc, envc;
    uint64_t limit; /* bytes of strings and pointers together */
};

/* stack_limit: RLIMIT_STACK. */
void exec_args_init(struct exec_args *args, uint64_t stack_limit);
void exec_args_destroy(struct exec_args *args);
/* Appends one string; every argv string comes before the first of envp. -E2BIG, -ENOMEM. */
int exec_args_add_arg(struct exec_args *args, const char *s) MUST_CHECK;
int exec_args_add_env(struct exec_args *args, const char *s) MUST_CHECK;
/* The guest's NULL-terminated arrays (a null array is empty; without any argument argv gets one
 * ""). -E2BIG, -EFAULT, -ENOMEM. */
int exec_args_copy_in(struct exec_args *args, const struct uspace *us, uaddr_t argv,
                      uaddr_t envp) MUST_CHECK;

/* One ELF file, checked. Addresses are as in the file, without the bias. */
struct elf_image {
    struct file *file; /* one reference */
    bool dyn;          /* ET_DYN: may be placed anywhere */
    uint16_t phnum, load_count;
    uint64_t entry;
    uint64_t phdr_vaddr;         /* 0: no segment holds the headers */
    uint64_t start, end;         /* page-rounded extent of all segments */
    uint64_t align;              /* the largest segment's, at least a page */
    struct lx_elf64_phdr *loads; /* kmalloc: the PT_LOADs in file order */
};

struct exec_plan {
    struct elf_image exe, interp;
    bool has_interp;
    bool exec_stack;
    bool from_script;
};

/* Opens a program for execution (checking permission as execve does): one reference in *out. */
struct loader_opener {
    int (*open_exec)(void *ctx, const char *path, struct file **out);
    void *ctx;
};

/*
 * Follows #! lines (rewriting args as Linux does), reads and checks the ELF file and its
 * interpreter. *out is freed by exec_plan_free. -ENOEXEC, -EINVAL, -EIO, -ELIBBAD, -ELOOP, -E2BIG,
 * -ENOMEM, or the opener's error.
 */
int loader_prepare(struct exec_args *args, const struct loader_opener *opener,
                   struct exec_plan **out) MUST_CHECK;
void exec_plan_free(struct exec_plan *plan);
/* The file whose set-id bits and capabilities count: the last one of a script chain. Borrowed. */
static inline struct file *exec_plan_file(const struct exec_plan *plan)
{
    return plan->exe.file;
}

/* What the new program is told about itself. */
struct loader_env {
    uint32_t uid, euid, gid, egid;
    bool secure;
    bool no_randomize; /* ADDR_NO_RANDOMIZE */
    struct mm_limits limits;
};

/*
 * Into the fresh us->mm and us->ctx: segments, interpreter, heap start, stack; fills mm's
 * addresses, auxv and exe, and regs (full set). On error the address space is unusable.
 */
int loader_load(const struct exec_plan *plan, const struct exec_args *args, const struct uspace *us,
                const struct loader_env *env, struct cpu_regs *regs) MUST_CHECK;
