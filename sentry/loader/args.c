/*
 * struct exec_args: the strings of execve in kernel memory, bounded as Linux bounds them. No locks.
 */
#include "sentry/loader/loader_int.h"

void exec_args_init(struct exec_args *args, uint64_t stack_limit)
{
    memset(args, 0, sizeof(*args));
    args->limit = MAX(MIN(stack_limit / 4, EXEC_MAX_TOTAL), EXEC_MIN_TOTAL);
}

void exec_args_destroy(struct exec_args *args)
{
    if (args->file)
        file_put(args->file);
    kfree(args->path);
    kfree(args->strings);
    memset(args, 0, sizeof(*args));
}

/* Strings and the pointers to them, with one for argv[0] if it is missing. */
static bool within_limit(const struct exec_args *args, size_t extra)
{
    uint64_t pointers = (MAX(args->argc, 1U) + (uint64_t)args->envc) * sizeof(uint64_t);

    return pointers + args->size + extra <= args->limit;
}

static int reserve(struct exec_args *args, size_t extra)
{
    size_t capacity = args->capacity ? args->capacity : 4096;
    char *p;

    while (capacity < args->size + extra)
        capacity *= 2;
    if (capacity == args->capacity)
        return 0;
    p = krealloc(args->strings, args->capacity, capacity);
    if (!p)
        return -ENOMEM;
    args->strings = p;
    args->capacity = capacity;
    return 0;
}

/* One more string of size bytes, NUL included, is at the end of the buffer. */
static int count_string(struct exec_args *args, size_t size, bool env)
{
    uint32_t *count = env ? &args->envc : &args->argc;

    (*count)++;
    if (size > EXEC_MAX_STRING || !within_limit(args, size)) {
        (*count)--;
        return -E2BIG;
    }
    args->size += size;
    if (!env)
        args->argv_size = args->size;
    return 0;
}

static int add(struct exec_args *args, const char *s, bool env)
{
    size_t size = strlen(s) + 1;
    int ret;

    if (size > EXEC_MAX_STRING)
        return -E2BIG;
    ret = reserve(args, size);
    if (ret < 0)
        return ret;
    memcpy(args->strings + args->size, s, size);
    return count_string(args, size, env);
}

int exec_args_add_arg(struct exec_args *args, const char *s)
{
    BUG_ON(args->envc);
    return add(args, s, false);
}

int exec_args_add_env(struct exec_args *args, const char *s)
{
    return add(args, s, true);
}

/*
 * The strings of one execve mostly lie side by side: what was read of a page once serves those
 * after it, since each trip to the guest's memory is dear.
 */
struct window {
    uint64_t base;
    size_t size; /* bytes of data that are the guest's at base */
    char data[PAGE_SIZE];
};

/*
 * The string at s if the window holds it whole, filling the window from s to its page's end first
 * where s lies outside. NULL: read it by itself.
 */
static const char *window_string(struct window *w, const struct uspace *us, uaddr_t s, size_t *size)
{
    const char *start, *nul;

    if (s.v < w->base || s.v - w->base >= w->size) {
        w->base = s.v;
        w->size = PAGE_SIZE - (s.v & ~PAGE_MASK);
        if (copy_in(us, w->data, s, w->size) < 0)
            w->size = 0;
    }
    if (w->size == 0)
        return NULL;
    start = w->data + (s.v - w->base);
    nul = memchr(start, 0, w->size - (s.v - w->base));
    *size = nul ? (size_t)(nul - start) + 1 : 0;
    return nul ? start : NULL;
}

/* A string from the guest straight into the buffer. */
static int add_user_alone(struct exec_args *args, const struct uspace *us, uaddr_t s, bool env)
{
    size_t room = 1024;

    for (;;) {
        int64_t len;
        int ret = reserve(args, room);

        if (ret < 0)
            return ret;
        room = MIN(args->capacity - args->size, EXEC_MAX_STRING);
        len = copy_in_str(us, args->strings + args->size, s, room);
        if (len >= 0)
            return count_string(args, (size_t)len + 1, env);
        if (len != -ENAMETOOLONG)
            return (int)len;
        if (room == EXEC_MAX_STRING || !within_limit(args, room))
            return -E2BIG;
        room = MIN(room * 4, EXEC_MAX_STRING);
    }
}

static int add_user(struct exec_args *args, const struct uspace *us, struct window *w, uaddr_t s,
                    bool env)
{
    size_t size;
    const char *held = window_string(w, us, s, &size);
    int ret;

    if (!held)
        return add_user_alone(args, us, s, env);
    ret = reserve(args, size);
    if (ret < 0)
        return ret;
    memcpy(args->strings + args->size, held, size);
    return count_string(args, size, env);
}

#define POINTERS_AT_ONCE 32

/* The strings of a NULL-terminated array; never reads past the page that holds its end. */
static int add_user_array(struct exec_args *args, const struct uspace *us, struct window *w,
                          uaddr_t array, bool env)
{
    uint64_t pointers[POINTERS_AT_ONCE];

    if (uaddr_is_null(array))
        return 0;
    for (;;) {
        uint64_t in_page = (PAGE_SIZE - (array.v & ~PAGE_MASK)) / sizeof(uint64_t);
        unsigned count = (unsigned)MIN(MAX(in_page, 1UL), (uint64_t)POINTERS_AT_ONCE);
        int ret = copy_in(us, pointers, array, count * sizeof(uint64_t));

        if (ret < 0)
            return ret;
        for (unsigned i = 0; i < count; i++) {
            if (pointers[i] == 0)
                return 0;
            ret = add_user(args, us, w, uaddr(pointers[i]), env);
            if (ret < 0)
                return ret;
        }
        array = uaddr_add(array, count * sizeof(uint64_t));
    }
}

int exec_args_copy_in(struct exec_args *args, const struct uspace *us, uaddr_t argv, uaddr_t envp)
{
    struct window *w = kmalloc(sizeof(*w));
    int ret;

    if (!w)
        return -ENOMEM;
    ret = add_user_array(args, us, w, argv, false);
    if (ret == 0 && args->argc == 0)
        ret = exec_args_add_arg(args, "");
    if (ret == 0)
        ret = add_user_array(args, us, w, envp, true);
    kfree(w);
    return ret;
}

int exec_args_replace_first(struct exec_args *args, const char *const *strings, unsigned count)
{
    size_t old = args->argc ? strlen(args->strings) + 1 : 0, added = 0, at = 0;
    char *p;

    for (unsigned i = 0; i < count; i++)
        added += strlen(strings[i]) + 1;
    args->argc += count - (args->argc ? 1 : 0);
    if (!within_limit(args, added))
        return -E2BIG;
    p = kmalloc(args->size - old + added);
    if (!p)
        return -ENOMEM;
    for (unsigned i = 0; i < count; i++) {
        size_t size = strlen(strings[i]) + 1;

        memcpy(p + at, strings[i], size);
        at += size;
    }
    if (args->size > old)
        memcpy(p + at, args->strings + old, args->size - old);
    kfree(args->strings);
    args->strings = p;
    args->size = args->capacity = args->size - old + added;
    args->argv_size = args->argv_size - old + added;
    return 0;
}
