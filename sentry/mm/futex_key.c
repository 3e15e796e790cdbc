/* What a futex word is, for everyone who maps it. Locks: mm->lock, and not for private futexes. */
#include "sentry/mm/mm_int.h"

int mm_futex_key(const struct uspace *us, uaddr_t addr, bool private_, struct futex_key *out)
{
    const struct platform_facts *facts = platform_facts();
    struct mm *mm = us->mm;
    struct vma *v;
    int ret = 0;

    if (addr.v & 3)
        return -EINVAL;
    if (addr.v >= facts->user_max)
        return -EFAULT;
    *out = (struct futex_key){(uint64_t)mm, addr.v};
    if (private_)
        return 0;
    mutex_lock(&mm->lock);
    v = vma_at(mm, addr.v);
    if (!v || !(v->prot & LX_PROT_READ)) {
        ret = -EFAULT;
    } else if ((v->flags & VMA_SHARED) && v->file) {
        out->object = OPS_GET(mm_file_ops, v->file->ops)->identity(v->file);
        out->offset = v->offset + (addr.v - v->start);
    }
    mutex_unlock(&mm->lock);
    return ret;
}
