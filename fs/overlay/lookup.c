/*
 * overlay: finding names in the two trees. Takes the real directories' locks (INODE) one at a time.
 */
#include "fs/overlay/overlay_int.h"

int ovl_real_lookup(struct inode *dir, const char *name, struct inode **out)
{
    int r;

    if (!dir)
        return -ENOENT;
    mutex_lock(&dir->lock);
    r = inode_ops_of(dir)->lookup(dir, name, out);
    mutex_unlock(&dir->lock);
    return r;
}

bool ovl_lower_has(struct ovl_inode *dir, const char *name)
{
    struct inode *found;

    if (dir->opaque || ovl_real_lookup(dir->lower, name, &found) < 0)
        return false;
    inode_put(found);
    return true;
}

int ovl_lookup(struct inode *dir, const char *name, struct inode **out)
{
    struct ovl_inode *od = ovl_inode(dir);
    struct inode *upper = NULL, *lower = NULL;
    int r = ovl_real_lookup(ovl_upper(od), name, &upper);

    if (r < 0 && r != -ENOENT)
        return r;
    if (upper && is_whiteout(upper)) {
        inode_put(upper);
        return -ENOENT;
    }
    if (!od->opaque && (!upper || mode_is_dir(upper->mode))) {
        r = ovl_real_lookup(od->lower, name, &lower);
        if (r < 0 && r != -ENOENT) {
            if (upper)
                inode_put(upper);
            return r;
        }
    }
    if (upper && lower && !mode_is_dir(lower->mode)) {
        inode_put(lower); /* a directory made over a hidden file */
        lower = NULL;
    }
    if (!upper && !lower)
        return -ENOENT;
    return ovl_inode_for(od, name, upper, lower, out);
}

/* Of a lower tree that the host may change: does it still have what name was found to be? What is
 * in upper alone, or was copied up, no longer depends on it. */
bool ovl_revalidate(struct inode *dir, const char *name, struct inode *cached)
{
    struct ovl_inode *od = ovl_inode(dir), *oi = cached ? ovl_inode(cached) : NULL;
    struct inode *upper;

    if (od->opaque || (oi && (!oi->lower || (ovl_upper(oi) && !mode_is_dir(cached->mode)))))
        return true;
    if (!oi && ovl_real_lookup(ovl_upper(od), name, &upper) == 0) {
        inode_put(upper);
        return true; /* a whiteout: absent whatever lower has */
    }
    if (!inode_ops_of(od->lower)->revalidate(od->lower, name, oi ? oi->lower : NULL))
        return false;
    if (oi && !ovl_upper(oi))
        ovl_refresh(oi);
    return true;
}
