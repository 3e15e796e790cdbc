/*
 * tmpfs: superblocks, inodes' life, limits and mount options. Takes drain_lock (rank OBJ).
 */
#include "fs/tmpfs/tmpfs_int.h"
#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/mount.h"
#include "sentry/base/cred.h"
#include "sentry/base/fmt.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"

SLAB_TYPE(tmpfs_slab, struct tmpfs);
SLAB_TYPE(tmpfs_inode_slab, struct tmpfs_inode);

/* Adds n unless that passes limit (0: none). */
static bool add_within(uint64_t *used, uint64_t n, uint64_t limit)
{
    uint64_t old = READ_ONCE(*used);

    do {
        if (limit && (n > limit || old > limit - n))
            return false;
    } while (!__atomic_compare_exchange_n(used, &old, old + n, true, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
    return true;
}

int tmpfs_charge(struct tmpfs *fs, uint64_t pages)
{
    return add_within(&fs->used_pages, pages, fs->max_pages) ? 0 : -ENOSPC;
}

void tmpfs_uncharge(struct tmpfs *fs, uint64_t pages)
{
    __atomic_fetch_sub(&fs->used_pages, pages, __ATOMIC_RELAXED);
}

static const void *inode_ops_for(uint32_t mode)
{
    switch (S_TYPE(mode)) {
    case LX_S_IFDIR:
        return &tmpfs_dir_inode_ops;
    case LX_S_IFREG:
        return &tmpfs_reg_inode_ops;
    case LX_S_IFLNK:
        return &tmpfs_link_inode_ops;
    default:
        return &tmpfs_node_inode_ops;
    }
}

static const void *file_ops_for(uint32_t mode)
{
    switch (S_TYPE(mode)) {
    case LX_S_IFDIR:
        return &tmpfs_dir_file_ops;
    case LX_S_IFREG:
        return &tmpfs_reg_file_ops;
    default:
        return NULL;
    }
}

int tmpfs_new_inode(struct tmpfs *fs, const struct inode *dir, uint32_t mode,
                    const struct cred *cred, struct inode **out)
{
    struct tmpfs_inode *ti;
    uint64_t ino;

    if (!add_within(&fs->used_inodes, 1, fs->max_inodes))
        return -ENOSPC;
    ti = slab_alloc(&tmpfs_inode_slab);
    if (!ti) {
        __atomic_fetch_sub(&fs->used_inodes, 1, __ATOMIC_RELAXED);
        return -ENOMEM;
    }
    ino = __atomic_fetch_add(&fs->next_ino, 1, __ATOMIC_RELAXED);
    inode_init(&ti->inode, &fs->sb, inode_ops_for(mode), file_ops_for(mode), ino, mode);
    inode_init_owner(&ti->inode, dir, mode, cred);
    list_init(&ti->xattrs);
    mutex_init(&ti->write_lock, RANK_FILEWRITE);
    ti->host_fd = -1;
    ti->seals = LX_F_SEAL_SEAL;
    if (mode_is_dir(mode)) {
        ti->inode.nlink = 2;
        ti->next_cookie = 3; /* after "." and ".." */
        ti->parent_ino = dir ? dir->ino : ino;
    }
    *out = &ti->inode;
    return 0;
}

static void free_inode(struct inode *inode)
{
    struct tmpfs_inode *ti = tmpfs_inode(inode);
    struct tmpfs *fs = tmpfs_of(inode);

    if (mode_is_dir(inode->mode))
        tmpfs_free_entries(fs, ti);
    else if (mode_is_reg(inode->mode))
        tmpfs_free_data(ti);
    tmpfs_free_xattrs(ti);
    kfree(ti->target);
    slab_free(&tmpfs_inode_slab, ti);
    __atomic_fetch_sub(&fs->used_inodes, 1, __ATOMIC_RELAXED);
}

static void free_sb(struct superblock *sb)
{
    slab_free(&tmpfs_slab, (struct tmpfs *)sb);
}

static int fs_statfs(struct superblock *sb, struct kstatfs *out)
{
    struct tmpfs *fs = (struct tmpfs *)sb;
    uint64_t used = READ_ONCE(fs->used_pages), total = fs->max_pages,
             inodes = READ_ONCE(fs->used_inodes);

    out->type = LX_TMPFS_MAGIC;
    if (!total) {
        struct host_sysinfo info;

        /* No limit of its own: what Linux would give by default. */
        if (host_sysinfo(&info) == 0)
            total = info.total_ram / 2 / PAGE_SIZE;
    }
    out->blocks = total;
    out->bfree = out->bavail = total > used ? total - used : 0;
    out->files = fs->max_inodes ? fs->max_inodes : total;
    out->ffree = out->files > inodes ? out->files - inodes : 0;
    return 0;
}

static void show_options(struct superblock *sb, struct strbuf *out)
{
    struct tmpfs *fs = (struct tmpfs *)sb;

    if (fs->max_pages)
        strbuf_printf(out, ",size=%lluk", (unsigned long long)(fs->max_pages * (PAGE_SIZE / 1024)));
    if (fs->max_inodes)
        strbuf_printf(out, ",nr_inodes=%llu", (unsigned long long)fs->max_inodes);
    if (fs->mode != 01777)
        strbuf_printf(out, ",mode=%03o", fs->mode);
    if (fs->uid)
        strbuf_printf(out, ",uid=%u", fs->uid);
    if (fs->gid)
        strbuf_printf(out, ",gid=%u", fs->gid);
}

DEFINE_OPS(sb_ops, tmpfs_sb_ops) = {
    .type_name = "tmpfs",
    .free_inode = free_inode,
    .free_sb = free_sb,
    .statfs = fs_statfs,
    .show_options = show_options,
};

int tmpfs_create_fs(const struct tmpfs_options *options, struct tmpfs **out)
{
    struct tmpfs *fs = slab_alloc(&tmpfs_slab);
    struct cred owner = {.fsuid = options->uid, .fsgid = options->gid};
    int err;

    if (!fs)
        return -ENOMEM;
    sb_init(&fs->sb, &tmpfs_sb_ops, vfs_alloc_dev());
    fs->max_pages = options->size / PAGE_SIZE + (options->size % PAGE_SIZE != 0);
    fs->max_inodes = options->nr_inodes;
    fs->mode = options->mode & 07777;
    fs->uid = options->uid;
    fs->gid = options->gid;
    fs->next_ino = 1;
    mutex_init(&fs->drain_lock, RANK_OBJ);
    list_init(&fs->drain);
    err = tmpfs_new_inode(fs, NULL, LX_S_IFDIR | fs->mode, &owner, &fs->sb.root);
    if (err < 0) {
        sb_put(&fs->sb);
        return err;
    }
    *out = fs;
    return 0;
}

int tmpfs_create(const struct tmpfs_options *options, struct superblock **out)
{
    struct tmpfs *fs;
    int err = tmpfs_create_fs(options, &fs);

    if (err == 0)
        *out = &fs->sb;
    return err;
}

/* "64m", "50%" of memory, "1g", "4096". */
static int parse_size(const char *s, size_t size, bool percent, uint64_t *out)
{
    uint64_t value = 0;
    size_t i;

    for (i = 0; i < size && s[i] >= '0' && s[i] <= '9'; i++) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(s[i] - '0'), &value))
            return -EINVAL;
    }
    if (i == 0 || size - i > 1)
        return -EINVAL;
    if (i < size) {
        struct host_sysinfo info;
        uint64_t factor = 1;

        switch (s[i] | 0x20) {
        case 'k':
            factor = 1UL << 10;
            break;
        case 'm':
            factor = 1UL << 20;
            break;
        case 'g':
            factor = 1UL << 30;
            break;
        default:
            if (s[i] != '%' || !percent || value > 100 || host_sysinfo(&info) < 0)
                return -EINVAL;
            factor = info.total_ram / 100;
        }
        if (__builtin_mul_overflow(value, factor, &value))
            return -EINVAL;
    }
    *out = value;
    return 0;
}

static int parse_number(const char *s, size_t size, uint32_t base, uint32_t *out)
{
    uint64_t value = 0;

    for (size_t i = 0; i < size; i++) {
        uint32_t digit = (uint32_t)(s[i] - '0');

        if (digit >= base)
            return -EINVAL;
        value = value * base + digit;
        if (value > UINT32_MAX)
            return -EINVAL;
    }
    *out = (uint32_t)value;
    return size ? 0 : -EINVAL;
}

static bool key_is(const char *s, size_t size, const char *key)
{
    return strlen(key) == size && memcmp(s, key, size) == 0;
}

static int parse_one(const char *s, size_t size, struct tmpfs_options *out)
{
    size_t key = 0;
    const char *value;
    uint32_t mode;
    int err = -EINVAL;

    while (key < size && s[key] != '=')
        key++;
    if (key == size) /* flags that change nothing here */
        return key_is(s, size, "noswap") || key_is(s, size, "inode32") || key_is(s, size, "inode64")
                   ? 0
                   : -EINVAL;
    value = s + key + 1;
    size -= key + 1;
    if (key_is(s, key, "size"))
        return parse_size(value, size, true, &out->size);
    if (key_is(s, key, "nr_inodes"))
        return parse_size(value, size, false, &out->nr_inodes);
    if (key_is(s, key, "nr_blocks")) {
        err = parse_size(value, size, false, &out->size);
        return err < 0 || __builtin_mul_overflow(out->size, PAGE_SIZE, &out->size) ? -EINVAL : 0;
    }
    if (key_is(s, key, "mode")) {
        err = parse_number(value, size, 8, &mode);
        if (err == 0)
            out->mode = mode & 07777;
    } else if (key_is(s, key, "uid")) {
        err = parse_number(value, size, 10, &out->uid);
    } else if (key_is(s, key, "gid")) {
        err = parse_number(value, size, 10, &out->gid);
    } else if (key_is(s, key, "mpol") || key_is(s, key, "huge")) {
        err = 0;
    }
    return err;
}

int tmpfs_parse_options(const char *options, struct tmpfs_options *out)
{
    while (*options) {
        size_t size = 0;
        int err;

        while (options[size] && options[size] != ',')
            size++;
        err = size ? parse_one(options, size, out) : 0;
        if (err < 0)
            return err;
        options += size + (options[size] == ',');
    }
    return 0;
}
