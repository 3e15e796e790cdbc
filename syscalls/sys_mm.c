/*
 * System calls on the caller's memory: mmap and family, brk, madvise, mlock, and the copies between
 * processes. The work is in sentry/mm; here arguments are decoded and checked in Linux's order. No
 * locks.
 */
#include "sentry/abi/errno.h"
#include "sentry/abi/mman.h"
#include "sentry/base/arena.h"
#include "sentry/base/slab.h"
#include "sentry/mm/mm.h"
#include "syscalls/syscalls.h"

#define KNOWN_MAP_FLAGS                                                                            \
    (LX_MAP_TYPE | LX_MAP_FIXED | LX_MAP_ANONYMOUS | LX_MAP_32BIT | LX_MAP_GROWSDOWN |             \
     LX_MAP_DENYWRITE | LX_MAP_EXECUTABLE | LX_MAP_LOCKED | LX_MAP_NORESERVE | LX_MAP_POPULATE |   \
     LX_MAP_NONBLOCK | LX_MAP_STACK | LX_MAP_HUGETLB | LX_MAP_FIXED_NOREPLACE |                    \
     (LX_MAP_HUGE_MASK << LX_MAP_HUGE_SHIFT))

static int check_map_flags(uint32_t flags)
{
    uint32_t type = flags & LX_MAP_TYPE;
    bool anon = flags & LX_MAP_ANONYMOUS;

    if (type != LX_MAP_PRIVATE && type != LX_MAP_SHARED && (type != LX_MAP_SHARED_VALIDATE || anon))
        return -EINVAL;
    if (type == LX_MAP_SHARED_VALIDATE && (flags & ~(uint32_t)KNOWN_MAP_FLAGS))
        return -EOPNOTSUPP;
    /* There are no huge pages to reserve, and no hugetlbfs. */
    if (flags & LX_MAP_HUGETLB)
        return anon ? -ENOMEM : -EINVAL;
    return 0;
}

int64_t sys_mmap(struct task *t, const struct syscall_args *a)
{
    uint32_t flags = ARG_U32(3);
    struct mm_limits lim;
    struct file *f = NULL;
    uint64_t addr;
    struct mm_map_args map = {
        .addr = ARG_U64(0),
        .size = ARG_U64(1),
        .prot = (int)(ARG_U64(2) & (LX_PROT_READ | LX_PROT_WRITE | LX_PROT_EXEC)),
        .shared = flags & LX_MAP_SHARED,
        .fixed = flags & (LX_MAP_FIXED | LX_MAP_FIXED_NOREPLACE),
        .noreplace = flags & LX_MAP_FIXED_NOREPLACE,
        .growsdown = flags & LX_MAP_GROWSDOWN,
        .noreserve = flags & LX_MAP_NORESERVE,
        .populate = (flags & (LX_MAP_POPULATE | LX_MAP_NONBLOCK)) == LX_MAP_POPULATE,
        .locked = flags & LX_MAP_LOCKED,
        .low32 = flags & LX_MAP_32BIT,
    };
    int ret;

    if (ARG_U64(5) & ~PAGE_MASK)
        return -EINVAL;
    if (!(flags & LX_MAP_ANONYMOUS)) {
        f = task_file(t, ARG_INT(4));
        if (!f)
            return -EBADF;
        map.file = &f->mapped;
        map.offset = ARG_U64(5);
    }
    ret = map.size == 0 ? -EINVAL : check_map_flags(flags);
    if (ret == 0) {
        task_mm_limits(t, &lim);
        ret = mm_map(&t->us, &lim, &map, &addr);
    }
    if (f)
        file_put(f);
    return ret < 0 ? ret : (int64_t)addr;
}

int64_t sys_munmap(struct task *t, const struct syscall_args *a)
{
    return mm_unmap(&t->us, ARG_U64(0), ARG_U64(1));
}

int64_t sys_mprotect(struct task *t, const struct syscall_args *a)
{
    if (ARG_U64(2) > INT32_MAX)
        return -EINVAL;
    return mm_protect(&t->us, ARG_U64(0), ARG_U64(1), ARG_INT(2));
}

int64_t sys_mremap(struct task *t, const struct syscall_args *a)
{
    struct mm_limits lim;
    uint64_t addr;
    int ret;

    if (ARG_U64(3) > INT32_MAX)
        return -EINVAL;
    task_mm_limits(t, &lim);
    ret = mm_remap(&t->us, &lim, ARG_U64(0), ARG_U64(1), ARG_U64(2), ARG_INT(3), ARG_U64(4), &addr);
    return ret < 0 ? ret : (int64_t)addr;
}

int64_t sys_brk(struct task *t, const struct syscall_args *a)
{
    struct mm_limits lim;

    task_mm_limits(t, &lim);
    return (int64_t)mm_brk(&t->us, &lim, ARG_U64(0));
}

int64_t sys_madvise(struct task *t, const struct syscall_args *a)
{
    return mm_advise(&t->us, ARG_U64(0), ARG_U64(1), ARG_INT(2));
}

int64_t sys_msync(struct task *t, const struct syscall_args *a)
{
    return mm_msync(&t->us, ARG_U64(0), ARG_U64(1), ARG_INT(2));
}

int64_t sys_mincore(struct task *t, const struct syscall_args *a)
{
    return mm_mincore(&t->us, ARG_U64(0), ARG_U64(1), ARG_PTR(2));
}

static int64_t do_mlock(struct task *t, uint64_t addr, uint64_t size, bool on_fault)
{
    struct mm_limits lim;

    task_mm_limits(t, &lim);
    return mm_mlock(&t->us, &lim, addr, size, on_fault);
}

int64_t sys_mlock(struct task *t, const struct syscall_args *a)
{
    return do_mlock(t, ARG_U64(0), ARG_U64(1), false);
}

int64_t sys_mlock2(struct task *t, const struct syscall_args *a)
{
    if (ARG_INT(2) & ~LX_MLOCK_ONFAULT)
        return -EINVAL;
    return do_mlock(t, ARG_U64(0), ARG_U64(1), ARG_INT(2) & LX_MLOCK_ONFAULT);
}

int64_t sys_munlock(struct task *t, const struct syscall_args *a)
{
    return mm_munlock(&t->us, ARG_U64(0), ARG_U64(1));
}

int64_t sys_mlockall(struct task *t, const struct syscall_args *a)
{
    struct mm_limits lim;

    task_mm_limits(t, &lim);
    return mm_mlockall(&t->us, &lim, ARG_INT(0));
}

int64_t sys_munlockall(struct task *t, const struct syscall_args *a)
{
    return mm_munlockall(&t->us);
}

#define MEMBARRIER_CMD_QUERY 0

/* No barrier across the guest's threads can be given cheaply: none is offered, and programs fall
 * back. */
int64_t sys_membarrier(struct task *t, const struct syscall_args *a)
{
    return ARG_INT(0) == MEMBARRIER_CMD_QUERY && ARG_U32(1) == 0 ? 0 : -EINVAL;
}

/* ---- process_vm_readv, process_vm_writev ---- */

#define VM_COPY_ORDER 4 /* of the bounce buffer: 64 KiB */
#define VM_COPY_SIZE  (PAGE_SIZE << VM_COPY_ORDER)

/* The other process's side of the copy: its iovec array. */
struct remote {
    struct mm *mm;
    struct uio_segment *segments; /* kmalloc */
    uint64_t count;
};

static int remote_iovec(struct task *t, uaddr_t iov, uint64_t count, struct remote *r)
{
    int ret;

    if (count > UIO_MAXIOV)
        return -EINVAL;
    r->count = count;
    r->segments = count ? kmalloc(count * sizeof(*r->segments)) : NULL;
    if (count == 0)
        return 0;
    if (!r->segments)
        return -ENOMEM;
    ret = copy_in(&t->us, r->segments, iov, count * sizeof(*r->segments));
    if (ret < 0)
        return ret;
    for (uint64_t i = 0; i < count; i++) {
        if ((int64_t)r->segments[i].size < 0)
            return -EINVAL;
    }
    return 0;
}

static int remote_mm(struct task *t, int32_t pid, struct remote *r)
{
    struct task *other = task_find_for(t, pid);
    int ret = 0;

    if (!other)
        return -ESRCH;
    if (!task_may_access(t, other))
        ret = -EPERM;
    else if (!(r->mm = task_mm_get(other)))
        ret = -ESRCH;
    task_put(other);
    return ret;
}

/* At most n bytes between one remote place and local; short or negative: stop. */
static int64_t copy_piece(struct uio *local, struct mm *mm, uint64_t addr, void *buf, size_t n,
                          bool write)
{
    int64_t got;

    if (!write) {
        got = mm_read(mm, buf, addr, n, false);
        return got > 0 ? uio_put(local, buf, (size_t)got) : got;
    }
    got = uio_take(local, buf, n);
    return got > 0 ? mm_write(mm, addr, buf, (size_t)got, false) : got;
}

static int64_t copy_all(struct uio *local, const struct remote *r, void *buf, bool write)
{
    int64_t total = 0;

    for (uint64_t i = 0; i < r->count; i++) {
        uint64_t at = 0, size = r->segments[i].size;

        while (at < size && local->left > 0) {
            size_t piece = MIN(MIN(size - at, local->left), VM_COPY_SIZE);
            int64_t moved = copy_piece(local, r->mm, r->segments[i].base + at, buf, piece, write);

            if (moved > 0)
                total += moved;
            if (moved < (int64_t)piece)
                return total ? total : (moved < 0 ? moved : -EFAULT);
            at += (uint64_t)moved;
        }
    }
    return total;
}

static int64_t process_vm(struct task *t, const struct syscall_args *a, bool write)
{
    struct remote r = {0};
    struct uio local;
    int64_t ret;
    void *buf;

    if (ARG_U64(5) != 0)
        return -EINVAL;
    ret = uio_init_iovec(&local, &t->us, ARG_PTR(1), ARG_U64(2));
    if (ret < 0)
        return ret;
    ret = remote_iovec(t, ARG_PTR(3), ARG_U64(4), &r);
    if (ret == 0 && local.left > 0)
        ret = remote_mm(t, ARG_INT(0), &r);
    if (ret == 0 && r.mm) {
        buf = page_alloc(VM_COPY_ORDER);
        ret = buf ? copy_all(&local, &r, buf, write) : -ENOMEM;
        if (buf)
            page_free(buf, VM_COPY_ORDER);
    }
    if (r.mm)
        mm_put(r.mm);
    kfree(r.segments);
    uio_destroy(&local);
    return ret;
}

int64_t sys_process_vm_readv(struct task *t, const struct syscall_args *a)
{
    return process_vm(t, a, false);
}

int64_t sys_process_vm_writev(struct task *t, const struct syscall_args *a)
{
    return process_vm(t, a, true);
}
