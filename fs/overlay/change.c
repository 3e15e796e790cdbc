/*
 * overlay: everything that changes a directory. The VFS holds the overlay directories' locks and
 * has checked permissions; here the upper directory's lock is taken around each of its operations.
 */
#include "fs/overlay/overlay_int.h"
#include "sentry/abi/fcntl.h"
#include "sentry/base/cred.h"
#include "sentry/base/string.h"

static int upper_remove(struct inode *dir, const char *name, struct inode *victim)
{
    const struct inode_ops *ops = inode_ops_of(dir);
    int r;

    mutex_lock(&dir->lock);
    r = mode_is_dir(victim->mode) ? ops->rmdir(dir, name, victim) : ops->unlink(dir, name, victim);
    mutex_unlock(&dir->lock);
    return r;
}

static int add_whiteout(struct ovl *o, struct inode *upper_dir, const char *name)
{
    struct inode *made;
    int r;

    mutex_lock(&upper_dir->lock);
    r = inode_ops_of(upper_dir)->create(upper_dir, name, LX_S_IFCHR, 0, o->cred, &made);
    mutex_unlock(&upper_dir->lock);
    if (r == 0)
        inode_put(made);
    return r;
}

/*
 * Before something is made under name, which was found absent: upper exists, a whiteout there is
 * taken away. *had: there was one, for lower has the name behind it.
 */
static int clear_name(struct ovl_inode *dir, const char *name, struct inode **out_upper, bool *had)
{
    struct inode *old;
    int r = ovl_copy_up(dir, UINT64_MAX);

    if (r < 0)
        return r;
    *out_upper = ovl_upper(dir);
    *had = false;
    if (ovl_real_lookup(*out_upper, name, &old) < 0)
        return 0;
    *had = is_whiteout(old);
    r = *had ? upper_remove(*out_upper, name, old) : -EEXIST;
    inode_put(old);
    return r;
}

/* After making failed: the name is hidden again. */
static void restore_whiteout(struct ovl_inode *dir, const char *name, bool had)
{
    if (had)
        (void)add_whiteout(ovl_of(&dir->inode), ovl_upper(dir), name);
}

static int finish(struct inode *dir, const char *name, struct inode *made, struct inode **out)
{
    ovl_refresh(ovl_inode(dir));
    return ovl_inode_for(ovl_inode(dir), name, made, NULL, out);
}

int ovl_create(struct inode *dir, const char *name, uint32_t mode, uint64_t rdev,
               const struct cred *cred, struct inode **out)
{
    struct inode *upper, *made;
    bool had;
    int r;

    if (S_TYPE(mode) == LX_S_IFCHR && rdev == 0)
        return -EPERM; /* would be a whiteout */
    r = clear_name(ovl_inode(dir), name, &upper, &had);
    if (r < 0)
        return r;
    mutex_lock(&upper->lock);
    r = inode_ops_of(upper)->create(upper, name, mode, rdev, cred, &made);
    mutex_unlock(&upper->lock);
    if (r < 0) {
        restore_whiteout(ovl_inode(dir), name, had);
        return r;
    }
    return finish(dir, name, made, out);
}

static int set_opaque(struct inode *upper)
{
    int r;

    mutex_lock(&upper->lock);
    r = inode_ops_of(upper)->setxattr(upper, OVL_XATTR "opaque", "y", 1, 0);
    mutex_unlock(&upper->lock);
    return r;
}

int ovl_mkdir(struct inode *dir, const char *name, uint32_t mode, const struct cred *cred,
              struct inode **out)
{
    struct inode *upper, *made = NULL;
    bool had;
    int r = clear_name(ovl_inode(dir), name, &upper, &had);

    if (r < 0)
        return r;
    mutex_lock(&upper->lock);
    r = inode_ops_of(upper)->mkdir(upper, name, mode, cred, &made);
    mutex_unlock(&upper->lock);
    /* The host may have made one since: nothing of that is to be seen in ours. */
    if (r == 0 && (had || ovl_lower_has(ovl_inode(dir), name))) {
        r = set_opaque(made);
        if (r < 0) {
            (void)upper_remove(upper, name, made);
            inode_put(made);
        }
    }
    if (r < 0) {
        restore_whiteout(ovl_inode(dir), name, had);
        return r;
    }
    return finish(dir, name, made, out);
}

int ovl_symlink(struct inode *dir, const char *name, const char *target, const struct cred *cred,
                struct inode **out)
{
    struct inode *upper, *made;
    bool had;
    int r = clear_name(ovl_inode(dir), name, &upper, &had);

    if (r < 0)
        return r;
    mutex_lock(&upper->lock);
    r = inode_ops_of(upper)->symlink(upper, name, target, cred, &made);
    mutex_unlock(&upper->lock);
    if (r < 0) {
        restore_whiteout(ovl_inode(dir), name, had);
        return r;
    }
    return finish(dir, name, made, out);
}

int ovl_link(struct inode *dir, const char *name, struct inode *target)
{
    struct ovl_inode *ot = ovl_inode(target);
    struct inode *upper;
    bool had;
    int r = ovl_copy_up(ot, UINT64_MAX);

    if (r == 0)
        r = clear_name(ovl_inode(dir), name, &upper, &had);
    if (r < 0)
        return r;
    mutex_lock_pair(&upper->lock, &ovl_upper(ot)->lock);
    r = inode_ops_of(upper)->link(upper, name, ovl_upper(ot));
    mutex_unlock_pair(&upper->lock, &ovl_upper(ot)->lock);
    ovl_refresh(ot);
    ovl_refresh(ovl_inode(dir));
    if (r < 0)
        restore_whiteout(ovl_inode(dir), name, had);
    return r;
}

/*
 * Takes name out of the merged directory: from upper if it is there, hidden by a whiteout if lower
 * has it.
 */
static int hide_name(struct ovl_inode *dir, const char *name, struct ovl_inode *victim)
{
    struct ovl *o = ovl_of(&dir->inode);
    bool had = ovl_lower_has(dir, name);
    struct inode *there;
    int r = 0;

    if (had) {
        r = ovl_copy_up(dir, UINT64_MAX);
        if (r < 0)
            return r;
    }
    if (ovl_upper(dir) && ovl_real_lookup(ovl_upper(dir), name, &there) == 0) {
        r = upper_remove(ovl_upper(dir), name, there);
        inode_put(there);
    }
    if (r == 0 && had)
        r = add_whiteout(o, ovl_upper(dir), name);
    if (r == 0)
        ovl_refresh(dir);
    return r;
}

int ovl_unlink(struct inode *dir, const char *name, struct inode *victim)
{
    struct ovl_inode *ov = ovl_inode(victim);
    int r = hide_name(ovl_inode(dir), name, ov);

    if (r < 0)
        return r;
    if (ovl_upper(ov))
        ovl_refresh(ov);
    else if (victim->nlink > 0)
        victim->nlink--; /* the lower file itself keeps its links */
    return 0;
}

static int not_empty(void *arg, const char *name, struct inode *dir)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ? 0 : -ENOTEMPTY;
}

/* An empty merged directory's upper may still hold whiteouts. */
static int drop_whiteout(void *arg, const char *name, struct inode *dir)
{
    struct inode *found;
    int r = 0;

    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || ovl_real_lookup(dir, name, &found) < 0)
        return 0;
    if (is_whiteout(found))
        r = upper_remove(dir, name, found);
    inode_put(found);
    return r;
}

int ovl_rmdir(struct inode *dir, const char *name, struct inode *victim)
{
    struct ovl_inode *ov = ovl_inode(victim);
    int r = ovl_for_each_name(ov, not_empty, NULL);

    if (r == 0 && ovl_upper(ov))
        r = ovl_for_each_upper_name(ov, drop_whiteout, NULL);
    if (r == 0)
        r = hide_name(ovl_inode(dir), name, ov);
    if (r == 0)
        victim->nlink = 0;
    return r;
}

static int rename_upper(struct ovl_inode *od, const char *old_name, struct ovl_inode *moved,
                        struct ovl_inode *nd, const char *new_name, struct inode *replaced,
                        uint32_t flags)
{
    struct inode *from = ovl_upper(od), *to = ovl_upper(nd);
    int r;

    mutex_lock_pair(&from->lock, &to->lock);
    r = inode_ops_of(from)->rename(from, old_name, ovl_upper(moved), to, new_name, replaced, flags);
    mutex_unlock_pair(&from->lock, &to->lock);
    return r;
}

/*
 * What stands under the new name in upper gives way: the replaced file, an emptied directory, or a
 * whiteout.
 */
static int clear_target(struct ovl_inode *nd, const char *new_name, struct inode *replaced)
{
    struct inode *upper, *old;
    int r;

    if (replaced && mode_is_dir(replaced->mode))
        return ovl_rmdir(&nd->inode, new_name, replaced);
    upper = ovl_upper(nd);
    if (replaced || ovl_real_lookup(upper, new_name, &old) < 0)
        return 0;
    r = is_whiteout(old) ? upper_remove(upper, new_name, old) : 0;
    inode_put(old);
    return r;
}

static int rename_one(struct ovl_inode *od, const char *old_name, struct ovl_inode *om,
                      struct ovl_inode *nd, const char *new_name, struct inode *replaced,
                      uint32_t flags)
{
    struct inode *old_upper = NULL;
    bool had = ovl_lower_has(od, old_name);
    int r = clear_target(nd, new_name, replaced);

    if (r == 0 && (ovl_real_lookup(ovl_upper(nd), new_name, &old_upper) == 0) &&
        is_whiteout(old_upper)) {
        r = upper_remove(ovl_upper(nd), new_name, old_upper);
        inode_put(old_upper);
        old_upper = NULL;
    }
    if (r == 0)
        r = rename_upper(od, old_name, om, nd, new_name, old_upper,
                         flags & ~(uint32_t)LX_RENAME_NOREPLACE);
    if (old_upper)
        inode_put(old_upper);
    if (r == 0 && had)
        r = add_whiteout(ovl_of(&od->inode), ovl_upper(od), old_name);
    if (r == 0)
        r = ovl_set_parent(om, nd, new_name);
    return r;
}

/* Ready to be moved to dir/name, where it must not merge with a directory of lower. */
static int prepare_move(struct ovl_inode *oi, struct ovl_inode *dir, const char *name)
{
    int r = ovl_copy_up(dir, UINT64_MAX);

    if (r == 0)
        r = ovl_copy_up(oi, UINT64_MAX);
    if (r == 0 && mode_is_dir(oi->inode.mode) && ovl_lower_has(dir, name))
        r = set_opaque(ovl_upper(oi));
    return r;
}

static bool is_merged_dir(const struct ovl_inode *oi)
{
    return mode_is_dir(oi->inode.mode) && oi->lower && !oi->opaque;
}

/* RENAME_EXCHANGE. Both are in upper afterwards and hide what lower has under their new names. */
static int exchange(struct ovl_inode *ad, const char *a_name, struct ovl_inode *a,
                    struct ovl_inode *bd, const char *b_name, struct ovl_inode *b)
{
    int r;

    if (is_merged_dir(a) || is_merged_dir(b))
        return -EXDEV;
    r = prepare_move(a, bd, b_name);
    if (r == 0)
        r = prepare_move(b, ad, a_name);
    if (r == 0)
        r = rename_upper(ad, a_name, a, bd, b_name, ovl_upper(b), LX_RENAME_EXCHANGE);
    if (r == 0)
        r = ovl_set_parent(a, bd, b_name);
    if (r == 0)
        r = ovl_set_parent(b, ad, a_name);
    ovl_refresh(ad);
    ovl_refresh(bd);
    ovl_refresh(a);
    ovl_refresh(b);
    return r;
}

int ovl_rename(struct inode *old_dir, const char *old_name, struct inode *moved,
               struct inode *new_dir, const char *new_name, struct inode *replaced, uint32_t flags)
{
    struct ovl_inode *od = ovl_inode(old_dir), *nd = ovl_inode(new_dir), *om = ovl_inode(moved);
    bool is_dir = mode_is_dir(moved->mode);
    int r;

    if (flags & LX_RENAME_WHITEOUT)
        return -EINVAL;
    if (flags & LX_RENAME_EXCHANGE)
        return exchange(od, old_name, om, nd, new_name, ovl_inode(replaced));
    if (is_dir && om->lower && !om->opaque)
        return -EXDEV;
    r = ovl_copy_up(od, UINT64_MAX);
    if (r == 0)
        r = ovl_copy_up(nd, UINT64_MAX);
    if (r == 0)
        r = ovl_copy_up(om, UINT64_MAX);
    /* Over something in lower, the moved directory must not merge with it. */
    if (r == 0 && is_dir && ovl_lower_has(nd, new_name))
        r = set_opaque(ovl_upper(om));
    if (r == 0)
        r = rename_one(od, old_name, om, nd, new_name, replaced, flags);
    if (r < 0)
        return r;
    ovl_refresh(od);
    ovl_refresh(nd);
    ovl_refresh(om);
    if (replaced && !is_dir && replaced->nlink > 0)
        replaced->nlink--;
    return 0;
}

int ovl_tmpfile(struct inode *dir, uint32_t mode, const struct cred *cred, struct inode **out)
{
    struct inode *upper, *made;
    int r = ovl_copy_up(ovl_inode(dir), UINT64_MAX);

    if (r < 0)
        return r;
    upper = ovl_upper(ovl_inode(dir));
    if (!inode_ops_of(upper)->tmpfile)
        return -EOPNOTSUPP;
    mutex_lock(&upper->lock);
    r = inode_ops_of(upper)->tmpfile(upper, mode, cred, &made);
    mutex_unlock(&upper->lock);
    return r < 0 ? r : ovl_inode_for(ovl_inode(dir), "", made, NULL, out);
}
