/*
 * Step 1 of execve: from a file to a plan, following scripts and the ELF interpreter. Nothing of
 * the calling task is changed. No locks.
 */
#include "sentry/loader/loader_int.h"

#define MAX_SCRIPTS 5

static int read_head(struct file *f, char head[EXEC_HEAD_SIZE])
{
    int64_t got;

    memset(head, 0, EXEC_HEAD_SIZE);
    got = loader_read(f, 0, head, EXEC_HEAD_SIZE);
    return got < 0 ? (int)got : 0;
}

/* The file at the end of the script chain: one reference. */
static int resolve_scripts(struct exec_args *args, const struct loader_opener *opener,
                           struct exec_plan *plan)
{
    struct file *f = file_get(args->file);
    char *path = NULL; /* of f, NULL: args->path */
    int ret = 0;

    for (unsigned depth = 0;; depth++) {
        char head[EXEC_HEAD_SIZE], *interp;

        ret = read_head(f, head);
        if (ret < 0)
            break;
        ret = script_expand(args, path ? path : args->path, head, &interp);
        if (ret <= 0)
            break;
        plan->from_script = true;
        file_put(f);
        f = NULL;
        kfree(path);
        path = interp;
        ret = depth == MAX_SCRIPTS ? -ELOOP : opener->open_exec(opener->ctx, path, &f);
        if (ret < 0)
            break;
    }
    kfree(path);
    if (ret < 0) {
        if (f)
            file_put(f);
        return ret;
    }
    plan->exe.file = f;
    return 0;
}

int loader_prepare(struct exec_args *args, const struct loader_opener *opener,
                   struct exec_plan **out)
{
    struct exec_plan *plan = kmalloc(sizeof(*plan));
    char *interp = NULL;
    int ret;

    if (!plan)
        return -ENOMEM;
    ret = resolve_scripts(args, opener, plan);
    if (ret == 0)
        ret = elf_read_image(&plan->exe, &interp, &plan->exec_stack);
    if (ret == 0 && interp) {
        plan->has_interp = true;
        ret = opener->open_exec(opener->ctx, interp, &plan->interp.file);
        if (ret < 0)
            plan->interp.file = NULL;
        else
            ret = elf_read_image(&plan->interp, NULL, NULL);
    }
    kfree(interp);
    if (ret < 0) {
        exec_plan_free(plan);
        return ret;
    }
    *out = plan;
    return 0;
}

void exec_plan_free(struct exec_plan *plan)
{
    if (!plan)
        return;
    elf_image_free(&plan->exe);
    elf_image_free(&plan->interp);
    kfree(plan);
}
