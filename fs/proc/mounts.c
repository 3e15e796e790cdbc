/*
 * /proc/PID/mounts, mountinfo, mountstats: the namespace's mounts as seen from the process's root.
 * Mounts outside it are left out. Takes the mount lock through mount_for_each.
 */
#include "fs/proc/proc_pid.h"
#include "sentry/abi/mount.h"

struct show_mounts {
    struct strbuf *sb;
    struct path root;
    enum { SHOW_MOUNTS, SHOW_INFO, SHOW_STATS } how;
};

/* Spaces and the like as octal, so that columns stay columns. */
static void put_escaped(struct strbuf *sb, const char *s)
{
    for (; *s; s++) {
        if (*s == ' ' || *s == '\t' || *s == '\n' || *s == '\\' || *s == '#')
            strbuf_printf(sb, "\\%03o", (unsigned)(uint8_t)*s);
        else
            strbuf_putc(sb, *s);
    }
}

static void put_mount_flags(struct strbuf *sb, const struct mount *m, bool sb_readonly)
{
    static const struct {
        uint32_t flag;
        const char *name;
    } names[] = {
        {LX_MS_NOSUID, ",nosuid"},           {LX_MS_NODEV, ",nodev"},
        {LX_MS_NOEXEC, ",noexec"},           {LX_MS_NOATIME, ",noatime"},
        {LX_MS_NODIRATIME, ",nodiratime"},   {LX_MS_RELATIME, ",relatime"},
        {LX_MS_NOSYMFOLLOW, ",nosymfollow"},
    };

    strbuf_puts(sb, (m->flags & LX_MS_RDONLY) || sb_readonly ? "ro" : "rw");
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (m->flags & names[i].flag)
            strbuf_puts(sb, names[i].name);
}

static void put_options(struct strbuf *sb, struct superblock *super)
{
    const struct sb_ops *ops = OPS_GET(sb_ops, super->ops);

    if (ops->show_options)
        ops->show_options(super, sb);
}

/* Where m is, from the root; false: not beneath it. */
static bool mount_point(struct mount *m, const struct path *root, struct strbuf *out)
{
    struct path top = {m, m->root};

    return path_print(&top, root, false, out) == 0;
}

static void show_info(struct mount *m, const char *where, const char *type, struct strbuf *sb)
{
    const struct sb_ops *ops = OPS_GET(sb_ops, m->sb->ops);
    const char *base = ops->root_name ? ops->root_name(m->sb) : NULL;
    uint64_t dev = m->sb->dev;
    struct path in_sb = {NULL, m->root}, sb_root = {NULL, m->sb->root_dentry};
    struct strbuf inner;

    strbuf_init(&inner);
    if (!sb_root.dentry || path_print(&in_sb, &sb_root, false, &inner) != 0)
        inner.size = 0;
    strbuf_printf(sb, "%u %u %u:%u ", m->id, m->parent ? m->parent->id : m->id,
                  (uint32_t)(dev >> 8 & 0xfff), (uint32_t)((dev & 0xff) | (dev >> 12 & ~0xffUL)));
    if (base && strcmp(base, "/") != 0)
        put_escaped(sb, base);
    else
        base = NULL;
    if (!base || (inner.size && strcmp(inner.data, "/") != 0))
        put_escaped(sb, inner.size ? inner.data : "/");
    strbuf_putc(sb, ' ');
    put_escaped(sb, where);
    strbuf_putc(sb, ' ');
    put_mount_flags(sb, m, false);
    if (m->peer_group)
        strbuf_printf(sb, " shared:%u", m->peer_group);
    strbuf_printf(sb, " - %s ", type);
    put_escaped(sb, m->source && m->source[0] ? m->source : "none");
    strbuf_puts(sb, m->sb->flags & SB_RDONLY ? " ro" : " rw");
    put_options(sb, m->sb);
    strbuf_putc(sb, '\n');
    strbuf_free(&inner);
}

static int show_one(struct mount *m, void *arg)
{
    struct show_mounts *s = arg;
    const char *type = OPS_GET(sb_ops, m->sb->ops)->type_name;
    const char *source = m->source && m->source[0] ? m->source : "none";
    struct strbuf where;

    strbuf_init(&where);
    if (!mount_point(m, &s->root, &where) || !where.size) {
        strbuf_free(&where);
        return 0;
    }
    if (s->how == SHOW_INFO) {
        show_info(m, where.data, type, s->sb);
    } else if (s->how == SHOW_MOUNTS) {
        put_escaped(s->sb, source);
        strbuf_putc(s->sb, ' ');
        put_escaped(s->sb, where.data);
        strbuf_printf(s->sb, " %s ", type);
        put_mount_flags(s->sb, m, m->sb->flags & SB_RDONLY);
        put_options(s->sb, m->sb);
        strbuf_puts(s->sb, " 0 0\n");
    } else {
        strbuf_puts(s->sb, "device ");
        put_escaped(s->sb, source);
        strbuf_puts(s->sb, " mounted on ");
        put_escaped(s->sb, where.data);
        strbuf_printf(s->sb, " with fstype %s\n", type);
    }
    strbuf_free(&where);
    return s->sb->failed;
}

static int show_all(const struct proc_entry *e, struct strbuf *sb, int how)
{
    struct show_mounts s = {.sb = sb, .how = how};
    struct fs_context *fs = task_fs_get(e->task);
    struct mount_ns *ns = NULL;

    if (!fs)
        return -EINVAL;
    mutex_lock(&fs->lock);
    s.root = path_get(&fs->root);
    mutex_unlock(&fs->lock);
    mutex_lock(&e->task->res_lock);
    if (e->task->mount_ns)
        ns = mount_ns_get(e->task->mount_ns);
    mutex_unlock(&e->task->res_lock);
    if (ns) {
        (void)mount_for_each(ns, show_one, &s);
        mount_ns_put(ns);
    }
    path_put(&s.root);
    fs_context_put(fs);
    return ns ? 0 : -EINVAL;
}

int proc_show_pid_mounts(const struct proc_entry *e, struct strbuf *sb)
{
    return show_all(e, sb, SHOW_MOUNTS);
}

int proc_show_pid_mountinfo(const struct proc_entry *e, struct strbuf *sb)
{
    return show_all(e, sb, SHOW_INFO);
}

int proc_show_pid_mountstats(const struct proc_entry *e, struct strbuf *sb)
{
    return show_all(e, sb, SHOW_STATS);
}
