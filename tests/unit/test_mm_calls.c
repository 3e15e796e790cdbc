/* The memory calls' errors and special cases, one by one, as Linux answers them. */
#include <string.h>

#include "sentry/abi/signal_num.h"
#include "tests/unit/mm_fixture.h"

#define AT 0x40000000UL

PLATFORM_SUITE(mm_calls);

static int map_result(const struct uspace *us, struct mm_map_args map, uint64_t *out)
{
    if (map.prot == 0)
        map.prot = RW;
    return mm_map(us, &no_limits, &map, out);
}

Test(mm_calls, placement_errors)
{
    struct uspace us = space_create();
    uint64_t out;

    cr_assert_eq(map_result(&us, (struct mm_map_args){.size = 0}, &out), -EINVAL);
    cr_assert_eq(map_result(&us, (struct mm_map_args){.size = UINT64_MAX}, &out), -ENOMEM);
    cr_assert_eq(
        map_result(&us, (struct mm_map_args){.addr = AT + 1, .size = 1, .fixed = true}, &out),
        -EINVAL);
    cr_assert_eq(map_result(&us, (struct mm_map_args){.addr = 0, .size = 1, .fixed = true}, &out),
                 -EPERM);
    cr_assert_eq(map_result(&us,
                            (struct mm_map_args){.addr = FAKE_USER_MAX, .size = 1, .fixed = true},
                            &out),
                 -ENOMEM);
    cr_assert_eq(map_result(&us, (struct mm_map_args){.addr = 4096, .size = 4096}, &out), 0);
    cr_assert_eq(out, 65536);
    cr_assert_eq(map_result(&us, (struct mm_map_args){.addr = AT + 5, .size = 4096}, &out), 0);
    cr_assert_eq(out, AT);
    cr_assert_eq(map_result(&us, (struct mm_map_args){.addr = AT, .size = 4096}, &out), 0);
    cr_assert_eq(out, FAKE_USER_MAX - 4096);
    cr_assert_eq(map_result(&us, (struct mm_map_args){.size = 4096, .low32 = true}, &out), 0);
    cr_assert_eq(out, AT + 4096);
    cr_assert_eq(mm_unmap(&us, AT, 0), -EINVAL);
    cr_assert_eq(mm_unmap(&us, AT + 1, 4096), -EINVAL);
    cr_assert_eq(mm_unmap(&us, AT, UINT64_MAX), -EINVAL);
    space_destroy(&us);
}

Test(mm_calls, limits)
{
    struct uspace us = space_create();
    struct mm_limits lim = {8192, UINT64_MAX, 8192, 4096, false};
    struct mm_map_args map = {.size = 8192, .prot = RW};
    uint64_t out;

    cr_assert_eq(mm_map(&us, &lim, &map, &out), 0);
    map.size = 4096;
    cr_assert_eq(mm_map(&us, &lim, &map, &out), -ENOMEM);
    map.fixed = true;
    map.addr = out;
    cr_assert_eq(mm_map(&us, &lim, &map, &out), 0, "replacing needs no more room");
    cr_assert_eq(mm_mlock(&us, &lim, out, 8192, true), -ENOMEM);
    cr_assert_eq(mm_mlock(&us, &lim, out, 4096, true), 0);
    cr_assert_eq(mm_mlock(&us, &lim, out, 1, true), 0, "locked already");
    lim.memlock = 0;
    cr_assert_eq(mm_mlock(&us, &lim, out, 4096, true), -EPERM);
    lim = (struct mm_limits){UINT64_MAX, 8192, 8192, 0, false};
    map = (struct mm_map_args){.size = 4096, .prot = RW};
    cr_assert_eq(mm_map(&us, &lim, &map, &out), -ENOMEM);
    map.prot = LX_PROT_READ;
    cr_assert_eq(mm_map(&us, &lim, &map, &out), 0);
    map.locked = true;
    cr_assert_eq(mm_map(&us, &lim, &map, &out), -EPERM);
    space_destroy(&us);
}

Test(mm_calls, brk_grows_and_shrinks)
{
    struct uspace us = space_create();
    struct vma_info v;

    us.mm->brk = us.mm->brk_start = AT;
    cr_assert_eq(mm_brk(&us, &no_limits, 0), AT);
    cr_assert_eq(mm_brk(&us, &no_limits, AT + 100), AT + 100);
    cr_assert_eq(mm_brk(&us, &no_limits, AT + 10000), AT + 10000);
    cr_assert_eq(vma_total(us.mm), 1);
    cr_assert_eq(mm_vma_at_or_after(us.mm, AT, &v), 0);
    cr_assert_eq(v.end, AT + 12288);
    cr_assert_str_eq(v.name, "[heap]");
    cr_assert_eq(mm_brk(&us, &no_limits, AT + 50), AT + 50);
    cr_assert_eq(us.mm->total_vm, 1);
    cr_assert_eq(map_at(&us, AT + 16384, 4096, RW), 0);
    cr_assert_eq(mm_brk(&us, &no_limits, AT + 20000), AT + 50);
    cr_assert_eq(mm_brk(&us, &no_limits, AT - 1), AT + 50);
    cr_assert_eq(mm_brk(&us, &no_limits, AT), AT);
    space_destroy(&us);
}

Test(mm_calls, stacks_grow_on_faults_and_copies)
{
    struct uspace us = space_create();
    struct mm_limits lim = no_limits;
    struct mm_map_args map = {
        .addr = AT + (1UL << 30), .size = 8192, .prot = RW, .fixed = true, .growsdown = true};
    uint64_t bottom, one = 1;
    int code = 0;

    cr_assert_eq(mm_map(&us, &lim, &map, &bottom), 0);
    cr_assert_eq(mm_handle_fault(&us, &lim, bottom - 1, &code), 0);
    cr_assert_eq(copy_out_obj(&us, uaddr(bottom - (1UL << 20)), &one), 0, "a copy grows it too");
    cr_assert_eq(copy_in_obj(&us, &one, uaddr(bottom - (1UL << 20))), 0);
    cr_assert_eq(one, 1);
    cr_assert_eq(vma_total(us.mm), 1);
    cr_assert_eq(mm_handle_fault(&us, &lim, bottom - (9UL << 20), &code), -EFAULT);
    cr_assert_eq(code, LX_SEGV_MAPERR);
    /* The guard gap. */
    cr_assert_eq(map_at(&us, bottom - (4UL << 20), 4096, RW), 0);
    cr_assert_eq(mm_handle_fault(&us, &lim, bottom - (3UL << 20) + 4096, &code), 0);
    cr_assert_eq(mm_handle_fault(&us, &lim, bottom - (3UL << 20) - 4096, &code), -EFAULT);
    cr_assert_eq(map_at(&us, AT, 4096, LX_PROT_NONE), 0);
    cr_assert_eq(mm_handle_fault(&us, &lim, AT, &code), -EFAULT);
    cr_assert_eq(code, LX_SEGV_ACCERR);
    space_destroy(&us);
}

Test(mm_calls, mremap_errors)
{
    struct uspace us = space_create();
    uint64_t out;

    cr_assert_eq(map_at(&us, AT, 16384, RW), 0);
#define REMAP(old, old_size, new_size, flags, new)                                                 \
    mm_remap(&us, &no_limits, old, old_size, new_size, flags, new, &out)
    cr_assert_eq(REMAP(AT, 4096, 4096, 8, 0), -EINVAL);
    cr_assert_eq(REMAP(AT, 4096, 4096, LX_MREMAP_FIXED, AT), -EINVAL);
    cr_assert_eq(REMAP(AT, 4096, 8192, LX_MREMAP_DONTUNMAP | LX_MREMAP_MAYMOVE, AT), -EINVAL);
    cr_assert_eq(REMAP(AT + 1, 4096, 8192, LX_MREMAP_MAYMOVE, 0), -EINVAL);
    cr_assert_eq(REMAP(AT, 4096, 0, LX_MREMAP_MAYMOVE, 0), -EINVAL);
    cr_assert_eq(REMAP(AT - 4096, 4096, 8192, LX_MREMAP_MAYMOVE, 0), -EFAULT);
    cr_assert_eq(REMAP(AT, 32768, 65536, LX_MREMAP_MAYMOVE, 0), -EFAULT);
    cr_assert_eq(REMAP(AT, 0, 4096, LX_MREMAP_MAYMOVE, 0), -EINVAL);
    cr_assert_eq(REMAP(AT, 4096, 8192, 0, 0), -ENOMEM);
    cr_assert_eq(REMAP(AT, 8192, 4096, LX_MREMAP_MAYMOVE | LX_MREMAP_FIXED, AT + 4096), -EINVAL);
    cr_assert_eq(REMAP(AT, 16384, 32768, 0, 0), 0);
    cr_assert_eq(out, AT);
    cr_assert_eq(REMAP(AT, 32768, 4096, 0, 0), 0);
    cr_assert_eq(us.mm->total_vm, 1);
    cr_assert_eq(map_at(&us, AT + 4096, 4096, LX_PROT_READ), 0);
    cr_assert_eq(REMAP(AT, 4096, 8192, LX_MREMAP_MAYMOVE, 0), 0);
    cr_assert_eq(out, FAKE_USER_MAX - 8192);
    cr_assert_eq(REMAP(AT + 4096, 4096, 4096, LX_MREMAP_MAYMOVE | LX_MREMAP_DONTUNMAP, 0), 0);
    cr_assert_eq(us.mm->total_vm, 4);
    space_destroy(&us);
}

Test(mm_calls, a_failed_move_changes_nothing)
{
    struct uspace us = space_create();
    uint64_t out, word = 77;

    cr_assert_eq(map_at(&us, AT, 8192, RW), 0);
    cr_assert_eq(map_at(&us, AT + 8192, 4096, LX_PROT_READ), 0);
    cr_assert_eq(copy_out_obj(&us, uaddr(AT), &word), 0);
    fake_fail(ENOMEM, 0, 1);
    cr_assert_eq(REMAP(AT, 8192, 16384, LX_MREMAP_MAYMOVE, 0), -ENOMEM);
    fake_fail(0, 0, 0);
    word = 0;
    cr_assert_eq(copy_in_obj(&us, &word, uaddr(AT)), 0);
    cr_assert_eq(word, 77);
    cr_assert_eq(us.mm->total_vm, 3);
    cr_assert_eq(vma_total(us.mm), 2);
    space_destroy(&us);
}

Test(mm_calls, madvise_errors)
{
    struct uspace us = space_create();
    struct mm_map_args map = {
        .addr = AT + (1UL << 20), .size = 4096, .prot = RW, .shared = true, .fixed = true};
    uint64_t shm;

    cr_assert_eq(map_at(&us, AT, 8192, RW), 0);
    cr_assert_eq(mm_map(&us, &no_limits, &map, &shm), 0);
    cr_assert_eq(mm_advise(&us, AT, 4096, 9999), -EINVAL);
    cr_assert_eq(mm_advise(&us, AT, 4096, LX_MADV_MERGEABLE), -EINVAL);
    cr_assert_eq(mm_advise(&us, AT + 1, 4096, LX_MADV_DONTNEED), -EINVAL);
    cr_assert_eq(mm_advise(&us, AT, 0, LX_MADV_DONTNEED), 0);
    cr_assert_eq(mm_advise(&us, AT, 12288, LX_MADV_DONTNEED), -ENOMEM);
    cr_assert_eq(mm_advise(&us, shm, 4096, LX_MADV_FREE), -EINVAL);
    cr_assert_eq(mm_advise(&us, shm, 4096, LX_MADV_WIPEONFORK), -EINVAL);
    cr_assert_eq(mm_advise(&us, AT, 4096, LX_MADV_REMOVE), -EINVAL);
    cr_assert_eq(mm_mlock(&us, &no_limits, AT, 4096, true), 0);
    cr_assert_eq(mm_advise(&us, AT, 4096, LX_MADV_DONTNEED), -EINVAL);
    cr_assert_eq(mm_advise(&us, AT, 4096, LX_MADV_DONTNEED_LOCKED), 0);
    cr_assert_eq(mm_msync(&us, AT, 4096, LX_MS_INVALIDATE), -EBUSY);
    cr_assert_eq(mm_msync(&us, AT, 4096, LX_MS_SYNC | LX_MS_ASYNC), -EINVAL);
    cr_assert_eq(mm_msync(&us, AT + 4096, 8192, LX_MS_SYNC), -ENOMEM);
    space_destroy(&us);
}

Test(mm_calls, fork_keeps_what_it_should)
{
    struct uspace us = space_create(), child;
    struct platform_as *as;
    uint64_t word = 5;

    cr_assert_eq(map_at(&us, AT, 16384, RW), 0);
    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(copy_out_obj(&us, uaddr(AT + i * 4096), &word), 0);
    cr_assert_eq(mm_advise(&us, AT + 4096, 4096, LX_MADV_DONTFORK), 0);
    cr_assert_eq(mm_advise(&us, AT + 8192, 4096, LX_MADV_WIPEONFORK), 0);
    cr_assert_eq(mm_mlock(&us, &no_limits, AT, 4096, true), 0);
    mutex_lock(&us.mm->lock);
    cr_assert_eq(platform_as_fork(us.ctx, &as, &child.ctx), 0);
    cr_assert_eq(mm_fork_locked(us.mm, as, child.ctx, &child.mm), 0);
    mutex_unlock(&us.mm->lock);
    cr_assert_eq(child.mm->total_vm, 3);
    cr_assert_eq(child.mm->locked_vm, 0);
    cr_assert_eq(copy_in_obj(&child, &word, uaddr(AT)), 0);
    cr_assert_eq(word, 5);
    cr_assert_eq(copy_in_obj(&child, &word, uaddr(AT + 4096)), -EFAULT);
    cr_assert_eq(copy_in_obj(&child, &word, uaddr(AT + 8192)), 0);
    cr_assert_eq(word, 0);
    cr_assert_eq(mm_read(child.mm, &word, AT + 12288, 8, false), 8);
    cr_assert_eq(word, 5);
    space_destroy(&child);
    space_destroy(&us);
}

Test(mm_calls, futex_keys)
{
    struct uspace us = space_create();
    struct mm_map_args map = {.addr = AT, .size = 8192, .prot = RW, .shared = true, .fixed = true};
    struct futex_key one, two;
    uint64_t shm;

    cr_assert_eq(mm_map(&us, &no_limits, &map, &shm), 0);
    cr_assert_eq(map_at(&us, AT + 8192, 4096, RW), 0);
    cr_assert_eq(mm_futex_key(&us, uaddr(AT + 2), false, &one), -EINVAL);
    cr_assert_eq(mm_futex_key(&us, uaddr(AT - 4), false, &one), -EFAULT);
    cr_assert_eq(mm_futex_key(&us, uaddr(AT + 4100), false, &one), 0);
    cr_assert_eq(one.offset, 4100);
    cr_assert_neq(one.object, (uint64_t)us.mm);
    cr_assert_eq(mm_futex_key(&us, uaddr(AT + 8192), false, &one), 0);
    cr_assert_eq(mm_futex_key(&us, uaddr(AT + 8192), true, &two), 0);
    cr_assert_eq(one.object, two.object);
    cr_assert_eq(one.offset, two.offset);
    space_destroy(&us);
}

Test(mm_calls, copies_and_strings)
{
    struct uspace us = space_create();
    char buf[8192], text[16] = "hello";

    cr_assert_eq(map_at(&us, AT, 4096, RW), 0);
    cr_assert_eq(copy_out(&us, uaddr(AT + 4090), text, 6), 0);
    cr_assert_eq(copy_out(&us, uaddr(AT + 4090), text, 7), -EFAULT);
    cr_assert_eq(copy_in_str(&us, buf, uaddr(AT + 4090), sizeof(buf)), 5);
    cr_assert_eq(copy_in_str(&us, buf, uaddr(AT + 4090), 5), -ENAMETOOLONG);
    cr_assert_eq(copy_out(&us, uaddr(AT + 4090), "abcdef", 6), 0);
    cr_assert_eq(copy_in_str(&us, buf, uaddr(AT + 4090), sizeof(buf)), -EFAULT);
    cr_assert_eq(copy_in(&us, buf, uaddr(UINT64_MAX), 1), -EFAULT);
    cr_assert_eq(copy_in(&us, buf, uaddr(UINT64_MAX - 5), 100), -EFAULT);
    cr_assert_eq(copy_in(&us, buf, uaddr(0), 0), 0);
    cr_assert_eq(copy_in_sized(&us, buf, 8, uaddr(AT + 4088), 4), 0);
    cr_assert_eq(copy_in_sized(&us, buf, 2, uaddr(AT + 4088), 8), -E2BIG);
    cr_assert_eq(copy_in_sized(&us, buf, 2, uaddr(AT), 8), 0);
    cr_assert_eq(clear_out(&us, uaddr(AT), 4096), 0);
    cr_assert_eq(copy_in_str(&us, buf, uaddr(AT + 4090), sizeof(buf)), 0);
    space_destroy(&us);
}

Test(mm_calls, uio_moves_across_segments)
{
    struct uspace us = space_create();
    struct uio_segment iov[12];
    struct uio uio;
    char buf[64] = "0123456789abcdefghijklmnopqrstuvwxyz", back[64];

    cr_assert_eq(map_at(&us, AT, 8192, RW), 0);
    for (unsigned i = 0; i < 12; i++)
        iov[i] = (struct uio_segment){AT + 4096 + i * 16, i % 4};
    cr_assert_eq(copy_out(&us, uaddr(AT), iov, sizeof(iov)), 0);
    cr_assert_eq(uio_init_iovec(&uio, &us, uaddr(AT), 12), 0);
    cr_assert_eq(uio.left, 18);
    cr_assert_eq(uio_put(&uio, buf, 7), 7);
    cr_assert_eq(uio_put(&uio, buf + 7, 30), 11);
    cr_assert_eq(uio.left, 0);
    uio_revert(&uio, 18);
    uio_advance(&uio, 5);
    cr_assert_eq(uio_take(&uio, back, 64), 13);
    cr_assert_eq(memcmp(back, buf + 5, 13), 0);
    uio_destroy(&uio);
    iov[3].size = (uint64_t)INT64_MAX + 1;
    cr_assert_eq(copy_out(&us, uaddr(AT), iov, sizeof(iov)), 0);
    cr_assert_eq(uio_init_iovec(&uio, &us, uaddr(AT), 12), -EINVAL);
    cr_assert_eq(uio_init_iovec(&uio, &us, uaddr(AT), 1025), -EINVAL);
    cr_assert_eq(uio_init_user(&uio, &us, uaddr(FAKE_USER_MAX - 4), 8), -EFAULT);
    cr_assert_eq(uio_init_user(&uio, &us, uaddr(AT + 8190), 8), 0);
    cr_assert_eq(uio_put(&uio, buf, 8), 2);
    cr_assert_eq(uio_put(&uio, buf, 6), -EFAULT);
    space_destroy(&us);
}
