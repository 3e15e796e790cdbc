/* The rows of syscalls/table.def, for help syscalls and check. */
#include "runsc-cli/syscall_rows.h"

#define FULL                                    SYSCALL_FULL
#define PARTIAL                                 SYSCALL_PARTIAL
#define ROW(nr, name, level, flags, args, note) {nr, #name, level, NULL, note},
#define NONE(nr, name, error, why)              {nr, #name, SYSCALL_MISSING, #error, why},

const struct syscall_row syscall_rows[] = {
#include "syscalls/table.def"
};

const size_t syscall_row_count = ARRAY_SIZE(syscall_rows);
const char *const syscall_level_names[SYSCALL_LEVELS] = {"full", "partial", "missing"};

const struct syscall_row *syscall_row_of(int64_t nr)
{
    for (size_t i = 0; i < syscall_row_count; i++) {
        if (syscall_rows[i].nr == nr)
            return &syscall_rows[i];
    }
    return NULL;
}
