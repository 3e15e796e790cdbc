/* The rows of table.def against the host's numbers, and that a row has all it needs. */
#include <string.h>
#include <sys/syscall.h>

#include "syscalls/syscalls.h"
#include "tests/unit/fixture.h"

KERNEL_SUITE(syscall_table);

#define ROW(nr, name, level, flags, args, note) NR_##name = nr,
#define NONE(nr, name, error, why)              NR_##name = nr,
enum numbers {
#include "syscalls/table.def"
};
#undef ROW
#undef NONE

/* A build check: each number is the host header's. Calls newer than that header are left out. */
#define CHECK(name) _Static_assert(SYS_##name == (long)NR_##name, #name);
#include "tests/unit/syscall_checks.h"

Test(syscall_table, rows_are_whole)
{
    for (uint64_t nr = 0; nr < SYSCALL_MAX; nr++) {
        const struct syscall_row *row = syscall_row(nr);

        if (!row)
            continue;
        if (row->level == SYSCALL_MISSING) {
            cr_assert_null(row->handler);
            cr_assert_gt(row->error, 0);
        } else {
            cr_assert_not_null(row->handler);
            cr_assert_eq(strlen(row->note) == 0, row->level == SYSCALL_FULL, "%s", row->name);
        }
    }
    cr_assert_null(syscall_row(SYSCALL_MAX));
    cr_assert_null(syscall_row(UINT64_MAX));
}
