/*
 * memfd_create(2) and seals. All memfds are files of one hidden tmpfs without names. The seals that
 * concern data are set on the host memfd as well, which knows the guest's mappings: F_SEAL_WRITE
 * fails there while one is writable. Takes memfd_lock, then the inode's lock.
 */
#include "fs/tmpfs/tmpfs_int.h"
#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/mman.h"
#include "sentry/abi/mount.h"
#include "sentry/base/fmt.h"
#include "sentry/base/string.h"

#define MFD_NOEXEC_SEAL 8U
#define MFD_EXEC        16U
#define MFD_KNOWN       (LX_MFD_CLOEXEC | LX_MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL | MFD_EXEC)
#define SEAL_EXEC       0x20U
#define SEALS_DATA                                                                                 \
    (LX_F_SEAL_SHRINK | LX_F_SEAL_GROW | LX_F_SEAL_WRITE | LX_F_SEAL_FUTURE_WRITE)
#define SEALS_KNOWN     (SEALS_DATA | LX_F_SEAL_SEAL | SEAL_EXEC)
#define NAME_MAX_SIZE   249

static int memfd_mount(struct mount **out)
{
    struct vfs_state *v = vfs_state();
    const struct tmpfs_options options = {.mode = 0777};
    struct tmpfs *fs;
    int err = 0;

    mutex_lock(&v->memfd_lock);
    if (!v->memfd_mount) {
        err = tmpfs_create_fs(&options, &fs);
        if (err == 0) {
            err = mount_create_detached(&fs->sb, "tmpfs", LX_MS_NOATIME, &v->memfd_mount);
            sb_put(&fs->sb);
        }
    }
    mutex_unlock(&v->memfd_lock);
    *out = v->memfd_mount;
    return err;
}

static uint32_t first_seals(uint32_t flags)
{
    if (flags & MFD_NOEXEC_SEAL)
        return SEAL_EXEC;
    return flags & LX_MFD_ALLOW_SEALING ? 0 : LX_F_SEAL_SEAL;
}

int tmpfs_create_memfd(const char *name, uint32_t flags, const struct cred *cred, struct file **out)
{
    char full[NAME_MAX_SIZE + 8];
    struct path path;
    struct inode *inode;
    struct file *f;
    int err;

    if (flags & ~(uint32_t)MFD_KNOWN ||
        (flags & (MFD_EXEC | MFD_NOEXEC_SEAL)) == (MFD_EXEC | MFD_NOEXEC_SEAL))
        return -EINVAL;
    if (strlen(name) > NAME_MAX_SIZE)
        return -EINVAL;
    err = memfd_mount(&path.mount);
    if (err == 0)
        err = tmpfs_new_inode((struct tmpfs *)path.mount->sb, NULL,
                              LX_S_IFREG | (flags & MFD_NOEXEC_SEAL ? 0666 : 0777), cred, &inode);
    if (err < 0)
        return err;
    inode->nlink = 0;
    tmpfs_inode(inode)->seals = first_seals(flags);
    (void)cv_snprintf(full, sizeof(full), "memfd:%s", name);
    path.dentry = dentry_alloc_unlinked(full, inode);
    if (!path.dentry) {
        inode_put(inode);
        return -ENOMEM;
    }
    f = file_alloc_path(&path, LX_O_RDWR | LX_O_LARGEFILE, FMODE_READ | FMODE_WRITE | FMODE_SEEK,
                        cred);
    dentry_put(path.dentry);
    if (!f)
        return -ENOMEM;
    f->ops = ops_ref(&tmpfs_reg_file_ops);
    *out = f;
    return 0;
}

int tmpfs_add_seals(struct file *f, uint32_t seals)
{
    struct tmpfs_inode *ti = tmpfs_inode(f->inode);
    int64_t err = 0;

    if (!(f->mode & FMODE_WRITE))
        return -EPERM;
    if (seals & ~(uint32_t)SEALS_KNOWN)
        return -EINVAL;
    mutex_lock(&ti->write_lock); /* no write is half-way */
    mutex_lock(&ti->inode.lock);
    if (ti->seals & LX_F_SEAL_SEAL)
        err = -EPERM;
    /* An executable file that may never lose the bit can't be allowed to change either. */
    if ((seals & SEAL_EXEC) && (ti->inode.mode & 0111))
        seals |= SEALS_DATA;
    if (err == 0 && (seals & SEALS_DATA)) {
        err = tmpfs_to_host(ti);
        if (err == 0)
            err = host_fcntl(ti->host_fd, LX_F_ADD_SEALS, seals & SEALS_DATA);
    }
    if (err == 0)
        WRITE_ONCE(ti->seals, ti->seals | seals);
    mutex_unlock(&ti->inode.lock);
    mutex_unlock(&ti->write_lock);
    return (int)err;
}

int64_t tmpfs_get_seals(struct file *f)
{
    return READ_ONCE(tmpfs_inode(f->inode)->seals);
}
