/*
 * HOME of a process that was given none: what the container's own /etc/passwd says of its user, as
 * runc has it. The file is the guest's: whatever is in there is read once, bounded, and only
 * copied.
 */
#include "sentry/boot/boot_int.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PASSWD_MAX (1 << 20)

/* Regular files only: others could keep us waiting. malloc'ed text, or NULL. */
static char *read_passwd(struct boot_container *b)
{
    struct kstat st;
    struct file *f;
    struct uio uio;
    char *text = NULL;
    int64_t n = -1;

    if (vfs_open_at(&b->ctx, NULL, "/etc/passwd", LX_O_RDONLY | LX_O_NONBLOCK | LX_O_NOCTTY, 0, 0,
                    &f) < 0)
        return NULL;
    if (vfs_getattr(&f->path, &st) == 0 && (st.mode & LX_S_IFMT) == LX_S_IFREG &&
        st.size <= PASSWD_MAX)
        text = malloc(st.size + 1);
    if (text) {
        uio_init_kernel(&uio, text, st.size);
        n = file_read(f, &uio, &f->pos);
        uio_destroy(&uio);
    }
    file_put(f);
    if (n < 0) {
        free(text);
        return NULL;
    }
    text[n] = '\0';
    return text;
}

/* name:password:uid:gid:comment:home:shell; the first of that uid counts. In place, or NULL. */
static char *home_of(char *passwd, uint32_t uid)
{
    char *line;

    while ((line = strsep(&passwd, "\n"))) {
        char *field[6] = {0}, *end;

        for (int i = 0; i < 6; i++)
            field[i] = strsep(&line, ":");
        if (!field[5] || !*field[2] || !*field[5])
            continue;
        if (strtoul(field[2], &end, 10) == uid && !*end)
            return field[5];
    }
    return NULL;
}

char *boot_home(struct boot_container *b, uint32_t uid)
{
    char *passwd = read_passwd(b), *home = passwd ? home_of(passwd, uid) : NULL, *out;

    if (asprintf(&out, "HOME=%s", home ? home : "/") < 0)
        out = NULL;
    free(passwd);
    return out;
}
